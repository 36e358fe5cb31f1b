"""The gateway's own process loads no codec, though all are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.dataset.codecs import CODECS, missing

LOADED = """
import sys
import gateway.__main__
import gateway.app.process, gateway.demo, gateway.rehearsal
from gateway.dataset.codecs import CODECS, missing
from gateway.common.without_codecs import HIDDEN
assert "pydicom" in sys.modules
print(sorted(HIDDEN & sys.modules.keys()), missing(CODECS))
"""


@pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")
def test_the_gateway_loads_no_codecs_and_knows_that_they_are_there() -> None:
    folder = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[] ()", "")

"""Outputs that are compared with files; `GOLDEN=write pytest …` writes them anew: read them then."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def check_golden(name: str, found: str) -> None:
    """`found` is what stands in tests/golden/`name`."""
    path = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), f"{path} differs; look at it, then write it anew with GOLDEN=write"

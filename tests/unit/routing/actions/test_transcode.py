"""The action `transcode`: what it asks for, and what it says of a configuration."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.ports.kinds import Conversion, Converting
from gateway.routing.actions.transcode import Transcode
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.resources import NO_RESOURCES
from tests.support.pixels import EXPLICIT, IMPLICIT, JPEG_2000, JPEG_2000_LOSSLESS, JPEG_LS_NEAR, RLE
from tests.unit.routing.build import facts


def built(config: object) -> Transcode:
    problems: list[str] = []
    (action,) = build_actions([{"transcode": config}], lambda *problem: problems.append(str(problem)), NO_RESOURCES)
    assert problems == []
    assert isinstance(action, Transcode)
    return action


@pytest.mark.parametrize(
    ("config", "source", "expected"),
    [
        pytest.param({"to": "RLELossless"}, EXPLICIT, {"to": [RLE]}, id="one"),
        pytest.param(
            {"to": ["JPEG2000Lossless", "ExplicitVRLittleEndian"]},
            IMPLICIT,
            {"to": [JPEG_2000_LOSSLESS, EXPLICIT]},
            id="several, in order",
        ),
        pytest.param({"to": ["RLELossless", EXPLICIT]}, EXPLICIT, None, id="in one of them already"),
        pytest.param(
            {"to": ["JPEG2000"], "ratio": 10}, EXPLICIT, {"to": [JPEG_2000], "ratio": 10.0}, id="with loss, by ratio"
        ),
        pytest.param(
            {"to": ["JPEGLSNearLossless"], "near": 2}, EXPLICIT, {"to": [JPEG_LS_NEAR], "near": 2}, id="with loss, near"
        ),
        pytest.param({"to": ["JPEG2000"], "ratio": 10}, JPEG_2000, None, id="with loss already"),
    ],
)
def test_what_it_asks_for(config: object, source: str, expected: dict[str, object] | None) -> None:
    action = built(config)
    assert isinstance(action, Converting)
    asked = action.convert(facts({})._replace(transfer_syntax_uid=source))
    assert asked == (None if expected is None else Conversion("transcode", expected))
    assert asked is None or not asked.is_optional
    assert (list(action.edits(facts({}))), list(action.attributes())) == ([], [])


def test_what_cannot_be_converted_may_be_kept() -> None:
    asked = built({"to": ["RLELossless"], "otherwise": "keep"}).convert(facts({}))
    assert asked == Conversion("transcode", {"to": [RLE]}, is_optional=True)


HOW = "install them with the extra `codecs`, in the folder of the gateway's source: pip install '.[codecs]'"
WITHOUT_CODECS = """
import sys
for name in ("numpy", "pylibjpeg", "openjpeg", "rle", "jpeg_ls", "gdcm"):
    sys.modules[name] = None  # as if it were not installed
from gateway.cli import main
main(["validate", sys.argv[1]])
"""
RULES = """
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
unmatched: discard
peers:
  pacs: {ae_title: PACS, address: 127.0.0.1:104, delivery: {fallback: [RLELossless, ExplicitVRLittleEndian]}}
routes:
  - {name: compressed, to: [pacs], then: [{transcode: {to: [JPEG2000Lossless, ExplicitVRLittleEndian]}}]}
  - {name: native, to: [pacs], then: [{transcode: {to: [ExplicitVRLittleEndian]}}]}
"""


@pytest.mark.process
async def test_without_the_codecs_extra_a_rule_that_needs_it_is_a_problem(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", WITHOUT_CODECS, str(rules)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[4],
    )
    output, _ = await process.communicate()
    lines = [line.split("rules.yaml:")[1] for line in output.decode().splitlines() if "rules.yaml:5" in line]
    lines += [line.split("rules.yaml:")[1] for line in output.decode().splitlines() if "rules.yaml:7" in line]
    assert process.returncode == 1, output.decode()
    assert lines == [
        f"5:61: warning: codecs-missing: without codecs only objects that are not compressed can be converted; {HOW}",
        f"5:72: error: codecs-missing: `RLELossless` needs numpy, pylibjpeg, pylibjpeg-rle; {HOW}",
        f"7:61: error: bad-value: JPEG2000Lossless needs numpy, pylibjpeg, pylibjpeg-openjpeg; {HOW}",
    ]
    assert b"rules.yaml:8" not in output

"""The gateway that answers is that of the rules, or another one: their spools tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.lifecycle.remote import other_gateway
from gateway.model.settings import Settings, Spool
from gateway.spool.folder import IDENTITY


def spool(path: Path, identity: str = "") -> Path:
    path.mkdir(parents=True)
    if identity:
        (path / IDENTITY).write_text(f"{identity}\n")
    return path


OURS, THEIRS = "a" * 32, "b" * 32
WORKER = {"number": 2, "node": "north-2", "http": "127.0.0.1:8082"}


@pytest.mark.parametrize(
    ("place", "identity", "worker", "is_ours"),
    [
        ("ours", OURS, None, True),
        ("ours", "", None, True),
        ("elsewhere", OURS, None, True),
        ("elsewhere", THEIRS, None, False),
        ("elsewhere", "", None, False),
        ("ours/north-2", OURS, WORKER, True),
        ("ours/north-2", "", WORKER, True),
        ("ours/north-2", THEIRS, WORKER, False),
        ("elsewhere/north-2", "", WORKER, False),
        ("elsewhere/north-2", THEIRS, WORKER, False),
        ("ours/north-2", "", None, False),
    ],
)
def test_the_spool_tells_gateways_apart(
    tmp_path: Path, place: str, identity: str, worker: object, is_ours: bool
) -> None:
    spool(tmp_path / "ours" / ("north-2" if worker else ""), OURS)
    settings = Settings("GATEWAY", (), Spool(str(tmp_path / "ours")), "/queue.db")
    found = {"spool": {"id": identity, "path": str(tmp_path / place)}, "worker": worker}
    assert (other_gateway(found, settings) == "") is is_ours

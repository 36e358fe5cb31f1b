"""Names that no database could hold are found again all the same."""

from __future__ import annotations

from pathlib import Path

from gateway.ports.pauses import Pause
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON

ODD = "pa\udce9cs\0"
"""As an argument of a command line that is not UTF-8."""


def test_an_odd_name_is_paused_and_resumed(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db")
    with store.transaction():
        assert store.pauses.begin_pause(Pause("destination", ODD, ODD, ODD, NOON))
        assert not store.pauses.begin_pause(Pause("destination", ODD, "", "", NOON))
        assert store.pauses.end_pause("destination", ODD, NOON)
    store.close()

"""A store in one SQLite file."""

from __future__ import annotations

from pathlib import Path

from gateway.model.settings import Settings, Spool
from gateway.stores.sqlite_kind import SQLiteKind
from tests.support.samples import TO_PACS, Clock, instance


def test_before_and_after_there_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    kind = SQLiteKind(Settings("GATEWAY", (), Spool(str(tmp_path / "spool")), str(path)))
    assert (kind.local_path, kind.is_there(), kind.pairing(), kind.waiting()) == (path, False, ("", False), {})
    store = kind.open(clock=None, must_exist=False, is_committing=False, is_read_only=False)
    with store.transaction():
        store.spool.bind_spool("first")
        store.deliveries.accept([(instance(1), [TO_PACS])], Clock()())
    store.close()
    assert (kind.is_there(), kind.pairing(), kind.waiting()) == (True, ("first", True), {"pacs": 1})
    assert kind.problems() == []
    kind.check_before_start()


def test_a_claim_is_seen_by_others(tmp_path: Path) -> None:
    kind = SQLiteKind(Settings("GATEWAY", (), Spool(str(tmp_path / "spool")), str(tmp_path / "queue.db")))
    claim = kind.claim()
    assert not kind.is_gateway_running()
    claim.take()
    assert kind.is_gateway_running()
    assert claim.gone() == ""
    claim.release()
    assert not kind.is_gateway_running()

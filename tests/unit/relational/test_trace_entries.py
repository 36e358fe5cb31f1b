"""Names that no database could hold are counted under what the database has in their place; one moment is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from gateway.model.association import AssociationFacts
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, Clock, instance
from tests.support.store_rig import accept

ODD = "CT\udce9\0"


def test_an_odd_sender_is_counted(tmp_path: Path) -> None:
    store, clock = SQLiteStore(tmp_path / "queue.db", now=lambda: NOON), Clock()
    sender = AssociationFacts(ODD, "GATEWAY", "10.0.0.7")
    accept(store, (replace(instance(1, study_instance_uid="1.1"), association=sender), []), clock=clock)
    assert [each.name for each in store.traces.senders(["1.1"])] == [ODD]
    with store.transaction():
        assert store.deliveries.forget(NOON + timedelta(seconds=1), 9) == 1
    assert [each.name for each in store.traces.entries(["1.1"])] == ["CT?\ufffd"]
    store.close()


def test_what_is_forgotten_meanwhile_is_counted_once(tmp_path: Path) -> None:
    store, clock = SQLiteStore(tmp_path / "queue.db", now=lambda: NOON), Clock()
    for number in range(1, 4):
        accept(store, (instance(number, study_instance_uid="1.1"), []), clock=clock)
    other = SQLiteStore(tmp_path / "queue.db", now=lambda: NOON)
    with other.traces.one_state():
        assert other.traces.entries(["1.1"]) == []
        with store.transaction():
            assert store.deliveries.forget(NOON + timedelta(seconds=1), 9) == 3
        assert [each.instances for each in other.traces.senders(["1.1"])] == [3]
    assert [each.instances for each in other.traces.entries(["1.1"])] == [3]
    other.close()
    store.close()

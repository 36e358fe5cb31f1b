"""The row that is kept is the whole row: every column of a delivery but those of a lease comes back."""

from __future__ import annotations

from pathlib import Path

from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store_rows import TABLES
from gateway.ports.undo_log import DeliveryChange, mark_of
from gateway.relational.undo_log import LEASE
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, instance

ODD = "Ä\u2028 'so' \"x\" \\u0041"
AS_THEY_ARE = ("delivery_id", "instance_id", "destination", "state", "lease")


def test_every_column_comes_back(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db", now=lambda: NOON)
    with store.transaction():
        store.deliveries.accept([(instance(1), [TO_PACS])], NOON)
    for number, name in enumerate(set(TABLES["delivery"]) - {*AS_THEY_ARE}, 7):
        is_text = name in ("rule", "actions_json", "reason", "group_name")
        store.connection.execute(f"UPDATE delivery SET {name} = ?", (f"{ODD} {name}" if is_text else number,))
    (before,) = store.rows.read("delivery", None, 9)
    image = store.undo.delivery_images([1])[1]
    with store.transaction():
        store.administration.hold(DeliveryFilter(ids=(1,)))
        change = DeliveryChange(1, image, mark_of(store.undo.delivery_images([1])[1]))
        store.undo.keep_changes(3, [change])
    assert store.undo.changes_of(3, 0, 9) == [change]
    with store.transaction():
        assert store.undo.put_back(3, [change]).done == 1
    (found,) = store.rows.read("delivery", None, 9)
    assert found[LEASE] > before[LEASE]
    assert (*found[:LEASE], *found[LEASE + 1 :]) == (*before[:LEASE], *before[LEASE + 1 :])
    store.close()

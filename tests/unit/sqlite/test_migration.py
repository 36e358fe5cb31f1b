"""A queue's file of a former version is brought up to date, and works on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import apsw

from gateway.common.steady_clock import SteadyClock
from gateway.model.delivery import DeliveryState
from gateway.model.likeness import likeness_of
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.sqlite.statements import SCHEMA_VERSION
from gateway.sqlite.store import SQLiteStore
from tests.contract.test_index import ALL, held
from tests.support.samples import NOON, TO_PACS, Clock, settlement

ANY = DeliveryFilter()
DUMP = Path(__file__).with_name("schema_1.dump.sql")
"""Made by the version before the index."""


def former(folder: Path) -> Path:
    path = folder / "queue.db"
    connection = apsw.Connection(str(path))
    connection.execute(DUMP.read_text(encoding="utf-8"))
    connection.close()
    return path


def test_what_a_former_version_kept_is_still_there(tmp_path: Path) -> None:
    queue = SQLiteStore(former(tmp_path), now=Clock())
    states = [delivery.state for delivery in queue.administration.list(ANY, 100)]
    assert len(states) == 9
    assert states.count(DeliveryState.DEAD) == states.count(DeliveryState.HELD) == 1
    assert queue.spool.spool_id() == "spool-1"
    assert queue.spool.payload_names() == {"segments/00000001.seg": 7138}
    queue.close()


def test_it_works_on_with_an_index(tmp_path: Path) -> None:
    clock = Clock()
    path = former(tmp_path)
    queue = SQLiteStore(path, now=clock)
    with queue.transaction():
        queue.deliveries.accept([(held(100), [TO_PACS])], NOON)
    assert [each.sop_instance_uid for each in queue.index.instances(queue.index.find_instances(ALL))] == [
        "1.2.3.4.5.100"
    ]
    clock.advance(100)
    with queue.transaction():
        queue.deliveries.settle([settlement(each) for each in queue.deliveries.claim("pacs", 100, 60.0, clock())])
        queue.deliveries.settle([settlement(each) for each in queue.deliveries.claim("vna", 100, 60.0, clock())])
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(10), 100) > 1
    assert queue.index.find(ALL) == queue.index.find_instances(ALL)
    queue.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == SCHEMA_VERSION
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_its_time_goes_on_where_it_was_last_used(tmp_path: Path) -> None:
    """Not where the wall clock stands: nobody knows whether that one was set meanwhile."""
    years_later = SteadyClock(lambda: NOON + timedelta(days=4000), lambda: 1.0)
    queue = SQLiteStore(former(tmp_path), clock=years_later)
    latest = max(delivery.created_at for delivery in queue.administration.list(ANY, 100))
    assert latest <= years_later() < latest + timedelta(days=1)
    queue.close()


def test_a_migrated_file_has_what_a_new_one_has(tmp_path: Path) -> None:
    SQLiteStore(former(tmp_path)).close()
    SQLiteStore(tmp_path / "new.db").close()
    assert schema(tmp_path / "queue.db") == schema(tmp_path / "new.db")


def test_former_rows_have_the_likeness_of_new_ones(tmp_path: Path) -> None:
    queue = SQLiteStore(former(tmp_path), now=Clock())
    kept = {each.delivery_id: each for each in queue.administration.list(ANY, 100)}
    rows = dict(queue.connection.execute("SELECT delivery_id, likeness FROM delivery WHERE state <> 'delivered'"))
    assert rows == {number: likeness_of(kept[number].instance) for number in rows}
    assert len(rows) > 5
    queue.close()


def schema(path: Path) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path))
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    columns = [(table, *row) for table in tables for row in connection.execute(f"PRAGMA table_xinfo({table})")]
    indexes = list(connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY name"))
    connection.close()
    return [*columns, *indexes]

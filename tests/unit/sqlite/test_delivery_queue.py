"""What is special to the queue on SQLite: its file, its plans, other processes, errors."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.likeness import ExcludedLikenesses, alone, likeness_of
from gateway.model.priority import Priority
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError, QueueBroken, SpoolFull, Temporary
from gateway.relational.arrival_order import CLOCK_STEP_US
from gateway.sqlite import delivery_filters
from gateway.sqlite.statements import APPLICATION_ID, SCHEMA_VERSION, SQL
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import FACTS, NOON, TO_PACS, Clock, instance, settlement

ANY = DeliveryFilter()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "queue.db"


@pytest.fixture
def queue(path: Path, clock: Clock) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(path, now=clock)
    yield opened
    opened.close()


def accept(queue: SQLiteStore, *numbers: int, at_clock: Clock) -> None:
    with queue.transaction():
        queue.deliveries.accept([(instance(number), [TO_PACS]) for number in numbers], at_clock())


# --- the file ---------------------------------------------------------------------------------------------------


def test_settings_that_durability_rests_on(queue: SQLiteStore) -> None:
    connection = queue._connection
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2  # FULL
    with queue.transaction(is_durable=False):
        assert connection.pragma("synchronous") == 1  # NORMAL: never torn, perhaps lost with the power
    with queue.transaction():
        assert connection.pragma("synchronous") == 2


def test_a_reopened_queue_is_as_it_was(queue: SQLiteStore, path: Path, clock: Clock) -> None:
    accept(queue, 1, 2, at_clock=clock)
    before = queue.administration.list(ANY, 10)
    queue.close()
    again = SQLiteStore(path, now=clock)
    assert again.administration.list(ANY, 10) == before
    again.close()


def make_newer(path: Path) -> None:
    queue = SQLiteStore(path)
    queue.connection.pragma("user_version", SCHEMA_VERSION + 1)
    queue.close()


def make_foreign(path: Path) -> None:
    path.parent.mkdir()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE other (a)")
    connection.close()


def make_text(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is not a database, however long it may be " * 100)


def make_folder(path: Path) -> None:
    path.mkdir(parents=True)


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "made by a newer version": (make_newer, f"newer gateway (schema {SCHEMA_VERSION + 1}, this one knows"),
    "another program's": (make_foreign, "not a gateway's queue"),
    "no database": (make_text, "not a usable SQLite file"),
    "a folder": (make_folder, "cannot be opened"),
}


@pytest.mark.parametrize(("make", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_cannot_be_used_is_named(path: Path, make: Callable[[Path], None], message: str) -> None:
    make(path)
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        SQLiteStore(path)
    assert str(path) in str(caught.value)


def test_operators_do_not_make_a_queue_by_looking_at_it(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        SQLiteStore(path, must_exist=True)
    assert not path.parent.exists()


def test_the_file_says_what_it_is(queue: SQLiteStore, path: Path, clock: Clock) -> None:
    accept(queue, 1, at_clock=clock)
    queue.close()
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")


def test_a_damaged_file_is_an_error_of_ours(queue: SQLiteStore, path: Path, clock: Clock) -> None:
    for start in range(1, 2000, 100):
        accept(queue, *range(start, start + 100), at_clock=clock)
    queue.close()
    data = bytearray(path.read_bytes())
    data[262144:] = b"\xa5" * (len(data) - 262144)  # the schema's own pages stay, so that it opens
    path.write_bytes(data)
    damaged = SQLiteStore(path, now=clock)
    with pytest.raises(QueueBroken, match="damaged"):
        damaged.administration.list(ANY, 3000)
    damaged.close()


# --- other processes --------------------------------------------------------------------------------------------


def test_changes_of_others_only_are_reported(queue: SQLiteStore, path: Path, clock: Clock) -> None:
    assert not queue.changed_elsewhere()
    accept(queue, 1, at_clock=clock)
    assert not queue.changed_elsewhere()
    other = SQLiteStore(path, now=clock)
    with other.transaction():
        other.administration.hold(ANY)
    assert queue.changed_elsewhere()
    assert not queue.changed_elsewhere(), "said once"
    other.close()


def test_identifiers_and_associations_hold_when_two_processes_write(
    queue: SQLiteStore, path: Path, clock: Clock
) -> None:
    other = SQLiteStore(path, now=clock)
    for number in range(1, 9):
        accept(queue if number % 2 else other, number, at_clock=clock)
    found = queue.administration.list(ANY, 10)
    assert [each.delivery_id for each in found] == list(range(1, 9))
    assert {each.instance.association for each in found} == {FACTS}
    with queue.transaction():
        claimed = queue.deliveries.claim("pacs", 10, 60.0, clock())
        queue.deliveries.settle([settlement(each) for each in claimed])
    with other.transaction():
        assert other.deliveries.forget(clock.advance(1), 100) == 8
    accept(queue, 9, at_clock=clock)  # its cached association is gone: it must notice
    assert [each.instance.association for each in queue.administration.list(ANY, 10)] == [FACTS]
    other.close()


def test_a_writer_that_holds_the_queue_for_long_is_a_temporary_trouble(path: Path, clock: Clock) -> None:
    first = SQLiteStore(path, now=clock)
    second = SQLiteStore(path, now=clock, busy_timeout_s=0.05)
    with first.transaction():
        with pytest.raises(Temporary, match="another process holds it"):
            accept(second, 1, at_clock=clock)
        assert second.administration.list(ANY, 1) == []  # reading goes on
    accept(second, 1, at_clock=clock)
    first.close()
    second.close()


WRITER = """
import sys
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, instance
queue = SQLiteStore(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 100):
    with queue.transaction():
        queue.deliveries.accept([(instance(number), [TO_PACS])], NOON)
"""


@pytest.mark.process
def test_processes_that_write_side_by_side_lose_nothing(path: Path, clock: Clock) -> None:
    root = Path(__file__).parents[3]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(start)], cwd=root) for start in (1000, 2000)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    queue = SQLiteStore(path, now=clock, must_exist=True)
    assert len({each.instance.sop_instance_uid for each in queue.administration.list(ANY, 1000)}) == 200
    queue.close()


def test_no_room_is_the_peers_to_retry(queue: SQLiteStore, clock: Clock) -> None:
    pages = int(queue._connection.pragma("page_count"))
    queue._connection.pragma("max_page_count", pages)

    def fill() -> None:
        for start in range(1, 10000, 100):
            accept(queue, *range(start, start + 100), at_clock=clock)

    with pytest.raises(SpoolFull, match="the disk takes no more"):
        fill()
    kept = queue.administration.list(ANY, 10000)
    queue._connection.pragma("max_page_count", 2**30)
    accept(queue, 20000, at_clock=clock)
    assert len(queue.administration.list(ANY, 10000)) == len(kept) + 1


# --- plans ------------------------------------------------------------------------------------------------------

HOT = (
    "find_duplicates",
    "insert_association",
    "last_identifiers",
    "find_due",
    "find_due_apart",
    "lease",
    "read_deliveries",
    "read_associations",
    "find_leased",
    "find_settled",
    "insert_attempts",
    "drop_old_attempts",
    "settle",
    "mark_settled",
    "mark_settled_instances",
    "next_due",
    "pending_destinations",
    "payload_names",
    "find_forgettable",
    "find_forgettable_indexed",
    "supersede",
    "promote",
    "forget_series",
    "forget_studies",
    "forget_patients",
    "index_instances",
    "forget_attempts",
    "forget_deliveries",
    "forget_instances",
    "find_orphan_associations",
    "forget_associations",
    "retry",
    "hold",
    "release",
    "discard",
    "delete_attempts",
    "attempts",
    "count_by_destination",
    "missing",
    "last_delivery",
)
"""Statements whose cost must not grow with the number of rows kept; those that insert values read none."""

ALLOWED_SCANS = re.compile(
    r"SCAN (json_each|arrival|wanted|settlement|surplus|gone|value|hop|arrived|row|range|CONSTANT ROW)\b"
    r"|SCAN sqlite_sequence\b"
    r"|SCAN \(subquery"  # of rows that a LIMIT bounds
    # LIMIT 1 from the end of an index or table:
    r"|SCAN (delivery USING COVERING INDEX delivery_owed|instance USING COVERING INDEX instance_by_payload)$"
    r"|SCAN delivery$"  # last_identifiers: LIMIT 1 from the end of the table
)


@pytest.mark.parametrize("name", HOT)
def test_no_statement_of_the_hot_path_reads_a_whole_table(queue: SQLiteStore, name: str) -> None:
    names = set(re.findall(r":(\w+)", SQL[name]))
    values = {parameter: "[]" if parameter.endswith("s") else 1 for parameter in names}
    plan = [row[3] for row in queue._connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values)]
    scans = [step for step in plan if step.startswith("SCAN") and not ALLOWED_SCANS.match(step)]
    assert scans == [], plan
    if "SCAN delivery" in plan:
        assert name == "last_identifiers"
    assert not [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step and name != "read_deliveries"], plan


def test_a_claim_reads_nothing_of_what_it_leaves_out(queue: SQLiteStore) -> None:
    """Steps of SQLite's virtual machine, in hundreds."""
    steps: list[int] = []
    for size in (200, 3000):
        bad = [instance(number) for number in range(size)]
        good = [instance(size + number, study_instance_uid=f"1.9.{size}.{number}") for number in range(2)]
        with queue.transaction():
            queue.deliveries.accept([(each, [TO_PACS]) for each in (*bad, *good)], NOON)
        count = 0

        def step() -> bool:
            nonlocal count
            count += 1
            return False

        with queue.transaction(is_durable=False):
            queue.connection.set_progress_handler(step, 100)
            claimed = queue.deliveries.claim("pacs", 2, 60.0, NOON, ExcludedLikenesses((alone(likeness_of(bad[0])),)))
            queue.connection.set_progress_handler(None)
        in_order = sorted(good, key=likeness_of)  # a claim that leaves some out goes from one likeness to the next
        assert [each.instance.sop_instance_uid for each in claimed] == [each.sop_instance_uid for each in in_order]
        steps.append(count)
    assert steps[1] < steps[0] + 5, steps


def test_forgetting_reads_what_it_forgets_and_not_all_of_its_sender(path: Path, clock: Clock) -> None:
    """Steps of SQLite's virtual machine, in hundreds, in `forget` of ten instances. One association sent them all."""
    steps: list[int] = []
    for size in (200, 3000):
        queue = SQLiteStore(path.with_name(f"{size}.db"), now=clock)
        with queue.transaction():
            queue.deliveries.accept([(instance(number), [TO_PACS]) for number in range(size)], clock())
        with queue.transaction():
            claimed = queue.deliveries.claim("pacs", size, 60.0, clock())
            queue.deliveries.settle([settlement(each) for each in claimed])
        clock.advance(10)
        count = 0

        def step() -> bool:
            nonlocal count
            count += 1
            return False

        with queue.transaction():
            queue.connection.set_progress_handler(step, 100)
            assert queue.deliveries.forget(clock(), 10) == 10
            queue.connection.set_progress_handler(None)
        queue.close()
        steps.append(count)
    assert steps[1] < steps[0] + 20, steps


def test_what_is_forgotten_is_found_by_its_identifiers(queue: SQLiteStore) -> None:
    values = {"ids": "[1]", "senders": '[[1, "CT1"]]', "now": 1, "longest": 64}
    plan = [row[3] for row in queue._connection.execute(f"EXPLAIN QUERY PLAN {SQL['note_forgotten']}", values)]
    found = [step for step in plan if re.match(r"(SCAN|SEARCH) (instance|delivery)\b", step)]
    by_instance, by_id = (
        "SEARCH delivery USING INDEX delivery_by_instance (instance_id=?)",
        "INTEGER PRIMARY KEY (rowid=?)",
    )
    assert found == [f"SEARCH instance USING {by_id}", f"SEARCH instance USING {by_id}", by_instance], plan


def test_claims_come_out_of_the_index_in_order(queue: SQLiteStore) -> None:
    values = {"destination": "pacs", "now": 1, "horizon": 1, "limit": 1}
    plan = [row[3] for row in queue._connection.execute(f"EXPLAIN QUERY PLAN {SQL['find_due']}", values)]
    search = "SEARCH delivery USING INDEX delivery_owed (destination=? AND state=? AND priority=? AND due_at<?)"
    assert plan.count(search) == len(Priority)


@pytest.mark.parametrize("name", ["ids", "sop_instance_uid"])
def test_an_operator_who_names_one_delivery_does_not_read_all(queue: SQLiteStore, name: str) -> None:
    which = DeliveryFilter(ids=(5,)) if name == "ids" else DeliveryFilter(sop_instance_uid="1.2.3")
    statement, values = delivery_filters.select(which, 10)
    plan = [row[3] for row in queue._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert not [step for step in plan if re.match(r"SCAN (delivery|instance)", step)], plan


PAGES: dict[str, tuple[DeliveryFilter, str]] = {
    "all": (DeliveryFilter(), "SEARCH delivery USING INTEGER PRIMARY KEY"),
    "destination and state": (
        DeliveryFilter(destination="pacs", state=DeliveryState.DEAD),
        "SEARCH delivery USING INTEGER PRIMARY KEY",
    ),
    "identifiers": (DeliveryFilter(ids=(1, 2)), "SEARCH delivery USING INTEGER PRIMARY KEY"),
    "study": (DeliveryFilter(study_instance_uid="1.2"), "SEARCH delivery USING INTEGER PRIMARY KEY"),
    "object": (
        DeliveryFilter(sop_instance_uid="1.2"),
        "SEARCH instance USING COVERING INDEX instance_by_sop_instance_uid",
    ),
    "instances": (DeliveryFilter(instance_ids=(1,)), "SEARCH delivery USING INDEX delivery_by_instance"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_where_the_last_one_ended(queue: SQLiteStore, name: str) -> None:
    """Nothing is sorted and no index is read anew, so that all pages together cost one pass."""
    which, first = PAGES[name]
    statement, values = delivery_filters.paged("page", which, tuple(DeliveryState))
    values |= {"after": 0, "last": 9, "limit": 9}
    plan = [row[3] for row in queue._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    deliveries = [step for step in plan if re.match(r"(SCAN|SEARCH) (delivery|instance)\b", step)]
    assert deliveries[0].startswith(first), plan
    assert not [step for step in plan if re.match(r"SCAN (delivery|instance)\b", step)], plan
    assert name in ("object", "instances") or not [step for step in plan if "TEMP B-TREE" in step], plan


def test_every_filter_field_has_a_condition() -> None:
    assert set(delivery_filters.CONDITIONS) == {field.name for field in dataclasses.fields(DeliveryFilter)}


def test_every_statement_says_what_it_is_for() -> None:
    assert [name for name, text in SQL.items() if not text.startswith("-- ")] == []


# --- rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("naïve 日本語 \U0001f600 'quoted' \"and\" \\slashed\\", None),
        ("lone \udc80 surrogate", "lone ? surrogate"),
        ("zero\0byte", "zero\ufffdbyte"),
    ],
    ids=["any text", "not encodable", "NUL"],
)
def test_text_that_the_database_cannot_hold_spoils_nothing(
    queue: SQLiteStore, clock: Clock, given: str, kept: str | None
) -> None:
    odd = dataclasses.replace(
        instance(1), study_instance_uid=given, association=dataclasses.replace(FACTS, calling_ae_title=given)
    )
    with queue.transaction():
        queue.deliveries.accept([(odd, [Dispatch(given, "pacs")]), (instance(2), [TO_PACS])], clock())
        claimed = queue.deliveries.claim("pacs", 10, 60.0, clock())
        queue.deliveries.settle([settlement(claimed[0], DeliveryState.DEAD, reason=given)])
    expected = kept if kept is not None else given
    first, second = queue.administration.list(ANY, 10)
    assert (first.rule, first.reason, first.instance.study_instance_uid) == (expected, expected, expected)
    assert first.instance.association.calling_ae_title == given
    assert queue.administration.attempts(first.delivery_id)[0].reason == expected
    assert second.instance.sop_instance_uid == "1.2.3.4.5.2"


def test_one_row_for_the_facts_of_one_association(queue: SQLiteStore, clock: Clock) -> None:
    accept(queue, *range(1, 51), at_clock=clock)
    accept(queue, *range(51, 101), at_clock=clock)
    assert queue._connection.execute("SELECT count(*) FROM association").get == 1


def test_forgetting_leaves_nothing_behind(queue: SQLiteStore, clock: Clock) -> None:
    accept(queue, 1, 2, 3, at_clock=clock)
    with queue.transaction():
        queue.deliveries.settle([settlement(each) for each in queue.deliveries.claim("pacs", 10, 60.0, clock())])
        queue.deliveries.forget(clock.advance(1), 10)
    counts = [
        queue._connection.execute(f"SELECT count(*) FROM {table}").get
        for table in ("instance", "delivery", "attempt", "association")
    ]
    assert counts == [0, 0, 0, 0]


def test_what_a_rolled_back_transaction_knew_is_not_believed(queue: SQLiteStore, clock: Clock) -> None:
    other = dataclasses.replace(FACTS, association_id="other")

    def fail() -> None:
        with queue.transaction():
            queue.deliveries.accept([(instance(1, association=other), [TO_PACS])], clock())
            queue.deliveries.claim("pacs", 1, 60.0, clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with queue.transaction():
        queue.deliveries.accept([(instance(2), [TO_PACS]), (instance(3, association=other), [TO_PACS])], clock())
    assert [each.instance.association.association_id for each in queue.administration.list(ANY, 10)] == ["a1", "other"]


def test_a_clock_that_was_far_ahead_does_not_hold_arrivals_back(queue: SQLiteStore, clock: Clock) -> None:
    clock.at = NOON + timedelta(microseconds=CLOCK_STEP_US + 1)
    accept(queue, 1, at_clock=clock)
    clock.at = NOON
    accept(queue, 2, at_clock=clock)
    with queue.transaction():
        claimed = queue.deliveries.claim("pacs", 10, 60.0, NOON)
    assert [each.instance.sop_instance_uid for each in claimed] == ["1.2.3.4.5.1", "1.2.3.4.5.2"]


def test_nothing_waits_for_what_a_clock_showed_that_was_years_ahead(queue: SQLiteStore, clock: Clock) -> None:
    clock.at = ahead = NOON + timedelta(days=5000)
    accept(queue, 1, 2, 3, 4, at_clock=clock)
    with queue.transaction():
        delivered, deferred, leased = queue.deliveries.claim("pacs", 3, 60.0, clock())
        due_at = ahead + timedelta(seconds=10)
        queue.deliveries.settle([settlement(delivered), settlement(deferred, DeliveryState.PENDING, due_at=due_at)])
    clock.at = NOON
    with queue.transaction():
        claimed = queue.deliveries.claim("pacs", 10, 60.0, NOON)
        assert [each.instance.sop_instance_uid for each in claimed] == ["1.2.3.4.5.2", "1.2.3.4.5.4"]
        assert [each.created_at for each in claimed] == [NOON, NOON], "their age counts from now"
        assert queue.deliveries.settle([settlement(leased, DeliveryState.PENDING, due_at=NOON, is_attempt=False)]) == [
            True
        ]
        (given_back,) = queue.deliveries.claim("pacs", 10, 60.0, NOON)
        assert given_back.instance.sop_instance_uid == "1.2.3.4.5.3"
        assert queue.deliveries.forget(NOON + timedelta(seconds=1), 10) == 1, "retention begins now, not in years"


def test_what_goes_while_it_is_listed_is_listed_as_it_was(queue: SQLiteStore, clock: Clock) -> None:
    """The statements of one answer see one state of the file."""
    accept(queue, 1, at_clock=clock)
    reader = SQLiteStore(queue.path, now=clock)

    def forget_meanwhile(cursor: object, statement: str, values: object) -> bool:
        if statement == SQL["read_associations"]:
            with queue.transaction():
                queue.administration.discard(ANY)
                queue.deliveries.forget(clock.advance(1), 10)
        return True

    reader._connection.exec_trace = forget_meanwhile
    (found,) = reader.administration.list(ANY, 10)
    assert found.instance.association == FACTS
    assert reader.administration.list(ANY, 10) == [], "nothing of the old state is kept"
    reader.close()


def test_retries_wait_their_time_though_the_clock_was_set_back(queue: SQLiteStore, clock: Clock) -> None:
    accept(queue, 1, at_clock=clock)
    clock.advance(-1800)
    with queue.transaction():
        (claimed,) = queue.deliveries.claim("pacs", 1, 60.0, clock())
        due_at = clock() + timedelta(seconds=10)
        queue.deliveries.settle([settlement(claimed, DeliveryState.PENDING, due_at=due_at)])
        assert queue.deliveries.claim("pacs", 1, 60.0, clock()) == []
        assert len(queue.deliveries.claim("pacs", 1, 60.0, due_at)) == 1


class _FullFile(apsw.VFSFile):
    def xWrite(self, data: bytes, offset: int) -> None:
        raise apsw.FullError("full")


class _FullDisk(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("full", "unix")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _FullFile("unix", name, flags)


def test_a_full_disk_at_the_start_is_no_mistake_in_the_configuration(path: Path) -> None:
    """Starting again helps, once there is room."""
    disk = _FullDisk()
    before = apsw.vfs_names()[0]
    apsw.set_default_vfs("full")
    try:
        with pytest.raises(SpoolFull, match="no more"):
            SQLiteStore(path)
    finally:
        apsw.set_default_vfs(before)
        disk.unregister()
    SQLiteStore(path).close()

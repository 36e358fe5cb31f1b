"""`gateway check` of a cluster: what it says of objects, rows and the journal, and what it refuses to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.cluster.sealer import Sealer
from gateway.ports.errors import ConfigurationError, SpoolFull, Temporary
from gateway.ports.object_store import StoredObject
from gateway.repair.cluster_check import LATER_S, RESTORE_DATABASE, check_cluster
from gateway.repair.report import NOTHING, RepairFinding
from gateway.stores import opening
from tests.support.checked_cluster import CheckedCluster, made_cluster
from tests.support.migrating import on_cluster, on_postgresql

pytestmark = pytest.mark.postgresql


@pytest.fixture(autouse=True)
def no_sealer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's own sealer does nothing."""
    monkeypatch.setattr(Sealer, "start", lambda self: None)
    monkeypatch.setattr(Sealer, "join", lambda self: None)


async def made(folder: Path) -> CheckedCluster:
    return await made_cluster(folder, lambda _: None)


def note(code: str, place: str, what: str) -> RepairFinding:
    return RepairFinding("note", code, place, what, NOTHING)


async def test_objects_that_the_database_does_not_know_are_listed_with_their_age(tmp_path: Path) -> None:
    cluster = await made(tmp_path)
    cluster.put_unknown("segments/new", timedelta(minutes=50))
    cluster.put_unknown("segments/old", timedelta(hours=47, minutes=1))
    cluster.put_unknown("large/older", timedelta(days=3, minutes=1))
    report = cluster.check()
    end = "that the database does not know; a node deletes it when it is a day old"
    assert report.findings == [
        note("object-unknown", "segments/old", f"5 bytes, written 47 h ago, {end}"),
        note("object-unknown", "large/older", f"5 bytes, written 3 days ago, {end}"),
    ]
    assert report.counts["objects in the object store"] == 5
    young = "1 objects that the database does not know, written within the last hour: they may be about to be known"
    assert young in report.left_out


async def test_what_a_node_deals_with_while_the_check_waits_is_not_listed(tmp_path: Path) -> None:
    def look(cluster: CheckedCluster) -> None:
        old = timedelta(days=2)
        for name in ("segments/known-later", "segments/deleted-later", "segments/left"):
            cluster.put_unknown(name, old)
        cluster.sql("CREATE TABLE journal_7 (LIKE journal INCLUDING ALL)")
        waited: list[float] = []

        def wait(limit_s: float) -> None:
            waited.append(limit_s)
            cluster.sql("INSERT INTO segment_object VALUES ('segments/known-later', 5, 0)")
            del cluster.objects.objects["segments/deleted-later"]
            cluster.sql("DROP TABLE journal_7")

        report = cluster.check(wait=wait)
        assert [each.file for each in report.findings] == ["segments/left"]
        assert waited == [LATER_S]
        assert "what nodes took while this ran" in report.left_out

    await made_cluster(tmp_path, look)


async def test_tables_of_past_hours_that_are_left_say_why(tmp_path: Path) -> None:
    cluster = await made(tmp_path)
    for hour in (7, 8):
        cluster.sql(f"CREATE TABLE journal_{hour} (LIKE journal INCLUDING ALL)")
        cluster.sql(f"INSERT INTO journal_{hour} (group_id, added_at, payloads) VALUES (1, 0, 'bytes of 3')")
    cluster.sql("UPDATE instance SET payload_name = 'journal/7/1' WHERE payload_name = %s", cluster.group(3))
    assert cluster.check(has_digests=True).findings == [
        note("journal-left", "journal_7", "1 of its 1 groups with 10 bytes are not sealed: no node runs"),
        note(
            "journal-left",
            "journal_8",
            "nothing of its 1 groups waits for the object store, and it was not dropped yet: no node runs",
        ),
    ]


async def test_why_groups_wait_is_what_the_node_that_seals_wrote_down(tmp_path: Path) -> None:
    def look(cluster: CheckedCluster) -> None:
        cluster.sql("CREATE TABLE journal_7 (LIKE journal INCLUDING ALL)")
        cluster.sql("INSERT INTO journal_7 (group_id, added_at, payloads) VALUES (1, 0, 'bytes of 3')")
        cluster.sql("UPDATE instance SET payload_name = 'journal/7/1' WHERE payload_name = %s", cluster.group(3))
        (found,) = cluster.check().findings
        assert found.what == "1 of its 1 groups with 10 bytes are not sealed: no node has come to them"
        store = cluster.node.open_store("keeping")
        store.sealing.note_unsealed("the bucket is full")
        store.close()
        (found,) = cluster.check().findings
        assert found.what == "1 of its 1 groups with 10 bytes are not sealed: the bucket is full"

    await made_cluster(tmp_path, look)


TABLES = ("association", "instance", "delivery", "due", "segment_object", "series", "study", "queue_change")
GENERATED = ("series", "study")
"""They are empty, and have columns that nobody writes."""
BROKEN = {
    "DELETE FROM instance WHERE starts_with(payload_name, 'large/')": "deliveries without their instance: 1",
    "DELETE FROM due WHERE delivery_id = 1": "pending deliveries that are never due: 1",
    "UPDATE delivery SET state = 'held' WHERE delivery_id = 1": "due times of no pending delivery: 1",
    "DELETE FROM association": "instances without their association: 5",
    "DELETE FROM segment_object WHERE starts_with(object_name, 'large/')": "groups in objects without a row: 1",
    "UPDATE instance SET series_key = 9 WHERE starts_with(payload_name, 'large/')": (
        "instances of the local index without their series: 1"
    ),
    "INSERT INTO series (study_key, attributes, identity) VALUES (9, '{}', '')": (
        "series of the local index without their study: 1"
    ),
    "INSERT INTO study (patient_key, attributes, identity) VALUES (9, '{}', '')": (
        "studies of the local index without their patient: 1"
    ),
    "UPDATE instance SET is_current = 1, sop_instance_uid = '1.2' WHERE instance_id <= 2": (
        "SOP Instance UIDs with several current instances in the local index: 1"
    ),
    "INSERT INTO queue_change (destination, state, number, size_bytes) VALUES ('PACS', 'pending', -1, 0)": (
        "counts of what is kept for a destination in a state that are wrong: 1"
    ),
}


async def test_rows_that_name_rows_that_are_not_there(tmp_path: Path) -> None:
    cluster = await made(tmp_path)
    shown = opening.shown(cluster.settings)
    for table in TABLES:
        cluster.sql(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    for statement, what in BROKEN.items():
        cluster.sql(statement)
        errors = [each for each in cluster.check().findings if each.severity == "error"]
        assert errors == [RepairFinding("error", "database-disagrees", shown, what, RESTORE_DATABASE)], statement
        for table in TABLES:
            cluster.sql(f"TRUNCATE {table}")
            if table not in GENERATED:
                cluster.sql(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{table}")
    assert cluster.check().findings == []


async def test_a_store_that_is_none_of_this_cluster_is_refused_and_one_that_goes_away_is_not_judged(
    tmp_path: Path,
) -> None:
    cluster = await made(tmp_path)
    marker = cluster.objects.objects["gateway.json"]
    name = cluster.object_of(1)
    del cluster.objects.objects[name]
    wrong = r"memory: the object store is none of this cluster's \(gateway.json does not name it\); mount or name"
    for data in (b'{"cluster": "cluster-other", "format": 1}', b"{}", b""):
        cluster.replace("gateway.json", data)
        with pytest.raises(ConfigurationError, match=wrong):
            cluster.check()
    cluster.objects.objects["gateway.json"] = marker
    reading = cluster.objects.read

    def unmounted(name: str, offset_bytes: int, length_bytes: int) -> bytes:
        if name != "gateway.json":
            cluster.objects.objects.clear()
        return reading(name, offset_bytes, length_bytes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster.objects, "read", unmounted)
        with pytest.raises(Temporary, match="it was there when the check began"):
            cluster.check()


def fail(*_: object) -> bytes:
    raise SpoolFull("memory: cannot read: it does not answer")


def fail_in_the_middle(prefix: str) -> Iterator[StoredObject]:
    yield from ()
    raise SpoolFull("memory: cannot list: it does not answer")


@pytest.mark.parametrize(("method", "failing"), [("read", fail), ("list", fail_in_the_middle)])
async def test_an_object_store_that_cannot_be_reached_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, failing: Callable[..., object]
) -> None:
    cluster = await made(tmp_path)
    monkeypatch.setattr(cluster.objects, method, failing)
    with pytest.raises(Temporary, match="it does not answer"):
        cluster.check()


async def test_a_server_that_cannot_be_reached_is_no_finding(tmp_path: Path) -> None:
    settings = on_cluster(tmp_path, url="postgresql://gateway@127.0.0.1:1/none")
    with pytest.raises(SpoolFull, match="it cannot be reached now"):
        check_cluster(settings, has_digests=False)


def test_databases_of_something_else_are_refused(tmp_path: Path) -> None:
    alone = on_postgresql(tmp_path)
    with pytest.raises(ConfigurationError, match="it holds no queue"):
        check_cluster(on_cluster(tmp_path / "empty", url=alone.postgresql), has_digests=False)
    store = opening.open_store(alone)
    with pytest.raises(ConfigurationError, match="no node ever used it; there is no cluster to be checked"):
        check_cluster(on_cluster(tmp_path / "unused", url=alone.postgresql), has_digests=False)
    with store.transaction():
        store.spool.bind_spool("spool-1")
    store.close()
    with pytest.raises(ConfigurationError, match=r"it belongs to a gateway without `store.objects`"):
        check_cluster(on_cluster(tmp_path / "alone", url=alone.postgresql), has_digests=False)


async def test_nothing_is_written(tmp_path: Path) -> None:
    cluster = await made(tmp_path)

    def state() -> object:
        """Rows with the transactions that wrote them."""
        tables = [
            name for (name,) in cluster.sql("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        ]
        rows = {table: cluster.sql(f"SELECT xmin::text, xmax::text, * FROM {table}") for table in tables}
        return rows, dict(cluster.objects.objects)

    before = state()
    cluster.check(has_digests=True)
    assert state() == before

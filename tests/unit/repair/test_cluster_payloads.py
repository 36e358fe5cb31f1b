"""Each payload of a cluster that is missing, cut off or changed is named once; what nodes do meanwhile is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cluster.sealer import Sealer
from gateway.ports.object_store import StoredObject
from gateway.postgresql.cluster_contents import PostgreSQLClusterContents
from gateway.repair import cluster_payloads
from gateway.repair.cluster_payloads import RESTORE
from gateway.repair.report import RepairFinding
from tests.support.checked_cluster import LARGE, LARGE_BYTES, CheckedCluster, made_cluster
from tests.support.samples import instance

pytestmark = pytest.mark.postgresql

Damage = Callable[[CheckedCluster], RepairFinding]


@pytest.fixture(autouse=True)
def no_sealer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's own sealer does nothing."""
    monkeypatch.setattr(Sealer, "start", lambda self: None)
    monkeypatch.setattr(Sealer, "join", lambda self: None)


def uid(number: int) -> str:
    return instance(number).sop_instance_uid


def error(code: str, place: str, what: str, lost: list[int], span: tuple[int, int] | None = None) -> RepairFinding:
    start_bytes, end_bytes = span or (None, None)
    return RepairFinding(
        "error", code, place, what, RESTORE, start_bytes, end_bytes, [uid(number) for number in lost], len(lost)
    )


def a_group_that_is_nowhere(cluster: CheckedCluster) -> RepairFinding:
    hour, group = cluster.group(3).split("/")[1:]
    cluster.sql(f"DELETE FROM journal_{hour} WHERE group_id = {group}")
    return error("payload-missing", cluster.group(3), "neither the journal nor the object store has the group", [3])


def a_group_that_ends_early(cluster: CheckedCluster) -> RepairFinding:
    hour, group = cluster.group(4).split("/")[1:]
    cluster.sql(f"UPDATE journal_{hour} SET payloads = 'bytes'::bytea WHERE group_id = {group}")
    what = "it ends behind its group, which has 5 bytes"
    return error("payload-beyond", cluster.group(4), what, [4], (0, 10))


def a_range_behind_the_end_of_its_object(cluster: CheckedCluster) -> RepairFinding:
    cluster.sql("UPDATE instance SET payload_length = 11 WHERE payload_name = %s", cluster.group(2))
    what = f"it ends behind its object {cluster.object_of(2)}, which has 20 bytes"
    return error("payload-beyond", cluster.group(2), what, [2], (0, 11))


def an_object_that_is_missing(cluster: CheckedCluster) -> RepairFinding:
    name = cluster.object_of(1)
    del cluster.objects.objects[name]
    return error("object-missing", name, "the database leads to it, and it is not in the object store", [1, 2])


def a_large_object_that_is_missing(cluster: CheckedCluster) -> RepairFinding:
    del cluster.objects.objects[cluster.group(LARGE)]
    what = "the database leads to it, and it is not in the object store"
    return error("object-missing", cluster.group(LARGE), what, [LARGE])


def an_object_that_is_cut_off(cluster: CheckedCluster) -> RepairFinding:
    name = cluster.object_of(1)
    cluster.replace(name, cluster.objects.objects[name][0][:15])
    return error("object-short", name, "it ends before its 20 bytes", [2])


def a_place_without_its_object(cluster: CheckedCluster) -> RepairFinding:
    name = cluster.group(LARGE)
    del cluster.objects.objects[name]
    cluster.sql("DELETE FROM sealed_group WHERE payload_name = %s", name)
    cluster.sql("DELETE FROM segment_object WHERE object_name = %s", name)
    return error("payload-missing", name, "neither the journal nor the object store has the group", [LARGE])


WHERE = [
    a_group_that_is_nowhere,
    a_group_that_ends_early,
    a_range_behind_the_end_of_its_object,
    an_object_that_is_missing,
    a_large_object_that_is_missing,
    an_object_that_is_cut_off,
    a_place_without_its_object,
]


@pytest.mark.parametrize("is_running", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("has_digests", [False, True], ids=["places", "digests"])
async def test_what_is_whole_gives_no_finding(tmp_path: Path, is_running: bool, has_digests: bool) -> None:
    found = []

    def look(cluster: CheckedCluster) -> None:
        if is_running:
            found.append(cluster.check(has_digests=has_digests))

    cluster = await made_cluster(tmp_path, look)
    (report,) = found or [cluster.check(has_digests=has_digests)]
    assert report.findings == []
    assert report.is_running == is_running
    expected = {
        "instances": 5,
        "payload bytes": 40 + LARGE_BYTES,
        "objects in the database": 2,
        "objects that no instance needs": 0,
        "objects in the object store": 2,
        "deliveries pending": 5,
    }
    assert {what: report.counts[what] for what in expected} == expected
    assert report.counts.get("digests read") == (5 if has_digests else None)


@pytest.mark.parametrize("has_digests", [False, True], ids=["places", "digests"])
async def test_each_damage_is_named_once(tmp_path: Path, has_digests: bool) -> None:
    """All at once where they do not touch each other, so that none hides another one."""
    apart: list[list[Damage]] = [
        [a_group_that_is_nowhere, a_group_that_ends_early, an_object_that_is_missing, a_large_object_that_is_missing],
        [a_range_behind_the_end_of_its_object, a_place_without_its_object],
        [an_object_that_is_cut_off],
    ]
    assert {damage.__name__ for each in apart for damage in each} == {damage.__name__ for damage in WHERE}
    for number, damages in enumerate(apart):
        cluster = await made_cluster(tmp_path / str(number), lambda _: None)
        expected = [damage(cluster) for damage in damages]
        found = cluster.check(has_digests=has_digests).findings
        assert sorted(found, key=lambda each: (each.code, each.file)) == sorted(
            expected, key=lambda each: (each.code, each.file)
        )


async def test_changed_bytes_are_named_when_digests_are_read_and_not_before(tmp_path: Path) -> None:
    cluster = await made_cluster(tmp_path, lambda _: None)
    segment, large = cluster.object_of(1), cluster.group(LARGE)
    cluster.replace(segment, b"bytes of 1bytes OF 2")
    cluster.replace(large, bytes(LARGE_BYTES - 1) + b"\1")
    hour, group = cluster.group(3).split("/")[1:]
    cluster.sql(f"UPDATE journal_{hour} SET payloads = 'bytes OF 3'::bytea WHERE group_id = {group}")
    assert cluster.check().findings == []
    assert "the bytes of payloads (`--digests` reads each of them)" in cluster.check().left_out
    what = "the stored bytes are not those that were taken"
    report = cluster.check(has_digests=True)
    assert report.counts["digests read"] == 5
    assert {each.file: each for each in report.findings} == {
        cluster.group(3): error("payload-damaged", cluster.group(3), what, [3], (0, 10)),
        large: error("payload-damaged", large, what, [LARGE], (0, LARGE_BYTES)),
        segment: error("payload-damaged", segment, what, [2], (10, 20)),
    }
    assert len(report.findings) == 3


async def test_payloads_are_read_group_by_group_and_pages_end_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_payloads, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(cluster_payloads, "OBJECTS_AT_ONCE", 1)
    cluster = await made_cluster(tmp_path, lambda _: None)
    read: list[tuple[str, int]] = []
    reading = cluster.objects.read

    def counted(name: str, offset_bytes: int, length_bytes: int) -> bytes:
        if length_bytes > 1:
            read.append((name.partition("/")[0], length_bytes))
        return reading(name, offset_bytes, length_bytes)

    monkeypatch.setattr(cluster.objects, "read", counted)
    report = cluster.check(has_digests=True)
    assert (report.findings, report.counts["digests read"]) == ([], 5)
    assert [each for each in read if each[0] == "segments"] == [("segments", 20)], "two groups in one request"


async def test_further_findings_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_payloads, "MOST_LISTED", 1)
    cluster = await made_cluster(tmp_path, lambda _: None)
    segment = cluster.object_of(1)
    del cluster.objects.objects[segment]
    (found,) = cluster.check().findings
    assert found.what.endswith("; it held 2 objects, of which 1 are named here")
    assert (found.lost, found.owed) == ([uid(1)], 2)
    del cluster.objects.objects[cluster.group(LARGE)]
    report = cluster.check()
    assert [each.file for each in report.findings] == [cluster.group(LARGE)]
    assert "1 further findings object-missing are counted, not listed" in report.left_out


async def test_a_group_that_is_sealed_between_two_looks_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = PostgreSQLClusterContents.group_bytes

    def look(cluster: CheckedCluster) -> None:
        def after_sealing(contents: PostgreSQLClusterContents, name: str) -> int | None:
            monkeypatch.setattr(PostgreSQLClusterContents, "group_bytes", looking)
            cluster.seal()
            cluster.sql(f"DROP TABLE journal_{name.split('/')[1]}")
            return looking(contents, name)

        monkeypatch.setattr(PostgreSQLClusterContents, "group_bytes", after_sealing)
        report = cluster.check(has_digests=True)
        assert report.findings == []
        assert (report.counts["instances"], report.counts["digests read"]) == (5, 5)

    await made_cluster(tmp_path, look)


@pytest.mark.parametrize("moment", ["read", "list"])
async def test_an_object_that_goes_with_its_instances_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """As it is read, and between its place in the listing and the look at its row."""

    def look(cluster: CheckedCluster) -> None:
        objects = cluster.objects
        done: list[bool] = []

        def forget() -> None:
            if not done:
                done.append(True)
                cluster.deliver()
                cluster.seal()
                cluster.seal()

        reading, listing = objects.read, objects.list

        def read(name: str, offset_bytes: int, length_bytes: int) -> bytes:
            if name.startswith("segments/"):
                forget()
            return reading(name, offset_bytes, length_bytes)

        def listed(prefix: str) -> Iterator[StoredObject]:
            found = list(listing(prefix))
            forget()
            yield from found

        monkeypatch.setattr(objects, moment, read if moment == "read" else listed)
        report = cluster.check(has_digests=True)
        assert done == [True]
        assert [name for name in objects.objects if name.startswith("segments/")] == []
        assert report.findings == []
        assert not [each for each in report.left_out if "read" in each and "pg_amcheck" not in each]

    await made_cluster(tmp_path, look)

"""A cluster as one side of a migration."""

from __future__ import annotations

import contextlib
from pathlib import Path
from random import Random

import pytest

from gateway.cluster.read_window import WINDOW_BYTES
from gateway.migration.cluster_side import ClusterSide
from gateway.migration.migrate import migrate
from gateway.migration.places import SmallPayload
from gateway.model.delivery import DeliveryState
from gateway.model.instance import PayloadRef
from gateway.objects.folder import FolderObjectStore
from gateway.ports.errors import ConfigurationError, PayloadMissing
from gateway.spool.replay import identify_nothing
from gateway.stores.opening import is_gateway_running
from tests.support.cluster import Node, kept
from tests.support.migrating import content, nothing_owed, on_cluster, on_postgresql, on_sqlite, opened_side
from tests.support.postgresql_server import shared_server
from tests.support.samples import Clock

pytestmark = pytest.mark.postgresql

SYNTAX = "1.2.840.10008.1.2.1"


def test_what_was_put_and_not_recorded_is_taken_away_of_this_migration_alone(tmp_path: Path) -> None:
    settings = on_cluster(tmp_path)
    group = [SmallPayload(1, [b"x" * 100], SYNTAX)]
    with opened_side(settings) as side:
        side.begin("one")
        side.put_group(group, nothing_owed)
        with side.store.transaction():
            side.record()
        side.put_group([SmallPayload(2, [b"y"], SYNTAX)], nothing_owed)
        side.put_large(9, iter([b"z" * 3000]), 3000, SYNTAX)
    objects = tmp_path / "objects"
    recorded_and_not = set(objects.glob("*/one-*"))
    (objects / "segments" / "other").write_bytes(b"of a node")
    with opened_side(settings) as side:
        side.begin("one")
    left = {path.name for path in objects.glob("*/*")}
    assert len(recorded_and_not) == 3
    assert len(left) == 2
    assert "other" in left


def test_payloads_of_a_group_are_read_at_once_and_one_that_is_cut_off_costs_no_other(tmp_path: Path) -> None:
    with opened_side(on_cluster(tmp_path)) as side:
        side.begin("one")
        group = [SmallPayload(number, [bytes([number]) * 100], SYNTAX) for number in range(1, 6)]
        payloads = [PayloadRef(*place, 100, b"") for place in side.put_group(group, nothing_owed)]
        with side.store.transaction():
            side.record()
        (stored,) = (tmp_path / "objects" / "segments").iterdir()
        side.expect(payloads)
        assert list(side.chunks(payloads[1])) == [b"\2" * 100]
        stored.rename(tmp_path / "away")
        assert list(side.chunks(payloads[4])) == [b"\5" * 100]
        (tmp_path / "away").rename(stored)
        stored.chmod(0o600)
        with stored.open("r+b") as file:
            file.truncate(450)
        side.expect(payloads)
        assert list(side.chunks(payloads[0])) == [b"\1" * 100]
        assert list(side.chunks(payloads[3])) == [b"\4" * 100]
        with pytest.raises(PayloadMissing):
            list(side.chunks(payloads[4]))


async def test_what_a_node_took_and_nobody_sealed_comes_along_and_no_node_starts_any_more(tmp_path: Path) -> None:
    first, second = on_cluster(tmp_path / "first"), on_sqlite(tmp_path / "second")
    objects = FolderObjectStore(str(tmp_path / "first" / "objects"))
    taken = {number: bytes([number]) * length for number, length in ((1, 500), (2, 0), (3, 200_000))}
    node = Node(tmp_path / "node", Clock(), url=first.postgresql, objects=objects)
    async with node as journal:
        stored = {number: await kept(journal, data, number) for number, data in taken.items()}
    assert [stored[number].payload.name.partition("/")[0] for number in taken] == ["journal", "journal", "large"]
    migrate(first, second, identify=identify_nothing)
    found = content(second)
    assert {row["sop_instance_uid"]: row["payload"] for row in found["instance"]} == {
        stored[number].sop_instance_uid: data for number, data in taken.items()
    }
    assert [each.state for each in found["listed"]] == [DeliveryState.PENDING] * 3
    with pytest.raises(ConfigurationError, match="it was migrated to"):
        await node.start()


@pytest.mark.parametrize("length_bytes", [WINDOW_BYTES, WINDOW_BYTES + 1, 2 * WINDOW_BYTES])
async def test_an_object_that_is_longer_than_a_window_and_not_sealed_comes_along(
    tmp_path: Path, length_bytes: int
) -> None:
    first, second = on_cluster(tmp_path / "first"), on_sqlite(tmp_path / "second")
    objects = FolderObjectStore(str(tmp_path / "first" / "objects"))
    data = Random(1).randbytes(length_bytes)
    node = Node(tmp_path / "node", Clock(), url=first.postgresql, objects=objects, large_object_bytes=3 * WINDOW_BYTES)
    async with node as journal:
        await kept(journal, b"before it", 1)
        stored = await kept(journal, data, 2)
    assert stored.payload.name.startswith("journal/")
    assert migrate(first, second, identify=identify_nothing).copied.not_whole == 0
    assert content(second)["instance"][1]["payload"] == data


def test_a_source_whose_object_store_is_not_there_is_refused(tmp_path: Path) -> None:
    settings = on_cluster(tmp_path / "one")
    with opened_side(settings) as side, pytest.raises(ConfigurationError, match="no node ever used it"):
        side.recover()
    with opened_side(settings) as side:
        side.begin("one")
        side.recover()
    with (
        opened_side(on_cluster(tmp_path / "two", url=settings.postgresql)) as side,
        pytest.raises(ConfigurationError, match=r"none of a cluster \(gateway.json is not there\)"),
    ):
        side.recover()


def test_a_destination_that_belongs_to_something_else_is_refused(tmp_path: Path) -> None:
    first = on_cluster(tmp_path / "one")
    with opened_side(first) as side:
        side.begin("one")
    with (
        opened_side(on_cluster(tmp_path / "one")) as side,
        pytest.raises(ConfigurationError, match="the object store belongs to another cluster"),
    ):
        side.require_unused()
    alone = on_postgresql(tmp_path / "alone")
    with opened_side(alone) as side:
        side.begin("one")
    with (
        opened_side(on_cluster(tmp_path / "two", url=alone.postgresql)) as side,
        pytest.raises(ConfigurationError, match="belongs to a gateway without"),
    ):
        side.require_unused()


def test_no_node_uses_the_database_meanwhile(tmp_path: Path) -> None:
    settings = on_cluster(tmp_path, url=shared_server().new_schema())
    with contextlib.closing(ClusterSide(settings)) as side:
        assert "/objects" in side.shown
        assert is_gateway_running(settings)
    assert not is_gateway_running(settings)

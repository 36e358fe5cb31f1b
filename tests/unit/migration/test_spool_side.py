"""A gateway that is alone as one side of a migration."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.migration.migrate import migrate
from gateway.migration.places import SmallPayload
from gateway.migration.spool_side import SpoolSide, in_use
from gateway.model.delivery import DeliveryState
from gateway.model.instance import PayloadRef
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError, Temporary
from gateway.repair.rebuild import rebuild
from gateway.spool.lock import InUse
from gateway.spool.redo import encode
from gateway.spool.replay import identify_nothing
from tests.support.migrating import content, filled, nothing_owed, on_cluster, on_sqlite, opened_side
from tests.support.samples import NOON, TO_PACS, instance

SYNTAX = "1.2.840.10008.1.2.1"


def test_what_was_put_and_not_recorded_is_taken_away(tmp_path: Path) -> None:
    settings = on_sqlite(tmp_path)
    group = [SmallPayload(1, [b"x" * 100], SYNTAX)]
    with opened_side(settings) as side:
        side.begin("one")
        side.put_group(group, nothing_owed)
        with side.store.transaction():
            side.record()
        recorded = side.store.spool.replayed_position()
        side.put_group(group, nothing_owed)
        for number in range(2, 5):
            side.put_group([SmallPayload(number, [b"y" * 4000], SYNTAX)], nothing_owed)
        side.put_large(9, iter([b"z" * 3000]), 3000, SYNTAX)
    with opened_side(settings) as side:
        side.begin("one")
        files = {
            path.name: path.stat().st_size
            for path in (tmp_path / "spool").rglob("*.*")
            if path.suffix in (".seg", ".obj")
        }
        assert files == {Path(recorded[0]).name: recorded[1]}


def test_a_source_that_no_gateway_ever_used_is_refused(tmp_path: Path) -> None:
    with opened_side(on_sqlite(tmp_path)) as side, pytest.raises(ConfigurationError, match="no gateway ever used it"):
        side.recover()


@pytest.mark.postgresql
def test_what_a_killed_gateway_had_not_recorded_comes_along(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "1"), steps=5), on_cluster(tmp_path / "2")
    with opened_side(first) as side:
        assert isinstance(side, SpoolSide)
        side.recover()
        arrived = instance(999, body=b"the last one")

        def redo(refs: Sequence[PayloadRef]) -> bytes:
            return encode(NOON, [(dataclasses.replace(arrived, payload=refs[0]), [TO_PACS])])

        side._payloads.segments.append([SmallPayload(0, [b"the last one"], SYNTAX)], redo)
    done = migrate(first, second, identify=identify_nothing)
    assert done.before == done.after
    found = [row for row in content(second)["instance"] if row["sop_instance_uid"] == arrived.sop_instance_uid]
    assert [row["payload"] for row in found] == [b"the last one"]
    assert any(each.instance.sop_instance_uid == arrived.sop_instance_uid for each in content(second)["listed"])


def test_the_spool_alone_says_what_is_owed(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "1")), on_sqlite(tmp_path / "2")
    migrate(first, second, identify=identify_nothing)
    before = owed(second)
    for path in (tmp_path / "2").glob("queue.db*"):
        path.unlink()
    rebuilt = rebuild(second, identify=identify_nothing)
    assert (rebuilt.lost, rebuilt.missing, rebuilt.replayed.kept_as) == ([], [], [])
    assert owed(second) == before
    assert {state for *_, state in before} == {"pending", "held"}


def owed(settings: Settings) -> set[tuple[object, ...]]:
    """What a gateway owes: a dead letter counts as pending."""
    return {
        (
            each.instance.sop_instance_uid,
            each.instance.payload.digest,
            each.instance.association,
            each.instance.kept_facts,
            each.rule,
            each.destination,
            each.actions_json,
            "held" if each.state is DeliveryState.HELD else "pending",
        )
        for each in content(settings)["listed"]
        if each.state is not DeliveryState.DELIVERED
    }


def test_only_bytes_that_are_not_there_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = filled(on_sqlite(tmp_path / "1")), on_sqlite(tmp_path / "2")
    before = content(first)

    pread = os.pread

    def fails(descriptor: int, length_bytes: int, offset_bytes: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".seg"):
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, length_bytes, offset_bytes)

    with monkeypatch.context() as patched:
        patched.setattr("gateway.migration.spool_side.os.pread", fails)
        with pytest.raises(Temporary, match=r"1/spool: payload .*Input/output error; look at the disk and the rights"):
            migrate(first, second, identify=identify_nothing)
    assert migrate(first, second, identify=identify_nothing).copied.missing == []
    assert content(second) == before


def test_a_place_in_use_says_what_to_do() -> None:
    assert str(in_use(InUse("spool x", "7"))).startswith("spool x: a gateway uses it (process 7); stop it, and run")

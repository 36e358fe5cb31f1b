"""Export: any bytes in any state of the delivery, under a name that is a name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.operations.export import delivery_to_export, export, head_of, path_of, write_file
from gateway.operations.queue_administration import Operator
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.errors import PayloadLost, Temporary
from gateway.spool.body import InMemoryDataSet
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import NOON, Clock, instance, settlement

HELD = Dispatch("rule", "pacs", "", DeliveryState.HELD)
BY = Operator("anna", "a trial")


def store_of(dispatch: Dispatch) -> MemoryStore:
    store = MemoryStore(Clock())
    with store.transaction():
        store.deliveries.accept([(instance(1, body=b"data set"), [dispatch])], NOON)
    return store


@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.HELD])
async def test_a_delivery_in_any_state(tmp_path: Path, state: DeliveryState) -> None:
    store = store_of(dataclasses.replace(HELD, state=DeliveryState.PENDING if state is DeliveryState.DEAD else state))
    if state is DeliveryState.DEAD:
        with store.transaction():
            claimed = store.deliveries.claim("pacs", 1, 60.0, NOON)
            store.deliveries.settle([settlement(claimed[0], DeliveryState.DEAD)])
    access = StoreOnFile(store)
    found = await delivery_to_export(access, 1)
    assert found is not None
    assert found.state is state
    path = path_of(found, tmp_path)
    await export(access, found, path, lambda ref: InMemoryDataSet([b"data ", b"set"]), BY, NOON)
    assert path == tmp_path / "1.2.3.4.5.1.dcm"
    assert path.read_bytes() == head_of(found.instance) + b"data set"
    (noted,) = store.operations.last_operations(2)
    assert (noted.verb, noted.operator, noted.why, noted.done, noted.state.value) == (
        *("export", "anna", "a trial", 1),
        "complete",
    )
    assert await delivery_to_export(access, 2) is None


async def test_an_object_that_cannot_be_read_is_noted_as_such(tmp_path: Path) -> None:
    store = store_of(HELD)
    access = StoreOnFile(store)
    found = await delivery_to_export(access, 1)
    assert found is not None

    def lost(ref: object) -> InMemoryDataSet:
        raise PayloadLost("it is changed")

    with pytest.raises(PayloadLost):
        await export(access, found, tmp_path / "x.dcm", lost, BY, NOON)
    (noted,) = store.operations.last_operations(2)
    assert (noted.done, noted.stayed, noted.state.value) == (0, 1, "complete")


BAD_NAMES = ["../escape", "", ".hidden", "a/b", "x" * 200, "1.2\n3", "MUELLER-HANS.19470312"]


@pytest.mark.parametrize("uid", BAD_NAMES)
async def test_a_uid_that_is_no_name_of_a_file_names_none(tmp_path: Path, uid: str) -> None:
    found = await delivery_to_export(StoreOnFile(store_of(HELD)), 1)
    assert found is not None
    named = dataclasses.replace(found, instance=dataclasses.replace(found.instance, sop_instance_uid=uid))
    assert path_of(named, tmp_path) == tmp_path / "delivery-1.dcm"


class Breaking(InMemoryDataSet):
    """Reads in vain in the middle."""

    def chunks(self, size_bytes: int):  # type: ignore[no-untyped-def]
        yield b"some"
        raise Temporary("the disk does not answer")


def test_nothing_stays_of_a_file_that_is_not_whole(tmp_path: Path) -> None:
    with pytest.raises(Temporary):
        write_file(tmp_path / "x.dcm", b"head", Breaking([]))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_meanwhile_stays_the_other_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"

    class Slow(InMemoryDataSet):
        def chunks(self, size_bytes: int):  # type: ignore[no-untyped-def]
            path.write_bytes(b"another")
            yield b"ours"

    with pytest.raises(FileExistsError):
        write_file(path, b"head", Slow([]))
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"another"]

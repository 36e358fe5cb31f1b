"""Verbs on collections: recorded with the change, or neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from gateway.delivery.collection_steps import advance, complete_now
from gateway.model.collection import Collection, CollectionTerms, Membership
from gateway.model.delivery import Dispatch
from gateway.operations.collection_administration import (
    CannotChange,
    complete_collection,
    discard_collection,
    extend_collection,
    is_known_name,
    list_collections,
    show_collection,
)
from gateway.operations.operation_listing import list_operations
from gateway.operations.queue_administration import Operator
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.collections import CollectionFilter
from gateway.ports.delivery_administration import DeliveryFilter
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import NOON, Clock, instance

ANNA = Operator("anna", "the device is off")
EVERY = CollectionFilter()
TERMS = CollectionTerms("chest", quiet_s=60, at_most_s=600, late_for_s=3600)
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(clock: Clock) -> StoreOnFile:
    """One study of two objects."""
    store = MemoryStore(clock)
    member = Membership(TERMS, "1.2.3", patient="p")
    with store.transaction():
        store.accept([(instance(number), [Dispatch("r", "pacs", collection=member)]) for number in (1, 2)], NOON)
    return StoreOnFile(store)


def step(access: StoreOnFile) -> None:
    """What the keeper does when it looks."""
    with access.store.transaction():
        advance(access.store, 1, lambda study: False)


async def recorded(access: StoreOnFile) -> list[tuple[object, ...]]:
    fields = ("verb", "operator", "filter", "meant", "done", "state", "why")
    return [tuple(each[field] for field in fields) for each in await list_operations(access, 10, NOON)]


async def test_what_is_shown_has_times_and_numbers_and_no_patient(access: StoreOnFile, clock: Clock) -> None:
    found = await list_collections(access, EVERY, 10)
    assert found.total == 1
    (listed,) = found.described
    assert listed == {
        "id": 1,
        "name": "chest",
        "level": "study",
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "",
        "generation": 1,
        "state": "open",
        "instances": 2,
        "last_arrival_at": NOON.isoformat(),
        "deadline_at": (NOON + timedelta(seconds=60)).isoformat(),
        "deadline_in_s": 60,
        "result": "",
        "outcome": "",
        "unreadable": "",
        "flags": [],
        **{"expected": None, "missing": None, "why": ""},
    }
    shown = await show_collection(access, 1)
    assert shown == {
        **listed,
        "opened_at": NOON.isoformat(),
        "at_most_at": (NOON + timedelta(seconds=600)).isoformat(),
        "completed_at": None,
        "waiting": 2,
        "late": 0,
        "repeated": 0,
        "replaced": 0,
        "ignored": 0,
    }


async def test_an_arrival_gives_a_later_deadline(access: StoreOnFile, clock: Clock) -> None:
    with access.store.transaction():
        access.store.collections.arriving(["1.2.3"], clock.advance(30))
    assert (await show_collection(access, 1))["deadline_in_s"] == 60
    with access.store.transaction():
        access.store.collections.arriving(["1.2.3"], clock.advance(560))
    assert (await show_collection(access, 1))["deadline_in_s"] == 10, "`at_most` at the latest"


async def test_a_limit_leaves_some_out(access: StoreOnFile, clock: Clock) -> None:
    member = Membership(TERMS, "4.5", patient="p")
    with access.store.transaction():
        access.store.deliveries.accept([(instance(3), [Dispatch("r", "pacs", collection=member)])], clock.advance(1))
    found = await list_collections(access, EVERY, 1)
    assert ([each["study_instance_uid"] for each in found.described], found.total) == (["4.5"], 2)


@pytest.mark.parametrize(("name", "is_known"), [("chest", True), ("heads", False)])
async def test_a_name_of_the_store(access: StoreOnFile, name: str, is_known: bool) -> None:
    assert await is_known_name(access, name) == is_known


async def test_an_open_one_is_completed(access: StoreOnFile, clock: Clock) -> None:
    changed = await complete_collection(access, 1, ANNA, NOON)
    assert (changed.collection.instances, changed.deliveries) == (2, 2)
    shown = await show_collection(access, 1)
    assert (shown["state"], shown["result"], shown["outcome"], shown["waiting"]) == ("releasing", "forced", "send", 2)
    assert shown["deadline_in_s"] == 0
    which = {"collection": 1, "name": "chest", "study_instance_uid": "1.2.3"}
    assert await recorded(access) == [("complete", "anna", which, 2, 2, "complete", "the device is off")]
    step(access)
    shown = await show_collection(access, 1)
    assert (shown["state"], shown["waiting"], shown["completed_at"]) == ("complete", 0, NOON.isoformat())
    assert shown["deadline_in_s"] == 3600
    assert len(access.store.deliveries.claim("pacs", 10, 60.0, clock())) == 2


@pytest.mark.parametrize(
    ("waited_s", "until_s"), [(0, 60 + 1800), (45, 60 + 1800), (100, 100 + 1800)], ids=["at once", "soon", "overdue"]
)
async def test_an_end_is_put_off(access: StoreOnFile, clock: Clock, waited_s: int, until_s: int) -> None:
    clock.advance(waited_s)
    until = NOON + timedelta(seconds=until_s)
    changed = await extend_collection(access, 1, HALF_AN_HOUR, ANNA, NOON)
    assert (changed.not_before, changed.deliveries) == (until, 2)
    shown = await show_collection(access, 1)
    assert (shown["state"], shown["deadline_at"], shown["at_most_at"]) == ("open", until.isoformat(), until.isoformat())
    which = {
        "collection": 1,
        "name": "chest",
        "study_instance_uid": "1.2.3",
        "not_before": until.isoformat(timespec="seconds"),
    }
    assert await recorded(access) == [("extend", "anna", which, 2, 2, "complete", "the device is off")]
    clock.advance(until_s - waited_s - 1)
    step(access)
    assert (await show_collection(access, 1))["state"] == "open"
    clock.advance(1)
    step(access)
    assert (await show_collection(access, 1))["result"] == "unverified"


async def test_twice_extended_is_extended_by_both(access: StoreOnFile) -> None:
    await extend_collection(access, 1, HALF_AN_HOUR, ANNA, NOON)
    again = await extend_collection(access, 1, HALF_AN_HOUR, ANNA, NOON)
    assert again.not_before == NOON + timedelta(seconds=60) + 2 * HALF_AN_HOUR


async def test_one_that_is_extended_is_completed_all_the_same(access: StoreOnFile) -> None:
    await extend_collection(access, 1, HALF_AN_HOUR, ANNA, NOON)
    await complete_collection(access, 1, ANNA, NOON)
    step(access)
    assert (await show_collection(access, 1))["state"] == "complete"


async def complete(access: StoreOnFile, number: int, *, is_dry_run: bool = False) -> object:
    return await complete_collection(access, number, ANNA, NOON, is_dry_run=is_dry_run)


async def extend(access: StoreOnFile, number: int, *, is_dry_run: bool = False) -> object:
    return await extend_collection(access, number, HALF_AN_HOUR, ANNA, NOON, is_dry_run=is_dry_run)


VERBS: dict[str, Callable[..., Awaitable[object]]] = {"complete": complete, "extend": extend}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_dry_run_changes_nothing(access: StoreOnFile, verb: str) -> None:
    before = await show_collection(access, 1)
    await VERBS[verb](access, 1, is_dry_run=True)
    assert await show_collection(access, 1) == before
    assert await recorded(access) == []


@pytest.mark.parametrize("is_dry_run", [True, False])
@pytest.mark.parametrize("verb", VERBS)
async def test_one_that_is_not_there_or_has_ended_is_refused(access: StoreOnFile, verb: str, is_dry_run: bool) -> None:
    with pytest.raises(CannotChange, match="there is no collection 9; see `gateway collection list`"):
        await VERBS[verb](access, 9, is_dry_run=is_dry_run)
    with access.store.transaction():
        complete_now(access.store, 1)
    for state in ("releasing", "complete"):
        before = await show_collection(access, 1)
        with pytest.raises(CannotChange, match=f"collection 1 is {state}: `{verb}` is for those that are open"):
            await VERBS[verb](access, 1, is_dry_run=is_dry_run)
        assert await show_collection(access, 1) == before
        step(access)
    assert await recorded(access) == []


async def test_one_that_is_not_there_is_not_shown(access: StoreOnFile) -> None:
    with pytest.raises(CannotChange, match="there is no collection 9"):
        await show_collection(access, 9)


class _Busy(MemoryStore):
    """Somebody else holds a collection for so many looks."""

    looks = 0

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        take = super().collections.take

        def taken(collection_id: int) -> Collection | None:
            self.looks -= 1
            return take(collection_id) if self.looks < 0 else None

        self._busy = super().collections
        self._busy.take = taken  # type: ignore[method-assign]

    @property
    def collections(self):  # type: ignore[no-untyped-def]
        return self._busy


@pytest.mark.parametrize("looks", [3, 10_000])
async def test_one_that_others_work_on_is_waited_for(clock: Clock, looks: int) -> None:
    store = _Busy(clock)
    with store.transaction():
        member = Membership(TERMS, "1.2.3", patient="p")
        store.accept([(instance(1), [Dispatch("r", "pacs", collection=member)])], NOON)
    store.looks, access, pauses = looks, StoreOnFile(store), list[float]()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    if looks == 3:
        await complete_collection(access, 1, ANNA, NOON, pause=pause)
        assert len(pauses) == 3
    else:
        with pytest.raises(CannotChange, match="others work on collection 1"):
            await complete_collection(access, 1, ANNA, NOON, pause=pause)
    assert len(await recorded(access)) == (1 if looks == 3 else 0)


async def test_one_that_is_discarded_owes_nothing_and_its_record_is_kept_with_it(access: StoreOnFile) -> None:
    assert (await discard_collection(access, 1, ANNA, NOON, is_dry_run=True)).deliveries == 2
    assert await recorded(access) == []
    assert (await discard_collection(access, 1, ANNA, NOON)).deliveries == 2
    step(access)
    (found,) = access.store.collections.list(EVERY, 10)
    assert (found.state.value, found.result, access.store.administration.list(DeliveryFilter(), 10)) == (
        "closed",
        "discarded",
        [],
    )
    ((verb, operator, _, meant, done, state, why),) = await recorded(access)
    assert (verb, operator, meant, done, state, why) == ("discard collection", "anna", 2, 2, "complete", ANNA.why)
    with pytest.raises(CannotChange, match="`discard` is for those that are open"):
        await discard_collection(access, 1, ANNA, NOON)

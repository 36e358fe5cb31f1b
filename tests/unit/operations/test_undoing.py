"""Undo of an operator's verbs: what comes back, what does not and why, once and for a minute."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.operations import queue_administration, undoing
from gateway.operations.kept_changes import drop_old_changes
from gateway.operations.pausing import begin_pause, end_pause, paused
from gateway.operations.queue_administration import (
    DISCARD,
    HOLD,
    RELEASE,
    RETARGET,
    SEND_AGAIN,
    Operator,
    Progress,
    Verb,
    carry_out,
)
from gateway.operations.store_on_file import StoreOnFile
from gateway.operations.undoing import CannotUndo, Undone, undo
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import Temporary
from gateway.ports.operation_log import OperationState
from gateway.ports.pauses import Pause, PausedKind
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import NOON, TO_PACS, Clock, an_operation, instance
from tests.support.store_rig import ANY, claim, settle_all

NUMBER = 450
HELD = Dispatch("rule", "pacs", "", DeliveryState.HELD)
BY, OTHER = Operator("anna", "a trial"), Operator("bernd", "too fast")
SOON = NOON + timedelta(seconds=30)


async def at_once(seconds: float) -> None:
    """No pause."""


def access_of(dispatch: Dispatch = TO_PACS, number: int = NUMBER) -> StoreOnFile:
    store = MemoryStore(Clock())
    store.deliveries.accept([(instance(each), [dispatch]) for each in range(1, number + 1)], NOON)
    return StoreOnFile(store)


async def do(access: StoreOnFile, verb: Verb, which: DeliveryFilter = ANY, to: str | None = None) -> int:
    progress, how = Progress(), {"by": BY, "pause": at_once, "wall": lambda: NOON}
    await carry_out(access, verb, which, progress, meant=NUMBER, destination=to, **how)  # type: ignore[arg-type]
    return progress.operation_id


async def undone(access: StoreOnFile, operation_id: int, now: datetime = SOON, **how: Any) -> Undone:
    return await undo(access, operation_id, OTHER, now, pause=at_once, **how)


def states(access: StoreOnFile) -> dict[tuple[str, str], int]:
    return {(row.destination, row.state.value): row.count for row in access.store.deliveries.depths()}


CASES = {
    "hold": (HOLD, TO_PACS, None),
    "release": (RELEASE, HELD, "vna"),
    "retarget": (RETARGET, TO_PACS, "vna"),
    "discard": (DISCARD, HELD, None),
}


@pytest.mark.parametrize("name", CASES)
async def test_all_of_it_comes_back(name: str) -> None:
    verb, dispatch, to = CASES[name]
    access = access_of(dispatch)
    before = states(access)
    operation = await do(access, verb, to=to)
    assert states(access) != before
    looked_at = await undone(access, operation, is_dry_run=True)
    assert states(access) != before
    assert await undone(access, operation) == looked_at == Undone(name, NUMBER)
    assert states(access) == before
    noted, of_verb = access.store.operations.last_operations(9)
    assert (noted.verb, noted.operator, noted.why, noted.filter_json) == (
        *("undo", "bernd", "too fast"),
        f'{{"operation": {operation}}}',
    )
    assert (noted.meant, noted.done, noted.stayed, noted.state) == (NUMBER, NUMBER, 0, OperationState.COMPLETE)
    assert of_verb.operation_id == operation


async def test_it_is_undone_once() -> None:
    access = access_of()
    operation = await do(access, HOLD)
    await undone(access, operation)
    with pytest.raises(CannotUndo, match=f"operation {operation} was undone already, by operation {operation + 1}"):
        await undone(access, operation)
    with pytest.raises(CannotUndo, match="is `undo`, which cannot be undone"):
        await undone(access, operation + 1)


async def test_what_happened_since_is_told_and_stays() -> None:
    access = access_of()
    operation = await do(access, RETARGET, to="vna")
    clock = access.store.now  # type: ignore[attr-defined]
    sent = claim(access.store, clock, "vna", 7)
    settle_all(access.store, sent[:3], DeliveryState.DELIVERED)
    assert await undone(access, operation) == Undone("retarget", NUMBER - 7, changed=7)
    assert states(access) == {("pacs", "pending"): NUMBER - 7, ("vna", "pending"): 4}
    assert settle_all(access.store, sent[3:], DeliveryState.DELIVERED) == 4


async def test_send_again_is_undone_until_it_is_claimed() -> None:
    access = access_of()
    clock = access.store.now  # type: ignore[attr-defined]
    settle_all(access.store, claim(access.store, clock, limit=NUMBER), DeliveryState.DELIVERED)
    operation = await do(access, SEND_AGAIN)
    claim(access.store, clock, limit=10)
    assert await undone(access, operation) == Undone("send-again", NUMBER - 10, changed=10)
    assert states(access) == {("pacs", "pending"): 10}


async def test_the_rest_of_an_undo_that_was_killed_is_done_by_the_same_undo() -> None:
    access = access_of()
    operation = await do(access, HOLD)

    async def killed(seconds: float) -> None:
        raise Temporary("killed")

    with pytest.raises(Temporary):
        await undo(access, operation, OTHER, SOON, pause=killed)
    assert states(access)["pacs", "held"] == NUMBER - undoing.AT_ONCE
    assert await undone(access, operation) == Undone("hold", NUMBER - undoing.AT_ONCE)
    assert states(access) == {("pacs", "pending"): NUMBER}


REFUSED = {
    "unknown": ({}, 99, SOON, "there is no operation 99"),
    "too late": (
        {"state": OperationState.COMPLETE},
        1,
        NOON + timedelta(seconds=61),
        "61 s ago; one is undone within 60",
    ),
    "goes on": ({}, 1, NOON + timedelta(seconds=5), "operation 1 goes on"),
    "an export": ({"verb": "export"}, 1, SOON, "is `export`, which cannot be undone"),
    "did nothing": ({"state": OperationState.COMPLETE}, 1, SOON, "changed nothing"),
    "too many": ({"state": OperationState.COMPLETE, "meant": 100_001}, 1, SOON, "more than 100000 cannot be undone"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_undone_is_refused_with_the_reason(name: str) -> None:
    values, number, now, said = REFUSED[name]
    access = access_of(number=1)
    access.store.operations.begin_operation(dataclasses.replace(an_operation(), **values))  # type: ignore[arg-type]
    with pytest.raises(CannotUndo, match=said):
        await undone(access, number, now)
    assert len(access.store.operations.last_operations(9)) == 1


async def test_one_of_too_many_keeps_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_administration, "MOST_UNDONE", NUMBER - 1)
    access = access_of()
    operation = await do(access, HOLD)
    assert access.store.undo.changes_of(operation, 0, 9) == []


@pytest.mark.parametrize("kind", get_args(PausedKind))
async def test_a_pause_and_a_resume_are_undone_unless_somebody_was_faster(kind: PausedKind) -> None:
    access, pause = access_of(number=1), Pause(kind, "pacs", BY.name, BY.why, NOON)
    other: PausedKind = "sender" if kind == "destination" else "destination"
    await access.write(lambda store: store.pauses.begin_pause(replace(pause, kind=other, operator="eve")))
    await begin_pause(access, pause, 1)
    assert await undone(access, 1) == Undone("pause", 1)
    assert await paused(access, kind) == {}
    await begin_pause(access, pause, 1)
    await end_pause(access, kind, "pacs", BY, 1, NOON)
    resumed = access.store.operations.last_operations(1)[0].operation_id
    assert await undone(access, resumed, is_dry_run=True) == Undone("resume", 1)
    assert await paused(access, kind) == {}
    await undone(access, resumed)
    assert [each.operator for each in (await paused(access, kind)).values()] == ["bernd"]
    with pytest.raises(CannotUndo, match="somebody paused or resumed pacs since operation"):
        await undone(access, resumed - 1)
    assert [each.operator for each in (await paused(access, other)).values()] == ["eve"], "of another kind"


async def test_old_changes_are_dropped_by_the_next_verb() -> None:
    access = access_of()
    operation = await do(access, HOLD)
    progress, how = Progress(), {"by": BY, "pause": at_once, "wall": lambda: NOON + timedelta(seconds=61)}
    await carry_out(access, RELEASE, ANY, progress, meant=NUMBER, **how)  # type: ignore[arg-type]
    assert access.store.undo.changes_of(operation, 0, 9) == []
    assert len(access.store.undo.changes_of(progress.operation_id, 0, 1000)) == NUMBER


async def test_a_verb_beside_an_undo_leaves_what_is_still_to_be_put_back() -> None:
    access = access_of()
    operation_id = await do(access, HOLD)

    async def another_verb(seconds: float) -> None:
        await drop_old_changes(access, NOON + timedelta(seconds=65))

    found = await undo(access, operation_id, OTHER, NOON + timedelta(seconds=55), pause=another_verb)
    assert found == Undone("hold", NUMBER)
    await drop_old_changes(access, NOON + timedelta(minutes=10))
    assert not access.store.undo.changes_of(operation_id, 0, 1)

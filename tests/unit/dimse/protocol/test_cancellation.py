"""Operations that are cut short: when the waits of their guards end, and whom that concerns."""

from __future__ import annotations

import asyncio

import pytest

from gateway.dimse.protocol.cancellation import Interrupted, OperationScope


async def guarded(scope: OperationScope, begun: asyncio.Event) -> None:
    with scope.guard():
        begun.set()
        await asyncio.Event().wait()


async def begun(scope: OperationScope) -> asyncio.Task[None]:
    """A task that waits inside a guard for ever."""
    event = asyncio.Event()
    task = asyncio.create_task(guarded(scope, event))
    await event.wait()
    return task


async def test_the_end_cuts_a_wait_short_at_once() -> None:
    scope = OperationScope()
    task = await begun(scope)
    scope.end("gone")
    with pytest.raises(Interrupted):
        await task
    assert scope.is_interrupted
    assert not scope.is_cancelled
    assert scope.ended == "gone"


async def test_a_cancel_leaves_its_grace_and_an_end_after_it_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dimse.protocol.cancellation.CANCEL_GRACE_S", 3600.0)
    scope = OperationScope()
    task = await begun(scope)
    scope.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    assert 3500 < scope.grace_left_s <= 3600
    scope.end("gone")
    with pytest.raises(Interrupted):
        await task
    assert scope.grace_left_s == 0


async def test_a_cancel_ends_the_wait_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dimse.protocol.cancellation.CANCEL_GRACE_S", 0.01)
    scope = OperationScope()
    task = await begun(scope)
    scope.cancel()
    with pytest.raises(Interrupted):
        await task


async def test_a_guard_that_is_entered_after_a_cancel_has_what_is_left_of_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.dimse.protocol.cancellation.CANCEL_GRACE_S", 0.01)
    scope = OperationScope(is_cancelled=True)
    task = await begun(scope)
    with pytest.raises(Interrupted):
        await task


async def test_nothing_is_entered_after_the_end() -> None:
    scope = OperationScope()
    scope.end("gone")
    with pytest.raises(Interrupted), scope.guard():
        pytest.fail("it was entered")


async def test_a_guard_that_was_left_cuts_nothing_short() -> None:
    scope = OperationScope()
    with scope.guard():
        await asyncio.sleep(0)
    with scope.guard():
        await asyncio.sleep(0)
    scope.end("gone")
    for _ in range(3):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_an_end_between_two_waits_cuts_the_next_one_short() -> None:
    scope = OperationScope()

    async def ended() -> None:
        with scope.guard():
            scope.end("gone")
            await asyncio.Event().wait()

    with pytest.raises(Interrupted):
        await ended()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_an_end_that_finds_nothing_waiting_leaves_no_cancellation() -> None:
    scope = OperationScope()
    with scope.guard():
        scope.end("gone")  # left before the event loop's next turn
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_task_that_somebody_else_cancels_is_cancelled() -> None:
    scope = OperationScope()
    task = await begun(scope)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scope.end("gone")  # no guard is left


async def test_another_error_inside_a_guard_passes() -> None:
    scope = OperationScope()

    async def failed() -> None:
        with scope.guard():
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failed()

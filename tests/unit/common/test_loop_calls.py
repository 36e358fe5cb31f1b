"""Calls that a thread leaves to the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from gateway.common.loop_calls import LoopCalls


async def test_calls_of_a_thread_are_made_on_the_event_loop_in_order() -> None:
    loop = asyncio.get_running_loop()
    calls, made = LoopCalls(loop), list[tuple[int, int]]()
    done = loop.create_future()

    def note(number: int) -> None:
        made.append((number, threading.get_ident()))
        if number == 999:
            done.set_result(None)

    def leave() -> None:
        for number in range(1000):
            calls.leave(note, number)

    thread = threading.Thread(target=leave)
    thread.start()
    await done
    thread.join()
    assert made == [(number, threading.get_ident()) for number in range(1000)]
    calls.close()


async def test_a_call_that_another_one_leaves_has_a_turn_of_its_own() -> None:
    """Others go on between the two."""
    loop = asyncio.get_running_loop()
    calls, order = LoopCalls(loop), list[str]()
    done = loop.create_future()

    def first(_: None) -> None:
        calls.leave(second, None)
        loop.call_soon(order.append, "another")

    def second(_: None) -> None:
        order.append("second")
        done.set_result(None)

    calls.leave(first, None)
    await done
    assert order == ["another", "second"]
    calls.close()


async def test_an_error_of_one_call_does_not_keep_the_others_from_being_made() -> None:
    loop = asyncio.get_running_loop()
    errors: list[Any] = []
    loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))
    calls, done = LoopCalls(loop), loop.create_future()
    error = ValueError("a fault of ours")

    def fail(_: None) -> None:
        raise error

    calls.leave(fail, None)
    calls.leave(done.set_result, 7)
    assert await done == 7
    assert errors == [error]
    calls.close()


async def test_at_the_end_what_is_left_is_called() -> None:
    calls, made = LoopCalls(asyncio.get_running_loop()), list[int]()
    calls.leave(made.append, 1)
    calls.leave(made.append, 2)
    calls.close()
    assert made == [1, 2]

"""Steps run one after the other in a thread of their own, on tables that it opens."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.ports.errors import SpoolFull
from gateway.ports.expected_instances import ExpectedInstances
from gateway.retrieve.shared_steps import SharedSteps
from tests.support.fakes.memory_expected_instances import MemoryExpectedInstances


async def test_the_tables_are_opened_once_in_the_thread_of_all_steps() -> None:
    opened: list[str] = []

    def open_shared() -> ExpectedInstances:
        opened.append(threading.current_thread().name)
        return MemoryExpectedInstances()

    step = SharedSteps(open_shared)
    names = await asyncio.gather(*(step(lambda shared: threading.current_thread().name) for _ in range(3)))
    assert [*{*names}] == opened
    assert opened != [threading.current_thread().name]
    step.close()


async def test_what_a_step_raises_is_its_answer_and_another_one_opens_again() -> None:
    tables: list[ExpectedInstances] = []

    def open_shared() -> ExpectedInstances:
        if not tables:
            tables.append(MemoryExpectedInstances())
            raise SpoolFull("cut off")
        return tables[0]

    step = SharedSteps(open_shared)
    with pytest.raises(SpoolFull):
        await step(lambda shared: shared.join("one"))
    await step(lambda shared: shared.join("one"))
    assert await step(lambda shared: shared.look("one").is_joined)
    step.close()

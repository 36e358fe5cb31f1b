"""Where a payload goes, and what becomes of it when it cannot go there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.ports.errors import SpoolFull
from gateway.spool.large import ReceivedFile
from tests.support.cluster import Node
from tests.support.samples import TO_PACS, Clock, instance

pytestmark = pytest.mark.postgresql

LARGE_BYTES = 100_000


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path, Clock(), large_object_bytes=LARGE_BYTES)
    await made.start()
    yield made
    await made.close()


async def received(node: Node, length_bytes: int) -> Any:
    receiver = node.journal.receiver()
    writing = receiver.write(memoryview(b"x" * length_bytes))
    if writing is not None:
        await writing
    return receiver.finish()


async def test_a_large_object_is_sent_from_the_file_that_it_arrived_in(node: Node, tmp_path: Path) -> None:
    body = await received(node, LARGE_BYTES * 8)
    stored = await node.journal.commit(instance(), body, None, [TO_PACS])
    assert bytes(body.view()) == b"x" * (LARGE_BYTES * 8), "the body is still the caller's"
    body.close()
    found = node.journal.open_now(stored.payload)
    assert found is not None
    assert bytes(found.view()) == b"x" * (LARGE_BYTES * 8)
    found.close()
    assert [each.name for each in node.objects.list("large/")] == [stored.payload.name]


async def test_a_small_object_that_lies_in_a_file_joins_its_group(node: Node) -> None:
    """Memory was short while it arrived."""
    budget = node.journal._reception.budget
    assert budget.take(budget.limit_bytes)
    body = await received(node, 1000)
    assert isinstance(body, ReceivedFile)
    budget.give_back(budget.limit_bytes)
    stored = await node.journal.commit(instance(), body, None, [TO_PACS])
    body.close()
    assert stored.payload.name.startswith("journal/")


async def test_an_object_store_that_refuses_refuses_the_object_alone(
    node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuses(*_: object) -> None:
        raise SpoolFull("the object store is gone")

    monkeypatch.setattr(node.objects, "put", refuses)
    body = await received(node, LARGE_BYTES + 1)
    with pytest.raises(SpoolFull, match="is gone"):
        await node.journal.commit(instance(), body, None, [TO_PACS])
    body.close()
    small = await received(node, 1000)
    await node.journal.commit(instance(2), small, None, [TO_PACS])
    small.close()
    assert node.journal.write_problems() == {}


async def test_a_caller_that_goes_does_not_take_the_file_along(
    node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    put = node.objects.put

    def slow(*arguments: Any) -> None:
        begun.set()
        assert go_on.wait(60)
        put(*arguments)

    monkeypatch.setattr(node.objects, "put", slow)
    body = await received(node, LARGE_BYTES + 1)
    committing = asyncio.create_task(node.journal.commit(instance(), body, None, [TO_PACS]))
    assert await asyncio.to_thread(begun.wait, 60)
    committing.cancel()
    await asyncio.wait([committing])
    body.close()
    go_on.set()
    await node.close()
    assert len(node.objects.objects) == 2, "the marker, and an object that nothing leads to"  # type: ignore[attr-defined]
    assert node.files("journal") == []
    await node.start()

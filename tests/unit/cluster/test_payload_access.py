"""Payloads are found wherever they lie, and what is not what it was is never passed on."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from gateway.cluster.payload_access import PAUSE_S, PayloadAccess
from gateway.cluster.sealer import SEALED_AFTER_S
from gateway.lifecycle.log_summary import SUMMARISED
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.errors import PayloadLost, PayloadMissing, PayloadUnreadable, Temporary
from tests.support.cluster import Node, kept
from tests.support.fakes.meter import MemoryMeter
from tests.support.processes import GUARD_S
from tests.support.samples import Clock

pytestmark = pytest.mark.postgresql

SMALL, LARGE = b"small", b"large" * 50_000


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path, Clock())
    await made.start()
    yield made
    await made.close()


def access(node: Node) -> PayloadAccess:
    return node.journal._access


def sealed(node: Node) -> None:
    node.clock.advance(SEALED_AFTER_S)
    store = node.open_store("keeping")
    sealer = node.sealer(lambda: node.clock.at.replace(year=2000))
    while sealer._seal_one(store):
        pass
    store.close()


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("is_sealed", [False, True], ids=["fresh", "sealed"])
@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "not cached"])
async def test_wherever_it_lies(node: Node, data: bytes, *, is_sealed: bool, is_cached: bool) -> None:
    stored = await kept(node.journal, data)
    if is_sealed:
        sealed(node)
    if not is_cached:
        access(node)._cache.drop(stored.payload.name)
        assert access(node).open_now(stored.payload) is None
    body = access(node).open(stored.payload)
    assert body.length_bytes == len(data)
    assert b"".join(body.chunks(70_000)) == data
    body.close()


async def test_several_of_one_group(node: Node) -> None:
    datas = [bytes([number]) * number * 100 for number in range(20)]
    stored = await asyncio.gather(*(kept(node.journal, data, number) for number, data in enumerate(datas)))
    assert len({each.payload.name for each in stored}) < len(stored)
    for each in stored:
        access(node)._cache.drop(each.payload.name)
    for each, data in zip(stored, datas, strict=True):
        assert bytes(access(node).open(each.payload).view()) == data


def changed(stored: Instance) -> PayloadRef:
    return dataclasses.replace(stored.payload, digest=bytes(32))


@pytest.mark.parametrize("is_sealed", [False, True], ids=["in the journal", "in the object store"])
async def test_bytes_that_are_not_what_they_were_are_refused(node: Node, *, is_sealed: bool) -> None:
    stored = await kept(node.journal, SMALL)
    if is_sealed:
        sealed(node)
    access(node)._cache.drop(stored.payload.name)
    with capture_logs() as logs, pytest.raises(PayloadLost, match="the stored bytes are changed"):
        access(node).open(changed(stored))
    assert [each["event"] for each in logs] == ["payload_not_read"]


async def test_a_cache_that_is_not_what_it_was_is_passed_over(node: Node, tmp_path: Path) -> None:
    stored = await kept(node.journal, SMALL)
    access(node)._cache.write()
    (path,) = (tmp_path / "spool" / "cache").iterdir()
    path.write_bytes(b"other")
    assert bytes(access(node).open(stored.payload).view()) == SMALL
    assert not path.exists()


async def test_another_payload_in_memory_by_the_same_name_is_passed_over(node: Node) -> None:
    """A promoted standby that lacks transactions counts the groups of some again; a node remembers those before."""
    stored = await kept(node.journal, SMALL)
    cache = access(node)._cache
    cache.add(stored.payload.name, [b"other"], len(b"other"))
    assert access(node).open_now(stored.payload) is None
    assert cache.waiting(stored.payload.name, 0, len(SMALL)) is None, "it is kept no more"
    assert bytes(access(node).open(stored.payload).view()) == SMALL


async def test_a_large_one_that_is_not_what_it_was_is_not_completed(node: Node) -> None:
    stored = await kept(node.journal, LARGE)
    access(node)._cache.drop(stored.payload.name)
    body = access(node).open(changed(stored))
    with pytest.raises(PayloadLost):
        b"".join(body.chunks(100_000))
    body.close()


async def test_what_is_nowhere_may_come_back(node: Node) -> None:
    for name in ("journal/1/2", "large/none", "segments/00000001.seg"):
        expected = pytest.raises(PayloadMissing, match="neither the journal nor the object store has it")
        with capture_logs() as logs, expected:
            access(node).open(PayloadRef(name, 0, 4, bytes(32)))
        assert [(each["event"], each["log_level"]) for each in logs] == [("payload_not_read", "error")]


async def test_a_store_that_cannot_be_asked_is_no_loss(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> bytes:
        raise Temporary("the object store is gone")

    stored = await kept(node.journal, LARGE)
    access(node)._cache.drop(stored.payload.name)
    monkeypatch.setattr(node.objects, "stream", refuses)
    with capture_logs() as logs, pytest.raises(PayloadUnreadable, match="is gone") as caught:
        access(node).open(stored.payload)
    assert not isinstance(caught.value, PayloadMissing)
    assert [(each["event"], each["log_level"]) for each in logs] == [("payload_not_fetched", "warning")]
    assert "payload_not_fetched" in SUMMARISED, "each delivery may try again and again"


@pytest.mark.parametrize(
    ("data", "is_sealed", "is_lost", "expected"),
    [
        (SMALL, False, False, True),
        (SMALL, True, False, True),
        (SMALL, True, True, False),
        (LARGE, False, False, True),
        (LARGE, False, True, False),
        (b"", True, False, True),
    ],
)
async def test_what_a_duplicate_can_rely_on(
    node: Node, data: bytes, *, is_sealed: bool, is_lost: bool, expected: bool
) -> None:
    stored = await kept(node.journal, data)
    store = node.open_store()
    if is_sealed:
        sealed(node)
        hour = int(stored.payload.name.split("/")[1])
        with store.transaction():
            store._transactions.change((f"DROP TABLE journal_{hour}", {}))
    if is_lost:
        node.objects.delete([each.name for each in [*node.objects.list("segments/"), *node.objects.list("large/")]])
    with store.transaction():
        assert access(node).can_read(stored.payload, store.payloads, GUARD_S) is expected
    store.close()


@pytest.mark.parametrize("answer", ["none", "an error"])
async def test_a_transaction_does_not_wait_for_an_object_store(
    node: Node, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    stored = await kept(node.journal, LARGE)
    store = node.open_store()
    read, may_answer, asked = node.objects.read, threading.Event(), 0
    submit, begun = access(node)._probing.submit, threading.Event()
    now_s = 0.0

    def reading(*arguments: Any) -> bytes:
        nonlocal asked
        asked += 1
        begun.set()
        if answer == "an error":
            raise Temporary("the object store is gone")
        may_answer.wait(GUARD_S)
        return read(*arguments)

    def begin(*arguments: Any) -> Any:
        """The time limit begins when its thread does, however busy the machine is."""
        reading = submit(*arguments)
        assert begun.wait(GUARD_S)
        return reading

    monkeypatch.setattr("gateway.cluster.payload_access.time", Mock(monotonic=lambda: now_s))
    can_read = access(node).can_read
    with monkeypatch.context() as patched, capture_logs() as logs, store.transaction():
        patched.setattr(node.objects, "read", reading)
        patched.setattr(access(node)._probing, "submit", begin)
        assert not can_read(stored.payload, store.payloads, 0.0 if answer == "none" else GUARD_S)
        assert not can_read(stored.payload, store.payloads, 0.01 if answer == "none" else GUARD_S)
        for _ in range(3):
            assert not can_read(stored.payload, store.payloads, GUARD_S), "it is left alone for a while"
        may_answer.set()
    assert asked == 1
    assert [each["event"] for each in logs] == ["duplicates_taken_anew"]
    now_s += PAUSE_S
    with store.transaction():
        assert can_read(stored.payload, store.payloads, GUARD_S)
    store.close()


async def test_a_large_copy_that_is_not_what_it_was_is_fetched_again(node: Node, tmp_path: Path) -> None:
    stored = await kept(node.journal, LARGE)
    access(node).open(stored.payload).close()
    for damage in (b"y" * (len(LARGE) + 100), b""):
        (path,) = (tmp_path / "spool" / "cache").iterdir()
        path.write_bytes(damage)
        body = access(node).open(stored.payload)
        with pytest.raises(PayloadUnreadable, match="a copy in the cache") as caught:
            b"".join(body.chunks(100_000))
        assert type(caught.value) is PayloadUnreadable
        body.close()
        assert access(node).open_now(stored.payload) is None
        body = access(node).open(stored.payload)
        assert b"".join(body.chunks(100_000)) == LARGE
        body.close()


async def test_fetches_are_counted_by_their_source(node: Node) -> None:
    meter = MemoryMeter()
    access(node)._meter = meter
    stored = await kept(node.journal, SMALL)
    access(node).open(stored.payload).close()
    access(node)._cache.drop(stored.payload.name)
    access(node).open(stored.payload).close()
    large = await kept(node.journal, LARGE, 2)
    access(node)._cache.drop(large.payload.name)
    access(node).open(large.payload).close()
    assert meter.counted == {
        ("gateway_payloads_fetched_total", "journal"): 1,
        ("gateway_payloads_fetched_total", "object_store"): 1,
    }

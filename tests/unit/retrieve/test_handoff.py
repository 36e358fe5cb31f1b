"""Between sources and the one who sends on; and who holds a body; and how long somebody may be silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance, MissingInstance
from gateway.retrieve.handoff import Handoff, Stopped
from gateway.retrieve.inactivity import InactivityTimer
from gateway.retrieve.shared_data_set import SharedDataSet
from gateway.sources.source_clock import OpenConversations, SourceClock


class Body(MemoryDataSet):
    """Says how often it was closed."""

    def __init__(self) -> None:
        super().__init__(b"1234")
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def instance(body: Body | None = None) -> EncodedInstance:
    return EncodedInstance("1.2", "1.3", "1.2.840.10008.1.2", SharedDataSet(body or Body()))


async def test_in_order_and_bounded() -> None:
    handoff = Handoff(most=2)
    items = [instance() for _ in range(5)]

    async def put() -> None:
        for item in items:
            await handoff.put(item)
        handoff.put_missing(("1.9",))
        handoff.end()

    bringing = asyncio.create_task(put())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not bringing.done()
    found = []
    while (item := await handoff.take()) is not None:
        found.append(item)
    await bringing
    assert found == [*items, MissingInstance(("1.9",))]


async def test_stopped_while_somebody_brings_and_somebody_waits() -> None:
    handoff = Handoff(most=1)
    waiting_body, refused_body = Body(), Body()
    await handoff.put(instance(waiting_body))
    bringing = asyncio.create_task(handoff.put(instance(refused_body)))
    await asyncio.sleep(0)

    handoff.stop()

    with pytest.raises(Stopped):
        await bringing
    assert await handoff.take() is None
    assert waiting_body.closed == 1
    assert refused_body.closed == 0  # still the bringer's
    with pytest.raises(Stopped):
        await handoff.put(instance())


def test_the_last_share_closes() -> None:
    body = Body()
    first = SharedDataSet(body)
    second = first.share()
    first.close()
    first.close()
    assert body.closed == 0
    assert bytes(second.view()) == b"1234"
    with pytest.raises(ValueError, match="closed"):
        first.share()
    second.close()
    assert body.closed == 1


class Time:
    """The time of the running loop: it stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now_s)

    async def move(self, seconds: float) -> None:
        """Bit by bit: what is due by then is done."""
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            for _ in range(3):
                await asyncio.sleep(0)

    async def jump(self, seconds: float) -> None:
        """At once, as for a process that did not get to run."""
        self.now_s += seconds
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Time]:
    with monkeypatch.context() as patch:
        yield Time(patch)


async def test_patience(time: Time) -> None:
    late: list[float] = []
    with InactivityTimer(SourceClock(5.0), lambda _: late.append(time.now_s)) as patience:
        with patience.held():
            await time.move(16.0)
        assert not late
        for _ in range(6):
            await time.move(4.0)
            patience.touch()
        assert not late
        await time.move(4.0)
        assert not late
        await time.move(2.0)
        assert len(late) == 1


async def test_patience_that_was_left(time: Time) -> None:
    late: list[float] = []
    with InactivityTimer(SourceClock(5.0), lambda _: late.append(time.now_s)):
        pass
    await time.move(60.0)
    assert not late


async def test_patience_of_a_process_that_did_not_run(time: Time) -> None:
    late: list[float] = []
    with InactivityTimer(SourceClock(5.0), lambda _: late.append(time.now_s)):
        for _ in range(5):
            await time.jump(60.0)
        assert not late
        await time.move(5.0)
    assert len(late) == 1


async def test_patience_with_a_source_that_serves_others_of_ours(time: Time) -> None:
    """It is only our turn later; but not for ever."""
    late: list[float] = []
    conversations, mine, other = OpenConversations(), SourceClock(5.0), SourceClock(5.0)
    mine.join(conversations)
    other.join(conversations)
    with InactivityTimer(mine, lambda _: late.append(time.now_s)) as patience:
        for _ in range(5):
            await time.move(4.0)
            other.answered()
        assert not late
        with other.stopped():  # it waits for us
            await time.move(8.0)
        assert not late
        patience.touch()
        for _ in range(8):
            await time.move(4.0)
            other.answered()
        assert len(late) == 1


async def test_patience_with_a_source_that_served_others_of_ours(time: Time) -> None:
    late: list[float] = []
    conversations, mine, other = OpenConversations(), SourceClock(5.0), SourceClock(5.0)
    mine.join(conversations)
    other.join(conversations)
    other.answered()
    other.leave()
    with InactivityTimer(mine, lambda _: late.append(time.now_s)):
        await time.move(6.0)
    assert len(late) == 1

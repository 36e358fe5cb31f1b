"""Between sources and the one who sends on; and who holds a body; and how long somebody may be silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.dimse.memory import MemoryDataSet
from gateway.dimse.yields import EncodedInstance, Missing
from gateway.retrieve.basket import Basket, Stopped
from gateway.retrieve.patience import Patience
from gateway.retrieve.shared import Shared


class Body(MemoryDataSet):
    """Says how often it was closed."""

    def __init__(self) -> None:
        super().__init__(b"1234")
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def instance(body: Body | None = None) -> EncodedInstance:
    return EncodedInstance("1.2", "1.3", "1.2.840.10008.1.2", Shared(body or Body()))


async def test_in_order_and_bounded() -> None:
    basket = Basket(most=2)
    items = [instance() for _ in range(5)]

    async def bring() -> None:
        for item in items:
            await basket.bring(item)
        basket.tell_missing(("1.9",))
        basket.end()

    bringing = asyncio.create_task(bring())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not bringing.done()
    found = []
    while (item := await basket.take()) is not None:
        found.append(item)
    await bringing
    assert found == [*items, Missing(("1.9",))]


async def test_stopped_while_somebody_brings_and_somebody_waits() -> None:
    basket = Basket(most=1)
    waiting_body, refused_body = Body(), Body()
    await basket.bring(instance(waiting_body))
    bringing = asyncio.create_task(basket.bring(instance(refused_body)))
    await asyncio.sleep(0)

    basket.stop()

    with pytest.raises(Stopped):
        await bringing
    assert await basket.take() is None
    assert waiting_body.closed == 1
    assert refused_body.closed == 0  # still the bringer's
    with pytest.raises(Stopped):
        await basket.bring(instance())


def test_the_last_share_closes() -> None:
    body = Body()
    first = Shared(body)
    second = first.share()
    first.close()
    first.close()
    assert body.closed == 0
    assert bytes(second.view()) == b"1234"
    with pytest.raises(ValueError, match="closed"):
        first.share()
    second.close()
    assert body.closed == 1


class Clock:
    """The time of the running loop: it stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now_s)

    async def move(self, seconds: float) -> None:
        """What is due by then is done."""
        self.now_s += seconds
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clock]:
    with monkeypatch.context() as patch:
        yield Clock(patch)


async def test_patience(clock: Clock) -> None:
    late: list[float] = []
    with Patience(5.0, lambda: late.append(clock.now_s)) as patience:
        with patience.held():
            for _ in range(4):
                await clock.move(4.0)
        assert not late
        for _ in range(6):
            await clock.move(4.0)
            patience.touch()
        assert not late
        await clock.move(4.9)
        assert not late
        await clock.move(0.2)
        assert late == [clock.now_s]


async def test_patience_that_was_left(clock: Clock) -> None:
    late: list[float] = []
    with Patience(5.0, lambda: late.append(clock.now_s)):
        pass
    await clock.move(60.0)
    assert not late

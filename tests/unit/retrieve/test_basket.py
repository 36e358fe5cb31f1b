"""Between sources and the one who sends on; and who holds a body; and how long somebody may be silent."""

from __future__ import annotations

import asyncio

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


async def test_patience() -> None:
    late = asyncio.Event()
    with Patience(0.05, late.set) as patience:
        with patience.held():
            await asyncio.sleep(0.12)
        assert not late.is_set()
        for _ in range(6):
            await asyncio.sleep(0.02)
            patience.touch()
        assert not late.is_set()
        async with asyncio.timeout(2):
            await late.wait()


async def test_patience_that_was_left() -> None:
    late = asyncio.Event()
    with Patience(0.02, late.set):
        pass
    await asyncio.sleep(0.06)
    assert not late.is_set()

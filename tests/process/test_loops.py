"""Rings of places that forward to each other: what goes round is held at last, and everything comes to rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.delivery import LOOP_RULE
from gateway.model.listener import Listener
from tests.support.caller import call, store, store_new
from tests.support.dimse.rig import serving
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import free_port, until

OBJECTS = 3


LIMIT = 5

EDITS: dict[str, list[Any]] = {
    "nothing": [],
    "other UIDs": [{"hash_uid": {"key": "ring"}}],
    "another size": [{"set": {"InstitutionName": "{{ InstitutionName }} x"}}],
}


def forwarding(
    folder: Path, ae_title: str, after: tuple[str, int], edits: Sequence[Any] = (), port: int = 0
) -> GatewayProcess:
    """A gateway that sends everything on to `after`, an AE title and a port."""
    rules = {
        "peers": {"next": {"ae_title": after[0], "address": f"127.0.0.1:{after[1]}"}},
        "routes": [{"name": "all", "to": ["next"], **({"then": list(edits)} if edits else {})}],
        "keys": {"ring": f"{ae_title} has a key that is long enough"},
        "unmatched": "reject",
    }
    settings = {"loops": {"returns": LIMIT, "repeats": LIMIT}}
    return GatewayProcess(folder, rules, settings=settings, port=port or free_port(), ae_title=ae_title)


@asynccontextmanager
async def router(
    port: int, ae_title: str, to: tuple[str, int], wait_for: Sequence[GatewayProcess]
) -> AsyncIterator[None]:
    """Other software that passes on what it gets, when `wait_for` have nothing under way: deliveries that are still
    owed absorb the same object, which would end a quick ring."""
    waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def take(event: Any) -> int:
        waiting.put_nowait((event.sop_instance_uid, bytes(event.body.view())))
        return 0x0000

    async def pass_on() -> None:
        while True:
            uid, data = await waiting.get()
            for gateway in wait_for:
                await gateway.idle()
            association = await call(to[1], calling=ae_title, called=to[0])
            await store(association, MemoryDataSet(data), uid)
            await association.release()

    async with serving(take, listener=Listener("main", port, "127.0.0.1")):
        task = asyncio.create_task(pass_on())
        try:
            yield
        finally:
            task.cancel()


async def comes_to_rest(first: GatewayProcess, ring: Sequence[GatewayProcess]) -> None:
    """`OBJECTS` are sent to `first`; each is held somewhere, with a reason, and goes round no more."""
    await send_to(first)
    await all_are_held(ring)
    received = await first.metric("gateway_received_instances_total")
    assert received == OBJECTS * (LIMIT + 2), "once from the sender, then from the ring"


async def send_to(first: GatewayProcess) -> None:
    association = await call(first.port, called=first.ae_title)
    for _ in range(OBJECTS):
        assert (await store_new(association)).status == 0x0000
    await association.release()


async def all_are_held(ring: Sequence[GatewayProcess]) -> None:
    async def are_held() -> bool:
        held = [await gateway.metric("gateway_queue_deliveries", state="held") for gateway in ring]
        return sum(held) == OBJECTS

    await until(are_held, 120.0, "every object held at one of the gateways")
    for gateway in ring:
        await gateway.idle()
    told = [line for gateway in ring for line in gateway.events() if line["event"] == "instance_loop_detected"]
    assert {line["rule"] for line in told} == {LOOP_RULE}
    assert sum([await gateway.metric("gateway_looping_instances_total") for gateway in ring]) == OBJECTS


@pytest.mark.parametrize("is_destination", [True, False], ids=["with the destination's title", "from a gateway"])
async def test_a_ring(running: AsyncExitStack, tmp_path: Path, is_destination: bool) -> None:
    port = free_port()
    first = await running.enter_async_context(forwarding(tmp_path / "first", "FIRST", ("ROUTER", port)))
    ring = [first]
    if is_destination:
        to, title = ("FIRST", first.port), "ROUTER"
    else:
        second = forwarding(tmp_path / "second", "SECOND", ("FIRST", first.port))
        ring.append(await running.enter_async_context(second))
        to, title = ("SECOND", second.port), "ELSE"
    await running.enter_async_context(router(port, title, to, ring))
    await comes_to_rest(first, ring)


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("size", [2, 4])
async def test_a_ring_of_gateways(running: AsyncExitStack, tmp_path: Path, size: int, edits: list[Any]) -> None:
    """One of them edits; it is held when it came through nine gateways. Without edits a ring may end sooner: what is
    still owed absorbs the same object from the same sender."""
    ports, titles = [free_port() for _ in range(size)], [f"G{number}" for number in range(size)]
    ring = []
    for number in range(size):
        after = (number + 1) % size
        to = (titles[after], ports[after])
        gateway = forwarding(tmp_path / titles[number], titles[number], to, [] if number else edits, ports[number])
        ring.append(await running.enter_async_context(gateway))
    await send_to(ring[0])

    async def numbers() -> list[float]:
        for gateway in ring:
            await gateway.idle()
        names = ("gateway_received_instances_total", "gateway_looping_instances_total")
        return [sum([await gateway.metric(name) for gateway in ring]) for name in names]

    async def rests() -> bool:
        return await numbers() == await numbers() == await numbers()

    await until(rests, 120.0, "nothing goes round any more")
    received, held = await numbers()
    assert received <= OBJECTS * 10, "once from the sender, then through nine gateways"
    if edits:
        assert (received, held) == (OBJECTS * 10, OBJECTS)

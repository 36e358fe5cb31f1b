"""The composition root in this process: a part that dies ends everything, and says so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.app.gateway import Gateway
from gateway.config import Loaded, load
from gateway.destinations.folder import Folder
from gateway.lifecycle.loading import Loading
from gateway.lifecycle.logs import describe
from gateway.lifecycle.signals import Stop
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.peer import Peer
from gateway.ports.errors import ConfigurationError
from tests.support.postgresql_server import shared_server

RULES = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 0, address: 127.0.0.1}]
  spool: {path: %(folder)s/spool, min_free: 1 MiB}
  queue: {sqlite: %(folder)s/queue.db}
  http: {address: "127.0.0.1:0"}
  admit: any
unmatched: hold
"""


def loaded(folder: Path) -> Loaded:
    path = folder / "site.yaml"
    path.write_text(RULES % {"folder": folder})
    return load(path, {})


def made(folder: Path) -> Gateway:
    found = loaded(folder)
    assert found.table is not None, found.problems
    return Gateway(found.table, Loading(lambda: loaded(folder)), asyncio.Event())


class Fault(Exception):
    pass


@pytest.mark.parametrize("part", ["journal", "delivery"])
async def test_a_part_that_dies_ends_everything_with_its_error(tmp_path: Path, part: str) -> None:
    gateway = made(tmp_path)

    def die(gateway: Gateway) -> None:
        failure = gateway.parts.storage.journal._state._failure if part == "journal" else gateway.parts.delivery._ended
        assert failure is not None
        failure.set_exception(Fault("no more"))

    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(60):
            await gateway.run(Stop(), die)
    assert raised.group_contains(Fault)
    assert gateway.parts.server.listeners == {}
    again, stop = made(tmp_path), Stop()  # the spool is free
    assert await again.run(stop, lambda _: stop.request("test"))


async def test_stop_before_it_is_ready_still_stops(tmp_path: Path) -> None:
    stop = Stop()
    stop.request("test")
    async with asyncio.timeout(60):
        assert await made(tmp_path).run(stop)


async def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    first, stop, ready = made(tmp_path), Stop(), asyncio.Event()
    running = asyncio.create_task(first.run(stop, lambda _: ready.set()))
    await ready.wait()
    with pytest.raises(ConfigurationError, match="another gateway uses it"):
        await made(tmp_path).run(Stop())
    assert first.not_ready() == []
    stop.request("test")
    assert await running


async def test_a_queue_belongs_to_one_gateway_whatever_its_spool(tmp_path: Path) -> None:
    first, stop, ready = made(tmp_path), Stop(), asyncio.Event()
    running = asyncio.create_task(first.run(stop, lambda _: ready.set()))
    await ready.wait()
    second = made(tmp_path)
    settings = replace(second.settings, spool=replace(second.settings.spool, path=str(tmp_path / "other")))
    other = Gateway(
        replace(second.parts.common.live.current, settings=settings), Loading(lambda: loaded(tmp_path)), asyncio.Event()
    )
    with pytest.raises(ConfigurationError, match=r"queue .*another gateway uses it"):
        async with asyncio.timeout(60):
            await other.run(Stop())
    stop.request("test")
    assert await running


def codes(gateway: Gateway) -> list[str]:
    return [line.partition(": ")[0] for line in gateway.not_ready()]


async def test_what_it_shows_at_each_stage(tmp_path: Path) -> None:
    gateway, stop = made(tmp_path), Stop()
    assert codes(gateway) == ["starting"]
    assert (await gateway.reload())["result"] == "refused"
    seen: list[object] = []

    def look(gateway: Gateway) -> None:
        seen.extend(gateway.not_ready())
        stop.request("test")

    await gateway.run(stop, look)
    assert seen == []
    assert codes(gateway) == ["draining"]
    assert (await gateway.reload())["problems"] == ["the gateway is stopping"]


NEVER_MADE = {
    "a folder with a bad path": Peer("bad", destination=Folder("{{ nothing", "/var/lib")),
    "a peer whose contexts are none": Peer(
        "bad",
        "BAD",
        "127.0.0.1",
        104,
        associate=AssociateKeywords(contexts=(ProposedContext("1.2", None),)),  # type: ignore[arg-type]
    ),
}


@pytest.mark.campaign
@pytest.mark.parametrize("changes", [False, True], ids=["added", "changed"])
@pytest.mark.parametrize("bad", NEVER_MADE.values(), ids=NEVER_MADE.keys())
async def test_a_destination_that_cannot_be_made_refuses_the_reload_whole(
    tmp_path: Path, bad: Peer, changes: bool
) -> None:
    found = loaded(tmp_path)
    assert found.table is not None
    good = Peer("bad", "GOOD", "127.0.0.1", 105)
    began = replace(found.table, peers={"bad": good} if changes else {})
    wanted = replace(found, table=replace(found.table, version="other", peers={"bad": bad}))
    gateway, stop, ready = Gateway(began, Loading(lambda: wanted), asyncio.Event()), Stop(), asyncio.Event()
    running = asyncio.create_task(gateway.run(stop, lambda _: ready.set()))
    await ready.wait()
    answer = await gateway.reload()
    assert answer["result"] == "refused"
    assert "bad" in str(answer["problems"])
    assert gateway.parts.common.live.current is began
    assert [row.destination for row in gateway.parts.delivery.status()] == list(began.peers)
    stop.request("test")
    assert await running


def test_errors_are_described_without_values() -> None:
    group = ExceptionGroup("x", [ValueError("Nobody^At^All"), ConfigurationError("port 104 is taken")])
    assert describe(group) == "ExceptionGroup: ValueError; ConfigurationError: port 104 is taken"


@pytest.mark.postgresql
async def test_a_node_works_on_its_destinations_until_it_ends_in_order(tmp_path: Path) -> None:
    found, url = loaded(tmp_path), shared_server().new_schema()
    assert found.table is not None
    settings = replace(found.table.settings, postgresql=url, node="north")
    peers = {"pacs": Peer("pacs", "PACS", "127.0.0.1", 104)}
    began = replace(found.table, version="rules-1", settings=settings, peers=peers)
    gateway, stop, ready = Gateway(began, Loading(lambda: found), asyncio.Event()), Stop(), asyncio.Event()
    running = asyncio.create_task(gateway.run(stop, lambda _: ready.set()))
    async with asyncio.timeout(60):
        await ready.wait()
        while not (pacs := [*gateway.parts.delivery.status()])[0].is_here:
            await asyncio.sleep(0.01)
        assert [(row.destination, row.node) for row in pacs] == [("pacs", "north")]
        while not gateway.parts.nodes_seen().nodes[0].leases:  # as they were seen before
            await asyncio.sleep(0.01)
        shown: Any = await gateway._surface.status()
        assert [(row["name"], row["state"], row["config"], row["destinations"]) for row in shown["nodes"]] == [
            ("north", "running", "rules-1", 1)
        ]
        metrics, _ = await gateway._surface.metrics_page()
        assert b"\ngateway_nodes 1.0\n" in metrics
        assert b'\ngateway_destination_here{destination="pacs"} 1.0\n' in metrics
        stop.request("test")
        assert await running
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM node").fetchone() == (0,)
        assert connection.execute("SELECT destination, until FROM destination_lease").fetchall() == [("pacs", 0)]

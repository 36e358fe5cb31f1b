"""The worker's end of the link: what it does for each order, and when its supervisor is gone."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.lifecycle.reload import ReloadReport
from gateway.lifecycle.signals import Stop
from gateway.lifecycle.supervisor_link import (
    SUPERVISOR_GONE,
    VARIABLE,
    SupervisorLink,
    WorkerPlace,
    line_of,
    taken_from,
)
from tests.support.processes import GUARD_S, until

REPORT = ReloadReport(1, datetime(2026, 1, 2, tzinfo=UTC), True, "2")


class SupervisorsEnd:
    """The other end, in the test's hand."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._link.settimeout(GUARD_S)
        self._file = link.makefile("rb")

    def order(self, message: Mapping[str, Any]) -> None:
        self._link.sendall(line_of(message))

    async def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await asyncio.to_thread(self._file.readline))
        return found

    def send(self, part: bytes) -> None:
        self._link.sendall(part)

    def close(self) -> None:
        self._file.close()
        self._link.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[SupervisorLink, SupervisorsEnd, Stop]]:
    ours, its = socket.socketpair()
    stop, end = Stop(), SupervisorsEnd(ours)
    try:
        async with SupervisorLink(its.detach(), stop) as link:
            yield link, end, stop
    finally:
        end.close()


def test_the_place_is_in_the_environment_and_taken_out_of_it() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    environ = {VARIABLE: WorkerPlace(3, reading).as_text(), "OTHER": "1"}
    assert taken_from(environ) == WorkerPlace(3, reading)
    assert environ == {"OTHER": "1"}
    assert not os.get_inheritable(reading)
    assert taken_from(environ) is None
    os.close(reading)
    os.close(writing)


async def test_orders_to_end_are_no_second_signals() -> None:
    async with linked() as (_, end, stop):
        stop.request("SIGTERM")  # from the service manager, which sends it to all
        end.order({"order": "drain"})
        end.order({"order": "drain"})
        end.order({"order": "unknown to this version"})
        end.order({"order": "force"})
        await stop.forced.wait()
        assert stop.requested.is_set()


async def test_draining_is_not_aborting() -> None:
    async with linked() as (link, end, stop):
        end.order({"order": "drain"})
        end.order({"order": "drain"})
        await stop.requested.wait()
        result = asyncio.create_task(link.reload_all())
        assert await end.told() == {"event": "reload_wanted"}
        end.order({"reloaded": {"result": "applied"}})  # both orders were read before
        await result
        assert not stop.forced.is_set()


@pytest.mark.parametrize("begun", [b"", b'{"order": "reload", "num', b"no JSON\n"], ids=["whole", "cut off", "other"])
async def test_it_drains_with_its_supervisor(begun: bytes) -> None:
    async with linked() as (link, end, stop):
        result = asyncio.create_task(link.reload_all())
        await end.told()
        end.send(begun)
        end.close()
        await stop.requested.wait()
        assert await result == SUPERVISOR_GONE
        assert await link.reload_all() == SUPERVISOR_GONE
        assert not stop.forced.is_set()


async def test_it_says_that_it_serves_and_answers_each_order_to_reload_also_those_of_before() -> None:
    async with linked() as (link, end, _):
        end.order({"order": "reload", "number": 7})
        end.order({"order": "reload", "number": 9})
        reloads = 0

        async def reload() -> ReloadReport:
            nonlocal reloads
            reloads += 1
            return REPORT

        serving = asyncio.create_task(link.serve_reloads(reload))
        assert await end.told() == {"event": "serving"}
        for number in (7, 9):
            assert await end.told() == {"event": "reloaded", "number": number, "result": REPORT.as_json()}
        assert reloads == 2
        serving.cancel()
        await asyncio.wait({serving})


async def test_results_of_all_are_told_in_the_order_in_which_they_were_wanted() -> None:
    async with linked() as (link, end, _):
        first, second, third = (asyncio.create_task(link.reload_all()) for _ in range(3))
        for _ in range(3):
            assert await end.told() == {"event": "reload_wanted"}
        second.cancel()  # its client is gone
        await until(second.done)
        for number in range(3):
            end.order({"reloaded": {"number": number}})
        assert [await first, await third] == [{"number": 0}, {"number": 2}]
        end.order({"reloaded": {"number": 3}})  # of a worker that had this number before
        end.order({"order": "drain"})

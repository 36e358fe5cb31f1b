"""Ports that others have, as the system says it."""

from __future__ import annotations

import pytest

from gateway.lifecycle.shared_ports import refuse_taken, refuse_taken_http
from gateway.model.listener import Listener
from gateway.model.settings import HTTP, Settings, Spool
from gateway.network.accepting import bind, close_all
from gateway.ports.errors import ConfigurationError
from tests.support.processes import free_port, free_ports


def settings(*ports: int) -> Settings:
    listeners = tuple(Listener(f"listener{port}", port, address="127.0.0.1") for port in ports)
    return Settings("GATEWAY", listeners, Spool("/spool"), "/queue.db")


@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "shared by others"])
async def test_a_port_of_others_is_refused_also_when_they_would_share_it(is_shared: bool) -> None:
    free, taken = free_port(), free_port()
    await refuse_taken(settings(free, taken))
    theirs = await bind("127.0.0.1", taken, is_shared=is_shared)
    try:
        with pytest.raises(
            ConfigurationError, match=rf"listener 'listener{taken}': cannot listen on 127.0.0.1:{taken}"
        ):
            await refuse_taken(settings(free, taken))
        await refuse_taken(settings(free, taken), {taken})
    finally:
        close_all(theirs)
    await refuse_taken(settings(free, taken))


async def test_workers_listen_side_by_side_and_a_gateway_that_is_alone_beside_nobody() -> None:
    port = free_port()
    first = await bind("127.0.0.1", port, is_shared=True)
    second = await bind("127.0.0.1", port, is_shared=True)
    with pytest.raises(OSError, match="in use"):
        await bind("127.0.0.1", port)
    close_all([*first, *second])
    alone = await bind("127.0.0.1", port)
    with pytest.raises(OSError, match="in use"):
        await bind("127.0.0.1", port, is_shared=True)
    close_all(alone)


@pytest.mark.parametrize("offset", [0, 3], ids=["the port of all", "that of the last worker"])
async def test_http_ports_are_looked_at_too(offset: int) -> None:
    first = free_ports(4)
    theirs = await bind("127.0.0.1", first + offset)
    try:
        with pytest.raises(ConfigurationError, match=rf"gateway.http: cannot listen on 127.0.0.1:{first + offset}"):
            await refuse_taken_http(HTTP("127.0.0.1", first), 3)
    finally:
        close_all(theirs)

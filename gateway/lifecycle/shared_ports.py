"""The ports that the workers of `gateway run --workers` listen on: nobody else has them when the first one starts.

The kernel lets every process of the same user join those that share a port. So the supervisor looks at a port before
any worker has it, as a gateway that is alone would: with a second gateway there, the kernel would spread associations
over both.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gateway.model.settings import HTTP, Settings
from gateway.network.accepting import bind, close_all
from gateway.ports.errors import ConfigurationError


def own_http(http: HTTP, worker: int) -> HTTP:
    """The HTTP listener of one worker alone."""
    return replace(http, port=http.port + worker)


def refuse_unshareable(settings: Settings, workers: int) -> None:
    """Raises ConfigurationError where the ports of listeners and HTTP cannot be those of `workers` processes."""
    for listener in settings.listeners:
        if listener.port == 0:
            raise ConfigurationError(
                f"listener {listener.name!r} has port 0, which would be another one in each worker; name a port"
            )
    if settings.http is None:
        return
    first, last = settings.http.port, settings.http.port + workers
    if first == 0 or last > 65535:
        raise ConfigurationError(
            f"gateway.http: each of {workers} workers has a port of its own after the port of `address`, {first}: name "
            f"one from 1 to {65535 - workers}"
        )
    for listener in settings.listeners:
        if first <= listener.port <= last:
            raise ConfigurationError(
                f"gateway.http: its port {first} and those of {workers} workers after it, up to {last}, have the port "
                f"{listener.port} of listener {listener.name!r} among them; choose another"
            )


async def refuse_taken(settings: Settings, ours: Collection[int] = ()) -> None:
    """Raises ConfigurationError where a listener cannot be opened alone; ports of `ours` are not looked at."""
    for listener in settings.listeners:
        if listener.port not in ours:
            await _try(f"listener {listener.name!r}", listener.address, listener.port)


async def refuse_taken_http(http: HTTP, workers: int) -> None:
    """Raises ConfigurationError where the HTTP listener of all workers, or that of one, cannot be opened."""
    for port in range(http.port, http.port + workers + 1):
        await _try("gateway.http", http.address, port)


async def _try(what: str, address: str, port: int) -> None:
    try:
        close_all(await bind(address, port))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"{what}: cannot listen on {address}:{port}: {reason}; choose another") from error

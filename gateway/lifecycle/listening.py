"""The listeners at a reload: those to open and to close, changed so that a failure changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from gateway.common.ip_network import ANY_ADDRESS
from gateway.dimse.protocol.tls import server_context
from gateway.model.listener import Listener
from gateway.ports.errors import ConfigurationError

log = structlog.get_logger()

AGAIN_S = 1.0
"""Interval between two tries to open a listener that is down."""


class ListenerHost(Protocol):
    """The interface that opens and closes listeners (`gateway.dimse.server.Server`)."""

    @property
    def listeners(self) -> Mapping[str, Listener]: ...

    async def listen(self, listener: Listener) -> int:
        """Open it; the bound port. Raises ConfigurationError."""
        ...

    async def close(self, name: str) -> None:
        """Close it; its associations go on."""
        ...


@dataclass(frozen=True, slots=True)
class ListenerChange:
    """The difference between the listeners in force and those wanted."""

    opened: tuple[Listener, ...]
    """New, on ports that are free."""
    replaced: tuple[tuple[tuple[Listener, ...], Listener], ...]
    """(old ones, new one): the old ones must close before the new one can open (same name or same port)."""
    closed: tuple[Listener, ...]
    """Listeners that are closed, and whose addresses no other listener needs."""


def changes(
    current: Iterable[Listener], wanted: Iterable[Listener], renewed: frozenset[str] = frozenset()
) -> ListenerChange:
    """Compare; `renewed` names listeners whose certificates changed on disk, which are opened again."""
    current, wanted = tuple(current), tuple(wanted)
    kept = {listener for listener in wanted if listener in current and listener.name not in renewed}
    leaving = [listener for listener in current if listener not in kept]
    opened: list[Listener] = []
    replaced: list[tuple[tuple[Listener, ...], Listener]] = []
    for listener in wanted:
        if listener in kept:
            continue
        rivals = tuple(old for old in current if old not in kept and _collide(old, listener))
        in_the_way = tuple(old for old in rivals if old in leaving)
        leaving = [old for old in leaving if old not in in_the_way]
        if rivals:  # also when an earlier replacement closes them: this one opens after it
            replaced.append((in_the_way, listener))
        else:
            opened.append(listener)
    return ListenerChange(tuple(opened), tuple(replaced), tuple(leaving))


def check_tls(listener: Listener) -> None:
    """Raises ConfigurationError when the TLS files of a listener cannot be used."""
    if listener.tls is not None:
        server_context(listener.tls)


class Listening:
    """Keeps an acceptor's listeners as the configuration wants them."""

    def __init__(self, acceptor: ListenerHost, check: Callable[[Listener], None] = check_tls) -> None:
        self._acceptor = acceptor
        self._check = check
        self._certificates: dict[str, tuple[object, ...]] = {}
        self._down: dict[str, tuple[Listener, str]] = {}
        self._is_preparing = False
        self.ports: dict[str, int] = {}
        """Bound ports by listener; of interest where the configuration says 0."""

    async def start(self, wanted: Iterable[Listener]) -> None:
        """Open all. Raises ConfigurationError."""
        for listener in wanted:
            await self._open(listener)

    def compare(self, wanted: Iterable[Listener]) -> ListenerChange:
        """The changes that `prepare` and `retire` would make."""
        current = self._acceptor.listeners
        renewed = frozenset(name for name, seen in self._certificates.items() if _certificates(current[name]) != seen)
        return changes(current.values(), wanted, renewed)

    async def prepare(self, change: ListenerChange) -> None:
        """Open what is new. Raises ConfigurationError, and then everything listens as before; a listener that cannot
        be opened again is `down`, and tried until it can."""
        self._is_preparing = True
        try:
            await self._prepare(change)
        finally:
            self._is_preparing = False

    async def _prepare(self, change: ListenerChange) -> None:
        for _, listener in change.replaced:
            self._check(listener)  # before the old one closes: it might not open again with the same files
        opened: list[Listener] = []
        closed: list[Listener] = []
        try:
            for listener in change.opened:
                await self._open(listener)
                opened.append(listener)
            for old_ones, listener in change.replaced:
                for old in old_ones:
                    await self._close(old)
                    closed.append(old)
                await self._open(listener)
                opened.append(listener)
        except Exception:  # a fault of ours too must leave what was there
            for listener in opened:
                await self._close(listener)
            for listener in closed:
                await self._open_again(listener)
            raise

    async def retire(self, change: ListenerChange) -> None:
        """Close what is gone; associations that came over it go on."""
        self._down.clear()  # what the rules want was opened, or is not wanted any more
        for listener in change.closed:
            await self._close(listener)

    @property
    def down(self) -> dict[str, str]:
        """Listener → why it is not open though the rules in force have it."""
        return {name: reason for name, (_, reason) in self._down.items()}

    async def keep_open(self) -> None:
        """Try those that are down again and again, until cancelled."""
        while True:
            await asyncio.sleep(AGAIN_S)
            for listener, _ in list(self._down.values()):
                if not self._is_preparing:
                    await self._open_again(listener)

    async def _open_again(self, listener: Listener) -> None:
        """Open a listener again that was open. Where that fails it is down, and tried again later."""
        before = self._down.get(listener.name)
        try:
            await self._open(listener)
        except ConfigurationError as error:
            self._down[listener.name] = (listener, str(error))
            if before is None:
                log.error("listener_failed", listener=listener.name, reason=str(error))

    async def _open(self, listener: Listener) -> None:
        certificates = _certificates(listener)  # before: a file that changes meanwhile is seen at the next reload
        self.ports[listener.name] = await self._acceptor.listen(listener)
        self._certificates[listener.name] = certificates
        self._down.pop(listener.name, None)

    async def _close(self, listener: Listener) -> None:
        await self._acceptor.close(listener.name)
        del self._certificates[listener.name], self.ports[listener.name]


def _collide(one: Listener, other: Listener) -> bool:
    """True when both cannot be open at once."""
    if one.name == other.name:
        return True
    if one.port != other.port or one.port == 0:
        return False
    return one.address == other.address or bool(ANY_ADDRESS & {one.address, other.address})


def _certificates(listener: Listener) -> tuple[object, ...]:
    """The identity of the files of a listener's TLS settings; it changes when they are renewed."""
    if listener.tls is None:
        return ()
    return tuple(_file_identity(Path(name)) for name in listener.tls.files)


def _file_identity(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size

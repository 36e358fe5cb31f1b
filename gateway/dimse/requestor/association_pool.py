"""Associations that are kept for a while: whoever comes next to the same peer with the same needs gets one at once."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.dimse.protocol.proposal import MOST_CONTEXTS
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown
from gateway.ports.meter import Meter, NoMeter

MOST_REMEMBERED = 500
"""Peers, each under each pair of AE titles, whose contexts are remembered: titles may be those of any requestor."""
CLOSE_S = 2.0
IDLE_S = 10.0
"""How long an association is kept that nobody needs: peers have few of them to give."""

SOON_S = 0.5
"""Whoever waits longer for an association is made room for: the peer may serve few at a time, and let others wait."""

ROOM_AFTER_S = (0.05, 0.25)
"""Peers that count their associations see a little later that one has ended."""

TLSOverride = tuple[ssl.SSLContext, str | None]
Make = Callable[..., RequestorAssociation]
"""Makes an association before it is opened, as `RequestorAssociation` itself does; it can be hashed and compared."""
_Key = tuple[Peer, TLSOverride | None, Make | None]


@dataclass(slots=True)
class _Idle:
    association: RequestorAssociation
    expiry: asyncio.TimerHandle


@dataclass(slots=True, eq=False)
class _Waiting:
    """Who opens an association, and takes one that comes back meanwhile."""

    key: _Key
    contexts: Sequence[ProposedContext]
    found: asyncio.Future[RequestorAssociation]
    is_long: bool = False

    def is_at(self, key: _Key) -> bool:
        """True for the same peer, however it is associated with."""
        return (self.key[0].host, self.key[0].port) == (key[0].host, key[0].port)


class AssociationPool:
    """Lends associations; each is used by one borrower at a time.

    Args:
        own_ae_title: calling AE title, unless a peer's settings name another.
        meter: where associations are counted.
        idle_s: how long an association is kept.
        associate: `gateway.dimse.requestor.requestor_association.associate`.
    """

    def __init__(
        self,
        own_ae_title: str,
        meter: Meter | None = None,
        *,
        idle_s: float = IDLE_S,
        associate: Callable[..., Coroutine[Any, Any, RequestorAssociation]] = associate,
    ) -> None:
        self.own_ae_title = own_ae_title
        self._meter = meter if meter is not None else NoMeter()
        self._idle_s = idle_s
        self._associate = associate
        self._idle: dict[_Key, list[_Idle]] = {}
        self._recent: OrderedDict[_Key, OrderedDict[ProposedContext, None]] = OrderedDict()
        self._borrowed: dict[RequestorAssociation, _Key] = {}
        self._waiting: list[_Waiting] = []
        self._lenders: set[Callable[[], None]] = set()
        self._releasing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def take(
        self,
        peer: Peer,
        contexts: Sequence[ProposedContext],
        tls: TLSOverride | None = None,
        *,
        made: Make | None = None,
        is_further: bool = False,
    ) -> RequestorAssociation:
        """An open association on which all of `contexts` were proposed; give it back, whatever becomes of it.

        A new one also proposes what was asked of this peer lately, as far as there is room, unless the peer's settings
        list contexts. One that somebody gives back while it is being opened is as good: many peers serve one
        association at a time and let others wait.

        Args:
            made: makes a kind of association of its own; only who asks for an equal one gets it.
            is_further: the borrower has others of this peer and goes on without this one: nobody makes room for it.

        Raises:
            DestinationDown, DestinationRefuses, ConfigurationError, ValueError: as `associate`.
        """
        key = (peer, tls, made)
        kept = self._idle.get(key, [])
        for place in reversed(range(len(kept))):
            idle = kept[place]
            if idle.association.is_open and idle.association.has_proposed(contexts):
                del kept[place]
                idle.expiry.cancel()
                self._borrowed[idle.association] = key
                return idle.association
        for idle in self._idle.pop(key, []):  # what takes their place can do all that they can; some peers serve one
            idle.expiry.cancel()
            self._release(idle.association)
        waiting = _Waiting(key, contexts, asyncio.get_running_loop().create_future())
        if not is_further:
            self._waiting.append(waiting)
        opening = asyncio.create_task(self._open(waiting))
        try:
            await asyncio.wait({waiting.found}, timeout=SOON_S)
            if not is_further and not waiting.found.done():
                waiting.is_long = True
                self._release_idle(waiting)
                for lend_idle in tuple(self._lenders):
                    lend_idle()
            return await waiting.found
        except asyncio.CancelledError:
            if not waiting.found.cancel() and not waiting.found.cancelled() and waiting.found.exception() is None:
                self.give(waiting.found.result())
            raise
        finally:
            if not is_further:
                self._waiting.remove(waiting)
            self._end(opening)

    def lends(self, lend_idle: Callable[[], None], *, begins: bool) -> None:
        """`lend_idle` is called when somebody waits long, to give back what is `is_wanted` and not in use."""
        self._lenders.add(lend_idle) if begins else self._lenders.discard(lend_idle)

    async def _open(self, waiting: _Waiting) -> None:
        while True:
            try:
                association = await self._opened(waiting)
                break
            except Exception as error:
                if isinstance(error, DestinationDown) and self._is_busy_with_us(waiting):
                    await asyncio.sleep(SOON_S)
                    continue
                if not waiting.found.done():
                    waiting.found.set_exception(error)
                return
        if waiting.found.done():
            self._pass_on(waiting.key, association)
        else:
            self._hand_to(waiting, association)

    async def _opened(self, waiting: _Waiting) -> RequestorAssociation:
        """A new one; tried again when the peer took none, but had one that nobody needs. Raises as `take`."""
        peer, tls, made = waiting.key
        are_given = bool(peer.associate.contexts)
        contexts = waiting.contexts if are_given else self._remember(waiting.key, waiting.contexts)
        more: dict[str, Any] = {"own_ae_title": self.own_ae_title, "contexts": contexts}
        more |= {"meter": self._meter, "tls": tls}
        if made is not None:
            more["made"] = made
        try:
            return await self._associate(peer, **more)
        except DestinationDown:
            released = self._release_idle(waiting)
            if not released:
                raise
        await asyncio.wait(released, timeout=CLOSE_S)
        for pause_s in ROOM_AFTER_S:
            with contextlib.suppress(DestinationDown):
                return await self._associate(peer, **more)
            await asyncio.sleep(pause_s)
        return await self._associate(peer, **more)

    def _is_busy_with_us(self, waiting: _Waiting) -> bool:
        """The peer takes no further association, but serves others of ours, who lend theirs."""
        if waiting not in self._waiting:
            return False
        return any(key == waiting.key and association.is_open for association, key in self._borrowed.items())

    def is_wanted(self, association: RequestorAssociation) -> bool:
        """True when others have been waiting for one to this peer: give it back, and take one again."""
        key = self._borrowed.get(association)
        return key is not None and any(each.is_long and each.is_at(key) for each in self._waiting)

    def give(self, association: RequestorAssociation) -> None:
        """The borrower is done: an association that is idle is kept, one in the middle of something is aborted."""
        key = self._taken_back(association)
        if key is not None:
            self._pass_on(key, association)

    def _pass_on(self, key: _Key, association: RequestorAssociation) -> None:
        """To whoever waits for such a one, the longest first; else it is kept, unless that keeps others waiting."""
        waiting = [each for each in self._waiting if each.is_at(key) and not each.found.done()]
        heirs = (each for each in waiting if each.key == key and association.has_proposed(each.contexts))
        heir = next(heirs, None)
        if heir is not None:
            self._hand_to(heir, association)
            return
        if self._is_closed or any(each.is_long for each in waiting):
            self._release(association)
            return
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(self._idle_s, self._expired, key, association)
        self._idle.setdefault(key, []).append(_Idle(association, expiry))

    def _hand_to(self, waiting: _Waiting, association: RequestorAssociation) -> None:
        self._borrowed[association] = waiting.key
        waiting.found.set_result(association)

    def drop(self, association: RequestorAssociation) -> None:
        """The borrower is done, and needs another one instead: it is released at once."""
        if self._taken_back(association) is not None:
            self._release(association)

    def _taken_back(self, association: RequestorAssociation) -> _Key | None:
        """Its place when it can still be used; one in the middle of something is aborted."""
        key = self._borrowed.pop(association, None)
        if key is None or not association.is_open:
            return None
        if association.is_busy:
            association.abort("given back in the middle of a request")
            return None
        return key

    async def close(self) -> None:
        """Release what is idle; what is lent is released when it comes back."""
        self._is_closed = True
        kept, self._idle = self._idle, {}
        for idle in (idle for entries in kept.values() for idle in entries):
            idle.expiry.cancel()
            self._release(idle.association)
        if self._releasing:
            await asyncio.wait(set(self._releasing), timeout=CLOSE_S)
        for task in list(self._releasing):
            task.cancel()

    def _remember(self, key: _Key, contexts: Sequence[ProposedContext]) -> list[ProposedContext]:
        """Those needed first, then the newest of those used lately."""
        recent = self._recent.setdefault(key, OrderedDict())
        self._recent.move_to_end(key)
        while len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)
        for context in contexts:
            recent[context] = None
            recent.move_to_end(context)
        while len(recent) > MOST_CONTEXTS:
            recent.popitem(last=False)
        return list(dict.fromkeys((*contexts, *reversed(recent))))[:MOST_CONTEXTS]

    def _expired(self, key: _Key, association: RequestorAssociation) -> None:
        kept = self._idle.get(key, [])
        kept[:] = [idle for idle in kept if idle.association is not association]
        if not kept:
            self._idle.pop(key, None)
        self._release(association)

    def _release_idle(self, waiting: _Waiting) -> list[asyncio.Task[None]]:
        """What nobody needs of the peer's associations; the tasks that release them."""
        found = [idle for key, kept in self._idle.items() if waiting.is_at(key) for idle in kept]
        self._idle = {key: kept for key, kept in self._idle.items() if not waiting.is_at(key)}
        for idle in found:
            idle.expiry.cancel()
        return [self._release(idle.association) for idle in found]

    def _release(self, association: RequestorAssociation) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(_released(association))
        self._keep(task)
        return task

    def _end(self, opening: asyncio.Task[None]) -> None:
        """Nobody needs what is being opened."""
        if not opening.done():
            opening.cancel()
            self._keep(opening)

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Until it has ended."""
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)


async def _released(association: RequestorAssociation) -> None:
    try:
        await association.release()
    finally:
        association.close_now()

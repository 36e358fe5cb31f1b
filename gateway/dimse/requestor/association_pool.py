"""The associations that the gateway asks for: one pool for deliveries, C-FIND to sources, and sub-operations.

An association that its user releases is kept for a while for the next one with the same needs. Many peers serve one
association at a time. They turn the next one away, or let it wait. So users of the same peer share by three rules:

1. A user who has waited `SOON_S` is made room for: what is idle is ended, and a user who holds an association is asked
   to release it after its request (`is_awaited`). So each has it for a while, and not for one object.
2. Who released an association for another one asks again behind it.
3. A user who is turned away while others of ours are served, or about to be, tries again until it is served: without
   limit where they associate with the peer in the same way, else for as long as an answer to a request may take. It
   gives up when those that were about to be served were turned away as well (`WaitingUser.may_hope`).

An association is handed only to a user of the same kind that asks for the same peer with the same settings (AE titles
and every other keyword included), on which all contexts that it needs were proposed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.dimse.requestor.connecting import TLSOverride
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.dimse.requestor.waiting_user import Key, Make, Use, WaitingUser
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown
from gateway.ports.meter import Meter, NoMeter
from gateway.sending.contexts import RecentContexts

MOST_REMEMBERED = 500
"""Peers, each under each pair of AE titles, whose contexts are remembered: titles may be those of any requestor."""
CLOSE_S = 2.0
IDLE_S = 10.0
"""The time that an association without a user is kept: peers have few of them to give."""

SOON_S = 0.5
"""A user who waits longer for an association is made room for: the peer may serve few, and let others wait."""


@dataclass(slots=True)
class _Idle:
    association: RequestorAssociation
    expiry: asyncio.TimerHandle


class AssociationPool:
    """Lends associations; each has one user at a time.

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
        self._idle: dict[Key, list[_Idle]] = {}
        self._recent: OrderedDict[Key, RecentContexts] = OrderedDict()
        self._in_use: dict[RequestorAssociation, Key] = {}
        self._waiting: list[WaitingUser] = []
        self._idle_holders: set[Callable[[], None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    # --- for users ------------------------------------------------------------------------------------------------

    async def acquire(
        self,
        peer: Peer,
        contexts: Sequence[ProposedContext],
        tls: TLSOverride | None = None,
        *,
        use: Use = "query",
        made: Make | None = None,
        is_further: bool = False,
        is_exact: bool = False,
    ) -> RequestorAssociation:
        """An open association on which all of `contexts` were proposed; `release` or `discard` it afterwards.

        A new one also proposes the contexts that were needed of this peer lately, as far as there is room, unless the
        peer's settings list contexts. One that is released while it is being opened is as good.

        Args:
            made: makes a kind of association of its own; only a user that asks for an equal one gets it.
            is_further: the user has others of this peer and goes on without this one: no room is made for it.
            is_exact: a new one proposes `contexts` alone.

        Raises:
            DestinationDown, DestinationRefuses, ConfigurationError, ValueError: as `associate`.
        """
        key = (use, peer, tls, made)
        found = self._kept(key, contexts)
        if found is None and self._served_first(key):
            await self._let_others_first(key)
            found = self._kept(key, contexts)
        if found is not None:
            return found
        for idle in self._idle.pop(key, []):  # what takes their place can do all that they can; some peers serve one
            idle.expiry.cancel()
            self._end(idle.association)
        loop = asyncio.get_running_loop()
        waiting = WaitingUser(key, contexts, is_exact, loop.time(), loop.create_future(), is_further)
        return await self._waited_for(waiting)

    def release(self, association: RequestorAssociation) -> None:
        """The user is done: an association is handed on, or kept idle; one in the middle of a request is aborted."""
        key = self._in_use.pop(association, None)
        if key is None or not association.is_open:
            return
        if association.is_busy:
            association.abort("released in the middle of a request")
            return
        self._hand_on(key, association)

    def discard(self, association: RequestorAssociation) -> asyncio.Task[None]:
        """The user is done, and no other one gets the association: it is ended. The task is done when it is gone."""
        if self._in_use.pop(association, None) is not None and association.is_open and association.is_busy:
            association.abort("discarded in the middle of a request")
        return self._end(association)

    def is_awaited(self, association: RequestorAssociation) -> bool:
        """True when another user has waited long for one to this peer: release it after the request, and ask again."""
        if not self._waiting:
            return False
        key = self._in_use.get(association)
        return key is not None and any(each.is_long and not each.has_room for each in self._waiting_at(key))

    def add_idle_holder(self, release_idle: Callable[[], None]) -> None:
        """`release_idle` is called when a user waits long: it releases what is awaited and has no request."""
        self._idle_holders.add(release_idle)

    def remove_idle_holder(self, release_idle: Callable[[], None]) -> None:
        """Undo `add_idle_holder`."""
        self._idle_holders.discard(release_idle)

    def recent_contexts(self, use: Use, peer: Peer) -> RecentContexts:
        """The contexts that users of this kind needed of the peer lately: for one whose request is `is_exact`."""
        return self._recent_at((use, peer, None, None))

    async def close(self) -> None:
        """End what is idle; what is in use is ended when it is released."""
        self._is_closed = True
        kept, self._idle = self._idle, {}
        for idle in (idle for entries in kept.values() for idle in entries):
            idle.expiry.cancel()
            self._end(idle.association)
        if self._ending:
            await asyncio.wait(set(self._ending), timeout=CLOSE_S)
        for task in list(self._ending):
            task.cancel()

    # --- what is kept ---------------------------------------------------------------------------------------------

    def _kept(self, key: Key, contexts: Sequence[ProposedContext]) -> RequestorAssociation | None:
        """The one released last that will do, in use from now on."""
        kept = self._idle.get(key, [])
        for place in reversed(range(len(kept))):
            idle = kept[place]
            if idle.association.is_open and idle.association.has_proposed(contexts):
                del kept[place]
                idle.expiry.cancel()
                self._in_use[idle.association] = key
                return idle.association
        return None

    def _hand_on(self, key: Key, association: RequestorAssociation) -> None:
        """Hand it to the user that has waited longest for such a one; else keep it, if that keeps no others waiting."""
        waiting = self._waiting_at(key)
        for each in waiting:
            if each.key == key and association.has_proposed(each.contexts):
                self._hand_to(each, association)
                return
        long = next((each for each in waiting if each.is_long and not each.has_room), None)
        if long is not None:
            long.give_room()
        if self._is_closed or any(each.is_long for each in waiting):
            self._end(association)
            return
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(self._idle_s, self._expired, key, association)
        self._idle.setdefault(key, []).append(_Idle(association, expiry))

    def _hand_to(self, waiting: WaitingUser, association: RequestorAssociation) -> None:
        self._in_use[association] = waiting.key
        waiting.found.set_result(association)

    def _expired(self, key: Key, association: RequestorAssociation) -> None:
        kept = self._idle.get(key, [])
        kept[:] = [idle for idle in kept if idle.association is not association]
        if not kept:
            self._idle.pop(key, None)
        self._end(association)

    # --- users that wait ------------------------------------------------------------------------------------------

    def _waiting_at(self, key: Key) -> list[WaitingUser]:
        """The users that wait for an association to the peer, in any way; the one that came first stands first. Users
        that go on without one are left out."""
        return [each for each in self._waiting if each.is_at(key) and not each.is_further and not each.found.done()]

    def _served_first(self, key: Key) -> WaitingUser | None:
        """A user that an association was ended for and that has none yet."""
        return next((each for each in self._waiting_at(key) if each.has_room), None)

    async def _let_others_first(self, key: Key) -> None:
        while (first := self._served_first(key)) is not None:
            await asyncio.wait({first.found})

    def _make_room(self, waiting: WaitingUser) -> None:
        """End what is idle at the peer, and ask the users that hold an association without a request."""
        waiting.is_long = True
        if self._end_idle(waiting):
            waiting.give_room()
        for release_idle in tuple(self._idle_holders):
            release_idle()

    def _end_idle(self, waiting: WaitingUser) -> list[asyncio.Task[None]]:
        """End the peer's associations that have no user; the tasks that do so."""
        found = [idle for key, kept in self._idle.items() if waiting.is_at(key) for idle in kept]
        self._idle = {key: kept for key, kept in self._idle.items() if not waiting.is_at(key)}
        for idle in found:
            idle.expiry.cancel()
        return [self._end(idle.association) for idle in found]

    # --- opening --------------------------------------------------------------------------------------------------

    async def _waited_for(self, waiting: WaitingUser) -> RequestorAssociation:
        """The association that is opened for this user, or one that is released meanwhile. Raises as `acquire`."""
        self._waiting.append(waiting)
        opening = asyncio.create_task(self._open(waiting))
        try:
            await asyncio.wait({waiting.found}, timeout=SOON_S)
            if not waiting.is_further and not waiting.found.done():
                self._make_room(waiting)
            return await waiting.found
        except asyncio.CancelledError:
            if not waiting.found.cancel() and not waiting.found.cancelled() and waiting.found.exception() is None:
                self.release(waiting.found.result())
            raise
        finally:
            self._waiting.remove(waiting)
            self._stop_opening(opening)

    async def _open(self, waiting: WaitingUser) -> None:
        """Open one for the user, and hand it on when the user has another by now; an error is the user's to raise."""
        try:
            association = await self._opened_at_last(waiting)
        except Exception as error:
            if not waiting.found.done():
                waiting.found.set_exception(error)
            return
        if waiting.found.done():
            self._hand_on(waiting.key, association)
        else:
            self._hand_to(waiting, association)

    async def _opened_at_last(self, waiting: WaitingUser) -> RequestorAssociation:
        """Try, and again while it is worth it."""
        while True:
            waiting.is_trying = True
            try:
                return await self._opened(waiting)
            except DestinationDown as error:
                waiting.times_turned_away += 1
                pause_s = self._pause_before_next(waiting, error)
                if pause_s is None:
                    raise
            finally:
                waiting.is_trying = False
            await asyncio.sleep(pause_s)

    async def _opened(self, waiting: WaitingUser) -> RequestorAssociation:
        """A new one. Raises as `acquire`."""
        _, peer, tls, made = waiting.key
        is_given = waiting.is_exact or bool(peer.associate.contexts)
        contexts = waiting.contexts if is_given else self._recent_at(waiting.key).proposal(waiting.contexts)
        more: dict[str, Any] = {"own_ae_title": self.own_ae_title, "contexts": contexts}
        more |= {"meter": self._meter, "tls": tls}
        if made is not None:
            more["made"] = made
        try:
            return await self._associate(peer, **more)
        except DestinationDown:
            ending = self._end_idle(waiting)
            if not ending:
                raise
        waiting.give_room()
        await asyncio.wait(ending, timeout=CLOSE_S)
        return await self._associate(peer, **more)

    def _pause_before_next(self, waiting: WaitingUser, error: DestinationDown) -> float | None:
        """The pause in seconds before another try of a user that was turned away; None when it is in vain."""
        if waiting.has_room and waiting.pauses_s:
            return waiting.pauses_s.pop(0)
        if not self._is_busy_with_us(waiting, error):
            return None
        waiting.has_room = False
        if waiting.is_long:
            self._make_room(waiting)
        return waiting.pauses_s.pop(0) if waiting.has_room else SOON_S

    def _is_busy_with_us(self, waiting: WaitingUser, error: DestinationDown) -> bool:
        """The peer takes no further association, but serves others of ours, or is about to."""
        if waiting.is_further or waiting not in self._waiting:
            return False
        served = [key for association, key in self._in_use.items() if association.is_open and waiting.is_at(key)]
        if waiting.key in served:
            return True
        is_turned_away = error.failure is None or error.failure.step in ("connect", "rejected", "ended")
        limit_s = waiting.since_s + waiting.key[1].timers.association_s
        if not is_turned_away or asyncio.get_running_loop().time() >= limit_s:
            return False
        return bool(served) or waiting.may_hope(
            each for each in self._waiting if each.is_at(waiting.key) and not each.found.done()
        )

    def _recent_at(self, key: Key) -> RecentContexts:
        recent = self._recent.setdefault(key, RecentContexts())
        self._recent.move_to_end(key)
        if len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)
        return recent

    # --- ending ---------------------------------------------------------------------------------------------------

    def _end(self, association: RequestorAssociation) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(_ended(association))
        self._keep(task)
        return task

    def _stop_opening(self, opening: asyncio.Task[None]) -> None:
        """The association that is being opened is not needed any more."""
        if not opening.done():
            opening.cancel()
            self._keep(opening)

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Keep the task until it has ended."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _ended(association: RequestorAssociation) -> None:
    """Released, and aborted when that is given up."""
    try:
        await association.release()
    finally:
        association.close_now()

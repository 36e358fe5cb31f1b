"""Associations that are kept for a while: whoever comes next to the same peer with the same needs gets one at once."""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.dimse.client import ClientAssociation, associate
from gateway.dimse.proposal import MOST_CONTEXTS
from gateway.model import Peer, ProposedContext
from gateway.ports import Meter, NoMeter

CLOSE_S = 2.0
IDLE_S = 10.0
"""How long an association is kept that nobody needs: peers have few of them to give."""

TLSOverride = tuple[ssl.SSLContext, str | None]
_Key = tuple[Peer, TLSOverride | None]


@dataclass(slots=True)
class _Idle:
    association: ClientAssociation
    expiry: asyncio.TimerHandle


class AssociationPool:
    """Lends associations; each is used by one borrower at a time.

    Args:
        own_ae_title: calling AE title, unless a peer's settings name another.
        meter: where associations are counted.
        idle_s: how long an association is kept.
        associate: `gateway.dimse.client.associate`.
    """

    def __init__(
        self,
        own_ae_title: str,
        meter: Meter | None = None,
        *,
        idle_s: float = IDLE_S,
        associate: Callable[..., Coroutine[Any, Any, ClientAssociation]] = associate,
    ) -> None:
        self.own_ae_title = own_ae_title
        self._meter = meter if meter is not None else NoMeter()
        self._idle_s = idle_s
        self._associate = associate
        self._idle: dict[_Key, list[_Idle]] = {}
        self._recent: dict[_Key, OrderedDict[ProposedContext, None]] = {}
        self._borrowed: dict[ClientAssociation, _Key] = {}
        self._releasing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def take(
        self, peer: Peer, contexts: Sequence[ProposedContext], tls: TLSOverride | None = None
    ) -> ClientAssociation:
        """An open association on which all of `contexts` were proposed; give it back, whatever becomes of it.

        A new one also proposes what was asked of this peer lately, as far as there is room.

        Raises:
            DestinationDown, DestinationRefuses, ConfigurationError, ValueError: as `associate`.
        """
        key = (peer, tls)
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
        recent = self._remember(key, contexts)
        association = await self._associate(
            peer, own_ae_title=self.own_ae_title, contexts=recent, meter=self._meter, tls=tls
        )
        self._borrowed[association] = key
        return association

    def give(self, association: ClientAssociation) -> None:
        """The borrower is done: an association that is idle is kept, one in the middle of something is aborted."""
        key = self._borrowed.pop(association, None)
        if key is None or not association.is_open:
            return
        if association.is_busy:
            association.abort("given back in the middle of a request")
            return
        if self._is_closed:
            self._release(association)
            return
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(self._idle_s, self._expired, key, association)
        self._idle.setdefault(key, []).append(_Idle(association, expiry))

    def drop(self, association: ClientAssociation) -> None:
        """The borrower is done, and needs another one instead: it is released at once."""
        key = self._borrowed.pop(association, None)
        if key is None or not association.is_open:
            return
        if association.is_busy:
            association.abort("given back in the middle of a request")
            return
        self._release(association)

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
        for context in contexts:
            recent[context] = None
            recent.move_to_end(context)
        while len(recent) > MOST_CONTEXTS:
            recent.popitem(last=False)
        return list(dict.fromkeys((*contexts, *reversed(recent))))[:MOST_CONTEXTS]

    def _expired(self, key: _Key, association: ClientAssociation) -> None:
        kept = self._idle.get(key, [])
        kept[:] = [idle for idle in kept if idle.association is not association]
        if not kept:
            self._idle.pop(key, None)
        self._release(association)

    def _release(self, association: ClientAssociation) -> None:
        task = asyncio.get_running_loop().create_task(_released(association))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)


async def _released(association: ClientAssociation) -> None:
    try:
        await association.release()
    finally:
        association.close_now()

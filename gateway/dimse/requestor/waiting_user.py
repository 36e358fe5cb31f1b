"""A user of the association pool that waits for an association, and its hope that the peer serves one of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.dimse.requestor.connecting import TLSOverride
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer

ROOM_AFTER_S = (0.05, 0.25, 0.5)
"""Peers that count their associations see a little later that one has ended: pauses before each further try."""

Make = Callable[..., RequestorAssociation]
"""Makes an association before it is opened, as `RequestorAssociation` itself does; it can be hashed and compared."""
Use = Literal["query", "sub-operations", "deliveries", "bundles", "files"]
"""Kinds of users; each proposes contexts of its own."""
Key = tuple[Use, Peer, TLSOverride | None, Make | None]
"""The needs of a user; an association is lent to users with the same needs alone."""


@dataclass(slots=True, eq=False)
class WaitingUser:
    """A user for whom an association is being opened; it takes one that is released meanwhile."""

    key: Key
    contexts: Sequence[ProposedContext]
    is_exact: bool
    since_s: float
    found: asyncio.Future[RequestorAssociation]
    is_further: bool = False
    """It has others of this peer and goes on without this one: no room is made for it, and it tries once."""
    is_long: bool = False
    has_room: bool = False
    """An association was ended for it."""
    is_trying: bool = False
    """An association is being negotiated for it."""
    times_turned_away: int = 0
    pauses_s: list[float] = field(default_factory=list)
    """The pauses before the tries that are left since it was given room."""
    _hopes: list[tuple[WaitingUser, int]] = field(default_factory=list)
    """The users that seemed about to be served when this one was last turned away, each with its `times_turned_away` of
    that time."""

    def is_at(self, key: Key) -> bool:
        """True for the same peer, however it is associated with."""
        return (self.key[1].host, self.key[1].port) == (key[1].host, key[1].port)

    def give_room(self) -> None:
        """An association to the peer has just ended, or is about to."""
        self.has_room, self.pauses_s = True, list(ROOM_AFTER_S)

    def may_hope(self, others: Iterable[WaitingUser]) -> bool:
        """True when one of `others` at the peer is about to be served: this user, which was turned away, may be served
        after it. False when all users that seemed so the last time were turned away as well: the peer serves none."""
        if self._hopes and not any(_is_kept(hope, times) for hope, times in self._hopes):
            return False
        near = (each for each in others if each is not self and (each.is_trying or each.has_room))
        self._hopes = [(each, each.times_turned_away) for each in near]
        return bool(self._hopes)


def _is_kept(user: WaitingUser, times_turned_away: int) -> bool:
    """True when the user is served, or still about to be: it was not turned away since."""
    if user.found.done():
        return not user.found.cancelled() and user.found.exception() is None
    return user.has_room or (user.is_trying and user.times_turned_away == times_turned_away)

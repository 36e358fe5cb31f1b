"""Destinations: where deliveries are sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Outcome
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.facts import Facts


@dataclasses.dataclass(frozen=True, slots=True)
class Outbound:
    """One object on its way out, after its route's actions."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: EncodedDataSet
    facts: Facts


class Channel(Protocol):
    """One line to a destination; the courier uses it for one object at a time, unless it is a `WindowedChannel`."""

    async def prepare(self, kinds: Sequence[tuple[str, str]]) -> None:
        """(SOP class UID, transfer syntax UID) pairs that come next, the very next one first.

        Raises:
            DestinationDown: it cannot be reached now.
            DestinationRefuses: it will not associate with us as configured.
        """
        ...

    def takes(self, kind: tuple[str, str]) -> bool:
        """True when this (SOP class UID, transfer syntax UID) can be sent over the association that `prepare` made."""
        ...

    async def send(self, outbound: Outbound) -> Outcome:
        """Send one object. Never raises for what a peer does."""
        ...

    async def close(self) -> None:
        """Release politely, within the peer's timers."""
        ...


@runtime_checkable
class WindowedChannel(Channel, Protocol):
    """A channel over which several objects may be without an outcome at a time."""

    @property
    def window(self) -> int:
        """The most objects that may be so now; 1: they are sent by `send`, one after the other."""
        ...

    async def begin(self, outbound: Outbound, answered: Callable[[Outcome | None], None]) -> Outcome | None:
        """Send one object that `takes` is true for, without waiting for its outcome: `answered` is called with that,
        or with None when the line was lost before. An outcome that is known at once is returned, and `answered` is not
        called; nor is it when this method raises, as `gateway.ports.encoded_data_set` may.
        """
        ...


@runtime_checkable
class UndividedChannel(Channel, Protocol):
    """A channel that can have an association for itself."""

    def keep_undivided(self) -> None:
        """The association that `prepare` makes is a new one, is lent to nobody until `close`, and is ended then."""
        ...


class Destination(Protocol):
    """Opens channels."""

    @property
    def channels_at_once(self) -> int:
        """The most channels that one worker may keep, over all destinations that `on_behalf_of` gives."""
        ...

    def channel(self) -> Channel: ...

    def on_behalf_of(self, sender: AssociationFacts) -> Destination:
        """The destination as objects of this sender are sent there: itself, where that makes no difference.

        Raises:
            Refusal: nothing of this sender can be sent there.
        """
        ...

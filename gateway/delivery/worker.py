"""One worker of a courier: its channels, with what the courier needs to know of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gateway.delivery.bundles import Bundle
from gateway.delivery.ready_line import ClaimedDelivery
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Outcome
from gateway.ports.destination import Channel, Destination, Outbound, UndividedChannel, WindowedChannel
from gateway.sending.contexts import Kind

ABORT_S = 1.0
"""The time for closing a channel when there is no time for an orderly release."""


class Worker:
    """Keeps channels, opened late and replaced when the destination's settings change."""

    def __init__(self) -> None:
        self.is_open = False
        """True while its channel is known to work."""
        self.is_retired = False
        """True when it ends after this object: the peer takes no further association."""
        self.bundle: Bundle | None = None
        """It sends this alone, over channels of its own."""
        self._channels: dict[int, tuple[Destination, Channel]] = {}
        """Channels by identity of the destination; last used last."""
        self._destination: Destination | None = None
        self._unanswered: dict[int, ClaimedDelivery] = {}
        """Delivery → its claim; in the order in which they were sent, all over `_windowed`."""
        self._windowed: WindowedChannel | None = None
        self._answer: asyncio.Future[None] | None = None
        self._fault: Exception | None = None

    def kept(self, destination: Destination, sender: AssociationFacts) -> Channel | None:
        """The channel to `destination` as it is configured now, for objects of this sender; None where it must be made.
        Raises Refusal."""
        if self._destination is not destination:
            return None
        there = id(destination.on_behalf_of(sender))
        found = self._channels.get(there)
        if found is None:
            return None
        if len(self._channels) > 1:
            self._channels[there] = self._channels.pop(there)
        return found[1]

    async def channel(self, destination: Destination, sender: AssociationFacts) -> Channel:
        """The same, made where it must be. Raises Refusal."""
        found = self.kept(destination, sender)
        if found is not None:
            return found
        if self._destination is not destination:
            await self.close()
            self._destination = destination
        there = destination.on_behalf_of(sender)
        if len(self._channels) >= destination.channels_at_once:
            await self._close(self._channels.pop(next(iter(self._channels)))[1])
        channel = there.channel()
        if self.bundle is not None and isinstance(channel, UndividedChannel):
            channel.keep_undivided()
        self._channels[id(there)] = there, channel
        return channel

    def kinds(self, kind: Kind, sight: Mapping[Kind, tuple[Kind, ...]]) -> tuple[Kind, ...]:
        """The kinds that an association is made for, `kind` first: those of its bundle, else those in `sight`."""
        if self.bundle is not None:
            return self.bundle.kinds(kind)
        return sight.get(kind) or (kind, *sight)

    # --- several objects without an outcome ------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """True while objects have no outcome yet."""
        return bool(self._unanswered)

    def windowed(self, channel: Channel, kind: Kind) -> WindowedChannel | None:
        """`channel`, where an object of this kind may follow those that have no outcome yet."""
        is_other = channel is not self._windowed
        if (self._unanswered and is_other) or not len(self._unanswered) < getattr(channel, "window", 1) > 1:
            return None
        if is_other:
            self._windowed = channel if isinstance(channel, WindowedChannel) else None
        return self._windowed if channel.takes(kind) else None

    async def begin(
        self,
        channel: WindowedChannel,
        claim: ClaimedDelivery,
        outbound: Outbound,
        answered: Callable[[Outcome], None],
        lost: Callable[[list[ClaimedDelivery]], None],
    ) -> Outcome | None:
        """Send the object of `claim` without waiting for its outcome; the outcome, where it is known at once.

        Args:
            channel: of `windowed`.
            claim, outbound: the object.
            answered: called with the outcome that comes later.
            lost: called in its place with all objects that had no outcome when the line was lost, in their order.
        """
        delivery_id = claim.delivery.delivery_id

        def came(outcome: Outcome | None) -> None:
            if self._unanswered.get(delivery_id) is not claim:
                return  # it was among those that were lost
            try:
                if outcome is None:
                    claims, self._unanswered = list(self._unanswered.values()), {}
                    lost(claims)
                else:
                    del self._unanswered[delivery_id]
                    answered(outcome)
            except Exception as error:
                self._fault = error
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(None)

        self._unanswered[delivery_id] = claim
        is_begun = False
        try:
            outcome = await channel.begin(outbound, came)
            is_begun = outcome is None
        finally:
            if not is_begun:
                self._unanswered.pop(delivery_id, None)
        return outcome

    @property
    def has_room(self) -> bool:
        """True when one more object may be sent."""
        unanswered = self._unanswered
        is_full = unanswered and self._windowed is not None and len(unanswered) >= self._windowed.window
        return not is_full and self._fault is None

    async def room(self) -> None:
        """Return when one more object may be sent. Raises what the courier could not do with an outcome."""
        while not self.has_room:
            self._raise_fault()
            await self._next_answer()

    async def all_answered(self) -> None:
        """Return when no object is without its outcome. Raises as `room`."""
        while self._unanswered:
            await self._next_answer()
        self._raise_fault()

    async def _next_answer(self) -> None:
        self._answer = asyncio.get_running_loop().create_future()
        await self._answer

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    # --- the end ---------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the channels; in haste when this task is being cancelled."""
        channels, self._channels = self._channels, {}
        self.is_open = False
        for _, channel in channels.values():
            await self._close(channel)

    async def _close(self, channel: Channel) -> None:
        task = asyncio.current_task()
        is_hurried = task is not None and task.cancelling() > 0
        try:
            async with asyncio.timeout(ABORT_S if is_hurried else None):
                await channel.close()
        except TimeoutError:
            return

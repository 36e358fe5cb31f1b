"""One worker of a courier: its channels, with what the courier needs to know of them."""

from __future__ import annotations

import asyncio

from gateway.model.association import AssociationFacts
from gateway.ports.destination import Channel, Destination

ABORT_S = 1.0
"""The time for closing a channel when there is no time for an orderly release."""


class Worker:
    """Keeps channels, opened late and replaced when the destination's settings change."""

    def __init__(self) -> None:
        self.is_open = False
        """True while its channel is known to work."""
        self.is_retired = False
        """True when it ends after this object: the peer takes no further association."""
        self._channels: dict[int, tuple[Destination, Channel]] = {}
        """Channels by identity of the destination; last used last."""
        self._destination: Destination | None = None

    async def channel(self, destination: Destination, sender: AssociationFacts) -> Channel:
        """The channel to `destination` as it is configured now, for objects of this sender. Raises Refusal."""
        if self._destination is not destination:
            await self.close()
            self._destination = destination
        there = destination.on_behalf_of(sender)
        found = self._channels.pop(id(there), None)
        if found is None:
            if len(self._channels) >= destination.channels_at_once:
                await self._close(self._channels.pop(next(iter(self._channels)))[1])
            found = there, there.channel()
        self._channels[id(there)] = found
        return found[1]

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

"""One worker of a courier: a channel with what the courier needs to know of it."""

from __future__ import annotations

import asyncio

from gateway.ports import Channel, Destination

ABORT_S = 1.0
"""For closing a channel when there is no time left to be polite."""


class Worker:
    """Keeps one channel, opened late and replaced when the destination's settings change."""

    def __init__(self) -> None:
        self.is_open = False
        """True while its line is known to work."""
        self.is_retired = False
        """True when it goes home after this object: the peer takes no further association."""
        self._channel: Channel | None = None
        self._destination: Destination | None = None

    async def channel(self, destination: Destination) -> Channel:
        """The channel to `destination` as it is configured now."""
        if self._channel is not None and self._destination is destination:
            return self._channel
        await self.close()
        self._channel, self._destination = destination.channel(), destination
        return self._channel

    async def close(self) -> None:
        """Close the channel; in haste when this task is being cancelled."""
        channel, self._channel = self._channel, None
        self.is_open = False
        if channel is None:
            return
        task = asyncio.current_task()
        is_hurried = task is not None and task.cancelling() > 0
        try:
            async with asyncio.timeout(ABORT_S if is_hurried else None):
                await channel.close()
        except TimeoutError:
            return

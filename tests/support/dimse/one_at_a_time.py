"""A peer that serves one association at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown


class OneAtATime:
    """Opens associations one after the other; others wait meanwhile, as for many peers, or are turned away."""

    def __init__(self, *, is_rejecting: bool = False) -> None:
        self.turn = asyncio.Semaphore(1)
        self.opened = 0
        self._is_rejecting = is_rejecting

    async def __call__(self, peer: Peer, **more: Any) -> RequestorAssociation:
        if self._is_rejecting and self.turn.locked():
            raise DestinationDown("local limit exceeded")
        async with asyncio.timeout(peer.timers.association_s):
            await self.turn.acquire()
        association = await associate(peer, **more)
        self.opened += 1
        asyncio.get_running_loop().create_task(self._until_closed(association))
        return association

    async def _until_closed(self, association: RequestorAssociation) -> None:
        await association.wait_closed()
        await asyncio.sleep(0.02)  # it takes a peer a moment to see it
        self.turn.release()

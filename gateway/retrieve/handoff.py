"""The handoff between the sources of a retrieve, which put instances as they come, and the sender of them."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.dimse.pynetdicom_contract.yields import EncodedInstance, MissingInstance
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import Temporary

MOST = 8
"""Instances that wait to be sent on, before sources have to wait; large ones lie in files of the spool."""

HandoffItem = EncodedInstance | MissingInstance


class Stopped(Temporary):
    """The retrieve has ended: nothing more of it is taken."""


class Handoff:
    """A bounded queue for any number of sources and one reader."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._items: deque[HandoffItem] = deque()
        self._has_ended = False
        self._is_stopped = False
        self._changed = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """True when nothing waits."""
        return not self._items

    async def put(self, item: EncodedInstance) -> None:
        """Put `item`, when there is room; from then on it is the reader's. Raises Stopped."""
        while len(self._items) >= self._most and not self._is_stopped:
            await self._changed.wait()
        if self._is_stopped:
            raise Stopped("the retrieve has ended")
        self._items.append(item)
        self._wake()

    def put_missing(self, sop_instance_uids: tuple[str, ...]) -> None:
        """No source can give these."""
        self._items.append(MissingInstance(sop_instance_uids))
        self._wake()

    async def take(self) -> HandoffItem | None:
        """The next one, in order; None when no more will come."""
        while not self._items:
            if self._has_ended or self._is_stopped:
                return None
            await self._changed.wait()
        item = self._items.popleft()
        self._wake()
        return item

    def end(self) -> None:
        """No more will come."""
        self._has_ended = True
        self._wake()

    def stop(self) -> None:
        """End the retrieve: nothing more is taken, and what waits is closed."""
        self._is_stopped = True
        for item in self._items:
            if isinstance(item, EncodedInstance) and not callable(item.body):
                _close(item.body)
        self._items.clear()
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _close(body: EncodedDataSet) -> None:
    body.close()

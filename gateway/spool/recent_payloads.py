"""The payloads that were written last, while deliveries of them wait: what is sent at once is not read back.

Bounded in bytes. A payload leaves with its last waiting delivery, or for newer ones; then it is read from
the disk as always. Belongs to the event loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from gateway.common.buffer import Buffer
from gateway.model.instance import PayloadRef

MOST_BYTES = 16 * 1024**2


class RecentPayloads:
    """Pieces of payloads by where they lie and their digests: a database that lost its last transactions names other
    groups alike. In a group of a node an empty one has the offset of the next."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._kept: OrderedDict[PayloadRef, tuple[Sequence[Buffer], int, int]] = OrderedDict()
        """The pieces, their length, and the number of deliveries that will want them."""

    def keep(self, payload: PayloadRef, pieces: Sequence[Buffer], wanted: int) -> None:
        """Keep a payload that was written just now, for `wanted` deliveries."""
        if payload.length_bytes > self._most_bytes:
            return
        self._kept[payload] = (pieces, payload.length_bytes, wanted)
        self._held_bytes += payload.length_bytes
        while self._held_bytes > self._most_bytes:
            _, (_, length_bytes, _) = self._kept.popitem(last=False)
            self._held_bytes -= length_bytes

    def take(self, payload: PayloadRef) -> Sequence[Buffer] | None:
        """The pieces, for one delivery; None for a payload that is not kept."""
        found = self._kept.get(payload)
        if found is None:
            return None
        pieces, length_bytes, wanted = found
        if wanted > 1:
            self._kept[payload] = (pieces, length_bytes, wanted - 1)
        else:
            del self._kept[payload]
            self._held_bytes -= length_bytes
        return pieces

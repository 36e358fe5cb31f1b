"""The pace of one destination: bytes and objects a second, over all its associations together. Times are the clock's
of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.common.steady_clock import loop_clock_s
from gateway.model.peer import Peer
from gateway.ports.meter import Meter

NEARLY = 1e-9
"""A share of a second's worth that a sum of fractions may lack."""


class TokenBucket:
    """Holds what a second brings. Something that costs more makes a debt, which what comes next waits for.

    Args:
        per_s: tokens that each second brings.
        now_s: the time at which it is full.
    """

    def __init__(self, per_s: float, now_s: float) -> None:
        self.per_s = per_s
        self.level = per_s
        self._at_s = now_s

    def wait_s(self, cost: float, now_s: float) -> float:
        """The seconds until `cost` may be taken; 0 when it may be now."""
        self._fill(now_s)
        lacking = min(cost, self.per_s) - self.level
        return lacking / self.per_s if lacking > self.per_s * NEARLY else 0.0

    def take(self, cost: float, now_s: float) -> None:
        """Take `cost`, whether it is there or not; less than 0 pays back."""
        self._fill(now_s)
        self.level = min(self.level - cost, self.per_s)

    def changed(self, per_s: float, now_s: float) -> TokenBucket:
        """The same with another rate: a debt stays."""
        self._fill(now_s)
        other = TokenBucket(per_s, now_s)
        other.level = min(self.level, per_s)
        return other

    def _fill(self, now_s: float) -> None:
        self.level = min(self.level + (now_s - self._at_s) * self.per_s, self.per_s)
        self._at_s = now_s


class Pace:
    """Lets objects go as the rates of the peer say. A reservation is paid back when the object was not sent."""

    def __init__(self, peer: Peer, meter: Meter, clock_s: Callable[[], float] = loop_clock_s) -> None:
        self._name = peer.name
        self._meter = meter
        self._clock_s = clock_s
        self._bytes: TokenBucket | None = None
        self._objects: TokenBucket | None = None
        self._reserved: dict[int, int] = {}
        """Delivery → the bytes that were taken for it, until its object is sent."""
        self._waiting = 0
        self.next_change = asyncio.Event()
        """Set when something changes next."""
        self._rates = (0.0, 0.0)
        self.replace(peer)

    @property
    def is_limited(self) -> bool:
        """True where the peer has a rate."""
        return self._bytes is not None or self._objects is not None

    @property
    def is_waited_for(self) -> bool:
        """True while somebody waits."""
        return self._waiting > 0

    def replace(self, peer: Peer) -> None:
        """The peer may have other rates from now on."""
        rates = (peer.bytes_per_s, peer.objects_per_s)
        if rates == self._rates:
            return
        self._rates = rates
        self._bytes = self._bucket(self._bytes, peer.bytes_per_s)
        self._objects = self._bucket(self._objects, peer.objects_per_s)
        self.wake()

    def _bucket(self, before: TokenBucket | None, per_s: float) -> TokenBucket | None:
        if not per_s:
            return None
        return TokenBucket(per_s, self._clock_s()) if before is None else before.changed(per_s, self._clock_s())

    def wait_s(self, length_bytes: int) -> float:
        """The seconds until an object of this length may be sent; 0 when it may be now."""
        if not self.is_limited:
            return 0.0
        now_s = self._clock_s()
        bytes_s = 0.0 if self._bytes is None else self._bytes.wait_s(length_bytes, now_s)
        objects_s = 0.0 if self._objects is None else self._objects.wait_s(1, now_s)
        return max(bytes_s, objects_s)

    def reserve(self, delivery_id: int, length_bytes: int) -> None:
        """An object is about to be sent."""
        if not self.is_limited:
            return
        self._reserved[delivery_id] = length_bytes
        self._take(length_bytes, 1)

    def begun(self, delivery_id: int, length_bytes: int) -> None:
        """It is being sent, with this length after all."""
        reserved_bytes = self._reserved.pop(delivery_id, None)
        if reserved_bytes is not None:
            self._take(length_bytes - reserved_bytes, 0)

    def release(self, delivery_id: int) -> None:
        """It goes no further: pay back, unless it was sent."""
        reserved_bytes = self._reserved.pop(delivery_id, None)
        if reserved_bytes is not None:
            self._take(-reserved_bytes, -1)
            self.wake()

    def _take(self, length_bytes: int, objects: int) -> None:
        now_s = self._clock_s()
        if self._bytes is not None:
            self._bytes.take(length_bytes, now_s)
        if self._objects is not None:
            self._objects.take(objects, now_s)

    async def wait(self, seconds: float, change: asyncio.Event) -> None:
        """Return after `seconds`, or when `change` happens: the `next_change` when they were asked for."""
        begun_s = self._clock_s()
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await change.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
            waited_s = self._clock_s() - begun_s
            self._meter.count("gateway_delivery_rate_wait_seconds_total", waited_s, destination=self._name)

    def wake(self) -> None:
        """Those that wait look again."""
        self.next_change.set()
        self.next_change = asyncio.Event()

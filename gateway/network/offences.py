"""Offences of hosts that come again and again though they are displaced or rejected: for a while their connections are
closed at once.

Setting up a connection only to close it, or to reject its association, costs a thousand times what closing it costs.
Each host may be displaced or rejected `BURST` times at once and `PER_SECOND` times a second from then on; all hosts
together have a bound as well, beyond which only hosts without an offence are heard.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

BURST = 64.0
PER_SECOND = 4.0
BURST_OF_ALL = 1024.0
PER_SECOND_OF_ALL = 128.0
MOST_HOSTS = 8192
"""Hosts that are remembered; those that offended longest ago are forgotten."""


class _Bucket:
    """Refills with time; every offence takes one."""

    __slots__ = ("_left", "_most", "_per_second", "_seen_s")

    def __init__(self, most: float, per_second: float, now_s: float) -> None:
        self._left = self._most = most
        self._per_second = per_second
        self._seen_s = now_s

    def left(self, now_s: float) -> float:
        self._left = min(self._most, self._left + (now_s - self._seen_s) * self._per_second)
        self._seen_s = now_s
        return self._left

    def take(self, now_s: float) -> None:
        self._left = max(0.0, self.left(now_s) - 1.0)


class Offences:
    """The recent number of offences by host; on one event loop.

    Args:
        now: a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._hosts: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(BURST_OF_ALL, PER_SECOND_OF_ALL, now())

    def add(self, host: str) -> None:
        """A connection of `host` was displaced, or its association rejected."""
        now_s = self._now()
        bucket = self._hosts.get(host)
        if bucket is None:
            bucket = self._hosts[host] = _Bucket(BURST, PER_SECOND, now_s)
            if len(self._hosts) > MOST_HOSTS:
                self._hosts.popitem(last=False)
        self._hosts.move_to_end(host)
        bucket.take(now_s)
        self._all.take(now_s)

    def is_admitted(self, host: str, *, is_known: bool) -> bool:
        """True when a connection of `host` is to be set up. For a host that known peers call from, only its own
        offences count."""
        bucket = self._hosts.get(host)
        if bucket is None:
            return True
        now_s = self._now()
        left = bucket.left(now_s)
        if left >= BURST:
            del self._hosts[host]
            return True
        return left >= 1.0 and (is_known or self._all.left(now_s) >= 1.0)

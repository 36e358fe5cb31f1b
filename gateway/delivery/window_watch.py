"""The delivery window of one destination on the wall clock: its changes go to the log and the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from gateway.model.delivery_window import DeliveryWindow
from gateway.model.peer import Peer
from gateway.ports.meter import Meter

log = structlog.get_logger()

LOOK_S = 1.0
"""How often the wall clock is looked at: somebody may set it."""
AGED_FOR = timedelta(seconds=1)
"""Ages are not counted anew for this long: a sweep asks for each delivery."""


class WindowWatch:
    """Says whether the window is open; a destination without one is always open.

    Args:
        peer: its settings.
        wall: the wall clock.
        meter: for `gateway_destination_window_open`.
    """

    def __init__(self, peer: Peer, wall: Callable[[], datetime], meter: Meter) -> None:
        self._name = peer.name
        self._window = peer.window
        self._wall = wall
        self._meter = meter
        self._is_open = True
        self._since: datetime | None = None
        self._until: datetime | None = None
        """`_is_open` holds from `_since` to before `_until`."""
        self._aged: tuple[datetime, float, float] | None = None
        """The last answer of `age_s`: when it was asked, for how long, and the answer."""
        self._was_open: bool | None = None
        """As it was reported last; None when it never was."""
        self._is_replaced = asyncio.Event()

    def replace(self, peer: Peer) -> None:
        """The peer may have another window from now on."""
        if peer.window != self._window:
            self._window, self._since, self._aged = peer.window, None, None
            self._is_replaced.set()

    def closed_s(self) -> float:
        """The seconds until it opens; 0 when it is open."""
        if self._window is None:
            return 0.0
        now = self._look(self._window)
        return 0.0 if self._is_open or self._until is None else (self._until - now).total_seconds()

    def opens_at(self) -> datetime | None:
        """The time at which it opens, on the clock of its place; None when it is open."""
        return self._window.local(self._until) if self.closed_s() and self._window and self._until else None

    def age_s(self, open_s: float) -> float:
        """The age in seconds of what was there while it was open for `open_s` seconds."""
        if self._window is None:
            return open_s
        now = self._wall()
        if self._aged is None or self._aged[1] != open_s or abs(now - self._aged[0]) > AGED_FOR:
            self._aged = now, open_s, (now - self._window.before(now, open_s)).total_seconds()
        return self._aged[2]

    async def run(self, on_change: Callable[[], None]) -> None:
        """Report each change, also of the settings, until cancelled."""
        while True:
            self._is_replaced.clear()
            if self._report():
                on_change()
            try:
                async with asyncio.timeout(self._rest_s()):
                    await self._is_replaced.wait()
            except TimeoutError:
                continue

    def _look(self, window: DeliveryWindow) -> datetime:
        """The wall clock; what holds at that time is known then."""
        now = self._wall()
        if self._since is None or not (self._since <= now and (self._until is None or now < self._until)):
            self._is_open, self._since, self._until = window.is_open(now), now, window.changes_at(now)
        return now

    def _rest_s(self) -> float | None:
        if self._window is None:
            return None
        now = self._look(self._window)
        return LOOK_S if self._until is None else min((self._until - now).total_seconds(), LOOK_S)

    def _report(self) -> bool:
        """True when it opened or closed since the last report."""
        opens_at, was_open = self.opens_at(), self._was_open
        is_open = self._was_open = opens_at is None
        if self._window is not None or was_open is not None:
            self._meter.set("gateway_destination_window_open", int(is_open), destination=self._name)
        if is_open == (was_open is not False):
            return False
        if opens_at is not None:
            log.info("destination_window_closed", destination=self._name, opens_at=opens_at.isoformat())
        else:
            log.info("destination_window_opened", destination=self._name, **self._closes_at())
        return True

    def _closes_at(self) -> dict[str, str]:
        if self._window is None or self._until is None:
            return {}
        return {"closes_at": self._window.local(self._until).isoformat()}

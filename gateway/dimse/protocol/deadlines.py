"""Time limits of one association on a single, lazily re-armed timer: moving a deadline later costs a dict entry."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol


class AssociationTimer(enum.IntEnum):
    """The events that an association waits for. Numbers, since those are hashed in a third of the time."""

    ARTIM = enum.auto()
    """PS3.8 §9.1.5."""
    RECEIVING = enum.auto()
    """The next fragment of a message."""
    PROGRESS = enum.auto()
    """Enough of a message that is arriving."""
    MESSAGE = enum.auto()
    """The end of a message that is arriving."""
    SENDING = enum.auto()
    """A peer that reads on."""
    RESPONSE = enum.auto()
    """The response to our request."""
    RELEASE = enum.auto()
    """A-RELEASE-RP."""
    IDLE = enum.auto()
    """The next message."""


class Handle(Protocol):
    def when(self) -> float: ...
    def cancel(self) -> None: ...


class LoopClock(Protocol):
    """The part of an event loop that is used."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], object], /) -> Handle: ...


class Deadlines:
    """Calls `on_expired(timer)` once for every timer that was started and neither stopped nor started anew in time."""

    __slots__ = ("_clock", "_due", "_handle", "_on_expired")

    def __init__(self, clock: LoopClock, on_expired: Callable[[AssociationTimer], None]) -> None:
        self._clock = clock
        self._on_expired = on_expired
        self._due: dict[AssociationTimer, float] = {}
        self._handle: Handle | None = None

    def start(self, timer: AssociationTimer, seconds: float) -> float:
        """Start, or start anew; the clock's time."""
        now = self._clock.time()
        due = self._due[timer] = now + seconds
        handle = self._handle
        if handle is None:
            self._handle = self._clock.call_at(due, self._fire)
        elif due < handle.when():
            handle.cancel()
            self._handle = self._clock.call_at(due, self._fire)
        return now

    def stop(self, *timers: AssociationTimer) -> None:
        """Stop; nothing happens to those that do not run."""
        due = self._due
        for timer in timers:
            if timer in due:
                del due[timer]

    def stop_all(self) -> None:
        """Stop everything and let go of the clock."""
        self._due.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def is_running(self, timer: AssociationTimer) -> bool:
        return timer in self._due

    def _fire(self) -> None:
        self._handle = None
        now = self._clock.time()
        for timer in [timer for timer, due in self._due.items() if due <= now]:
            if self._due.get(timer, now + 1) <= now:
                del self._due[timer]
                self._on_expired(timer)
        if self._due and self._handle is None:
            self._handle = self._clock.call_at(min(self._due.values()), self._fire)

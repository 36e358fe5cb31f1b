"""The clock of a gateway: the time of its queue."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class GatewayClock(Protocol):
    """The queue's time, from any thread: it goes on evenly, and never goes back."""

    def __call__(self) -> datetime:
        """The queue's time, aware and in UTC."""
        ...

    def resume(self, remembered: datetime | None) -> None:
        """Go on from the time that a store remembers, if this clock has to be told."""
        ...

    def wall(self) -> datetime:
        """The time of people."""
        ...

    def on_the_wall(self, moment: datetime) -> datetime:
        """The time of people at `moment`, a time of this clock that is near."""
        ...

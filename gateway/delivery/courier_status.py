"""One destination as operators see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

WaitsFor = Literal["", "window", "rate"]


@dataclass(frozen=True, slots=True)
class CourierStatus:
    """One destination, as an operator sees it."""

    destination: str
    is_up: bool | None
    """None before the first attempt."""
    reason: str
    """The reason why it is down; empty when it is not."""
    wait_s: float
    """The seconds until the next probe, or until its window opens if that is later."""
    in_hand: int
    """Claimed and not settled."""
    channels: int
    is_configured: bool = True
    """False for one that the rules in force do not name, or have disabled, and that is still owed something."""
    is_here: bool = True
    """False while its courier runs on another node, or on none."""
    node: str = ""
    """The node that works on it; empty when none does, and where there is one gateway alone."""
    waits_for: WaitsFor = ""
    """The reason why deliveries that are due wait for a destination that is up; empty when they do not."""
    opens_at: datetime | None = None
    """The time at which its window opens, on the clock of its place; None while it is open."""
    paused_since: datetime | None = None
    """By the wall clock; None while it is not paused."""
    paused_by: str = ""

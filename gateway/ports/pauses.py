"""Pauses, in the store: a destination to which nothing is begun until an operator resumes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

PausedKind = Literal["destination"]


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause, or the last one of its kind and name."""

    kind: PausedKind
    name: str
    operator: str
    why: str
    """The operator's own words, which no log repeats."""
    began_at: datetime
    """By the wall clock."""
    resumed_at: datetime | None = None
    """In the queue's time: the ages of deliveries count from then at the earliest. None while it goes on."""

    @property
    def goes_on(self) -> bool:
        """True until somebody resumes it."""
        return self.resumed_at is None


class Pauses(Protocol):
    """Part of a `Store`: the verbs happen inside its transactions."""

    def all_pauses(self) -> Sequence[Pause]:
        """Those that go on, and the last one of each kind and name that was resumed; by kind and name."""
        ...

    def begin_pause(self, pause: Pause) -> bool:
        """False when it is paused already: that pause stays as it is."""
        ...

    def end_pause(self, kind: PausedKind, name: str, now: datetime) -> bool:
        """False when it is not paused. `now` is the queue's time."""
        ...

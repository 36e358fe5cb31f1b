"""Pauses, in the store: destinations, senders and rules that an operator stops until they are resumed.

Nothing is begun for a destination. The objects of a sender are refused. Deliveries of a rule wait, held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

PausedKind = Literal["destination", "sender", "rule"]
"""A sender is the name of a peer, or a Calling AE Title."""


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


class PausedNames:
    """The senders and rules that are paused now, as this process knows them: read for each object."""

    def __init__(self) -> None:
        self.senders: frozenset[str] = frozenset()
        self.rules: frozenset[str] = frozenset()
        self.resumed_rules: frozenset[str] = frozenset()
        """Those that were paused before."""

    def follow(self, pauses: Sequence[Pause]) -> None:
        """These are the pauses of the store."""
        going_on = [each for each in pauses if each.goes_on]
        self.senders = frozenset(each.name for each in going_on if each.kind == "sender")
        self.rules = frozenset(each.name for each in going_on if each.kind == "rule")
        were_paused = {each.name for each in pauses if each.kind == "rule"}
        self.resumed_rules = frozenset(were_paused - self.rules)


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

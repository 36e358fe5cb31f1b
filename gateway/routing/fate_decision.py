"""What rules say of an object as a whole: the actions that say it are in `gateway.routing.actions.fate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.ports.kinds import Action, Fate


@dataclass(frozen=True, slots=True)
class FateDecision:
    """One rule's word."""

    rule: str
    """Name of the route or coercion."""
    fate: Fate

    @property
    def is_final(self) -> bool:
        """True when nothing of the object is kept."""
        return is_final(self.fate)


def fate_of(actions: Iterable[Action]) -> Fate | None:
    """What the first of `actions` that decides about the object as a whole says."""
    return next((fate for action in actions if (fate := getattr(action, "fate", None)) is not None), None)


def is_final(fate: Fate | None) -> bool:
    """True when nothing of the object is kept."""
    return fate is not None and fate.kind != "hold"

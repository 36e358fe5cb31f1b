"""Decisions of coercions and routes on an object as a whole; see `gateway.routing.actions.fate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model.problem import Mark
from gateway.ports.kinds import Action, Fate


@dataclass(frozen=True, slots=True)
class FateDecision:
    """The decision of one coercion or route."""

    rule: str
    """Name of the route or coercion."""
    fate: Fate
    mark: Mark | None = None
    """The place of the rule."""

    @property
    def is_final(self) -> bool:
        """True when nothing of the object is kept."""
        return is_final(self.fate)

    @property
    def held_reason(self) -> str:
        """The reason of a delivery that it holds: the rule, its place, and the reason that it gives."""
        place = f" ({self.mark.file}:{self.mark.line})" if self.mark else ""
        return f"held by {self.rule}{place}{f': {self.fate.reason}' if self.fate.reason else ''}"


def fate_of(actions: Iterable[Action]) -> Fate | None:
    """The decision of the first of `actions` that decides about the object as a whole."""
    return next((fate for action in actions if (fate := getattr(action, "fate", None)) is not None), None)


def is_final(fate: Fate | None) -> bool:
    """True when nothing of the object is kept."""
    return fate is not None and fate.kind != "hold"

"""Meters: what is counted and timed, without a library behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.model.association import AssociationFacts

STRANGER = "(stranger)"


def peer_label(association: AssociationFacts) -> str:
    """The value of the `peer` label for a requestor: strangers share one, so that nobody can make labels."""
    return association.peer or STRANGER


class Meter(Protocol):
    """Counts and observes by metric name, see `gateway.metrics` for the names."""

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None: ...
    def observe(self, name: str, value: float, /, **labels: str) -> None: ...
    def set(self, name: str, value: float, /, **labels: str) -> None: ...

    def counter(self, name: str, /, **labels: str) -> Callable[[float], None]:
        """`count` of one series, which is looked up once."""
        return lambda amount: self.count(name, amount, **labels)

    def observer(self, name: str, /, **labels: str) -> Callable[[float], None]:
        """`observe` of one series, which is looked up once."""
        return lambda value: self.observe(name, value, **labels)


class NoMeter(Meter):
    """Measures nothing."""

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None: ...
    def observe(self, name: str, value: float, /, **labels: str) -> None: ...
    def set(self, name: str, value: float, /, **labels: str) -> None: ...

"""A meter in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gateway.metrics import METRICS
from gateway.ports.meter import Meter

_LABELS = {metric.name: set(metric.labels) for metric in METRICS}


@dataclass
class MemoryMeter(Meter):
    """Adds up; takes only what the gateway's table of metrics has, with its labels, as the real one does."""

    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """By name and values of the labels, in the order in which they were given."""
    values: dict[tuple[str, ...], float] = field(default_factory=dict)
    observed: list[str] = field(default_factory=list)
    """Names, in order."""

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        assert _LABELS[name] == set(labels), name
        self.counted[name, *labels.values()] += amount  # type: ignore[assignment]  # a Counter of numbers

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        assert _LABELS[name] == set(labels), name
        self.observed.append(name)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        assert _LABELS[name] == set(labels), name
        self.values[name, *labels.values()] = value

    def total(self, name: str) -> float:
        """The total of a counter, whatever its labels."""
        return sum(amount for key, amount in self.counted.items() if key[0] == name)

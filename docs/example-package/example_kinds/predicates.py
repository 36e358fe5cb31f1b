"""A predicate: one frozen dataclass without a decorator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from gateway.model.attribute_path import AttributePath
from gateway.ports.facts import Facts
from gateway.routing.language.attribute_path import parse

SLICE_THICKNESS = parse("SliceThickness")


@dataclass(frozen=True, slots=True)
class ThinSlices:
    """True when Slice Thickness (0018,0050) is above `above_mm` and at most `at_most_mm`; false when it is absent or no
    number."""

    example: ClassVar[str] = "thin_slices: {at_most_mm: 1.5}"

    at_most_mm: float
    above_mm: float = 0.0

    def __call__(self, facts: Facts) -> bool:
        thickness_mm = _number(facts)
        return thickness_mm is not None and self.above_mm < thickness_mm <= self.at_most_mm

    def attributes(self) -> Iterable[AttributePath]:
        return (SLICE_THICKNESS,)

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        thickness_mm = _number(facts)
        return "Slice Thickness is absent or no number" if thickness_mm is None else f"it is {thickness_mm:g} mm"

    def problems(self) -> Iterable[tuple[tuple[str, ...], str]]:
        if self.at_most_mm <= self.above_mm:
            yield ("at_most_mm",), f"{self.at_most_mm:g} is not above {self.above_mm:g}: it would never hold"


def _number(facts: Facts) -> float | None:
    """A predicate never raises for what an object holds."""
    values = facts.values(SLICE_THICKNESS)
    try:
        return float(values[0]) if values else None
    except ValueError:
        return None

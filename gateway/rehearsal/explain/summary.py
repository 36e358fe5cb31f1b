"""Many answers in bounded memory: the first ones whole, all of them counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.rehearsal.explain.explanation import InstanceExplanation, Unexplained

MOST_KEPT = 1000
"""Names of objects that were not as expected, or that are none."""


@dataclass(slots=True)
class ExplanationSummary:
    """The outcome of all objects. `expected` are the destinations that `--verify` names; None without."""

    expected: frozenset[str] | None = None
    objects: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """``pacs, vna``, or the fate of those that go nowhere → how many objects."""
    unexplained: list[Unexplained] = field(default_factory=list)
    unexplained_count: int = 0
    is_complete: bool = True
    """False when something that was named itself is no object."""
    mismatches: list[tuple[str, str]] = field(default_factory=list)
    """(object, how its destinations differ)."""
    mismatch_count: int = 0

    def add(self, answer: InstanceExplanation) -> None:
        """Count it, and compare its destinations."""
        self.objects += 1
        self.outcomes[", ".join(answer.destinations) or answer.fate] += 1
        difference = self._difference(answer)
        if difference:
            self.mismatch_count += 1
            if len(self.mismatches) < MOST_KEPT:
                self.mismatches.append((answer.name, difference))

    def skip(self, one: Unexplained) -> None:
        """Count what is no object."""
        self.unexplained_count += 1
        self.is_complete &= not one.is_named
        if len(self.unexplained) < MOST_KEPT:
            self.unexplained.append(one)

    @property
    def is_as_expected(self) -> bool:
        """False when something that was named is no object, one would go elsewhere, or when there was none."""
        return bool(self.objects) and not self.mismatch_count and self.is_complete

    def _difference(self, answer: InstanceExplanation) -> str:
        if self.expected is None:
            return ""
        found = set(answer.destinations)
        missing, surplus = sorted(self.expected - found), sorted(found - self.expected)
        differences = [f"{_listed(missing)} would not get it"] if missing else []
        differences += [f"{_listed(surplus)} would get it"] if surplus else []
        if not differences:
            return ""
        where = f"would go to {_listed(answer.destinations)}" if found else f"would go nowhere ({answer.fate})"
        return f"expected {_listed(sorted(self.expected)) or 'no destination'}, {where}: {'; '.join(differences)}"

    def lines(self) -> Iterator[str]:
        """A summary of more than one object."""
        yield f"{self.objects} objects:"
        yield from (f"{count:8}  {outcome}" for outcome, count in self.outcomes.most_common())
        if self.unexplained_count:
            yield f"{self.unexplained_count:8}  not explained"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)

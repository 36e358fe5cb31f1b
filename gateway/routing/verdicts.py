"""Verdicts: the reason why a coercion or route holds or not, as the condition's tree with a verdict at every place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import Dispatch
from gateway.model.problem import Mark, SettingPath
from gateway.model.settings import UnmatchedPolicy
from gateway.ports import kinds as port_kinds
from gateway.ports.edits import Alteration
from gateway.ports.facts import Facts
from gateway.ports.kinds import Predicate
from gateway.routing.fate_decision import FateDecision
from gateway.routing.language.kind_tree import children
from gateway.routing.language.kinds import name_of_kind


@dataclass(frozen=True, slots=True)
class Reason:
    """One predicate's verdict."""

    path: SettingPath
    """The path inside the `when:` value, the kind's name last: ``("all", 1, "attribute")``; () when `when` is empty."""
    kind: str
    holds: bool
    attributes: tuple[AttributePath, ...] = ()
    """The attributes that it read, for a predicate without predicates inside."""
    values: tuple[tuple[str, ...] | None, ...] | None = None
    """The values of `attributes`; None unless they were requested: they may name a patient."""
    inner: tuple[Reason, ...] = ()
    mark: Mark | None = None
    """The place in the YAML."""
    compared: str = ""
    """The findings in words: values only where they were requested. Empty when the predicate gives none."""

    def deciding(self) -> Iterator[Reason]:
        """The innermost predicates that made the verdict what it is: the failed ones of a failed `all`, and so on."""
        if not self.inner:
            yield self
            return
        wanted = not self.holds if self.kind == "not" else self.holds
        for reason in self.inner:
            if reason.holds is wanted:
                yield from reason.deciding()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The effect of one coercion or route on the object."""

    name: str
    mark: Mark | None
    reason: Reason
    is_reached: bool = True
    """False for a coercion or route after one that held and said `stop`; its condition is judged all the same."""
    edits: tuple[Alteration, ...] = ()
    to: tuple[str, ...] = ()
    refusal: str = ""
    """The reason why its actions cannot be done on this object. Nothing after a coercion with a refusal is reached."""

    @property
    def is_applied(self) -> bool:
        return self.is_reached and self.reason.holds


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of the table's decision about one object."""

    coercions: tuple[Verdict, ...]
    routes: tuple[Verdict, ...]
    dispatches: tuple[Dispatch, ...]
    edits: tuple[Alteration, ...]
    """The edits of the coercions."""
    is_unmatched: bool
    unmatched: UnmatchedPolicy
    decision: FateDecision | None = None
    """The decision of a coercion or route on the object as a whole."""


Marks = Mapping[SettingPath, Mark]
"""Path inside a `when:` → the place of its key in the YAML."""


def reason_for(
    predicate: Predicate,
    facts: Facts,
    *,
    with_values: bool,
    marks: Marks = MappingProxyType({}),
    path: SettingPath = (),
) -> Reason:
    """The verdict of `predicate` and of everything inside it."""
    kind = name_of_kind(predicate, port_kinds.predicate)
    here = (*path, kind)
    inside = list(children(predicate))
    inner = tuple(reason_for(one, facts, with_values=with_values, marks=marks, path=here + at) for at, one in inside)
    attributes = () if inside else tuple(predicate.attributes())
    values = tuple(facts.values(attribute) for attribute in attributes) if with_values else None
    compare = getattr(predicate, "compared", None)
    compared = compare(facts, with_values=with_values) if compare is not None else ""
    return Reason(here, kind, predicate(facts), attributes, values, inner, marks.get(here), compared)

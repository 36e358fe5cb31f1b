"""The `conditions:` section: conditions with a name, compiled when they are first named.

A name is replaced by its condition. The result is bounded: names that hold names twice would double at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.common import setting_faults as faults
from gateway.config.compile_context import Context
from gateway.config.tree import Place, lossless
from gateway.config.typed_tree import is_broken
from gateway.config.when import condition_at
from gateway.model.problem import Mark
from gateway.ports.kinds import Predicate
from gateway.routing.language.kind_tree import children
from gateway.routing.language.named_condition import ConditionProblem
from gateway.routing.predicates.combining import AnyCondition, NamedConditionHolds

MAX_PREDICATES = 10_000
"""The most predicates in one named condition, with all names in it replaced."""
MAX_DEPTH = 64
"""Levels of predicates inside each other, counted likewise."""

STAND_IN = AnyCondition(())
"""The stand-in for a condition with a reported problem, so that its users are not reported too."""


@dataclass(frozen=True, slots=True)
class _Extent:
    predicates: int
    depth: int


class Conditions:
    """Named conditions while one configuration is compiled."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._built: dict[str, Predicate] = {}
        self._extents: dict[str, _Extent] = {}
        self._open: list[str] = []
        self._named: set[str] = set()
        self._unused: dict[str, Mark] = {}
        self._context: Context | None = None

    def compile(self, context: Context) -> None:
        """Compile all of them, also those that nobody names, and report what is wrong. `context` has the resources that
        answer with `named`."""
        self._context = context
        for name in self._places:
            self._compiled(name)

    def named(self, name: str) -> Predicate:
        """The condition of `name`. Raises ConditionProblem."""
        if self._context is None:
            raise ConditionProblem("unknown-condition", "conditions are named while a configuration is compiled")
        self._named.add(name)
        if name in self._open:
            circle = " → ".join((*self._open[self._open.index(name) :], name))
            raise ConditionProblem("condition-circle", f"conditions name each other in a circle: {circle}")
        if name not in self._places:
            if not self._context.is_complete:
                return STAND_IN
            message = faults.no_such_name("condition", f"`{name}`", name, self._places)
            raise ConditionProblem("unknown-condition", message)
        return self._built[name]

    def close(self) -> None:
        """All rules are compiled: keep nothing of the files, since the resources live as long as the routing table."""
        self._unused = {name: place.holder for name, place in self._places.items() if name not in self._named}
        self._places, self._built, self._extents, self._context = {}, {}, {}, None

    def warn_of_unused(self, context: Context) -> None:
        """Report the conditions that no rule names. To be called after `close`."""
        for name, mark in self._unused.items():
            context.findings.warning(mark, "unused-condition", f"no rule names the condition `{name}`")

    def _compiled(self, name: str) -> Predicate:
        """The condition of `name`, compiled after all that it names; without recursion, however long the chain is."""
        walks = [] if name in self._built else [self._walk(name)]
        while walks:
            inner = next((one for one in walks[-1] if one not in self._built and one not in self._open), None)
            if inner is not None:
                walks.append(self._walk(inner))
                continue
            walks.pop()
            done = self._open[-1]
            self._built[done] = self._build(done, self._places[done]) or STAND_IN
            self._open.pop()
        return self._built[name]

    def _walk(self, name: str) -> Iterator[str]:
        """Opens `name`; gives the conditions that it names."""
        self._open.append(name)
        return (one for one in names_in(lossless(self._places[name].node)) if one in self._places)

    def _build(self, name: str, place: Place) -> Predicate | None:
        assert self._context is not None
        if is_broken(place.node):
            return None
        config = lossless(place.node)
        if config is None:
            fault = faults.wrong_type("a condition", "nothing", "; `{}` always holds")
            self._context.fault_of_key(place, fault)
            return None
        built = condition_at(place, config, self._context)
        if built is None:
            return None
        extent = self._extents[name] = self._extent(built)
        if extent.predicates <= MAX_PREDICATES and extent.depth <= MAX_DEPTH:
            return built
        message = f"`{name}` holds {extent.predicates} predicates, {extent.depth} levels deep, with all names replaced"
        limits = f"at most {MAX_PREDICATES} and {MAX_DEPTH} are allowed"
        self._context.findings.error(place.holder, "too-large", f"{message}; {limits}")
        self._extents[name] = _Extent(1, 1)
        return None

    def _extent(self, predicate: Predicate) -> _Extent:
        if isinstance(predicate, NamedConditionHolds):
            inner = [self._extents.get(predicate.named.name, _Extent(1, 1))]
        else:
            inner = [self._extent(one) for _path, one in children(predicate)]
        deepest = max((one.depth for one in inner), default=0)
        return _Extent(1 + sum(one.predicates for one in inner), 1 + deepest)


def names_in(config: object) -> Iterator[str]:
    """The conditions that a condition names, as it is written."""
    if isinstance(config, list):
        for item in config:
            yield from names_in(item)
    if isinstance(config, dict):
        for key, value in config.items():
            if key == "condition" and isinstance(value, str):
                yield value
            else:
                yield from names_in(value)

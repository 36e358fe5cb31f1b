"""The `conditions:` section: conditions with a name, compiled when somebody first names them.

A name is replaced by what it stands for. What that makes is bounded: names that hold names twice would double at every
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.check import is_broken
from gateway.config.context import Context
from gateway.config.findings import did_you_mean
from gateway.config.rules import condition_at
from gateway.config.tree import Place, lossless
from gateway.model import Mark
from gateway.ports import Predicate
from gateway.routing.kinds import children
from gateway.routing.match import AnyOf, Condition
from gateway.routing.named import ConditionProblem

MAX_PREDICATES = 10_000
"""In one named condition, with all names in it replaced."""
MAX_DEPTH = 64
"""Levels of predicates inside each other, counted likewise."""

STAND_IN = AnyOf(())
"""For a condition that is wrong and was reported, so that those who name it are not wrong too."""


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
        """What `name` stands for. Raises ConditionProblem."""
        if self._context is None:
            raise ConditionProblem("unknown-condition", "conditions are named while a configuration is compiled")
        self._named.add(name)
        if name in self._open:
            circle = " → ".join((*self._open[self._open.index(name) :], name))
            raise ConditionProblem("condition-circle", f"conditions name each other in a circle: {circle}")
        if name not in self._places:
            if not self._context.is_complete:
                return STAND_IN
            near = did_you_mean(name, self._places)
            raise ConditionProblem("unknown-condition", f"no condition is named `{name}`{near}")
        return self._compiled(name)

    def close(self) -> None:
        """All rules are compiled: keep nothing of the files, since the resources live as long as the routing table."""
        self._unused = {name: place.holder for name, place in self._places.items() if name not in self._named}
        self._places, self._built, self._extents, self._context = {}, {}, {}, None

    def warn_of_unused(self, context: Context) -> None:
        """After `close`."""
        for name, mark in self._unused.items():
            context.findings.warning(mark, "unused-condition", f"no rule names the condition `{name}`")

    def _compiled(self, name: str) -> Predicate:
        if name not in self._built:
            if len(self._open) >= MAX_DEPTH:
                raise ConditionProblem("too-deep", f"conditions name each other more than {MAX_DEPTH} levels deep")
            self._open.append(name)
            try:
                self._built[name] = self._build(name, self._places[name]) or STAND_IN
            finally:
                self._open.pop()
        return self._built[name]

    def _build(self, name: str, place: Place) -> Predicate | None:
        assert self._context is not None
        if is_broken(place.node):
            return None
        config = lossless(place.node)
        if config is None:
            message = "expected a condition, found nothing; `{}` always holds"
            self._context.findings.error(place.holder, "wrong-type", message)
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
        if isinstance(predicate, Condition):
            inner = [self._extents.get(predicate.named.name, _Extent(1, 1))]
        else:
            inner = [self._extent(one) for _path, one in children(predicate)]
        deepest = max((one.depth for one in inner), default=0)
        return _Extent(1 + sum(one.predicates for one in inner), 1 + deepest)

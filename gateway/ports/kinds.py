"""Kinds of predicates, actions and destinations: the page for authors of extensions.

A *kind* is one frozen dataclass. Its fields are the settings, its docstring is the
documentation; configuration, JSON Schema and reference are made from it (`gateway.forms.groups`). A kind
with one field takes the field's value directly (`modality: [MR]`), one with more takes a mapping of fields. A kind may
have a method ``problems()``: it gives a `gateway.model.problem.SettingProblem` for each mistake that no single field
shows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol, TypeVar, runtime_checkable

from gateway.model.attribute_path import AttributePath
from gateway.model.dimse_status import SUCCESS
from gateway.model.peer import DestinationSettings, Peer
from gateway.model.problem import SettingPath
from gateway.ports.destination import Destination
from gateway.ports.edits import Alteration
from gateway.ports.facts import Facts
from gateway.ports.meter import Meter


@dataclasses.dataclass(frozen=True, slots=True)
class Fate:
    """The fate of an object as a whole: actions with an attribute `fate` are decided when it is routed."""

    kind: Literal["drop", "reject", "hold"]
    """drop: it is not kept, and the sender is answered `status`, a success or warning. reject: the same with a failure.
    hold: what it owes waits for an operator."""
    status: int = SUCCESS
    reason: str = ""
    """The reason for the log, and of a rejection the Error Comment (0000,0902)."""


class Resources(Protocol):
    """The parts of a configuration besides the settings of its kinds."""

    def table(self, path: str) -> Mapping[str, str]:
        """A CSV file of two columns, or a text file with one value a line (then every value is empty).

        Raises ValueError with what is wrong with it.
        """
        ...

    def key(self, name: str) -> bytes:
        """The secret of this name of the section `keys`. Raises ValueError when there is none."""
        ...

    def condition(self, name: str) -> Predicate:
        """The condition of this name in the section `conditions`. Raises ValueError when it cannot be used."""
        ...


class Predicate(Protocol):
    """Says whether the condition of a coercion or route holds.

    It never raises for what an object holds: a value that it cannot compare does not fit. Of equal predicates that can
    be hashed one may be asked for all. It may have further methods:

    ``compared(facts, *, with_values: bool) -> str`` is what it found, for explanations, with values of the object, and
    with settings that give them away, only `with_values`. ``keys()`` has it asked only where it can hold, see
    `gateway.routing.index_keys`. ``listeners()`` gives the listeners that it names, see `listeners_named_by`.
    ``never_holds(callers)`` gives what it compares with and can never be, see `doubts_of`.
    """

    def __call__(self, facts: Facts) -> bool: ...

    def attributes(self) -> Iterable[AttributePath]:
        """The attributes it reads; `()` when it reads none."""
        ...


def listeners_named_by(predicate: Predicate) -> Iterable[tuple[SettingPath, str]]:
    """The listeners that a predicate names, each with its path inside the predicate's value: a name that no listener
    has is a mistake. None unless the predicate has a method ``listeners()`` that gives them in this form."""
    return getattr(predicate, "listeners", tuple)()


@dataclasses.dataclass(frozen=True, slots=True)
class Callers:
    """The requestors that the configuration admits."""

    ae_titles: frozenset[str] = frozenset()
    """AE titles of the peers that may call."""
    admits_strangers: bool = True
    """Requestors that are no peer are admitted too."""
    called_ae_titles: frozenset[str] = frozenset({"*"})
    """Called AE titles that are answered; `*` stands for any."""


def doubts_of(predicate: Predicate, callers: Callers) -> Iterable[tuple[SettingPath, str]]:
    """The values that a predicate compares with and that can never be, though they are written well: path inside the
    predicate's value, and the reason, which ends with what to write instead. None unless the predicate has a method
    ``never_holds(callers)`` that gives them in this form."""
    found: Callable[[Callers], Iterable[tuple[SettingPath, str]]] | None = getattr(predicate, "never_holds", None)
    return () if found is None else found(callers)


class Action(Protocol):
    """Says what changes in an object. A pure function of the facts."""

    def edits(self, facts: Facts) -> Iterable[Alteration]:
        """The changes, in order. Raises Refusal when the object must not go on in this form."""
        ...

    def attributes(self) -> Iterable[AttributePath]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Conversion:
    """A change of a whole object that a worker process makes."""

    kind: str
    """A row of `gateway.dataset.conversions.KINDS`."""
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Plain values: they travel as JSON."""
    is_optional: bool = False
    """True when the object may go on as it is where this cannot be made."""


@runtime_checkable
class Converting(Protocol):
    """An action that changes the object as a whole, only under a route's `then`. Its edits are made after that."""

    def convert(self, facts: Facts) -> Conversion | None:
        """The conversion of the object; None: it stays as it is. Raises Refusal."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class DestinationContext:
    """The surroundings of a destination that is opened."""

    peer: Peer
    """The peer whose destination it is."""
    own_ae_title: str
    meter: Meter


@runtime_checkable
class DestinationKind(DestinationSettings, Protocol):
    """The settings of a destination, which open it."""

    def open(self, context: DestinationContext) -> Destination:
        """The destination; nothing is connected or made yet. Raises ConfigurationError when its settings are none."""
        ...


class Registry:
    """Kinds by name."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.kinds: dict[str, type] = {}
        self.names: dict[type, str] = {}
        """The reverse of `kinds`."""
        self.packages: dict[type, str] = {}
        """Class → name and version of the other package that brings it; see `gateway.routing.extensions`."""
        self._having: dict[str, frozenset[str]] = {}

    def __call__(self, name: str) -> Callable[[type[T]], type[T]]:
        def register(cls: type[T]) -> type[T]:
            if name in self.kinds:
                raise ValueError(f"{self.noun} {name!r} is registered twice")
            self.kinds[name] = cls
            self.names.setdefault(cls, name)
            self._having.clear()
            return cls

        return register

    def having(self, method: str) -> frozenset[str]:
        """The names of the kinds that have an optional method."""
        if method not in self._having:
            self._having[method] = frozenset(name for name, cls in self.kinds.items() if hasattr(cls, method))
        return self._having[method]

    def of_packages(self) -> Mapping[str, type]:
        """Name → class of the kinds that other packages bring."""
        return {name: cls for name, cls in self.kinds.items() if cls in self.packages}


T = TypeVar("T")
predicate = Registry("predicate")
action = Registry("action")
destination = Registry("destination")

"""Rules as they are compiled: what they change, and where they send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.peer import PeerGroup
from gateway.model.priority import Priority
from gateway.model.problem import Mark
from gateway.ports.facts import Facts
from gateway.ports.kinds import Action, Fate, Predicate
from gateway.routing.collecting import CollectionDefinition
from gateway.routing.dispatching import NUMBERS
from gateway.routing.fate_decision import FateDecision, fate_of
from gateway.routing.route_priority import NORMAL, RoutePriority
from gateway.routing.targets import NO_TARGETS, PeerOfGroup, Targets
from gateway.routing.verdicts import Marks


@dataclass(frozen=True, slots=True)
class Coercion:
    """Tag what arrives: when `when` holds, `actions` change the object for all that follows."""

    name: str
    when: Predicate
    actions: tuple[Action, ...]
    mark: Mark | None = None
    marks: Marks = field(default_factory=dict, repr=False, compare=False)
    """The marks of settings inside `when`."""
    fate: Fate | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fate", fate_of(self.actions))


@dataclass(frozen=True, slots=True)
class Route:
    """Send on: when `when` holds, the object goes to `to`, changed by `actions`."""

    name: str
    when: Predicate
    to: tuple[str, ...]
    """Names of peers; groups are expanded, but for `groups`."""
    actions_json: str = ""
    actions: tuple[Action, ...] = ()
    stop: bool = False
    mark: Mark | None = None
    marks: Marks = field(default_factory=dict, repr=False, compare=False)
    """The marks of settings inside `when`."""
    groups: tuple[PeerGroup, ...] = ()
    """Those of which one member gets the object."""
    priority: RoutePriority = NORMAL
    passes_window: bool = False
    """Its deliveries are sent while they are urgent, also when the window of their destination is closed."""
    is_one_association: bool = False
    """All that waits of a study for one destination goes over one association, in order."""
    keep_s: float = 0.0
    """The copy here of what was delivered by it is kept for so long; 0: as long as retention says."""
    collection: CollectionDefinition | None = None
    """The collections that its objects wait for; None: they are sent at once."""
    targets: Targets = NO_TARGETS
    """Templates under its `to`: further destinations, by what each object says."""
    fate: Fate | None = field(init=False, repr=False, compare=False)
    dispatches: tuple[Dispatch, ...] = field(init=False, repr=False, compare=False)
    """One for each of `to`, pending; then one for each of `groups`, to the first member, until one is chosen."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fate", fate_of(self.actions))
        to = [(one, "") for one in self.to] + [(one.members[0], one.name) for one in self.groups]
        object.__setattr__(self, "dispatches", self._dispatches(to))

    def _dispatches(self, places: Iterable[PeerOfGroup], **more: Any) -> tuple[Dispatch, ...]:
        priority = Priority.NORMAL if self.priority.fixed is None else self.priority.fixed
        how: dict[str, Any] = {"priority": priority, "passes_window": self.passes_window, **more}
        return tuple(Dispatch(self.name, one, self.actions_json, group_name=group, **how) for one, group in places)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the peers and groups that it sends to, and its templates for such names."""
        return (*self.to, *(group.name for group in self.groups), *self.targets.texts())

    @property
    def is_choosing(self) -> bool:
        """True when it sends to groups of which one member gets the object, or may."""
        return bool(self.groups) or self.targets.is_choosing

    def names_for(self, facts: Facts) -> tuple[str, ...]:
        """The names of the peers and groups that it sends this object to. Raises Temporary, PayloadLost."""
        places, _fault = self.targets.of(facts)
        found = (group or peer for peer, group in places)
        return tuple(dict.fromkeys((*self.to, *(group.name for group in self.groups), *found)))

    def attributes(self) -> Iterator[AttributePath]:
        """The attributes that condition, targets, priority, order and collection read."""
        yield from self.when.attributes()
        yield from self.targets.attributes()
        yield from self.priority.attributes()
        yield from NUMBERS if self.is_one_association else ()
        if self.collection is not None:
            yield from self.collection.attributes()

    @property
    def decision(self) -> FateDecision | None:
        """Its decision on the object as a whole."""
        return None if self.fate is None else FateDecision(self.name, self.fate, self.mark)

    @property
    def is_by_object(self) -> bool:
        """True when destinations or priority are not the same for each object."""
        return bool(self.targets.templates) or (self.priority.is_from_object and bool(self.dispatches))

    def dispatches_of(self, facts: Facts, sent_as: int) -> tuple[tuple[Dispatch, ...], bool]:
        """The dispatches of this object; False: the template of its priority gives none, and they are normal. Raises
        what `Template.render` does of the stored bytes."""
        dispatches = (*self.dispatches, *self._aimed(facts)) if self.targets.templates else self.dispatches
        priority = self.priority.of(facts, sent_as) if self.priority.is_from_object else Priority.NORMAL
        if priority is None or priority is Priority.NORMAL:
            return dispatches, priority is not None
        return tuple(replace(each, priority=priority) for each in dispatches), True

    def _aimed(self, facts: Facts) -> tuple[Dispatch, ...]:
        """The dispatches of its templates for this object. Where one gives no destination, the last is held for nobody,
        so that an operator sees it and says where the object goes."""
        places, fault = self.targets.of(facts)
        made = self._dispatches(places)
        if not fault:
            return made
        reason = f"held by {self.name}: {fault}"
        return (*made, *self._dispatches([("", "")], state=DeliveryState.HELD, reason=reason))

    def collected(self, facts: Facts, dispatches: tuple[Dispatch, ...]) -> tuple[Dispatch, ...]:
        """These dispatches with the collection that the object belongs to. One without the UID that is collected by
        waits for nothing; neither does what is held for nobody."""
        if self.collection is None or (member := self.collection.membership(facts)) is None:
            return dispatches
        return tuple(replace(each, collection=member) if each.destination else each for each in dispatches)


@dataclass(frozen=True, slots=True)
class RetrieveCoercion:
    """Change what is retrieved: when `when` holds, the peers `to` get the object changed by `actions`."""

    name: str
    when: Predicate
    to: tuple[str, ...]
    """Names of peers; groups are expanded."""
    actions: tuple[Action, ...]


def attributes_of(actions: Iterable[Action]) -> tuple[AttributePath, ...]:
    """The attributes that `actions` read, for `facts_for`."""
    return tuple(dict.fromkeys(path for action in actions for path in action.attributes()))

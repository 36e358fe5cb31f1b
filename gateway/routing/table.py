"""The routing table: every decision about an object, as one pure function of its facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from gateway.dataset.encoding import DEFLATED
from gateway.dataset.inflation import InflationSteps
from gateway.dataset.scanned_level import WantedElements, wanted
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import UNMATCHED_RULE, DeliveryState, Dispatch, Duty
from gateway.model.peer import Peer, PeerGroup
from gateway.model.priority import MEDIUM
from gateway.model.security import IdentityMethod
from gateway.model.settings import QueryRetrieve, Settings, UnmatchedPolicy, UnreadablePolicy
from gateway.ports.edits import Alteration, OriginalAttributes
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import Refusal
from gateway.ports.kinds import Action, Resources
from gateway.routing.dispatching import bundled, held
from gateway.routing.facts import ObjectFacts, facts_for, needed, reading_facts
from gateway.routing.fate_decision import FateDecision, is_final
from gateway.routing.kept_facts import is_of_top_level, keep
from gateway.routing.language.resources import NO_RESOURCES
from gateway.routing.route import Coercion, RetrieveCoercion, Route, attributes_of
from gateway.routing.rule_index import FEWEST_RULES, RuleIndex
from gateway.routing.verdicts import Explanation, Verdict, reason_for
from gateway.routing.visibility_rules import VisibilityRule

__all__ = [
    "Coercion",
    "FateDecision",
    "ObjectFacts",
    "RetrieveCoercion",
    "Route",
    "RoutingPlan",
    "RoutingTable",
    "apply_actions",
    "attributes_of",
    "facts_for",
]

MOST_LOOKUPS = 16
"""Coercions that hold for one object and are looked up; the rest is asked one by one."""

UNMATCHED_HELD = (Dispatch(UNMATCHED_RULE, "", "", DeliveryState.HELD, reason="no route wants it"),)
"""The dispatches of such an object."""

NONE_PAUSED: frozenset[str] = frozenset()


class RoutingPlan(NamedTuple):
    """The decision about one object. A tuple, since one is made for each object."""

    dispatches: tuple[Dispatch, ...]
    edits: tuple[Alteration, ...]
    """The edits of the coercions, in order; to be made before the object is stored. () leaves its bytes alone."""
    is_unmatched: bool
    """No route wanted it."""
    facts: ObjectFacts
    """The facts after the coercions: the UIDs are those of the object to store."""
    decision: FateDecision | None = None
    """The decision of a coercion or route on the object as a whole. A drop or a rejection leaves no dispatches."""
    unclear: tuple[str, ...] = ()
    """Routes whose template gave no priority for it: its delivery is normal."""

    @property
    def unaimed(self) -> tuple[Dispatch, ...]:
        """Dispatches that are held because a template under `to` gave no destination."""
        return () if self.is_unmatched else tuple(each for each in self.dispatches if not each.destination)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """One configuration, compiled. Never changes; a reload makes a new one."""

    version: str
    settings: Settings
    coercions: tuple[Coercion, ...]
    routes: tuple[Route, ...]
    peers: Mapping[str, Peer]
    groups: Mapping[str, PeerGroup]
    unmatched: UnmatchedPolicy
    unreadable: UnreadablePolicy = "reject"
    """The fate of an object that no tolerant reader can walk through."""
    reserved_ae_titles: frozenset[str] = frozenset()
    """AE titles of disabled peers that may call when they are enabled: no stranger may have one."""
    identity_methods: Mapping[str, IdentityMethod] = field(default_factory=dict)
    """Ways to verify user identities, by name."""
    resources: Resources = field(default=NO_RESOURCES, compare=False)
    """Keys and tables that its kinds were built with; stored actions are built with those of the table in force."""
    query_retrieve: QueryRetrieve = field(default_factory=QueryRetrieve)
    retrieve_coercions: tuple[RetrieveCoercion, ...] = ()
    hidden: tuple[VisibilityRule, ...] = ()
    """Studies that queries and retrieves do not show to some."""
    indexed: tuple[AttributePath, ...] = ()
    """The attributes that the local index keeps of every object; () without one."""
    is_choosing: bool = field(init=False, repr=False, compare=False)
    """True when routes name groups of which one member gets the object."""
    is_aiming: bool = field(init=False, repr=False, compare=False)
    """True when templates give destinations of routes."""
    is_collecting: bool = field(init=False, repr=False, compare=False)
    """True when objects of a route wait until their study or series is whole."""
    destination_ae_titles: frozenset[str] = field(init=False, repr=False, compare=False)
    """AE titles of DICOM peers that objects can be sent to."""
    attributes_needed: tuple[AttributePath, ...] = field(init=False)
    """The attributes that are read of every object: all that coercions, the conditions of routes and the local index
    need.
    """
    _wanted: WantedElements = field(init=False, repr=False, compare=False)
    _wanted_to_explain: WantedElements = field(init=False, repr=False, compare=False)
    _kept: tuple[AttributePath, ...] = field(init=False, repr=False, compare=False)
    """The attributes that deliveries may read of an object, as far as they can be kept with it; () when they read
    none.
    """
    _wanted_to_keep: WantedElements = field(init=False, repr=False, compare=False)
    _route_index: RuleIndex | None = field(init=False, repr=False, compare=False)
    """None where there are few."""
    _coercion_index: RuleIndex | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        needed_paths = [path for coercion in self.coercions for path in coercion.when.attributes()]
        needed_paths += [path for coercion in self.coercions for path in attributes_of(coercion.actions)]
        needed_paths += [path for route in self.routes for path in route.attributes()]
        needed_paths += self.indexed
        titles = frozenset(peer.ae_title for peer in self.peers.values() if peer.host)
        object.__setattr__(self, "destination_ae_titles", titles)
        object.__setattr__(self, "is_choosing", any(route.is_choosing for route in self.routes))
        object.__setattr__(self, "is_aiming", any(route.targets.templates for route in self.routes))
        object.__setattr__(self, "is_collecting", any(route.collection for route in self.routes))
        object.__setattr__(self, "attributes_needed", needed(needed_paths))
        object.__setattr__(self, "_wanted", wanted(self.attributes_needed))
        of_actions = [path for route in self.routes for path in attributes_of(route.actions)]
        object.__setattr__(self, "_wanted_to_explain", wanted(needed([*needed_paths, *of_actions])))
        later = [path for path in (*of_actions, *self._paths_of_folders_and_retrieves()) if is_of_top_level(path)]
        object.__setattr__(self, "_kept", needed(later) if later else ())
        object.__setattr__(self, "_wanted_to_keep", wanted(needed([*needed_paths, *self._kept])))
        object.__setattr__(self, "_route_index", _index_of(self.routes))
        object.__setattr__(self, "_coercion_index", _index_of(self.coercions))

    def _paths_of_folders_and_retrieves(self) -> Iterator[AttributePath]:
        """The attributes of a stored object that neither coercions nor routes ask for."""
        for coercion in self.retrieve_coercions:
            yield from coercion.when.attributes()
            yield from attributes_of(coercion.actions)
        for peer in self.peers.values():
            if peer.destination is not None:
                with suppress(ValueError):  # an error when the destination is opened
                    yield from peer.destination.attributes()

    def is_strict(self, peer: str) -> bool:
        """True when `peer`, a name or empty for a stranger, is held to the letter of the standard
        (`gateway.leniency`)."""
        known = self.peers.get(peer)
        return self.settings.is_strict if known is None else known.is_strict

    def reading_facts(
        self,
        *,
        association: AssociationFacts,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        body: EncodedDataSet,
        received_at: datetime,
        is_to_explain: bool = False,
    ) -> InflationSteps[ObjectFacts]:
        """The facts of an arrived object that this table needs, in steps; the bytes are read once. Attributes that only
        the actions of routes need, which run at delivery, are read when `is_to_explain`; of a deflated object those
        that are kept with it.

        Raises:
            Unreadable: the bytes are not a data set in this transfer syntax.
            ObjectTooLarge, Temporary: a deflated data set inflates too far, or too many do at this time.
            ClassMismatch: command and data set name different SOP classes or instances.
        """
        return reading_facts(
            association=association,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            body=body,
            received_at=received_at,
            attributes=self._wanted_for(transfer_syntax_uid, is_to_explain=is_to_explain),
            is_strict=self.is_strict(association.peer),
        )

    def _wanted_for(self, transfer_syntax_uid: str, *, is_to_explain: bool) -> WantedElements:
        if is_to_explain:
            return self._wanted_to_explain
        return self._wanted_to_keep if transfer_syntax_uid in DEFLATED else self._wanted

    def kept_facts(self, facts: ObjectFacts) -> str:
        """The facts to keep with a deflated object, `facts` being those after coercions: its deliveries do not
        inflate it again to read it. Empty when they need none.
        """
        return keep(facts.level, self._kept) if self._kept else ""

    def plan(self, facts: ObjectFacts, sent_as: int = MEDIUM, paused: frozenset[str] = NONE_PAUSED) -> RoutingPlan:
        """Coercions in order, each seeing the edits of the former; then every route whose condition holds, until one
        says `stop`. Two routes to the same destination with equal actions make one dispatch, the first's, with the
        higher priority.

        The first coercion or route that drops or rejects the object ends it all, whatever others said before.

        Args:
            facts: of the object.
            sent_as: Priority (0000,0700) of its C-STORE request.
            paused: names of routes whose deliveries wait: another one's dispatch of the same duty is made in place.

        Raises:
            Refusal: an action cannot be done on this object.
        """
        index = self._coercion_index
        facts, edits, decision = (
            self._coerce(facts, self.coercions) if index is None else self._coerce_by_index(facts, index)
        )
        if decision is not None and decision.is_final:
            return RoutingPlan((), (), False, facts, decision)
        held_by = decision
        dispatches: dict[Duty, Dispatch] = {}
        unclear: tuple[str, ...] = ()
        is_unmatched = True
        index = self._route_index
        for route in self.routes if index is None else map(self.routes.__getitem__, index.holding(facts)):
            if index is None and not route.when(facts):
                continue
            is_unmatched = False
            here = route.decision
            if here is not None:
                if here.is_final:
                    return RoutingPlan((), (), False, facts, here)
                decision = decision or here
            made = route.dispatches
            if route.is_by_object:
                made, is_clear = route.dispatches_of(facts, sent_as)
                unclear += () if is_clear else (route.name,)
            is_held = here is not None or held_by is not None
            made = held(made, held_by or here) if is_held else route.collected(facts, made)
            for dispatch in bundled(made, facts) if route.is_one_association else made:
                there = dispatches.setdefault(dispatch.duty, dispatch)
                if there is not dispatch:
                    dispatches[dispatch.duty] = _one_of(there, dispatch, paused)
            if route.stop:
                break
        unmatched = UNMATCHED_HELD if self.unmatched == "hold" else ()
        found = unmatched if is_unmatched else tuple(dispatches.values())
        return RoutingPlan(found, edits, is_unmatched, facts, decision, unclear)

    def explain(self, facts: ObjectFacts, *, with_values: bool = False) -> Explanation:
        """Every coercion's and route's verdict with its reasons, and the plan. `with_values` shows what was compared.
        `facts` were read with `is_to_explain`.
        """
        coercions: list[Verdict] = []
        current, refusal, is_reached = facts, "", True
        for coercion in self.coercions:
            reason = reason_for(coercion.when, current, with_values=with_values, marks=coercion.marks)
            edits: tuple[Alteration, ...] = ()
            if reason.holds and is_reached:
                current, edits, refusal = _tried(coercion.actions, current)
            one = Verdict(coercion.name, coercion.mark, reason, is_reached=is_reached, edits=edits, refusal=refusal)
            coercions.append(one)
            is_reached, refusal = is_reached and not refusal and not (reason.holds and is_final(coercion.fate)), ""
        routes: list[Verdict] = []
        for route in self.routes:
            reason = reason_for(route.when, current, with_values=with_values, marks=route.marks)
            edits, refusal = _tried(route.actions, current)[1:] if reason.holds and is_reached else ((), "")
            to = route.names_for(current) if reason.holds and is_reached else route.names
            one = Verdict(route.name, route.mark, reason, is_reached=is_reached, edits=edits, to=to, refusal=refusal)
            routes.append(one)
            is_reached = is_reached and not (reason.holds and (route.stop or is_final(route.fate)))
        if any(one.refusal and one.is_applied for one in coercions):
            return Explanation(tuple(coercions), tuple(routes), (), (), False, self.unmatched)
        plan = self.plan(facts)
        decided = (plan.dispatches, plan.edits, plan.is_unmatched, self.unmatched, plan.decision)
        return Explanation(tuple(coercions), tuple(routes), *decided)

    def _coerce(
        self, facts: ObjectFacts, coercions: Sequence[Coercion]
    ) -> tuple[ObjectFacts, tuple[Alteration, ...], FateDecision | None]:
        """Ends at the first that drops or rejects."""
        edits: tuple[Alteration, ...] = ()
        decision: FateDecision | None = None
        for coercion in coercions:
            if not coercion.when(facts):
                continue
            if coercion.fate is not None:
                here = FateDecision(coercion.name, coercion.fate, coercion.mark)
                if here.is_final:
                    return facts, (), here
                decision = decision or here
            facts, more = _apply(coercion.actions, facts)
            edits += more
        return facts, edits, decision

    def _coerce_by_index(
        self, facts: ObjectFacts, index: RuleIndex
    ) -> tuple[ObjectFacts, tuple[Alteration, ...], FateDecision | None]:
        """`_coerce` of all. Each coercion that is done changes the object, so that the next one is looked up anew."""
        edits: tuple[Alteration, ...] = ()
        decision: FateDecision | None = None
        number = 0
        for lookup in range(MOST_LOOKUPS + 1):
            number = next(index.holding(facts, number), len(self.coercions))
            end = len(self.coercions) if lookup == MOST_LOOKUPS else number + 1
            facts, more, here = self._coerce(facts, self.coercions[number:end])
            if here is not None and here.is_final:
                return facts, (), here
            edits += more
            decision = decision or here
            number = end
        return facts, edits, decision


def _one_of(first: Dispatch, other: Dispatch, paused: frozenset[str]) -> Dispatch:
    """One dispatch for two of one duty, the first's; the other's where the first's route alone is paused."""
    if (first.rule in paused) is (other.rule in paused):
        return first.at_least_as(other)
    return other if first.rule in paused else first


def _index_of(rules: Sequence[Coercion | Route]) -> RuleIndex | None:
    return RuleIndex([rule.when for rule in rules]) if len(rules) >= FEWEST_RULES else None


def apply_actions(actions: Sequence[Action], facts: ObjectFacts) -> tuple[Alteration, ...]:
    """The edits of `actions` in order, each action seeing the edits of the former.

    Raises:
        Refusal: an action cannot be done on this object.
    """
    return _apply(actions, facts)[1]


def _tried(actions: Sequence[Action], facts: ObjectFacts) -> tuple[ObjectFacts, tuple[Alteration, ...], str]:
    """`_apply`, and why it cannot be done; empty when it can."""
    try:
        return *_apply(actions, facts), ""
    except Refusal as refusal:
        return facts, (), str(refusal)


def _apply(actions: Sequence[Action], facts: ObjectFacts) -> tuple[ObjectFacts, tuple[Alteration, ...]]:
    edits: list[Alteration] = []
    recorded = 0
    for action in actions:
        more = tuple(action.edits(facts))
        if more:
            for one in more:
                if isinstance(one, OriginalAttributes):
                    edits.append(replace(one, since=len(edits) - recorded))
                    recorded = len(edits)
                else:
                    edits.append(one)
            facts = facts.edited(more)
    return facts, tuple(edits)

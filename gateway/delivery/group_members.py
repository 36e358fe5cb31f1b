"""The members of groups: which one gets an object, and which are given up. By what is in memory alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from gateway.common.steady_clock import loop_clock_s
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.node import DestinationStanding
from gateway.model.peer import PeerGroup

TRIAL_EACH_S = 5.0
"""A member that is given up gets an object to try it with, this often at most."""

NOT_THERE = DestinationStanding(False, "not in the rules in force, or disabled", 0, math.inf, down_s=math.inf)
"""The standing of a destination that no rule has."""

StandingOf = Callable[[str], DestinationStanding | None]
"""How a destination stands; None before its first answer or failure."""


class GroupMembers:
    """Chooses for each object. `standing_of` gives how a destination stands now, at whatever node it is worked on."""

    def __init__(
        self,
        standing_of: StandingOf,
        clock_s: Callable[[], float] = loop_clock_s,
        trial_each_s: float = TRIAL_EACH_S,
    ) -> None:
        self._standing_of = standing_of
        self._trial_each_s = trial_each_s
        self._clock_s = clock_s
        self._tried_at_s: dict[str, float] = {}
        self.doubtful: Mapping[tuple[str, str], int] = {}
        """Group and member → the number of its deliveries there that the member may have; one of them tries it."""
        self._waiting: Counter[str] = Counter()
        """Member of a balance group → deliveries that wait for it, as counted last, and those chosen for it since."""
        self._turns: Counter[str] = Counter()
        """Member of a balance group → the turn at which it was chosen last."""
        self._turn = 0

    def choose(
        self,
        dispatches: Sequence[Dispatch],
        groups: Mapping[str, PeerGroup],
        kept: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[Dispatch, ...]:
        """The dispatches, those to a group with the member that gets the object: `kept` names it for groups whose
        member the study is with. Where it goes to this member in the same form by its own name, the group needs none;
        and none where it goes there by a group that has no other members than this one has."""
        if not any(each.group_name for each in dispatches):
            return tuple(dispatches)
        answer: list[Dispatch] = []
        for each in dispatches:
            _join(answer, self._placed(each, groups, kept) if each.group_name else each, groups)
        return tuple(answer)

    def _placed(self, dispatch: Dispatch, groups: Mapping[str, PeerGroup], kept: Mapping[str, str]) -> Dispatch:
        member = kept.get(dispatch.group_name)
        if member is None:
            member = self.next_one(groups[dispatch.group_name])
        else:
            self._waiting[member] += 1
        return replace(dispatch, destination=member)

    def next_one(self, group: PeerGroup) -> str:
        """The member that gets an object, or a study, that comes now."""
        best = self.best(group)
        member = self.to_try(group, best) or best
        self._turn += 1
        self._turns[member] = self._turn
        self._waiting[member] += 1
        return member

    def best(self, group: PeerGroup) -> str:
        """The first member that is not given up, of a balance group the one with the fewest deliveries that wait among
        those that are up, in turn where these are equal. When all are given up the first one, or the one with the
        fewest."""
        members = group.members
        fit = [member for member in members if not self.is_given_up(group, member)] or members
        if group.kind == "failover":
            return fit[0]
        up = [member for member in fit if not self._is_down(member)] or fit
        return min(up, key=lambda member: (self._waiting[member], self._turns[member]))

    def count(self, waiting: Mapping[str, int]) -> None:
        """The numbers of deliveries that wait, of the members of balance groups."""
        self._waiting = Counter(waiting)

    def waiting(self, member: str) -> int:
        """The number of deliveries that wait for a member of a balance group."""
        return self._waiting[member]

    def is_given_up(self, group: PeerGroup, member: str) -> bool:
        """True when it has been down for as long as the group waits."""
        standing = self._standing_of(member)
        return standing is not None and not standing.is_up and standing.down_s >= group.after_s

    def is_doubt_over(self, group: PeerGroup, place: str) -> bool:
        """True when the group gives what `place` may have to another member: it has been down for long enough."""
        standing = self._standing_of(place)
        if standing is None or standing.is_up or group.after_doubt_s is None:
            return False
        return standing.down_s >= group.after_doubt_s

    def _is_down(self, member: str) -> bool:
        standing = self._standing_of(member)
        return standing is not None and not standing.is_up

    def keeping(self, group: PeerGroup) -> tuple[str, ...]:
        """The members with which studies stay."""
        return tuple(each for each in group.members if not self.is_left(group, each))

    def is_left(self, group: PeerGroup, place: str) -> bool:
        """True for what is no member, or is given up while another one is not: studies leave it, unless it is about to
        be tried with one."""
        if place not in group.members:
            return True
        if not self.is_given_up(group, place) or self.are_all_given_up(group):
            return False
        standing = self._standing_of(place)
        return standing is None or standing.wait_s > 0 or bool(self.doubtful.get((group.name, place)))

    def are_all_given_up(self, group: PeerGroup) -> bool:
        """True when it has no other members."""
        return all(self.is_given_up(group, member) for member in group.members)

    def why(self, member: str) -> str:
        """The reason why it is down; empty when it is not."""
        standing = self._standing_of(member)
        return "" if standing is None else standing.reason

    def to_try(self, group: PeerGroup, best: str) -> str:
        """A member that would be preferred to `best`, is given up and may be up again: one object tries it, or one
        study. Empty when there is none, when its next try is not due, and where a doubtful delivery is the try."""
        is_ordered = group.kind == "failover"
        for member in group.members:
            if is_ordered and member == best and not self.is_given_up(group, best):
                return ""
            if member != best and self.is_given_up(group, member) and self._may_be_tried(group, member):
                self._tried_at_s[member] = self._clock_s()
                return member
        return ""

    def _may_be_tried(self, group: PeerGroup, member: str) -> bool:
        if self.doubtful.get((group.name, member)):
            return False
        standing = self._standing_of(member)
        if standing is None or standing.wait_s > 0:
            return False
        tried_at_s = self._tried_at_s.get(member)
        return tried_at_s is None or self._clock_s() - tried_at_s >= self._trial_each_s


def _join(answer: list[Dispatch], dispatch: Dispatch, groups: Mapping[str, PeerGroup]) -> None:
    """Add a dispatch, unless another one keeps its promise; those whose promise it keeps go. What stays is as urgent as
    what goes."""
    for place, other in enumerate(answer):
        if _is_kept_by(other, dispatch, groups):
            answer[place] = other.at_least_as(dispatch)
            return
    kept = [other for other in answer if _is_kept_by(dispatch, other, groups)]
    for other in kept:
        dispatch = dispatch.at_least_as(other)
    place = answer.index(kept[0]) if kept else len(answer)
    answer[:] = [*answer[:place], dispatch, *(each for each in answer[place:] if each not in kept)]


def _is_kept_by(one: Dispatch, other: Dispatch, groups: Mapping[str, PeerGroup]) -> bool:
    """True when the promise of `other` is kept wherever that of `one` is: also after its delivery was moved."""
    if (one.destination, one.actions_json) != (other.destination, other.actions_json) or not other.group_name:
        return False
    if one.state is not DeliveryState.PENDING and other.state is DeliveryState.PENDING:
        return False
    return not one.group_name or set(groups[one.group_name].members) <= set(groups[other.group_name].members)

"""The members of groups: which one gets an object, and which are given up. By what is in memory alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.common.steady_clock import loop_clock_s
from gateway.model.delivery import Dispatch
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

    def choose(self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup]) -> tuple[Dispatch, ...]:
        """The dispatches, those to a group with the member that gets the object. Where it goes to this member in the
        same form by its own name, the group needs none."""
        direct = {each.duty for each in dispatches if not each.group_name}
        chosen = []
        for each in dispatches:
            if each.group_name:
                group = groups[each.group_name]
                each = replace(each, destination=self.to_try(group, self.best(group)) or self.best(group))
                if (each.destination, each.actions_json) in direct:
                    continue
            chosen.append(each)
        return tuple(chosen)

    def best(self, group: PeerGroup) -> str:
        """The first member that is not given up; the first one when all are."""
        fit = (member for member in group.members if not self.is_given_up(group, member))
        return next(fit, group.members[0])

    def is_given_up(self, group: PeerGroup, member: str) -> bool:
        """True when it has been down for as long as the group waits."""
        standing = self._standing_of(member)
        return standing is not None and not standing.is_up and standing.down_s >= group.after_s

    def why(self, member: str) -> str:
        """The reason why it is down; empty when it is not."""
        standing = self._standing_of(member)
        return "" if standing is None else standing.reason

    def to_try(self, group: PeerGroup, best: str) -> str:
        """A member that would be preferred to `best`, is given up and may be up again: one object tries it. Empty when
        there is none, when its next try is not due, and where a doubtful delivery is the try."""
        for member in group.members:
            if member == best and not self.is_given_up(group, best):
                return ""
            if member != best and self._may_be_tried(group, member):
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

"""Deliveries of groups at the right member: those of a member that is given up go to the next one, and come back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.group_members import GroupMembers
from gateway.delivery.study_members import StudyMembers
from gateway.model.peer import PeerGroup
from gateway.ports.delivery_queue import GroupPlace
from gateway.ports.errors import Temporary
from gateway.ports.journal import Journal
from gateway.ports.meter import Meter

log = structlog.get_logger()

LOOK_S = 1.0
PAGE = 500
"""Deliveries that are moved in one transaction."""
SHARE = 20
"""Those of one destination that go to one member before it is asked again who has the fewest."""
MOST_COUNTED = 20_000
"""Deliveries that wait for a member of a balance group; with more it counts as having so many."""
FORGET_EACH_S = 60.0
FORGOTTEN_AT_ONCE = 1000
"""Studies whose member is forgotten in one transaction."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A member of a group, as an operator sees it."""

    destination: str
    is_given_up: bool
    reason: str
    """The reason why it is down; empty when it is not."""
    doubtful: int
    """Deliveries of the group that stay with it: it may have these objects, and has not answered."""
    waiting: int | None = None
    """Deliveries of all kinds that wait for it, as far as they are counted; None where nobody counts them."""


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A group of which one member gets an object, as an operator sees it."""

    name: str
    kind: str
    chosen: str
    """The member that gets the next object, or the next study."""
    why: str
    members: tuple[MemberStatus, ...]


class GroupKeeper:
    """Looks once a second where deliveries of groups wait, and moves those that should wait elsewhere.

    Args:
        journal: of the deliveries.
        members: knows who is given up.
        studies: knows where studies are.
        meter: has what was moved.
        groups: those of the rules in force.
        is_ours: True for a destination whose deliveries are moved here: this node works on it, or no rule names it.
        look_s: the time between two looks.
    """

    def __init__(
        self,
        journal: Journal,
        members: GroupMembers,
        studies: StudyMembers,
        meter: Meter,
        groups: Callable[[], Mapping[str, PeerGroup]],
        is_ours: Callable[[str], bool],
        look_s: float = LOOK_S,
    ) -> None:
        self._journal = journal
        self._members = members
        self._studies = studies
        self._meter = meter
        self._groups = groups
        self._is_ours = is_ours
        self._look_s = look_s
        self._given_up: set[tuple[str, str]] = set()
        self._problem = ""
        self._forget_at_s = 0.0

    def status(self) -> tuple[GroupStatus, ...]:
        """The groups by name."""
        return tuple(self._status_of(group) for _, group in sorted(self._groups().items()) if group.is_choosing)

    def _status_of(self, group: PeerGroup) -> GroupStatus:
        members = self._members
        rows = tuple(
            MemberStatus(
                name,
                members.is_given_up(group, name),
                members.why(name),
                members.doubtful.get((group.name, name), 0),
                members.waiting(name) if group.kind == "balance" else None,
            )
            for name in group.members
        )
        chosen = members.best(group)
        if group.kind == "balance":
            return GroupStatus(group.name, group.kind, chosen, _why_balanced(rows), rows)
        passed_over = [row for row in rows[: group.members.index(chosen)] if row.is_given_up]
        why = "; ".join(f"{row.destination} is given up: {row.reason}" for row in passed_over)
        if all(row.is_given_up for row in rows):
            why = "all members are given up; deliveries wait at the first one"
        return GroupStatus(group.name, group.kind, chosen, why or "the first member", rows)

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(self._look_s)
            await self.look()

    async def look(self) -> None:
        """Move what waits at the wrong member."""
        groups = {name: group for name, group in self._groups().items() if group.is_choosing}
        if not groups and not self._given_up:
            return
        try:
            places = await self._journal.group_places()
            self._count_doubtful(groups, places)
            await self._count_waiting(groups)
            self._compare(groups)
            for place in places:
                group = groups.get(place.group_name)
                if group is None or not self._is_ours(place.destination):
                    continue
                if place.has_movable:
                    put_right = self._spread if group.kind == "balance" else self._put_right
                    await put_right(group, place.destination)
                if place.doubtful and self._members.is_doubt_over(group, place.destination):
                    await self._give_up_doubts(group, place)
            await self._forget(groups)
        except Temporary as error:
            if not self._problem:
                log.warning("groups_not_looked_at", error=str(error), consequence="deliveries wait where they are")
            self._problem = str(error)
        else:
            self._problem = ""

    async def _put_right(self, group: PeerGroup, place: str) -> None:
        members = self._members
        target = members.best(group)
        is_member = place in group.members
        is_given_up = is_member and members.is_given_up(group, place)
        if is_member and not is_given_up and not group.is_moved_back:
            return
        if target != place:
            await self._move(group, place, target)
        elif is_given_up and (trial := members.to_try(group, place)):
            await self._journal.move_in_group(group.name, place, trial, 1)

    async def _give_up_doubts(self, group: PeerGroup, place: GroupPlace) -> None:
        """Move what the place may have to another member, when one is up: it may be at both then."""
        source, target = place.destination, self._members.best(group)
        if target != source and not self._members.is_given_up(group, target):
            log.warning(
                "group_doubts_given_up",
                group=group.name,
                source=source,
                destination=target,
                doubtful=place.doubtful,
                consequence="these objects may be at both destinations",
            )
            await self._move(group, source, target, are_doubtful=True)

    async def _move(self, group: PeerGroup, source: str, target: str, *, are_doubtful: bool = False) -> None:
        """All that may go, page by page, while that is still right."""
        moved = 0
        while self._members.best(group) == target:
            page = await self._journal.move_in_group(group.name, source, target, PAGE, are_doubtful=are_doubtful)
            moved += page
            if page < PAGE:
                break
        if moved:
            self._report(group, source, target, moved)

    def _report(self, group: PeerGroup, source: str, target: str, moved: int) -> None:
        self._meter.count(
            "gateway_group_deliveries_moved_total", moved, group=group.name, source=source, destination=target
        )
        log.info(
            "group_deliveries_moved",
            group=group.name,
            source=source,
            destination=target,
            count=moved,
            doubtful=self._members.doubtful.get((group.name, source), 0),
        )

    async def _spread(self, group: PeerGroup, source: str) -> None:
        """Move what waits at `source` to other members while that is given up: whole studies, each to one."""
        if source in group.members and self._members.are_all_given_up(group):
            await self._try_another(group, source)
            return
        moved: Counter[str] = Counter()
        while self._members.is_left(group, source):
            page = await self._journal.movable_in_group(group.name, source, PAGE)
            moves = [move for move in await self._targets(group, source, page) if move[1] != source]
            if not moves or not await self._journal.move_each_in_group(group.name, source, moves):
                break
            moved.update(target for _, target in moves)
            if len(page) < PAGE:
                break
        for target, number in sorted(moved.items()):
            self._report(group, source, target, number)

    async def _try_another(self, group: PeerGroup, source: str) -> None:
        """While all are given up: one delivery, or one study, tries a member where nothing waits. The study goes as a
        whole: what of it stayed would be at another member when both are up again."""
        trial = self._members.to_try(group, source)
        page = await self._journal.movable_in_group(group.name, source, MOST_COUNTED) if trial else []
        if not page:
            return
        _, study = page[0]
        tries = page[:1]
        if group.keeps_together(study):
            await self._studies.put(group, study, trial)
            tries = [each for each in page if each[1] == study]
        for start in range(0, len(tries), PAGE):
            moves = [(delivery_id, trial) for delivery_id, _ in tries[start : start + PAGE]]
            await self._journal.move_each_in_group(group.name, source, moves)

    async def _targets(self, group: PeerGroup, source: str, page: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        """The destination of each delivery."""
        moves: list[tuple[int, str]] = []
        places: dict[str, str] = {}
        alone = 0
        target = source
        for delivery_id, study in page:
            if group.keeps_together(study):
                if study not in places:
                    places[study] = await self._studies.member_of(group, study)
                moves.append((delivery_id, places[study]))
                continue
            if alone % SHARE == 0:
                target = self._members.next_one(group)
            alone += 1
            moves.append((delivery_id, target))
        return moves

    async def _count_waiting(self, groups: Mapping[str, PeerGroup]) -> None:
        balanced = [member for group in groups.values() if group.kind == "balance" for member in group.members]
        if balanced:
            self._members.count(await self._journal.pending_at(sorted({*balanced}), MOST_COUNTED))

    async def _forget(self, groups: Mapping[str, PeerGroup]) -> None:
        """Once a minute, the studies that came long ago."""
        now_s = loop_clock_s()
        if now_s < self._forget_at_s or all(group.kind != "balance" for group in groups.values()):
            return
        self._forget_at_s = now_s + FORGET_EACH_S
        while await self._journal.forget_affinities(FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:
            pass

    def _count_doubtful(self, groups: Mapping[str, PeerGroup], places: Sequence[GroupPlace]) -> None:
        found = {(place.group_name, place.destination): place.doubtful for place in places if place.doubtful}
        for group_name, destination in self._members.doubtful.keys() | found.keys():
            number = found.get((group_name, destination), 0)
            self._meter.set("gateway_group_doubtful_deliveries", number, group=group_name, destination=destination)
        self._members.doubtful = found

    def _compare(self, groups: Mapping[str, PeerGroup]) -> None:
        """Tell whenever a member is given up, and when it is not any more."""
        members = self._members
        given_up = {
            (name, member)
            for name, group in groups.items()
            for member in group.members
            if members.is_given_up(group, member)
        }
        for name, member in sorted(given_up ^ self._given_up):
            is_given_up = (name, member) in given_up
            self._meter.set("gateway_group_member_given_up", int(is_given_up), group=name, destination=member)
            if not self._is_ours(member):
                continue
            chosen = members.best(groups[name]) if name in groups else ""
            doubtful = members.doubtful.get((name, member), 0)
            fields = {"group": name, "destination": member, "chosen": chosen, "doubtful": doubtful}
            if is_given_up:
                log.warning("group_member_given_up", **fields, reason=members.why(member))
            else:
                log.info("group_member_taken_back", **fields)
        self._given_up = given_up


def _why_balanced(rows: Sequence[MemberStatus]) -> str:
    down = [f"{row.destination} is given up: {row.reason}" for row in rows if row.is_given_up]
    if len(down) == len(rows):
        return "all members are given up; deliveries wait at the one with the fewest"
    return "; ".join(["the one with the fewest that wait", *down])

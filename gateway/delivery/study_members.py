"""The members of balance groups that studies are with: in the store, and for a while in memory.

The store decides, so that a study stays with its member over restarts, and two nodes that get its first objects at once
choose the same one. Only an object whose study is not in memory waits for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.group_members import GroupMembers
from gateway.model.delivery import Dispatch
from gateway.model.peer import PeerGroup
from gateway.ports.affinities import AffinityWish, study_digest

KNOWN = 10_000
"""Studies in memory."""
KNOWN_S = 30.0
"""The store is asked again after this time: it forgets what nobody asks for, and another node may have moved it."""

_Key = tuple[str, str]
"""Group and Study Instance UID."""

KeepAffinities = Callable[[Sequence[AffinityWish]], Awaitable[list[str]]]


class StudyMembers:
    """Chooses the members for objects (`gateway.intake.member_choice.MemberChoice`). `keep` writes affinities."""

    def __init__(
        self, members: GroupMembers, keep: KeepAffinities, clock_s: Callable[[], float] = loop_clock_s
    ) -> None:
        self._members = members
        self._keep = keep
        self._clock_s = clock_s
        self._known: OrderedDict[_Key, tuple[str, float]] = OrderedDict()
        """The member, and when the store was asked for it."""
        self._requested: dict[_Key, tuple[PeerGroup, asyncio.Future[str]]] = {}
        """The studies of the next call."""
        self._requesting: asyncio.Task[None] | None = None

    def at_once(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...] | None:
        """The dispatches, each to the member that gets the object; None when the store has to be asked."""
        kept: dict[str, str] = {}
        for group in _keeping(dispatches, groups, study_instance_uid):
            member = self._known_member(group, study_instance_uid)
            if not member:
                return None
            kept[group.name] = member
        return self._members.choose(dispatches, groups, kept)

    async def chosen(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...]:
        """The same, when the store has answered. Raises Temporary, SpoolFull."""
        wanted = _keeping(dispatches, groups, study_instance_uid)
        kept = {group.name: await self.member_of(group, study_instance_uid) for group in wanted}
        return self._members.choose(dispatches, groups, kept)

    async def member_of(self, group: PeerGroup, study_instance_uid: str) -> str:
        """The member of a study that the group keeps together. Raises Temporary, SpoolFull."""
        return self._known_member(group, study_instance_uid) or await self._request(group, study_instance_uid)

    async def put(self, group: PeerGroup, study_instance_uid: str, member: str) -> None:
        """The study is with this member from now on. Raises Temporary, SpoolFull."""
        key = study_digest(study_instance_uid)
        await self._keep([AffinityWish(group.name, key, member, (member,), group.remember_s)])
        self._learn((group.name, study_instance_uid), member)

    def _known_member(self, group: PeerGroup, study_instance_uid: str) -> str:
        """Empty when the store has to be asked."""
        member, read_at_s = self._known.get((group.name, study_instance_uid), ("", 0.0))
        if not member or self._clock_s() - read_at_s >= KNOWN_S or self._members.is_left(group, member):
            return ""
        return member

    async def _request(self, group: PeerGroup, study_instance_uid: str) -> str:
        """One call for all that ask while another one is on its way."""
        key = group.name, study_instance_uid
        if key not in self._requested:
            self._requested[key] = group, asyncio.get_running_loop().create_future()
        answer = self._requested[key][1]
        if self._requesting is None or self._requesting.done():
            self._requesting = asyncio.create_task(self._request_all(), name="members of studies")
        return await asyncio.shield(answer)

    async def _request_all(self) -> None:
        while self._requested:
            requested, self._requested = self._requested, {}
            try:
                members = await self._keep([self._wish(*key, group) for key, (group, _) in requested.items()])
            except Exception as error:
                for _, answer in requested.values():
                    answer.set_exception(error)
                    answer.exception()  # those who asked may be gone
                continue
            for (key, (_, answer)), member in zip(requested.items(), members, strict=True):
                self._learn(key, member)
                answer.set_result(member)

    def _wish(self, group_name: str, study_instance_uid: str, group: PeerGroup) -> AffinityWish:
        key, members = study_digest(study_instance_uid), self._members
        return AffinityWish(group_name, key, members.next_one(group), members.keeping(group), group.remember_s)

    def _learn(self, key: _Key, member: str) -> None:
        self._known[key] = member, self._clock_s()
        self._known.move_to_end(key)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)


def _keeping(
    dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
) -> list[PeerGroup]:
    """The groups among these that keep the study together."""
    named = dict.fromkeys(each.group_name for each in dispatches if each.group_name)
    return [groups[name] for name in named if groups[name].keeps_together(study_instance_uid)]

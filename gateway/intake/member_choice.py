"""The part of the delivery service that the intake needs: which member of a group gets an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.model.delivery import Dispatch
from gateway.model.peer import PeerGroup


class MemberChoice(Protocol):
    """Gives each dispatch to a group the member that gets the object (`gateway.delivery.study_members`)."""

    def at_once(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...] | None:
        """The dispatches; None where the store has to be asked: `chosen` does that."""
        ...

    async def chosen(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...]:
        """The same. Raises Temporary, SpoolFull."""
        ...


class FirstMembers:
    """A `MemberChoice` that knows nothing of how members stand."""

    def at_once(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...] | None:
        """The dispatches as they are."""
        return tuple(dispatches)

    async def chosen(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...]:
        """The dispatches as they are."""
        return tuple(dispatches)

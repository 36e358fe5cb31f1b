"""Instances that C-MOVEs of nodes to the gateway are to bring: they may arrive at another node than the one asking."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SharedMove:
    """A C-MOVE of a node to the gateway, as all nodes know it."""

    move_id: str
    node: str
    """The run of the node that asked, and waits (`gateway.model.node.GatewayNode.instance`)."""
    peer: str
    """The name of the source."""
    hosts: tuple[str, ...]
    """Addresses and networks that the source may send from."""
    our_ae_title: str
    """Calling AE title of the C-MOVE."""
    message_id: int
    sop_instance_uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class HandedInstance:
    """An instance on its way from the node at which it arrived to the one that waits for it."""

    handover_id: str
    move_id: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length_bytes: int
    object_name: str
    """In the object store; empty when its bytes are with it."""


@dataclass(frozen=True, slots=True)
class HandoverAnswer:
    """The answer of the node that waits for an instance."""

    handover_id: str
    status: int
    """The status of the C-STORE response."""
    comment: str
    """Its Error Comment."""


@dataclass(frozen=True, slots=True)
class ExpectedView:
    """All that concerns one node, at one moment."""

    moves: frozenset[str]
    """All C-MOVEs, the node's own included."""
    handed: tuple[HandedInstance, ...]
    """Instances for this node that it has not answered."""
    answers: tuple[HandoverAnswer, ...]
    """Answers to what this node handed over."""
    is_joined: bool = False
    """Others wait until this node knows of their C-MOVEs."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Things that a node is done with."""

    moves: Collection[str] = ()
    """C-MOVEs of this node that have ended; all that belongs to them goes."""
    answers: Collection[HandoverAnswer] = ()
    handovers: Collection[str] = ()
    """Instances that this node handed over, and whose answers it needs no more."""


class ExpectedInstances(Protocol):
    """Steps of one node (`node`: its run) on tables that all share. One thread at a time calls them. Nodes are told of
    what concerns them once it is committed; that is a help, and looking finds it too.

    Raises (each step): SpoolFull, Temporary, ConfigurationError, QueueBroken: as a store.
    """

    def join(self, node: str) -> None:
        """From now on the node receives instances: others wait until it knows of their C-MOVEs."""
        ...

    def look(self, node: str) -> ExpectedView:
        """The node is seen by this: it is not gone, nor are its C-MOVEs."""
        ...

    def read_moves(self, move_ids: Collection[str]) -> Sequence[SharedMove]:
        """Those that have ended are left out."""
        ...

    def know(self, node: str, move_ids: Collection[str]) -> None:
        """The node treats instances of these C-MOVEs as such."""
        ...

    def expect(self, move: SharedMove) -> None:
        """All nodes see it when this returns. One that is there already stays as it is."""
        ...

    def unaware(self, move: SharedMove) -> Collection[str]:
        """The other nodes that receive, and do not know of this C-MOVE."""
        ...

    def finish(self, finished: Finished) -> None:
        """Things that are gone already are no error."""
        ...

    def hand_over(self, giver: str, instance: HandedInstance, payload: bytes) -> bool:
        """Give an instance to the node that waits. False: the C-MOVE has ended, and nothing was written."""
        ...

    def read(self, handover_id: str) -> bytes | None:
        """The bytes that were handed over; None when they are gone."""
        ...

    def tidy(self, unseen_s: float) -> None:
        """Remove what belongs to nodes that neither looked nor beat (`NodeTable.beat`) for so long."""
        ...

    def leave(self, node: str) -> None:
        """The node receives no more, and waits for nothing."""
        ...

    def close(self) -> None:
        """End the connection. Any thread; a step that runs fails."""
        ...

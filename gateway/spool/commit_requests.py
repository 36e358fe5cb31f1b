"""Requests to the committer thread: instances to be accepted, and everything else that goes into the store."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from gateway.common.buffer import Buffer
from gateway.common.completion import Completion
from gateway.model.delivery import Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.ports.delivery_queue import IN_ORDER, AcceptedInstance, ClaimOrder
from gateway.ports.store import Store
from gateway.spool.large import LargeFile


@dataclasses.dataclass(slots=True, eq=False)
class CommitRequest:
    """Something that waits for a commit; `answer` or `error` is there once it is through."""

    done: asyncio.Future[Any] | Completion[Any]
    answer: Any = None
    error: BaseException | None = None


@dataclasses.dataclass(slots=True, eq=False)
class Acceptance(CommitRequest):
    """An instance with its deliveries; small bytes in `pieces`, or a sealed large file's `payload`.

    `answer` is the instance as it lies on the disk. It is there before the store knows the instance.
    """

    instance: Instance | None = None
    dispatches: Sequence[Dispatch] = ()
    pieces: Sequence[Buffer] = ()
    size_bytes: int = 0
    payload: PayloadRef | None = None
    placed: Instance | None = None
    """`instance` with `payload`, from when its redo record was made."""
    accepted: AcceptedInstance | None = None
    """The store's answer."""
    file: LargeFile | None = None
    """Held by this request until the store names it."""

    @property
    def transfer_syntax_uid(self) -> str:
        assert self.instance is not None
        return self.instance.transfer_syntax_uid

    def place(self, payload: PayloadRef | None = None) -> Instance:
        """The instance with `payload`, or with the one that it has."""
        self.payload = payload or self.payload
        assert self.instance is not None
        assert self.payload is not None
        self.placed = self.instance.stored(self.payload)
        return self.placed


@dataclasses.dataclass(slots=True, eq=False)
class ClaimRequest(CommitRequest):
    """Due deliveries are wanted."""

    destination: str = ""
    limit: int = 0
    lease_s: float = 0.0
    apart: ExcludedLikenesses | None = None
    order: ClaimOrder = IN_ORDER
    bundle: str = ""
    """The bundle whose deliveries alone are wanted; empty for any."""


@dataclasses.dataclass(slots=True, eq=False)
class Settling(CommitRequest):
    """Settlements to be written: attempts that ended."""

    settlements: Sequence[Settlement] = ()


@dataclasses.dataclass(slots=True, eq=False)
class Call(CommitRequest):
    """Anything else that must run in this thread, inside the transaction, which is synced."""

    function: Callable[[Store], Any] = lambda store: None


@dataclasses.dataclass(slots=True, eq=False)
class Recorded(CommitRequest):
    """The store is to know everything that was acknowledged before."""


@dataclasses.dataclass(frozen=True, slots=True)
class CommitGroup:
    """Instances that were made durable together, or refused together."""

    requests: Sequence[Acceptance]
    duration_s: float

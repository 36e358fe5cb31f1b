"""Outbound objects and a requestor that does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.model.associate import ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.peer import Peer
from gateway.ports.destination import Outbound
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import DestinationDown, NoContextAccepted
from gateway.ports.meter import Meter
from gateway.sending.store_sender import Answered, StoreResponse
from tests.support.fakes.memory_journal import Body

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
ASSOCIATION = AssociationFacts("CT1", "GATEWAY", "127.0.0.1")


@dataclass
class FixedFacts:
    association: AssociationFacts
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    given: Mapping[AttributePath, tuple[str, ...]] = field(default_factory=dict)
    length_bytes: int = 0
    received_at: datetime = datetime(2026, 1, 2, tzinfo=UTC)

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        return self.given.get(path)

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        return (path,) if path in self.given else ()


def outbound(
    uid: str = "1.2.3",
    data: bytes | EncodedDataSet = b"data set",
    *,
    kind: tuple[str, str] = (CT, EXPLICIT),
    **values: Any,
) -> Outbound:
    """An object; `values` are attributes by keyword."""
    from gateway.routing.language.attribute_path import parse

    given = {parse(keyword): (value,) for keyword, value in {"SOPInstanceUID": uid, **values}.items()}
    body = Body(data) if isinstance(data, bytes) else data
    return Outbound(kind[0], uid, kind[1], body, FixedFacts(ASSOCIATION, kind[0], uid, kind[1], given))


@dataclass(eq=False)
class FakeAssociation:
    """Accepts what its peer accepts."""

    peer: FakePeer
    accepted: Mapping[tuple[str, str], int]
    proposed: tuple[ProposedContext, ...] = ()
    is_open: bool = True
    is_busy: bool = False
    is_aborted: bool = False
    is_released: bool = False
    served: int = 0
    window: int = 1

    async def c_store(self, **request: Any) -> StoreResponse:
        await asyncio.sleep(self.peer.answers_after_s)
        if self.peer.loses or (self.peer.closes_after and self.served >= self.peer.closes_after):
            self.is_open = False
            error = DestinationDown("association lost")
            error.is_doubtful = self.peer.loses_whole
            raise error
        self.served += 1
        self.peer.stored.append(request)
        return StoreResponse(self.peer.status, "because")

    async def begin_store(self, *, answered: Answered, **request: Any) -> None:
        if self.peer.refusal is not None:
            raise self.peer.refusal
        self.peer.stored.append(request)
        self.peer.unanswered.append(answered)

    def has_proposed(self, contexts: Iterable[ProposedContext]) -> bool:
        return set(contexts) <= set(self.proposed)

    async def release(self) -> None:
        if self.is_open:
            self.is_open = False
            self.peer.released += 1
            await asyncio.sleep(self.peer.releases_after_s)
        self.is_released = True

    def close_now(self) -> None:
        self.is_aborted = not self.is_released


@dataclass
class FakePeer:
    """Stands for `gateway.dimse.requestor.requestor_association.associate`."""

    accepts: Any = lambda kind: True
    status: int = 0
    loses: bool = False
    loses_whole: bool = False
    """Objects are sent whole before an association is lost."""
    closes_after: int = 0
    """Objects, after which an association is found to be lost when the next one is sent."""
    answers_after_s: float = 0.0
    releases_after_s: float = 0.0
    refusal: Exception | None = None
    proposals: list[list[tuple[str, str]]] = field(default_factory=list)
    """For each association, the kinds with a context of their own."""
    contexts: list[tuple[ProposedContext, ...]] = field(default_factory=list)
    """For each association, all contexts."""
    associations: list[FakeAssociation] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    released: int = 0
    window: int = 1
    """The asynchronous operations window of each association."""
    unanswered: list[Answered] = field(default_factory=list)

    async def __call__(
        self, peer: Peer, *, own_ae_title: str, contexts: Sequence[ProposedContext], meter: Meter, tls: None
    ) -> Any:
        await asyncio.sleep(0)
        self.contexts.append(tuple(contexts))
        own = [context for context in contexts if len(context.transfer_syntaxes) == 1]
        self.proposals.append([(context.abstract_syntax, context.transfer_syntaxes[0]) for context in own])
        if self.refusal is not None:
            raise self.refusal
        accepted: dict[tuple[str, str], int] = {}
        for number, context in enumerate(contexts):
            kinds = ((context.abstract_syntax, syntax) for syntax in context.transfer_syntaxes)
            kind = next(filter(self.accepts, kinds), None)
            if kind is not None:
                accepted.setdefault(kind, 2 * number + 1)
        if not accepted:
            raise NoContextAccepted("none accepted")
        self.associations.append(FakeAssociation(self, accepted, tuple(contexts), window=self.window))
        return self.associations[-1]


class Endless:
    """A data set of any length that is never in memory as a whole, where it is large."""

    def __init__(self, length_bytes: int) -> None:
        self.length_bytes = length_bytes

    def view(self) -> memoryview:
        assert self.length_bytes <= 1024**2, "nobody may ask for all of it"
        return memoryview(bytes(self.length_bytes))

    def chunks(self, size_bytes: int) -> Iterable[bytes]:
        chunk = bytes(size_bytes)
        for start in range(0, self.length_bytes, size_bytes):
            yield chunk[: min(size_bytes, self.length_bytes - start)]

    def close(self) -> None: ...

"""A gateway that answers C-FIND and sources behind it, all in this process, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynetdicom import evt

from gateway.dataset.dictionary import tag_of
from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.query_contexts import query_contexts
from gateway.dimse.requestor.requestor_association import associate
from gateway.dimse.requestor.response import Response
from gateway.dimse.server import Server
from gateway.handlers.find import FindHandler
from gateway.metrics import Metrics
from gateway.model.associate import AssociateKeywords
from gateway.model.listener import Limits, Listener
from gateway.model.peer import Peer
from gateway.model.query import Attributes, QueryRoot, Value
from gateway.model.settings import QueryRetrieve, Settings, Spool
from gateway.query.compile import Options, compile_find
from gateway.query.identifier import IdentifierEncoder, first_text, read_identifier
from gateway.query.sop_classes import FIND_OF_ROOT, ROOT_OF
from gateway.routing.table import RoutingTable
from gateway.sources.query_backends import QueryBackends
from gateway.sources.sources import Sources
from gateway.sqlite.store import SQLiteStore
from gateway.stores.index_reader import IndexReader
from tests.support.dimse.rig import TIMERS
from tests.support.identifiers import EXPLICIT, attributes, entry
from tests.support.query_table import UNIQUE
from tests.support.samples import NOON, TO_PACS, instance

LOOPBACK = "127.0.0.1"


def filled(path: Path | str, objects: Sequence[Mapping[str, Any]]) -> SQLiteStore:
    """An index that holds `objects`, given by keywords."""
    queue = SQLiteStore(Path(path))
    with queue.transaction():
        for number, keywords in enumerate(objects, 1):
            uids = {"sop_instance_uid": keywords["SOPInstanceUID"], "sop_class_uid": keywords["SOPClassUID"]}
            held = dataclasses.replace(instance(number), index=entry(attributes(**keywords)), **uids)
            queue.deliveries.accept([(held, [TO_PACS])], NOON)
    return queue


@dataclass
class Source:
    """A Query/Retrieve SCP over `objects`; what it does wrong is set, also while it runs."""

    name: str
    objects: Sequence[Mapping[str, Any]]
    roots: tuple[QueryRoot, ...] = ("patient", "study", "patient_study")
    status: int = 0
    """The status of its final response."""
    fails_at: str = ""
    """The level of questions that it answers with 0xA700 alone."""
    more: Sequence[Mapping[str, Any]] = ()
    """Answers besides, whatever it was asked."""
    garbage: int = 0
    """Answers besides that are no data sets."""
    endless: bool = False
    """Repeats its answers for ever."""
    is_relational: bool = True
    lacks: frozenset[str] = frozenset()
    """Keywords that it does not know."""
    character_set: str = ""
    """That it writes its answers in, whatever it was asked."""
    go: asyncio.Event = field(default_factory=asyncio.Event)
    """It answers when this is set."""
    asked: list[Attributes] = field(default_factory=list)
    cancelled: int = 0
    port: int = 0
    server: Server | None = None
    implementation: list[str] = field(default_factory=list)
    priorities: list[int] = field(default_factory=list)
    requestors: list[str] = field(default_factory=list)
    """Calling AE titles."""

    def __post_init__(self) -> None:
        self.go.set()

    @property
    def peer(self) -> Peer:
        agreed = () if self.is_relational else tuple((FIND_OF_ROOT[root], b"\0") for root in self.roots)
        return Peer(
            self.name,
            self.name.upper(),
            LOOPBACK,
            self.port,
            timers=TIMERS,
            associate=AssociateKeywords(extended=agreed),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Source]:
        queue = filled(":memory:", self.objects)
        models = tuple(FIND_OF_ROOT[root] for root in self.roots)
        asker = Peer("gateway", may=frozenset({"find"}), accept_sop_classes=models)
        self.server = Server(
            handlers=[(evt.EVT_C_FIND, self.answer, [queue])],
            admission=lambda facts: Admitted(asker),
            ae_title=self.name.upper(),
            timers=TIMERS,
            limits=Limits(),
        )
        self.port = await self.server.listen(Listener("main", 0, LOOPBACK))
        try:
            yield self
        finally:
            self.go.set()
            self.server.abort_all()
            await self.server.drain(5.0)
            queue.close()

    async def answer(self, event: Event, queue: SQLiteStore) -> AsyncIterator[Any]:
        identifier = read_identifier(event.encoded_identifier, event.transfer_syntax_uid)
        self.asked.append(identifier)
        self.priorities.append(event.command["Priority"])
        self.requestors.append(event.facts.calling_ae_title)
        self.implementation.append(event.facts.implementation_version_name)
        options = Options.of(event.association.extended.get(event.sop_class_uid, b""))
        query = compile_find(identifier, ROOT_OF[event.sop_class_uid], options)
        if query.level == self.fails_at:
            yield 0xA700, None
            return
        waiting = asyncio.create_task(event.until_cancelled())
        await asyncio.wait({waiting, asyncio.create_task(self.go.wait())}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        unknown = {tag_of(keyword) for keyword in self.lacks}
        encode = IdentifierEncoder(event.transfer_syntax_uid, (self.character_set,) if self.character_set else ())
        level: dict[int, Value] = {0x00080052: (query.level.value,)}
        is_first = True
        while (is_first or self.endless) and not event.is_cancelled:
            is_first = False
            for match in [
                *queue.index.matches(query, queue.index.find(query)),
                *(attributes(**each) for each in self.more),
            ]:
                yield 0xFF00, encode({**level, **{tag: v for tag, v in match.items() if tag not in unknown}})
        for _ in range(self.garbage):
            yield 0xFF00, b"\xff" * 24
        if event.is_cancelled:
            self.cancelled += 1
            return
        if self.status:
            yield self.status, None


@dataclass
class Running:
    """The gateway."""

    port: int
    backends: QueryBackends
    metrics: Metrics
    table: RoutingTable

    def metric(self, name: str, **labels: str) -> float:
        """0 when there is none."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


SETTINGS = Settings("GATEWAY", (Listener("main", 11112),), Spool("/nowhere"), "/nowhere")


def table_of(peers: Sequence[Peer], settings: QueryRetrieve, **more: Any) -> RoutingTable:
    """A routing table that asks `peers`."""
    by_name = {peer.name: peer for peer in peers}
    return RoutingTable("1", SETTINGS, (), (), by_name, {}, "hold", query_retrieve=settings, **more)


VIEWER = Peer("viewer", "VIEWER", may=frozenset({"find"}))


@contextlib.asynccontextmanager
async def answering(
    folder: Path,
    *sources: Source | Peer,
    local: Sequence[Mapping[str, Any]] | None = None,
    requestor: Peer = VIEWER,
    table: Mapping[str, Any] | None = None,
    keep_s: float = 10.0,
    **settings: Any,
) -> AsyncIterator[Running]:
    """A gateway that asks `sources`, and its index when `local` objects are given."""
    peers = [source.peer if isinstance(source, Source) else source for source in sources]
    path = folder / f"index-{id(peers)}.db"
    filled(path, local or ()).close()
    index = IndexReader(lambda: SQLiteStore(path, must_exist=True))
    asked = {"sources": tuple(peer.name for peer in peers), "is_local": local is not None, "timeout_s": 120.0}
    made = table_of([requestor, *peers], QueryRetrieve(**{**asked, **settings}), **(table or {}))
    metrics = Metrics()
    backends = QueryBackends(index, Sources(AssociationPool("GATEWAY", metrics, idle_s=keep_s)), meter=metrics)
    server = Server(
        handlers=[(evt.EVT_C_FIND, FindHandler(backends))],
        admission=lambda facts: Admitted(requestor),
        table=lambda: made,
        ae_title="GATEWAY",
        timers=TIMERS,
        limits=Limits(),
    )
    port = await server.listen(Listener("main", 0, LOOPBACK))
    try:
        yield Running(port, backends, metrics, made)
    finally:
        server.abort_all()
        await server.drain(5.0)
        await backends.close()
        await backends.sources.pool.close()
        await index.close()


@dataclass(frozen=True)
class Told:
    """What a requestor was answered."""

    answers: tuple[Attributes, ...]
    final: Response
    statuses: frozenset[int]
    raw: tuple[bytes, ...]

    @property
    def status(self) -> int:
        return self.final.status

    def texts(self, keyword: str) -> list[str]:
        """The texts of each answer, sorted."""
        return sorted(first_text(answer, tag_of(keyword)) for answer in self.answers)

    def only(self) -> Attributes:
        (answer,) = self.answers
        return answer


async def ask(
    port: int,
    level: str,
    root: QueryRoot = "study",
    *,
    relational: bool = False,
    character_set: str = "",
    syntax: str = EXPLICIT,
    hops: int = 0,
    is_unique_asked: bool = True,
    **keywords: Any,
) -> Told:
    """One C-FIND; the level's unique key is among the keys unless `is_unique_asked` says otherwise."""
    model = FIND_OF_ROOT[root]
    extended = ((model, b"\x01"),) if relational else ()
    gateway = Peer(
        "gateway", "GATEWAY", LOOPBACK, port, timers=TIMERS, associate=AssociateKeywords(extended=extended, hops=hops)
    )
    (context,) = query_contexts(gateway, [model])
    context = dataclasses.replace(context, transfer_syntaxes=(syntax,))
    association = await associate(gateway, own_ae_title="VIEWER", contexts=[context])
    try:
        unique = {UNIQUE[level]: ""} if is_unique_asked else {}
        wanted = attributes(QueryRetrieveLevel=level, **{**unique, **keywords})
        encode = IdentifierEncoder(syntax, (character_set,) if character_set else (), is_always_declared=True)
        async with association.c_find(encode(wanted), sop_class_uid=model) as responses:
            found = [response async for response in responses]
    finally:
        await association.release()
    *pending, final = found
    read = tuple(read_identifier(each.identifier, each.transfer_syntax_uid) for each in pending)
    raw = tuple(each.identifier for each in pending)
    return Told(read, final, frozenset(each.status for each in pending), raw)

"""The parts of one gateway, built from its routing table. Nothing is opened, bound or written yet.

```text
storage     queue room, journal (spool and store), index, converter
retrieving  association pool, sources, rendezvous of C-MOVE to ourselves
receiving   intake, handlers, server, listeners
sending     couriers
```
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import uuid4

from gateway import __version__
from gateway.app.limits import bound_inflation, fitting_limits
from gateway.cluster.destination_leases import SharedDestinationLeases
from gateway.cluster.journal import ClusterJournal
from gateway.common.steady_clock import utc_now
from gateway.conversion.pool import ConversionPool
from gateway.dataset.identity import identify
from gateway.delivery.collection_keeper import CollectionKeeper
from gateway.delivery.pause_watch import PauseWatch
from gateway.delivery.service import DeliveryService
from gateway.destinations.opening import open_destination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.server import Server
from gateway.handlers.table import bindings
from gateway.intake.intake import Intake
from gateway.intake.intake_log import IntakeLog
from gateway.intake.loops import LoopWatch
from gateway.lifecycle.admission_in_force import AdmissionInForce
from gateway.lifecycle.certificate_watch import CertificateWatch
from gateway.lifecycle.listening import Listening
from gateway.lifecycle.reload import TableInForce
from gateway.metrics import Metrics
from gateway.model.node import ClusterView, GatewayNode
from gateway.model.settings import Settings
from gateway.network import descriptors
from gateway.object_log import ObjectLog, object_log
from gateway.objects.opening import open_object_store
from gateway.ports.gateway_clock import GatewayClock
from gateway.ports.object_store import ObjectStore
from gateway.ports.pauses import Pause, PausedNames
from gateway.ports.store_room import StoreRoom
from gateway.retrieve.handed_bytes import HandedBytes
from gateway.retrieve.move_rendezvous import MoveRendezvous
from gateway.retrieve.rendezvous_table import RendezvousTable
from gateway.retrieve.retrieve_backends import RetrieveBackends
from gateway.retrieve.shared_rendezvous import SharedRendezvous
from gateway.routing.table import RoutingTable
from gateway.sources.query_backends import QueryBackends
from gateway.sources.source_asker import SourceAsker
from gateway.sources.sources import Sources
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.store_journal import StoreJournal
from gateway.stores.index_reader import IndexReader
from gateway.stores.kind import StoreClaim
from gateway.stores.opening import (
    claim_of,
    clock_of,
    open_expected_instances,
    open_index,
    open_node_table,
    open_shared_store,
    open_store,
    store_room,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedParts:
    """The things that all parts share."""

    settings: Settings
    live: TableInForce
    metrics: Metrics
    clock: GatewayClock
    object_log: ObjectLog
    loops: LoopWatch
    paused: PausedNames


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageParts:
    """Spool, store, and what reads and converts objects in them."""

    claim: StoreClaim
    room: StoreRoom
    journal: StoreJournal
    index: IndexReader
    converter: ConversionPool
    objects: ObjectStore | None
    """That of a cluster; the journal closes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """All parts of one gateway."""

    common: SharedParts
    storage: StorageParts
    associations: AssociationPool
    queries: QueryBackends
    rendezvous: RendezvousTable
    expected: SharedRendezvous | None
    """That of a node, on top of `rendezvous`; None for a gateway that is alone."""
    admission: AdmissionInForce
    server: Server
    listening: Listening
    certificates: CertificateWatch
    delivery: DeliveryService
    pauses: PauseWatch
    collections: CollectionKeeper
    leases: SharedDestinationLeases | None
    """Those of a node; None for a gateway that is alone."""

    def nodes_seen(self) -> ClusterView:
        """Nodes and leases of the cluster; empty for a gateway that is alone."""
        return ClusterView() if self.leases is None else self.leases.view


def build_parts(table: RoutingTable, handlers: Sequence[tuple[Any, ...]] = ()) -> GatewayParts:
    """The parts of a gateway that begins with the rules of `table`.

    Args:
        table: rules and settings.
        handlers: of the site; each takes its event in place of the gateway's own.

    Raises ConfigurationError when this process may open too few files.
    """
    bound_inflation(table.settings.limits)
    common = build_common(table)
    leases = build_leases(common)
    storage = build_storage(common, leases)
    associations = AssociationPool(common.settings.ae_title, common.metrics)
    sources = Sources(associations)
    queries = QueryBackends(storage.index, sources, meter=common.metrics)
    rendezvous = RendezvousTable()
    expected = build_expected(common, storage, rendezvous, leases)
    delivery = build_delivery(common, storage, associations, leases)
    own = build_handlers(common, storage, queries, expected or rendezvous, delivery)
    admission = AdmissionInForce(common.live, common.metrics)
    server = build_server(common, storage, associations, admission, [*own, *handlers])
    return GatewayParts(
        common=common,
        storage=storage,
        associations=associations,
        queries=queries,
        rendezvous=rendezvous,
        expected=expected,
        admission=admission,
        server=server,
        listening=Listening(server),
        certificates=CertificateWatch(
            lambda: server.tls_contexts, lambda: common.live.current.peers, common.metrics, utc_now
        ),
        delivery=delivery,
        pauses=build_pauses(common, storage, delivery),
        collections=CollectionKeeper(
            storage.journal,
            storage.journal.arriving.studies,
            common.metrics,
            SourceAsker(sources, lambda: common.live.current.peers).uids,
            lambda: common.live.current.is_collecting,
        ),
        leases=leases,
    )


def build_pauses(common: SharedParts, storage: StorageParts, delivery: DeliveryService) -> PauseWatch:
    """Has intake and couriers follow the pauses of the store."""

    def follow(pauses: Sequence[Pause]) -> None:
        common.paused.follow(pauses)
        delivery.follow_pauses(pauses)

    return PauseWatch(lambda: storage.journal.read(lambda store: store.pauses.all_pauses()), follow, utc_now)


def build_common(table: RoutingTable) -> SharedParts:
    """Settings, clock and measures."""
    settings, live = table.settings, TableInForce(table)
    return SharedParts(
        settings=settings,
        live=live,
        metrics=Metrics(__version__),
        clock=clock_of(settings),
        object_log=object_log(settings.log_objects, lambda: live.current.peers),
        loops=LoopWatch(settings.loops),
        paused=PausedNames(),
    )


def build_leases(common: SharedParts) -> SharedDestinationLeases | None:
    """The leases of a node; None for a gateway that is alone."""
    settings, live = common.settings, common.live
    if not settings.node:
        return None
    node = GatewayNode(uuid4().hex, settings.node, __version__, socket.gethostname(), os.getpid(), utc_now())
    return SharedDestinationLeases(
        lambda: open_node_table(settings), node, lambda: live.current.version, random=Random()
    )


def build_storage(common: SharedParts, leases: SharedDestinationLeases | None) -> StorageParts:
    """Journal, index and converter. Raises ConfigurationError."""
    settings, spool = common.settings, common.settings.spool
    claim, room = claim_of(settings), store_room(settings)
    objects = None if settings.objects is None else open_object_store(settings.objects)
    journal = build_journal(common, claim, room, leases, objects)
    return StorageParts(
        claim=claim,
        room=room,
        journal=journal,
        index=open_index(settings, moved=journal.moved_queue, until_recorded=journal.until_recorded),
        converter=ConversionPool(settings.conversion, spool.path, common.metrics, min_free_bytes=spool.min_free_bytes),
        objects=objects,
    )


def build_journal(
    common: SharedParts,
    claim: StoreClaim,
    room: StoreRoom,
    leases: SharedDestinationLeases | None,
    objects: ObjectStore | None,
) -> StoreJournal:
    """That of a gateway that is alone, or of a node. Raises ConfigurationError."""
    settings = common.settings

    def keep_s() -> float:
        return common.live.current.query_retrieve.keep_s

    if objects is not None and leases is not None:
        return ClusterJournal(
            settings.spool,
            lambda purpose: open_shared_store(settings, purpose, common.clock, leases.tokens),
            objects,
            limits=settings.limits,
            now=common.clock,
            meter=common.metrics,
            keep_s=keep_s,
            unsealed_limit_bytes=settings.unsealed_limit_bytes,
        )
    return GroupCommitJournal(
        settings.spool,
        lambda: open_store(settings, clock=common.clock, is_committing=True),
        open_reader=lambda: open_store(settings, clock=common.clock, must_exist=True),
        limits=settings.limits,
        now=common.clock,
        meter=common.metrics,
        keep_s=keep_s,
        identify=identify,
        queue_lock_gone=claim.gone,
        queue_room=room,
    )


def build_expected(
    common: SharedParts, storage: StorageParts, rendezvous: RendezvousTable, leases: SharedDestinationLeases | None
) -> SharedRendezvous | None:
    """The rendezvous of a node; None for a gateway that is alone."""
    settings = common.settings
    if leases is None or storage.objects is None:
        return None
    return SharedRendezvous(
        rendezvous,
        lambda: open_expected_instances(settings),
        leases.instance,
        HandedBytes(storage.objects, storage.journal.receiver, settings.spool.large_object_bytes),
    )


def build_handlers(
    common: SharedParts,
    storage: StorageParts,
    queries: QueryBackends,
    rendezvous: MoveRendezvous,
    delivery: DeliveryService,
) -> list[tuple[Any, ...]]:
    """The gateway's own handlers: every received object goes through one intake."""
    journal = storage.journal
    intake = Intake(
        journal,
        IntakeLog(common.metrics),
        utc_now,
        loops=common.loops,
        objects=common.object_log,
        members=delivery.study_members,
        paused=common.paused,
    )
    retrieves = RetrieveBackends(
        queries,
        journal.open,
        journal.open_cached,
        storage.converter,
        journal.receiver,
        rendezvous,
        keep=intake.accept,
    )
    return list(bindings(intake, retrieves))


def build_server(
    common: SharedParts,
    storage: StorageParts,
    associations: AssociationPool,
    admission: AdmissionInForce,
    handlers: Sequence[tuple[Any, ...]],
) -> Server:
    """The acceptor. Raises ConfigurationError when this process may open too few files."""
    settings, live = common.settings, common.live
    return Server(
        handlers=handlers,
        admission=admission.admit,
        receiver=storage.journal.receiver,
        ae_title=settings.ae_title,
        timers=settings.timers,
        limits=fitting_limits(live.current, descriptors.available()),
        meter=common.metrics,
        pool=associations,
        verify_identity=admission.verify_identity,
        is_known_host=admission.is_known_host,
        table=lambda: live.current,
        ended=common.object_log.association_ended,
        shares_ports=settings.worker > 0,
    )


def build_delivery(
    common: SharedParts,
    storage: StorageParts,
    associations: AssociationPool,
    leases: SharedDestinationLeases | None,
) -> DeliveryService:
    """The couriers."""
    return DeliveryService(
        journal=storage.journal,
        converter=storage.converter,
        open_destination=lambda peer: open_destination(peer, associations, common.metrics),
        meter=common.metrics,
        now=common.clock,
        wall=common.clock.wall,
        random=Random(),
        on_sending=common.loops.on_sending,
        objects=common.object_log,
        leases=leases,
    )

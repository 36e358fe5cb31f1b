"""The status of a running gateway, for operators: `/status`, which `gateway status` shows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from gateway import __version__
from gateway.delivery.courier_status import CourierStatus
from gateway.delivery.service import DeliveryService
from gateway.dimse.server import Server
from gateway.intake.loops import LoopWatch
from gateway.lifecycle.health import Health
from gateway.lifecycle.listening import Listening
from gateway.lifecycle.reload import Reloader, TableInForce
from gateway.lifecycle.shared_ports import own_http
from gateway.model.collection import CollectionState
from gateway.model.listener import Listener
from gateway.model.node import ClusterView
from gateway.model.settings import Settings
from gateway.ports.collections import CollectionCount
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.gateway_clock import GatewayClock
from gateway.ports.kept_copies import KeptTotal
from gateway.ports.meter import peer_label
from gateway.ports.pauses import Pause
from gateway.ports.shared_payloads import UnsealedPayloads
from gateway.ports.store_room import StoreRoom
from gateway.spool.store_journal import StoreJournal
from gateway.stores.opening import shown

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSources:
    """The parts of a gateway that its status is read from."""

    settings: Settings
    started_at: datetime
    replaced_events: Sequence[str]
    """Names of the events that the site's own handlers take."""
    health: Health
    live: TableInForce
    reloader: Reloader
    server: Server
    listening: Listening
    loops: LoopWatch
    delivery: DeliveryService
    journal: StoreJournal
    room: StoreRoom
    clock: GatewayClock
    nodes: Callable[[], ClusterView]
    """Nodes and leases of the cluster; empty for a gateway that is alone."""
    pauses: Callable[[], Sequence[Pause]]
    """Those that go on."""


async def status(sources: StatusSources) -> Json:
    """The status document as JSON."""
    depths = await sources.health.depths()
    last = sources.reloader.last
    return {
        "version": __version__,
        "worker": worker_json(sources.settings),
        "state": sources.health.stage,
        "not_ready": [str(condition) for condition in sources.health.blocking()],
        "conditions": [condition.as_json() for condition in sources.health.conditions(depths)],
        "is_reloading": sources.reloader.is_reloading,
        "started_at": sources.started_at.isoformat(),
        "config": sources.live.current.version,
        "handlers_of_the_site": list(sources.replaced_events),
        "failing_handlers": failing_handlers_json(sources.server),
        "last_reload": last.as_json() if last else None,
        "listeners": listeners_json(sources.server.listeners.values(), sources.listening.ports),
        "associations": associations_json(sources.server),
        "loops": sources.loops.held,
        "nodes": nodes_json(sources.nodes()),
        "destinations": destinations_json(sources.delivery.status(), depths),
        "pauses": pauses_json(sources.pauses()),
        "groups": [asdict(group) for group in sources.delivery.groups()],
        "queue": queue_json(depths, sources.clock.on_the_wall),
        "collections": collections_json(await sources.health.collections(), sources.clock.on_the_wall),
        "spool": place_json(
            sources.settings.spool.path,
            id=sources.journal.spool_id,
            free_bytes=sources.health.spool_free_bytes(),
            min_free_bytes=sources.settings.spool.min_free_bytes,
            forgotten_early=sources.journal.forgotten_early,
        ),
        "database": database_json(
            sources.settings,
            free_bytes=sources.room.free_or_none(),
            min_free_bytes=sources.settings.queue_min_free_bytes,
            reserved_bytes=sources.room.reserved_bytes,
        ),
        "kept": kept_json(await sources.health.kept(), sources.journal.kept_copies_dropped, sources.clock.on_the_wall),
        "unsealed": unsealed_json(sources.journal.unsealed()),
    }


def pauses_json(pauses: Iterable[Pause]) -> list[Json]:
    """Pauses that go on. The operator's reason is for operators alone."""
    return [
        {"kind": row.kind, "name": row.name, "operator": row.operator, "began_at": row.began_at.isoformat()}
        for row in pauses
    ]


def nodes_json(view: ClusterView) -> list[Json]:
    """Nodes by name. One that is gone was seen last at `seen_at`; `differs` is true of a live one whose version or
    rules most live ones do not have."""
    kinds = Counter(seen.kind for seen in view.live)
    usual = next((kind for kind, _ in kinds.most_common(1)), None)
    return [
        {
            "name": seen.node.name,
            "state": seen.state if seen.is_live else "gone",
            "version": seen.node.version,
            "config": seen.configuration,
            "differs": seen.is_live and seen.kind != usual,
            "host": seen.node.host,
            "pid": seen.node.pid,
            "started_at": seen.node.started_at.isoformat(),
            "seen_at": seen.seen_at.isoformat(),
            "destinations": seen.leases,
        }
        for seen in view.nodes
    ]


def kept_json(kept: KeptTotal, dropped: int, on_the_wall: Callable[[datetime], datetime]) -> Json:
    """The copies that are kept after delivery, with the first and last end of their times, and how many were given up
    for want of room."""
    first, last = (None if at is None else on_the_wall(at).isoformat() for at in (kept.first_until, kept.last_until))
    return {
        "copies": kept.number,
        "size_bytes": kept.size_bytes,
        "is_exact": kept.is_exact,
        "first_until": first,
        "last_until": last,
        "dropped": dropped,
    }


def worker_json(settings: Settings) -> Json | None:
    """The worker that answers, and the address at which it alone does; None for a gateway that is alone."""
    if not settings.worker or settings.http is None:
        return None
    http = own_http(settings.http, settings.worker)
    return {"number": settings.worker, "node": settings.node, "http": f"{http.address}:{http.port}"}


def failing_handlers_json(server: Server) -> list[Json]:
    """The handlers that failed and have not answered a request since."""
    return [{**asdict(row), "since": row.since.isoformat()} for row in server.handler_failures.failing.values()]


def associations_json(server: Server) -> Json:
    """Peer → number of open associations; strangers share one name."""
    peers = Counter(peer_label(association.facts) for association in server.associations)
    return dict(sorted(peers.items()))


def destinations_json(couriers: Sequence[CourierStatus], depths: Iterable[QueueDepth]) -> list[Json]:
    """Destinations of the rules in force, then those that are owed something and that the rules do not know: they must
    not vanish."""
    owed = {row.destination for row in depths if row.destination}
    unknown = sorted(owed - {row.destination for row in couriers})
    why = "not in the rules in force, or disabled"
    strangers = [CourierStatus(name, False, why, 0.0, 0, 0, is_configured=False) for name in unknown]
    return [
        {
            **asdict(row),
            "opens_at": row.opens_at.isoformat() if row.opens_at else None,
            "paused_since": row.paused_since.isoformat() if row.paused_since else None,
        }
        for row in (*couriers, *strangers)
    ]


def queue_json(depths: Iterable[QueueDepth], on_the_wall: Callable[[datetime], datetime]) -> list[Json]:
    """Counts by destination and state; times are the wall clock's."""
    return [
        {**asdict(row), "oldest_at": on_the_wall(row.oldest_at).isoformat() if row.oldest_at else None}
        for row in depths
    ]


def collections_json(counts: Iterable[CollectionCount], on_the_wall: Callable[[datetime], datetime]) -> list[Json]:
    """Collections by name: those that are open, how others ended, what was left out; of all that are there."""
    names: dict[str, list[CollectionCount]] = {}
    for row in counts:
        names.setdefault(row.name, []).append(row)
    return [_collection_json(name, rows, on_the_wall) for name, rows in names.items()]


def _collection_json(name: str, rows: Sequence[CollectionCount], on_the_wall: Callable[[datetime], datetime]) -> Json:
    ended: Counter[str] = Counter()
    for row in rows:
        if row.result:
            ended[row.result] += row.collections
    open_ = [row for row in rows if row.state is CollectionState.OPEN]
    unreadable = sum(row.collections for row in rows if row.state is CollectionState.UNREADABLE)
    return {
        "name": name,
        "open": sum(row.collections for row in open_),
        "overdue": sum(row.overdue for row in rows),
        "oldest_at": on_the_wall(min(row.oldest_at for row in open_)).isoformat() if open_ else None,
        "ended": dict(sorted(ended.items())),
        "unreadable": unreadable,
        "left_out": {
            "late": sum(row.late_left_out for row in rows),
            "again": sum(row.again_left_out for row in rows),
        },
    }


def listeners_json(listeners: Iterable[Listener], ports: Mapping[str, int]) -> list[Json]:
    """Name → port in `ports`: a listener may have asked for any."""
    return [
        {"name": row.name, "address": row.address, "port": ports[row.name], "tls": row.tls is not None}
        for row in listeners
    ]


def database_json(settings: Settings, **figures: object) -> Json:
    """The database; one on a server has no room that anybody here could know."""
    if settings.postgresql:
        return {"path": shown(settings)}
    return place_json(settings.queue_path, **figures)


def unsealed_json(found: tuple[UnsealedPayloads, int] | None) -> Json | None:
    """The part of a cluster's journal that its object store does not have yet; None for a gateway that is alone."""
    if found is None:
        return None
    unsealed, limit_bytes = found
    return {
        "groups": unsealed.groups,
        "size_bytes": unsealed.length_bytes,
        "limit_bytes": limit_bytes,
        "oldest_at": unsealed.oldest_at.isoformat() if unsealed.oldest_at else None,
        "counted_at": unsealed.counted_at.isoformat() if unsealed.counted_at else None,
        "problem": unsealed.problem,
    }


def place_json(path: str, **figures: object) -> Json:
    """A place on a disk, by its absolute path."""
    return {"path": os.path.abspath(path), **figures}

"""The composition root: which parts the gateway is made of, in which order they start, and how they end.

```text
start   pid file → HTTP (not ready) → journal (lock, recovery) → couriers → listeners → ready
stop    not ready → listeners closed, associations and sends in flight end (up to `drain`) → journal → HTTP → pid file
```
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import structlog

from gateway import __version__
from gateway.common.file_modes import set_umask
from gateway.common.steady_clock import SteadyClock, utc_now
from gateway.config import Loaded
from gateway.conversion.pool import ConversionPool
from gateway.dataset.identity import identify
from gateway.dataset.inflation import Bounds, set_bounds
from gateway.delivery.service import DeliveryService
from gateway.destinations.opening import open_destination
from gateway.dimse.acceptor.admission import Admitted, admit
from gateway.dimse.acceptor.known_hosts import HostsOfPeers
from gateway.dimse.pynetdicom_contract.bindings import is_notification
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.server import Server
from gateway.handlers.site_handlers import site_handlers
from gateway.handlers.table import bindings
from gateway.identity.values import OfferedIdentity, VerifiedIdentity
from gateway.identity.verifier import Verifier
from gateway.intake.intake import Intake
from gateway.intake.intake_log import IntakeLog
from gateway.intake.loops import LoopWatch
from gateway.lifecycle import conditions, exit_code
from gateway.lifecycle.access import narrow_files
from gateway.lifecycle.certificate_watch import CertificateWatch
from gateway.lifecycle.conditions import OperatingCondition
from gateway.lifecycle.garbage import Garbage
from gateway.lifecycle.listening import Listening
from gateway.lifecycle.loading import Loading, NotLoaded
from gateway.lifecycle.log_summary import SUMMARY
from gateway.lifecycle.pid_file import pid_file, write_result
from gateway.lifecycle.reload import Reloader, ReloadReport, Reporter, TableInForce
from gateway.lifecycle.signals import Stop, handled
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits
from gateway.model.security import IdentityCheck
from gateway.model.settings import Settings
from gateway.network import descriptors
from gateway.object_log import object_log
from gateway.operations.status import destinations_json, listeners_json, place_json, queue_json
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.errors import ConfigurationError, GatewayError, QueueBroken, Temporary
from gateway.ports.meter import peer_label
from gateway.repair.pairing import check_before_spool
from gateway.retrieve.rendezvous_table import RendezvousTable
from gateway.retrieve.retrieve_backends import RetrieveBackends
from gateway.routing.extensions import load_extensions
from gateway.routing.table import RoutingTable
from gateway.sources.query_backends import QueryBackends
from gateway.sources.sources import Sources
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.lock import QueueLock
from gateway.stores.opening import check_before_start, open_index, open_store, store_room
from gateway.web.server import WebServer

log = structlog.get_logger()

SUMMARY_S = 5.0
"""Between two looks at what the log left out."""

Load = Callable[[], Loaded]


class Gateway:
    """The running gateway: its parts, and what it shows of itself (`gateway.web.server.Surface`)."""

    def __init__(
        self,
        table: RoutingTable,
        loading: Loading,
        reload_requested: asyncio.Event,
        handlers: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        """`handlers`: of the site; each takes its event in place of ours."""
        self.settings: Settings = table.settings
        self.state = "starting"
        self.events_of_the_site = [event.name for event, *_ in handlers if not is_notification(event)]
        self.started_at = utc_now()
        self._elapsed_s = time.monotonic
        self.live = TableInForce(table)
        self._hosts_of_peers = (table, HostsOfPeers(table.peers.values()))
        self.metrics = Metrics(__version__)
        self.clock = SteadyClock(utc_now)
        settings = self.settings
        bound_inflation(settings.limits)
        self.queue_room = store_room(settings)
        self.journal = GroupCommitJournal(
            settings.spool,
            lambda: open_store(settings, clock=self.clock, is_committing=True),
            limits=settings.limits,
            now=self.clock,
            meter=self.metrics,
            keep_s=lambda: self.live.current.query_retrieve.keep_s,
            identify=identify,
            queue_lock_gone=lambda: self._queue_lock.gone(),
            queue_room=self.queue_room,
        )
        self.index = open_index(settings, moved=self.journal.moved_queue)
        spool = settings.spool
        self.converter = ConversionPool(
            settings.conversion, spool.path, self.metrics, min_free_bytes=spool.min_free_bytes
        )
        self.associations = AssociationPool(settings.ae_title, self.metrics)
        self.queries = QueryBackends(self.index, Sources(self.associations), meter=self.metrics)
        self.rendezvous = RendezvousTable()
        self.loops = LoopWatch(settings.loops)
        self.object_log = object_log(settings.log_objects)
        intake = Intake(self.journal, IntakeLog(self.metrics), utc_now, loops=self.loops, objects=self.object_log)
        retrieves = RetrieveBackends(
            self.queries,
            self.journal.open,
            self.journal.open_cached,
            self.converter,
            self.journal.receiver,
            self.rendezvous,
            keep=intake.accept,
        )
        self.verifier = Verifier(self.metrics)
        self.server = Server(
            handlers=[*bindings(intake, retrieves), *handlers],
            admission=self._admit,
            receiver=self.journal.receiver,
            ae_title=settings.ae_title,
            timers=settings.timers,
            limits=fitting_limits(table, descriptors.available()),
            meter=self.metrics,
            pool=self.associations,
            verify_identity=self._verify_identity,
            is_known_host=self._is_known_host,
            table=lambda: self.live.current,
            ended=self.object_log.association_ended,
        )
        self.delivery = DeliveryService(
            journal=self.journal,
            converter=self.converter,
            open_destination=lambda peer: open_destination(peer, self.associations, self.metrics),
            meter=self.metrics,
            now=self.clock,
            wall=self.clock.wall,
            random=Random(),
            goes=self.loops.goes,
            objects=self.object_log,
        )
        self.listening = Listening(self.server)
        self.certificates = CertificateWatch(
            lambda: self.server.tls_contexts, lambda: self.live.current.peers, self.metrics, utc_now
        )
        self.reloader = Reloader(
            loading=loading,
            live=self.live,
            listening=self.listening,
            prepare=self._prepare,
            afterwards=self._waiting_for_nobody,
            report=self._report,
            requested=reload_requested,
        )
        self._tell_result = Reporter(self.metrics)
        self.garbage = Garbage(is_quiet=lambda: not self.server.associations)

    def _admit(self, facts: AssociationFacts) -> Admitted:
        table = self.live.current
        return admit(facts, table.settings, table.peers, reserved=table.reserved_ae_titles)

    def _prepare(self, table: RoutingTable) -> Callable[[], None]:
        """Everything that can fail on the way to other rules; what it gives cannot. Raises ConfigurationError."""
        deliveries = self.delivery.prepare(table)
        hosts = HostsOfPeers(table.peers.values())

        def put_in_force() -> None:
            self._hosts_of_peers = (table, hosts)
            self.delivery.apply(deliveries)
            self.server.rules_changed()

        return put_in_force

    def _is_known_host(self, host: str) -> bool:
        """True for a host of a peer in the table in force."""
        table = self.live.current
        if self._hosts_of_peers[0] is not table:
            self._hosts_of_peers = (table, HostsOfPeers(table.peers.values()))
        return host in self._hosts_of_peers[1]

    async def _verify_identity(self, check: IdentityCheck, offered: OfferedIdentity) -> VerifiedIdentity:
        return await self.verifier.verify(self.live.current.identity_methods, check, offered)

    async def _waiting_for_nobody(self) -> list[str]:
        """A sentence for each destination that is owed something and that the rules in force do not know."""
        strays = await self.delivery.report_strays()
        return [conditions.waiting_for_nobody(name, number) for name, number in strays.items()]

    def _report(self, report: ReloadReport) -> None:
        self._tell_result(report)
        self.garbage.loaded()
        self.metrics.set_config_version(report.version)
        self.certificates.look_soon()
        if self.settings.pid_file:
            try:
                write_result(Path(self.settings.pid_file), report.as_json())
            except OSError as error:  # only `gateway reload` reads it
                log.error("config_reload_not_written", path=self.settings.pid_file, reason=error.strerror or str(error))

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self, stop: Stop, on_ready: Callable[[Gateway], None] = lambda gateway: None) -> bool:
        """Start, serve until `stop`, drain. True when everything in flight ended in time.

        Raises:
            ConfigurationError: what the configuration names cannot be used.
            ExceptionGroup: a part died; everything else was stopped.
        """
        async with AsyncExitStack() as parts:
            await self._start(parts)
            self.state = "running"
            self.garbage.settle()
            log.info("gateway_started", version=__version__, config=self.live.current.version)
            on_ready(self)
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self.reloader.serve_requests()),
                    tasks.create_task(self.journal.failed()),
                    tasks.create_task(self.delivery.run()),
                    tasks.create_task(self._summarise_log()),
                    tasks.create_task(self.garbage.run()),
                    tasks.create_task(self.certificates.run()),
                    tasks.create_task(self.listening.keep_open()),
                ]
                await stop.asked.wait()
                has_ended_in_time = await self._drain(stop)
                for task in running:
                    task.cancel()
        SUMMARY.write_due(is_final=True)
        log.info("gateway_stopped", has_ended_in_time=has_ended_in_time)
        return has_ended_in_time

    async def _start(self, parts: AsyncExitStack) -> None:
        """Start all parts. Each is registered to stop in the line after its start."""
        settings = self.settings
        self.queue_room.prepare()  # before anything is written
        narrow_files(settings)
        parts.callback(self.object_log.close)  # when nothing is received and delivered any more
        parts.enter_context(pid_file(Path(settings.pid_file) if settings.pid_file else None))
        if settings.http is not None:
            await parts.enter_async_context(WebServer(self, settings.http, self.metrics))
        self.state = "recovering"
        self._queue_lock = QueueLock(Path(settings.queue_path))
        parts.callback(self._queue_lock.release)
        parts.callback(self.queue_room.hold_free_space)
        await asyncio.to_thread(check_before_start, settings)
        await asyncio.to_thread(check_before_spool, settings)
        await self.journal.start()
        parts.push_async_callback(self.journal.close)
        parts.push_async_callback(self.index.close)
        parts.push_async_callback(self.converter.close)
        parts.callback(self.rendezvous.close)
        parts.push_async_callback(self.associations.close)
        parts.push_async_callback(self.queries.close)
        await self.delivery.start(self.live.current)
        parts.push_async_callback(self.delivery.drain, 0.0)
        parts.push_async_callback(self.server.drain, 0.0)
        await self.listening.start(settings.listeners)
        self.metrics.set_config_version(self.live.current.version)
        self.metrics.set("gateway_config_last_reload_successful", 1)
        self.metrics.set("gateway_config_last_reload_success_timestamp_seconds", self.started_at.timestamp())

    async def _summarise_log(self) -> None:
        """Now and then: what the log counts, and what it left out."""
        while True:
            await asyncio.sleep(SUMMARY_S)
            self.object_log.write_due()
            SUMMARY.write_due()
            self._count_left_out()

    def _count_left_out(self) -> None:
        for event, number in SUMMARY.take_counts().items():
            self.metrics.count("gateway_log_lines_left_out_total", number, event=event)

    async def _drain(self, stop: Stop) -> bool:
        """Finish what is in flight within `drain`; a second signal cuts it short."""
        self.state = "draining"
        await self.reloader.close()
        log.info("gateway_drain_started", associations=len(self.server.associations), limit_s=self.settings.drain_s)
        draining = asyncio.create_task(self._drain_in_time(self.settings.drain_s))
        urged = asyncio.create_task(stop.urged.wait())
        await asyncio.wait({draining, urged}, return_when=asyncio.FIRST_COMPLETED)
        urged.cancel()
        if draining.done():
            return draining.result()
        draining.cancel()
        await asyncio.wait({draining})
        await self._drain_in_time(0.0)
        return False

    async def _drain_in_time(self, seconds: float) -> bool:
        """First what comes in, since its deliveries are still to be written; then what goes out."""
        deadline_s = self._elapsed_s() + seconds
        receiving = await self.server.drain(seconds)
        sending = await self.delivery.drain(max(deadline_s - self._elapsed_s(), 0.0))
        return receiving and sending

    # --- what it shows ---------------------------------------------------------------------------------------------

    def not_ready(self) -> Sequence[str]:
        """The reasons why no objects should be sent now."""
        return [str(condition) for condition in self._blocking()]

    def _blocking(self) -> list[OperatingCondition]:
        if self.state != "running":
            return list(conditions.of_stage(self.state))
        return [*conditions.of_storage(self.journal), *conditions.of_listeners(self.listening.down)]

    def _conditions(self, depths: Sequence[QueueDepth]) -> list[OperatingCondition]:
        """All that is the matter; first what keeps objects out."""
        last = self.reloader.last
        return [
            *self._blocking(),
            *conditions.of_reload(last.problems if last is not None and not last.is_applied else None),
            *conditions.of_handlers(self.server.handler_failures.failing.values()),
            *conditions.of_certificates(self.certificates.ended),
            *conditions.of_destinations(self.delivery.status(), depths),
            *conditions.of_queue(depths),
        ]

    def _free_bytes(self) -> int:
        """The free bytes of the spool's file system; 0 while there is none."""
        try:
            return shutil.disk_usage(self.settings.spool.path).free
        except OSError:  # `refusal` says what is wrong
            return 0

    async def _depths(self) -> list[QueueDepth]:
        """The queue as it stands; nothing before the start and after the end."""
        if self.journal.health():
            return []
        try:
            return await self.journal.depths()
        except GatewayError as error:  # the disk fails: health, metrics and status must be told all the same
            log.warning("queue_not_counted", error=str(error))
            return []

    async def metrics_page(self) -> tuple[bytes, str]:
        """The metrics, with the queue as it stands now."""
        depths = await self._depths()
        self.metrics.set_queue(depths, self.clock())
        self.metrics.replace("gateway_conditions", conditions.numbers(self._conditions(depths)))
        self.metrics.set("gateway_ready", 0.0 if self._blocking() else 1.0)
        self.metrics.set("gateway_spool_free_bytes", self._free_bytes())
        self.metrics.set("gateway_queue_free_bytes", self.queue_room.free_or_none())
        self.metrics.set("gateway_queue_reserved_bytes", self.queue_room.reserved_bytes)
        self.metrics.set("gateway_listeners", len(self.server.listeners))
        self._count_left_out()
        return self.metrics.text(), CONTENT_TYPE

    async def reload(self) -> Mapping[str, object]:
        if self.state in ("starting", "recovering"):
            return {"result": "refused", "version": self.live.current.version, "problems": ["the gateway is starting"]}
        return (await self.reloader.reload()).as_json()

    async def status(self) -> Mapping[str, object]:
        """JSON for `gateway status`."""
        peers = Counter(peer_label(association.facts) for association in self.server.associations)
        last = self.reloader.last
        depths = await self._depths()
        return {
            "version": __version__,
            "state": self.state,
            "not_ready": list(self.not_ready()),
            "conditions": [condition.as_json() for condition in self._conditions(depths)],
            "is_reloading": self.reloader.is_reloading,
            "started_at": self.started_at.isoformat(),
            "config": self.live.current.version,
            "handlers_of_the_site": self.events_of_the_site,
            "failing_handlers": [
                {**asdict(row), "since": row.since.isoformat()} for row in self.server.handler_failures.failing.values()
            ],
            "last_reload": last.as_json() if last else None,
            "listeners": listeners_json(self.server.listeners.values(), self.listening.ports),
            "associations": dict(sorted(peers.items())),
            "loops": self.loops.held,
            "destinations": destinations_json(self.delivery.status(), depths),
            "queue": queue_json(depths, self.clock.on_the_wall),
            "spool": place_json(
                self.settings.spool.path,
                id=self.journal.spool_id,
                free_bytes=self._free_bytes(),
                min_free_bytes=self.settings.spool.min_free_bytes,
                forgotten_early=self.journal.forgotten_early,
            ),
            "database": place_json(
                self.settings.queue_path,
                free_bytes=self.queue_room.free_or_none(),
                min_free_bytes=self.settings.queue_min_free_bytes,
                reserved_bytes=self.queue_room.reserved_bytes,
            ),
        }


def bound_inflation(limits: Limits) -> None:
    """Set how far deflated data sets may inflate in this process."""
    set_bounds(Bounds(limits.inflated_bytes, limits.inflated_ratio))


def fitting_limits(table: RoutingTable, available: int) -> Limits:
    """The limits of associations and connections that `available` descriptors allow; the log says what is lowered.

    Raises ConfigurationError when there are too few for any use.
    """
    settings = table.settings
    reserved = descriptors.reserved(settings, table.peers.values())
    limits = descriptors.fit(settings.limits, descriptors=available, reserved=reserved)
    if limits != settings.limits:
        log.warning(
            "limits_lowered",
            reason=f"this process may open only {available} files and connections (ulimit -Hn)",
            associations=limits.associations,
            associations_of_strangers=limits.associations_of_strangers,
            unassociated=limits.unassociated,
        )
    return limits


def run(load: Load, handlers: str | None = None) -> int:
    """`gateway run`: load, serve until a signal; the exit code (`gateway.lifecycle.exit_code`).

    Args:
        load: gives the configuration.
        handlers: ``module:NAME`` of the site's own handlers (`gateway.handlers.site_handlers`).
    """
    try:
        descriptors.raise_limit()
        return asyncio.run(_serve(load, () if handlers is None else own_handlers(handlers)))
    except ConfigurationError as error:
        log.error("gateway_not_started", reason=str(error))
        return exit_code.CONFIGURATION
    except QueueBroken as error:
        log.error("gateway_not_started", reason=str(error))
        return exit_code.CONFIGURATION
    except Temporary as error:  # at the start: later ones come in groups
        log.critical("gateway_failed", reason=str(error))
        return exit_code.SOFTWARE
    except Exception as error:
        broken = _broken_queue(error)
        if broken is not None:
            log.critical("gateway_failed", reason=str(broken))
        else:
            log.critical("gateway_failed", exc_info=error)
        return exit_code.SOFTWARE
    finally:
        SUMMARY.write_due(is_final=True)


def _broken_queue(error: BaseException | None) -> QueueBroken | None:
    """The damaged database that made a part of the gateway die, if it was that: an operator needs no traceback then."""
    if error is None or isinstance(error, QueueBroken):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    return next(filter(None, map(_broken_queue, inner)), None)


def own_handlers(reference: str) -> Sequence[tuple[Any, ...]]:
    """The site's handlers, and a line in the log of what they stand in place of. Raises ConfigurationError."""
    found = site_handlers(reference)
    events = [event.name for event, *_ in found if not is_notification(event)]
    notified = sorted({event.name for event, *_ in found if is_notification(event)})
    if notified:
        log.info("site_notifications_bound", handlers=reference, events=notified)
    if not events:
        return found
    log.warning(
        "site_handlers_bound",
        handlers=reference,
        events=events,
        reason="they take these requests in place of the gateway's own: the rules have no part in them"
        + (", and what is stored is neither spooled nor forwarded" if "EVT_C_STORE" in events else ""),
    )
    return found


async def _serve(load: Load, handlers: Sequence[tuple[Any, ...]]) -> int:
    stop, reload_requested = Stop(), asyncio.Event()
    with handled(stop, reload_requested.set):
        loading = Loading(load)
        try:
            loaded = await loading.load(stop.asked)
        except NotLoaded as error:
            log.error("gateway_not_started", reason=str(error))
            return exit_code.SUCCESS if stop.asked.is_set() else exit_code.CONFIGURATION
        log_problems(loaded)
        for package, kinds in load_extensions().by_package().items():
            log.info("extension_loaded", package=package, kinds=kinds)
        if loaded.table is None:
            log.error("gateway_not_started", reason="the configuration has errors", problems=len(loaded.problems))
            return exit_code.CONFIGURATION
        set_umask(loaded.table.settings.file_access)
        has_ended_in_time = await Gateway(loaded.table, loading, reload_requested, handlers).run(stop)
        return exit_code.UNAVAILABLE if stop.urged.is_set() and not has_ended_in_time else exit_code.SUCCESS


def log_problems(loaded: Loaded) -> None:
    """One event a problem."""
    for problem in loaded.problems:
        (log.error if problem.severity == "error" else log.warning)("config_problem_found", problem=str(problem))

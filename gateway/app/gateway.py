"""The life of one gateway: start, reload, stop.

```text
start   pid file → HTTP (not ready) → journal (lock, recovery) → couriers → listeners → ready
stop    not ready → listeners closed, associations and sends in flight end (up to `drain`) → journal → HTTP → pid file
```
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog

from gateway import __version__
from gateway.app.operators import GatewayOperators
from gateway.app.parts import build_parts
from gateway.app.surface import GatewaySurface
from gateway.common.steady_clock import utc_now
from gateway.delivery.settling import persistently
from gateway.dimse.pynetdicom_contract.bindings import is_notification
from gateway.lifecycle import conditions
from gateway.lifecycle.access import narrow_files
from gateway.lifecycle.garbage import Garbage
from gateway.lifecycle.health import Health
from gateway.lifecycle.loading import Loading
from gateway.lifecycle.log_summary import SUMMARY
from gateway.lifecycle.pid_file import pid_file, report_result
from gateway.lifecycle.reload import Reloader, ReloadReport, Reporter
from gateway.lifecycle.shared_ports import own_http
from gateway.lifecycle.signals import Stop
from gateway.lifecycle.supervisor_link import SupervisorLink
from gateway.model.settings import HTTP
from gateway.repair.pairing import check_before_spool
from gateway.routing.table import RoutingTable
from gateway.stores.opening import check_before_start, listen_to_nodes
from gateway.web.server import WebServer

log = structlog.get_logger()

SUMMARY_S = 5.0
"""Interval between two looks at what the log left out."""


class Gateway:
    """The running gateway.

    Args:
        table: the rules that it begins with, and its settings.
        loading: reads the rules again.
        reload_requested: set for each reload that is asked for by signal.
        handlers: of the site; each takes its event in place of the gateway's own.
        link: to the supervisor of a worker; None for a gateway that is alone.

    Raises ConfigurationError when this process may open too few files.
    """

    def __init__(
        self,
        table: RoutingTable,
        loading: Loading,
        reload_requested: asyncio.Event,
        handlers: Sequence[tuple[Any, ...]] = (),
        link: SupervisorLink | None = None,
    ) -> None:
        self._link = link
        self.parts = parts = build_parts(table, handlers)
        self.settings = parts.common.settings
        self._metrics = parts.common.metrics
        self._report_result = Reporter(self._metrics)
        self._garbage = Garbage(is_quiet=lambda: not parts.server.associations)
        self._reloader = Reloader(
            loading=loading,
            live=parts.common.live,
            listening=parts.listening,
            prepare=self._prepare,
            afterwards=self._report_strays,
            report=self._report,
            requested=reload_requested,
        )
        self._health = Health(
            settings=self.settings,
            journal=parts.storage.journal,
            server=parts.server,
            listening=parts.listening,
            reloader=self._reloader,
            certificates=parts.certificates,
            delivery=parts.delivery,
            nodes=parts.nodes_seen,
            pauses=lambda: parts.pauses.going_on,
        )
        replaced = [event.name for event, *_ in handlers if not is_notification(event)]
        self._surface = GatewaySurface(parts, self._health, self._reloader, replaced, utc_now(), link)
        self._operators = GatewayOperators(
            parts.storage.journal,
            lambda: [peer.name for peer in parts.common.live.current.peers.values() if peer.is_destination],
        )

    # --- start -----------------------------------------------------------------------------------------------------

    async def run(self, stop: Stop, on_ready: Callable[[Gateway], None] = lambda gateway: None) -> bool:
        """Start, serve until `stop`, drain. True when everything in flight ended in time.

        Raises:
            ConfigurationError: what the configuration names cannot be used.
            ExceptionGroup: a part died; everything else was stopped.
        """
        parts = self.parts
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._health.stage = "running"
            self._garbage.settle()
            log.info("gateway_started", version=__version__, config=parts.common.live.current.version)
            on_ready(self)
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._reloader.serve_requests()),
                    tasks.create_task(parts.storage.journal.failed()),
                    tasks.create_task(parts.delivery.run()),
                    tasks.create_task(parts.pauses.run()),
                    tasks.create_task(parts.collections.run()),
                    tasks.create_task(self._summarise_log()),
                    tasks.create_task(self._garbage.run()),
                    tasks.create_task(parts.certificates.run()),
                    tasks.create_task(parts.listening.keep_open()),
                    tasks.create_task(self._serve_supervisor()),
                    *([] if parts.leases is None else [tasks.create_task(parts.leases.run())]),
                    *([] if parts.expected is None else [tasks.create_task(parts.expected.run())]),
                ]
                await stop.requested.wait()
                has_ended_in_time = await self._drain(stop)
                for task in running:
                    task.cancel()
        SUMMARY.write_due(is_final=True)
        log.info("gateway_stopped", has_ended_in_time=has_ended_in_time)
        return has_ended_in_time

    async def _start(self, stack: AsyncExitStack) -> None:
        """Start all parts. Each is registered to stop in the line after its start."""
        parts, settings, storage = self.parts, self.settings, self.parts.storage
        storage.room.prepare()  # before anything is written
        narrow_files(settings)
        stack.callback(parts.common.object_log.close)  # when nothing is received and delivered any more
        stack.enter_context(pid_file(Path(settings.pid_file) if settings.pid_file else None))
        if settings.http is not None:
            http = own_http(settings.http, settings.worker)
            await stack.enter_async_context(self._web_server(http))
        self._health.stage = "recovering"
        storage.claim.take()
        stack.callback(storage.claim.release)
        stack.callback(storage.room.hold_free_space)
        await asyncio.to_thread(check_before_start, settings)
        await asyncio.to_thread(check_before_spool, settings)
        await storage.journal.start()
        stack.push_async_callback(storage.journal.close)
        stack.push_async_callback(self._operators.end)
        stack.push_async_callback(storage.index.close)
        stack.push_async_callback(storage.converter.close)
        stack.callback(parts.rendezvous.close)
        if parts.expected is not None:
            await parts.expected.start()
            stack.push_async_callback(parts.expected.close)
        stack.push_async_callback(parts.associations.close)
        stack.push_async_callback(parts.queries.close)
        await persistently(parts.pauses.look, "pauses")
        await parts.delivery.start(parts.common.live.current)
        stack.push_async_callback(parts.delivery.drain, 0.0)
        if settings.node:
            stack.push_async_callback(asyncio.to_thread, self._listen_to_nodes())
        stack.push_async_callback(parts.server.drain, 0.0)
        await parts.listening.start(settings.listeners)
        if settings.http is not None and settings.worker:  # those who ask all workers are answered by one that serves
            await stack.enter_async_context(self._web_server(settings.http, is_shared=True))
        self._surface.count_start()

    def _web_server(self, http: HTTP, *, is_shared: bool = False) -> WebServer:
        return WebServer(self._surface, http, self._metrics, is_shared=is_shared, operators=self._operators)

    def _listen_to_nodes(self) -> Callable[[], None]:
        """Look at once for what another node accepted, or has for a retrieve. The answer ends it."""
        call_soon, expected = asyncio.get_running_loop().call_soon_threadsafe, self.parts.expected
        look, noticed = self.parts.delivery.look, (lambda node: None) if expected is None else expected.noticed
        return listen_to_nodes(
            self.settings,
            lambda destinations: call_soon(look, destinations),
            lambda node: call_soon(noticed, node),
        )

    async def _summarise_log(self) -> None:
        """Write, now and then, what the log counts and what it left out."""
        while True:
            await asyncio.sleep(SUMMARY_S)
            self.parts.common.object_log.write_due()
            SUMMARY.write_due()
            self._surface.count_left_out()

    # --- reload ----------------------------------------------------------------------------------------------------

    async def reload(self) -> Mapping[str, object]:
        """The result of one reload (`gateway.lifecycle.reload`)."""
        return await self._surface.reload()

    async def _serve_supervisor(self) -> None:
        """Do what the supervisor of a worker orders; nothing for a gateway that is alone."""
        if self._link is not None:
            await self._link.serve_reloads(self._reloader.reload)

    def not_ready(self) -> Sequence[str]:
        """The reasons why no objects should be sent now; empty when they may."""
        return self._surface.not_ready()

    def _prepare(self, table: RoutingTable) -> Callable[[], None]:
        """Do everything that can fail on the way to other rules; the call that puts them in force cannot.

        Raises ConfigurationError.
        """
        deliveries = self.parts.delivery.prepare(table)
        admit_by_table = self.parts.admission.prepare(table)

        def put_in_force() -> None:
            admit_by_table()
            self.parts.delivery.apply(deliveries)
            self.parts.server.rules_changed()

        return put_in_force

    async def _report_strays(self) -> list[str]:
        """A sentence for each destination that deliveries wait for and that the rules in force do not know."""
        strays = await self.parts.delivery.report_strays()
        return [conditions.unknown_destination(name, number) for name, number in strays.items()]

    def _report(self, report: ReloadReport) -> None:
        self._report_result(report)
        self._garbage.loaded()
        self._metrics.set_config_version(report.version)
        self.parts.certificates.look_soon()
        report_result(self.settings.pid_file, report.as_json())

    # --- stop ------------------------------------------------------------------------------------------------------

    async def _drain(self, stop: Stop) -> bool:
        """Finish what is in flight within `drain`; a second signal cuts it short."""
        self._health.stage = "draining"
        if self.parts.leases is not None:
            self.parts.leases.begin_drain()
        await self._reloader.close()
        limit_s = self.settings.drain_s
        log.info("gateway_drain_started", associations=len(self.parts.server.associations), limit_s=limit_s)
        draining = asyncio.create_task(self._drain_in_time(limit_s))
        forced = asyncio.create_task(stop.forced.wait())
        await asyncio.wait({draining, forced}, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if draining.done():
            return draining.result()
        draining.cancel()
        await asyncio.wait({draining})
        await self._drain_in_time(0.0)
        return False

    async def _drain_in_time(self, seconds: float) -> bool:
        """First drain what comes in, since its deliveries are still to be written; then what goes out."""
        deadline_s = time.monotonic() + seconds
        receiving = await self.parts.server.drain(seconds)
        sending = await self.parts.delivery.drain(max(deadline_s - time.monotonic(), 0.0))
        return receiving and sending

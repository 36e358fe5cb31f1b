"""The gateway's side of its HTTP pages (`gateway.web.server.Surface`): readiness, metrics, status and reload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.app.parts import GatewayParts
from gateway.lifecycle import conditions
from gateway.lifecycle.health import Health
from gateway.lifecycle.log_summary import SUMMARY
from gateway.lifecycle.reload import Reloader
from gateway.lifecycle.supervisor_link import SupervisorLink
from gateway.metrics import CONTENT_TYPE
from gateway.operations.status import StatusSources, status


class GatewaySurface:
    """Shows a gateway.

    Args:
        parts, health, reloader: of the gateway.
        replaced_events: names of the events that the site's own handlers take.
        started_at: the wall clock at the start.
        link: to the supervisor of a worker; None for a gateway that is alone.
    """

    def __init__(
        self,
        parts: GatewayParts,
        health: Health,
        reloader: Reloader,
        replaced_events: Sequence[str],
        started_at: datetime,
        link: SupervisorLink | None = None,
    ) -> None:
        self._link = link
        self._parts = parts
        self._health = health
        self._reloader = reloader
        self._started_at = started_at
        self._sources = StatusSources(
            settings=parts.common.settings,
            started_at=started_at,
            replaced_events=replaced_events,
            health=health,
            live=parts.common.live,
            reloader=reloader,
            server=parts.server,
            listening=parts.listening,
            loops=parts.common.loops,
            delivery=parts.delivery,
            journal=parts.storage.journal,
            room=parts.storage.room,
            clock=parts.common.clock,
            nodes=parts.nodes_seen,
            pauses=lambda: parts.pauses.going_on,
        )

    def not_ready(self) -> Sequence[str]:
        """The reasons why no objects should be sent now; empty when they may."""
        return [str(condition) for condition in self._health.blocking()]

    async def status(self) -> Mapping[str, object]:
        """The status document (`gateway.operations.status`)."""
        return await status(self._sources)

    async def reload(self) -> Mapping[str, object]:
        """Load the rules again, in all workers where this is one; refused before the gateway runs."""
        if self._health.stage in ("starting", "recovering"):
            version = self._parts.common.live.current.version
            return {"result": "refused", "version": version, "problems": ["the gateway is starting"]}
        if self._link is not None:
            return await self._link.reload_all()
        return (await self._reloader.reload()).as_json()

    async def metrics_page(self) -> tuple[bytes, str]:
        """The metrics page with the queue as it is now, and its content type."""
        depths = await self._health.depths()
        metrics, room = self._parts.common.metrics, self._parts.storage.room
        metrics.set_queue(depths, self._parts.common.clock())
        metrics.set_collections(await self._health.collections(), self._parts.common.clock())
        metrics.replace("gateway_conditions", conditions.numbers(self._health.conditions(depths)))
        metrics.set("gateway_ready", 0.0 if self._health.blocking() else 1.0)
        metrics.set("gateway_spool_free_bytes", self._health.spool_free_bytes())
        if not self._parts.common.settings.postgresql:  # the room of a server is not ours to measure
            metrics.set("gateway_queue_free_bytes", room.free_or_none())
            metrics.set("gateway_queue_reserved_bytes", room.reserved_bytes)
        metrics.set("gateway_nodes", len(self._parts.nodes_seen().live))
        couriers = self._parts.delivery.status()
        metrics.replace("gateway_destination_here", {(row.destination,): float(row.is_here) for row in couriers})
        metrics.replace("gateway_paused_seconds", self._parts.pauses.seconds())
        metrics.set("gateway_listeners", len(self._parts.server.listeners))
        self.count_left_out()
        return metrics.text(), CONTENT_TYPE

    def count_start(self) -> None:
        """Measure the rules that the gateway started with, as those of a reload are."""
        metrics = self._parts.common.metrics
        metrics.set_config_version(self._parts.common.live.current.version)
        metrics.set("gateway_config_last_reload_successful", 1)
        metrics.set("gateway_config_last_reload_success_timestamp_seconds", self._started_at.timestamp())

    def count_left_out(self) -> None:
        """Measure the lines that the log left out since the last call."""
        for event, number in SUMMARY.take_counts().items():
            self._parts.common.metrics.count("gateway_log_lines_left_out_total", number, event=event)

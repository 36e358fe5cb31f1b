"""The health of a running gateway: its stage, its conditions, and the queue and room as they are now."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Literal

import structlog

from gateway.delivery.service import DeliveryService
from gateway.dimse.server import Server
from gateway.lifecycle import conditions
from gateway.lifecycle.certificate_watch import CertificateWatch
from gateway.lifecycle.conditions import OperatingCondition
from gateway.lifecycle.listening import Listening
from gateway.lifecycle.reload import Reloader
from gateway.model.node import ClusterView
from gateway.model.settings import Settings
from gateway.ports.collections import CollectionCount
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.errors import GatewayError
from gateway.ports.kept_copies import NOTHING_KEPT, KeptTotal
from gateway.ports.pauses import Pause
from gateway.spool.store_journal import StoreJournal

log = structlog.get_logger()

ProcessStage = Literal["starting", "recovering", "running", "draining"]
"""The stages of a process, in their order."""


class Health:
    """Asks the parts of a gateway how they are. `stage` is set by the one who starts and stops them."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: StoreJournal,
        server: Server,
        listening: Listening,
        reloader: Reloader,
        certificates: CertificateWatch,
        delivery: DeliveryService,
        nodes: Callable[[], ClusterView],
        pauses: Callable[[], Sequence[Pause]],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._server = server
        self._listening = listening
        self._reloader = reloader
        self._certificates = certificates
        self._delivery = delivery
        self._nodes = nodes
        self._pauses = pauses
        self.stage: ProcessStage = "starting"

    def blocking(self) -> list[OperatingCondition]:
        """The conditions because of which no objects should be sent now; empty when they may."""
        if self.stage != "running":
            return list(conditions.of_stage(self.stage))
        return [*conditions.of_storage(self._journal), *conditions.of_listeners(self._listening.down)]

    def conditions(self, depths: Sequence[QueueDepth]) -> list[OperatingCondition]:
        """All conditions; first those that keep objects out. `depths`: the queue as it is now."""
        return [
            *self.blocking(),
            *conditions.of_reload(self._reloader.last),
            *conditions.of_handlers(self._server.handler_failures.failing.values()),
            *conditions.of_certificates(self._certificates.ended),
            *conditions.of_destinations(self._delivery.status(), depths),
            *conditions.of_pauses(self._pauses()),
            *conditions.of_queue(depths),
            *conditions.of_nodes(self._nodes()),
            *conditions.of_backlog(self._journal),
        ]

    async def depths(self) -> list[QueueDepth]:
        """The queue as it is now; empty before the start, after the end, and while the disk fails."""
        if self._journal.health():
            return []
        try:
            return await self._journal.depths()
        except GatewayError as error:  # health, metrics and status are given all the same
            log.warning("queue_not_counted", error=str(error))
            return []

    async def kept(self) -> KeptTotal:
        """The copies that are kept after delivery; none before the start, after the end, and while the disk fails."""
        if self._journal.health():
            return NOTHING_KEPT
        try:
            return await self._journal.kept_total()
        except GatewayError as error:
            log.warning("kept_copies_not_counted", error=str(error))
            return NOTHING_KEPT

    async def collections(self) -> list[CollectionCount]:
        """Collections as they are now; none before the start, after the end, and while the disk fails."""
        if self._journal.health():
            return []
        try:
            return await self._journal.collection_counts()
        except GatewayError as error:
            log.warning("collections_not_counted", error=str(error))
            return []

    def spool_free_bytes(self) -> int:
        """Free bytes of the spool's file system; 0 while there is none."""
        try:
            return shutil.disk_usage(self._settings.spool.path).free
        except OSError:  # a condition says what is wrong
            return 0

"""The parts of one courier, on a journal in memory, without the courier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gateway.delivery.courier_context import CourierContext, not_watched
from gateway.delivery.destination_state import DestinationState
from gateway.delivery.feeder import Feeder
from gateway.delivery.outcome_handler import OutcomeHandler
from gateway.delivery.transform import NO_CONVERTER
from gateway.model.delivery import Delivery
from gateway.object_log import ObjectLog
from gateway.routing.language.resources import NO_RESOURCES
from tests.support.fakes.delivery import peer
from tests.support.fakes.memory_journal import MemoryJournal
from tests.support.fakes.meter import MemoryMeter
from tests.support.samples import Clock


def courier_context(journal: MemoryJournal, meter: MemoryMeter, **more: Any) -> CourierContext:
    """A context whose clock is the journal's."""
    settings: dict[str, Any] = {
        "journal": journal,
        "meter": meter,
        "now": journal.now,
        "wall": journal.now,
        "random": Random(1),
        "resources": lambda: NO_RESOURCES,
        "converter": NO_CONVERTER,
        "idle_s": 1.0,
        "objects": ObjectLog(),
        "on_sending": not_watched,
    }
    return CourierContext(**{**settings, **more})


@dataclass
class Parts:
    """State, feeder and outcome handler of a destination `pacs`."""

    settings: dict[str, Any] = field(default_factory=dict)
    on_work: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.journal = MemoryJournal(self.clock)
        self.meter = MemoryMeter()
        context = courier_context(self.journal, self.meter)
        self.state = DestinationState(peer(**self.settings), context)
        self.feeder = Feeder(self.state, context, self.on_work)
        self.outcomes = OutcomeHandler(self.state, context, self.feeder)

    async def claimed(self, **options: Any) -> Delivery:
        """One more delivery, claimed and noted in the ledger."""
        self.journal.add(**options)
        [delivery] = await self.journal.claim("pacs", 1, 900.0)
        assert self.state.ledger.claimed(delivery)
        return delivery

    async def settle(self) -> None:
        """Commit the settlements so far."""
        await self.state.ledger.settler.finish()

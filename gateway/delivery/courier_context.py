"""The surroundings that all couriers of a delivery service share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from types import MappingProxyType

from gateway.model.peer import Peer
from gateway.object_log import ObjectLog
from gateway.ports.converter import Converter
from gateway.ports.journal import Journal
from gateway.ports.kinds import Resources
from gateway.ports.meter import Meter
from gateway.ports.pauses import PausedNames

OnSending = Callable[[Peer, str, str, int], None]
"""Called before an object is sent: the peer that it is sent to, the SOP Instance UID that it arrived with, the one it
leaves with, its size in bytes (`gateway.intake.loops`)."""

NOTHING_KEPT: Mapping[str, float] = MappingProxyType({})


def not_watched(peer: Peer, arrived_as: str, sent_as: str, size_bytes: int) -> None:
    """A `OnSending` that does nothing: rings are not looked for."""


@dataclass(frozen=True, slots=True)
class CourierContext:
    """The parts of the gateway that couriers work with."""

    journal: Journal
    meter: Meter
    now: Callable[[], datetime]
    """The queue's time (`gateway.common.steady_clock`)."""
    wall: Callable[[], datetime]
    """The time of people."""
    random: Random
    """Spreads retries."""
    resources: Callable[[], Resources]
    """The resources of the rules in force, for the stored actions."""
    converter: Converter
    idle_s: float
    """A channel without work is kept this long."""
    objects: ObjectLog
    on_sending: OnSending
    keeps: Callable[[], Mapping[str, float]] = lambda: NOTHING_KEPT
    """Name of the route → seconds for which what was delivered by it is kept, by the rules in force."""
    paused: PausedNames = field(default_factory=PausedNames)
    """The rules whose deliveries wait."""
    may_send: Callable[[str], bool] = lambda destination: True
    """False when the lease of a destination is about to end (`gateway.ports.destination_leases`)."""

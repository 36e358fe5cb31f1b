"""JSON of a gateway's status as operators see it: `gateway status --format json`, and `/status`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from gateway.delivery.courier import CourierStatus
from gateway.model.listener import Listener
from gateway.ports.delivery_queue import QueueDepth

Json = dict[str, object]


def destinations_json(couriers: Sequence[CourierStatus], depths: Iterable[QueueDepth]) -> list[Json]:
    """Destinations of the rules in force, then those that are owed something and that the rules do not know: they must
    not vanish."""
    owed = {row.destination for row in depths if row.destination}
    unknown = sorted(owed - {row.destination for row in couriers})
    why = "not in the rules in force, or disabled"
    strangers = [CourierStatus(name, False, why, 0.0, 0, 0, is_configured=False) for name in unknown]
    return [asdict(row) for row in (*couriers, *strangers)]


def queue_json(depths: Iterable[QueueDepth], on_the_wall: Callable[[datetime], datetime]) -> list[Json]:
    """Counts by destination and state; times are the wall clock's."""
    return [
        {**asdict(row), "oldest_at": on_the_wall(row.oldest_at).isoformat() if row.oldest_at else None}
        for row in depths
    ]


def listeners_json(listeners: Iterable[Listener], ports: Mapping[str, int]) -> list[Json]:
    """Name → port in `ports`: a listener may have asked for any."""
    return [
        {"name": row.name, "address": row.address, "port": ports[row.name], "tls": row.tls is not None}
        for row in listeners
    ]


def place_json(path: str, **figures: object) -> Json:
    """A place on a disk, by its absolute path."""
    return {"path": os.path.abspath(path), **figures}

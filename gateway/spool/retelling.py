"""At a start: what the segments hold and the queue does not know any more, or never learned, is told to it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from gateway.model import Instance, Route
from gateway.ports import ConfigurationError, GatewayError, Queue
from gateway.spool import redo
from gateway.spool.redo import Position
from gateway.spool.store import SpoolStore

log = structlog.get_logger()

Arrival = tuple[Instance, Sequence[Route]]


def tell_again(store: SpoolStore, deliveries: Queue) -> int:
    """Accept what stands behind the queue's position; the number of instances.

    What nobody got an answer for may be among it. It is delivered all the same: its sender sends it again, and one
    object twice is no loss.

    Raises:
        ConfigurationError: a newer gateway wrote these segments.
    """
    told = 0
    for position, data in store.redo_after(Position(*deliveries.known_up_to())):
        try:
            note = redo.decode(data)
        except ValueError as error:
            where = f"spool {store.root}: {position.name} before {position.end_bytes}"
            raise ConfigurationError(f"{where}: {error}; run the version that wrote it") from None
        told += _accept(
            store, deliveries, note.now, [arrival for arrival in note.arrivals if _is_there(store, arrival)]
        )
        with deliveries.transaction():
            deliveries.knows_up_to(*position)
    if told:
        log.warning("spool.told_again", instances=told)
    return told


def _is_there(store: SpoolStore, arrival: Arrival) -> bool:
    """False when the payload's bytes did not reach the disk: then neither did an answer reach the sender."""
    return store.can_read(arrival[0].payload)


def _accept(store: SpoolStore, deliveries: Queue, now: datetime, arrivals: Sequence[Arrival]) -> int:
    """In one transaction; one by one when an arrival breaks it."""
    if not arrivals:
        return 0
    try:
        with deliveries.transaction():
            deliveries.accept_all(arrivals, now, store.can_read)
        return len(arrivals)
    except GatewayError:  # no room, or the queue is damaged: nothing to go on with
        raise
    except Exception as error:
        if len(arrivals) == 1:
            log.error(
                "spool.instance_not_told",
                sop_instance_uid=arrivals[0][0].sop_instance_uid,
                error=f"{type(error).__name__}: {error}",
            )
            return 0
    return sum(_accept(store, deliveries, now, [arrival]) for arrival in arrivals)

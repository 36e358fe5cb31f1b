"""At a start: what the segments hold and the queue does not know any more, or never learned, is told to it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from gateway.model import Instance, Route
from gateway.ports import ConfigurationError, GatewayError, PayloadLost, Queue
from gateway.spool import redo
from gateway.spool.redo import Position
from gateway.spool.store import SpoolStore

log = structlog.get_logger()

Arrival = tuple[Instance, Sequence[Route]]


def tell_again(store: SpoolStore, deliveries: Queue) -> int:
    """Accept what stands behind the queue's position; the number of instances. It is on disk when this returns.

    What nobody got an answer for may be among it. It is delivered all the same: its sender sends it again, and one
    object twice is no loss.

    Raises:
        ConfigurationError: a newer gateway wrote these segments.
        Temporary: a payload cannot be read now, or the queue cannot be written.
    """
    notes = told = 0
    for position, data in store.redo_after(Position(*deliveries.known_up_to())):
        try:
            note = redo.decode(data)
        except ValueError as error:
            where = f"spool {store.root}: {position.name} before {position.end_bytes}"
            raise ConfigurationError(f"{where}: {error}; run the version that wrote it") from None
        arrivals = [arrival for arrival in note.arrivals if _is_there(store, arrival)]
        told += _accept(store, deliveries, note.now, arrivals, position)
        notes += 1
    if notes:
        with deliveries.transaction():
            deliveries.settle_on_disk()
    if told:
        log.warning("spool.told_again", instances=told)
    return told


def _is_there(store: SpoolStore, arrival: Arrival) -> bool:
    """False when the payload's bytes did not reach the disk: then neither did an answer reach the sender.

    Raises Temporary when nobody can say now: what was answered may not be left out.
    """
    instance = arrival[0]
    try:
        store.open(instance.payload).close()
    except PayloadLost as error:
        log.error("spool.instance_not_told", sop_instance_uid=instance.sop_instance_uid, error=str(error))
        return False
    return True


def _accept(
    store: SpoolStore, deliveries: Queue, now: datetime, arrivals: Sequence[Arrival], position: Position
) -> int:
    """What one note tells, in the transaction that says it is known; one by one when an arrival breaks it.

    Not synced: when the power fails, the notes are still there.
    """
    try:
        with deliveries.transaction(is_durable=False):
            deliveries.accept_all(arrivals, now, store.can_read)
            deliveries.knows_up_to(*position)
        return len(arrivals)
    except (GatewayError, MemoryError):  # no room, or the queue is damaged: nothing to go on with
        raise
    except Exception:
        told = sum(_accept_alone(store, deliveries, now, arrival) for arrival in arrivals)
    with deliveries.transaction(is_durable=False):
        deliveries.knows_up_to(*position)
    return told


def _accept_alone(store: SpoolStore, deliveries: Queue, now: datetime, arrival: Arrival) -> int:
    """1, or 0 when this is the arrival that breaks its transaction."""
    try:
        with deliveries.transaction(is_durable=False):
            deliveries.accept_all([arrival], now, store.can_read)
    except (GatewayError, MemoryError):
        raise
    except Exception as error:
        log.error(
            "spool.instance_not_told",
            sop_instance_uid=arrival[0].sop_instance_uid,
            error=f"{type(error).__name__}: {error}",
        )
        return 0
    return 1

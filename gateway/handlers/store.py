"""C-STORE: take an instance in. Success says that it and every delivery it owes are on disk (PS3.4 §B.2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydicom.dataset import Dataset

from gateway.dataset.splice import splice
from gateway.dimse.event import Event
from gateway.model import Instance, PayloadRef
from gateway.ports import Edit, GatewayError, Journal, Meter, NotAllowed, peer_label
from gateway.routing.table import ObjectFacts, RoutingTable

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110  # PS3.7 §C.5
NOT_STORED = PayloadRef(name="", offset_bytes=0, length_bytes=0, digest=b"")
ERROR_COMMENT_CHARACTERS = 64  # LO, PS3.5 §6.2

log = structlog.get_logger()


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StoreDesk:
    """What the C-STORE handler works with."""

    journal: Journal
    meter: Meter
    now: Callable[[], datetime] = utc_now
    elapsed_s: Callable[[], float] = time.perf_counter


async def handle_store(event: Event, desk: StoreDesk) -> int | Dataset:
    """`evt.EVT_C_STORE`: 0x0000 when the instance is durable, else the status of the error that stopped it."""
    started_s = desk.elapsed_s()
    answer: int | Dataset
    try:
        await accept(event, desk)
        answer = status = SUCCESS
    except GatewayError as error:
        status = error.dimse_status
        answer = failure(status, str(error))
        _log_refusal(event, status, type(error).__name__)
    except Exception as error:
        status = PROCESSING_FAILURE
        answer = failure(status, "internal error of the gateway")
        log.exception("store_failed", sop_instance_uid=event.sop_instance_uid, error=type(error).__name__)
    _measure(event, desk, status, desk.elapsed_s() - started_s)
    return answer


async def accept(event: Event, desk: StoreDesk) -> Instance | None:
    """Return only when everything we are about to promise is on disk; None when the rules say to discard.

    Raises:
        Unreadable, ClassMismatch, Refusal: of this object in this form.
        NotAllowed: no rule wants it and `unmatched: reject`.
        SpoolFull: the peer may send it again.
    """
    table: RoutingTable = event.assoc.table  # pinned at admission: a reload changes nothing for this association
    facts = table.read_facts(
        association=event.facts,
        sop_class_uid=event.sop_class_uid,
        sop_instance_uid=event.sop_instance_uid,
        transfer_syntax_uid=event.transfer_syntax_uid,
        body=event.body,
    )
    plan = table.plan(facts)
    if plan.is_unmatched:
        _count_unmatched(event, desk, table)
    if not plan.routes:
        return None
    edited = splice(event.body.view(), event.transfer_syntax_uid, plan.edits) if plan.edits else None
    instance = as_instance(facts, plan.edits, desk.now())
    return await desk.journal.commit(instance, event.body, edited, plan.routes)


def as_instance(facts: ObjectFacts, edits: Sequence[Edit], received_at: datetime) -> Instance:
    """The instance as it will be kept: identifiers are those after `edits`."""
    uids = {
        0x00080018: facts.sop_instance_uid,
        0x0020000D: facts.study_instance_uid,
        0x0020000E: facts.series_instance_uid,
    }
    for edit in edits:
        if edit.path.tag in uids and not edit.path.steps:
            uids[edit.path.tag] = edit.value[0] if edit.value else ""
    return Instance(
        sop_class_uid=facts.sop_class_uid,
        sop_instance_uid=uids[0x00080018],
        transfer_syntax_uid=facts.transfer_syntax_uid,
        study_instance_uid=uids[0x0020000D],
        series_instance_uid=uids[0x0020000E],
        association=facts.association,
        payload=NOT_STORED,
        received_at=received_at,
    )


def failure(status: int, comment: str) -> Dataset:
    """A status data set with its Error Comment (PS3.7 §C.4.2)."""
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment.encode("ascii", "replace").decode()[:ERROR_COMMENT_CHARACTERS].replace("\\", "/")
    return answer


def _count_unmatched(event: Event, desk: StoreDesk, table: RoutingTable) -> None:
    """Nothing is lost in silence: what no route wants is counted and logged, then held, rejected or discarded.

    Raises:
        NotAllowed: `unmatched: reject`.
    """
    desk.meter.count("gateway_unmatched_instances_total", peer=peer_label(event.facts), action=table.unmatched)
    log.warning(
        "instance_unmatched",
        action=table.unmatched,
        sop_instance_uid=event.sop_instance_uid,
        sop_class_uid=event.sop_class_uid,
        calling_ae_title=event.facts.calling_ae_title,
        association=event.facts.association_id,
    )
    if table.unmatched == "reject":
        raise NotAllowed("no route wants this instance")


def _log_refusal(event: Event, status: int, error: str) -> None:
    log.warning(
        "instance_refused",
        status=f"0x{status:04X}",
        error=error,
        sop_instance_uid=event.sop_instance_uid,
        sop_class_uid=event.sop_class_uid,
        calling_ae_title=event.facts.calling_ae_title,
        remote_host=event.facts.remote_host,
        association=event.facts.association_id,
    )


def _measure(event: Event, desk: StoreDesk, status: int, seconds: float) -> None:
    peer = peer_label(event.facts)
    desk.meter.count("gateway_received_instances_total", peer=peer, status=f"0x{status:04X}")
    desk.meter.observe("gateway_store_seconds", seconds, peer=peer)
    if status == SUCCESS:
        desk.meter.count("gateway_received_bytes_total", event.body.length_bytes, peer=peer)

"""Final statuses, C-CANCEL and measures of C-FIND, for all services that have one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import TypeVar

import structlog

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.yields import EncodedMatches
from gateway.leniency import tolerated
from gateway.model import dimse_status
from gateway.model.final_status import DONE, FinalStatus
from gateway.model.peer import Peer
from gateway.model.settings import QueryRetrieve
from gateway.ports.meter import Meter, peer_label
from gateway.sources.federated_query import FederatedQuery
from gateway.sources.query_backends import QueryBackends
from gateway.sources.source_query import SourceFailed

T = TypeVar("T")

log = structlog.get_logger()

Yielded = tuple[int | FinalStatus, bytes | None] | EncodedMatches
"""A Pending status and the identifier of a match; several matches; or the final status, and None."""


def failed(event: Event, backends: QueryBackends, failures: Sequence[SourceFailed], partial: str) -> FinalStatus:
    """The final status after sources failed: they are named, or left out by `partial: accept`."""
    for failure in failures:
        log_find(event, "source_failed", source=failure.source, reason=failure.reason, partial=partial)
    if partial == "accept":
        backends.meter.count("gateway_find_partial_total")
        return DONE
    if len(failures) == 1:
        return FinalStatus(dimse_status.SOURCE_FAILED, f"incomplete: {failures[0]}")
    return FinalStatus(
        dimse_status.SOURCE_FAILED, f"incomplete: no answer from {', '.join(failure.source for failure in failures)}"
    )


def too_many(event: Event, backends: QueryBackends, settings: QueryRetrieve) -> FinalStatus:
    """The final status of an answer that `limit` cut."""
    log_find(event, "find_cut", limit=settings.limit, partial=settings.partial)
    if settings.partial == "accept":
        backends.meter.count("gateway_find_partial_total")
        return DONE
    return FinalStatus(dimse_status.OUT_OF_RESOURCES, f"more than {settings.limit} matches; the first ones were sent")


@contextlib.asynccontextmanager
async def stopped_by_cancel(event: Event, federated: FederatedQuery) -> AsyncIterator[None]:
    """A context in which a C-CANCEL ends `federated` at once."""

    async def stop() -> None:
        await event.until_cancelled()
        federated.stop()

    waiting = asyncio.create_task(stop())
    try:
        yield
    finally:
        waiting.cancel()


async def measured(backends: QueryBackends, peer: Peer, answers: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The answers of one source to one query, measured. Raises SourceFailed."""
    began_s = time.monotonic()
    outcome = "interrupted"
    try:
        async with contextlib.aclosing(answers):
            async for answer in answers:
                yield answer
        outcome = "answered"
    except SourceFailed:
        outcome = "failed"
        raise
    finally:
        backends.meter.count("gateway_source_queries_total", source=peer.name, outcome=outcome)
        backends.meter.observe("gateway_source_seconds", time.monotonic() - began_s, source=peer.name)


def log_find(event: Event, name: str, **fields: object) -> None:
    """A line in the log, without anything of the identifier."""
    log.warning(
        name,
        sop_class_uid=event.sop_class_uid,
        **event.facts.log_fields(),
        **fields,
    )


def log_replaced(event: Event, backends: QueryBackends, count: int) -> None:
    """Count and log the values of an answer that could not be written as they are; `count` may be 0."""
    if count:
        backends.meter.count("gateway_find_values_replaced_total", count)
        log_find(event, "find_values_replaced", values=count)


def log_leniencies(event: Event, meter: Meter, kinds: Iterable[str]) -> None:
    """Count and log how an identifier was read that breaks the standard."""
    for kind in kinds:
        tolerated(
            meter,
            kind,
            peer_label(event.facts),
            sop_class_uid=event.sop_class_uid,
            calling_ae_title=event.facts.calling_ae_title,
            association=event.facts.association_id,
        )

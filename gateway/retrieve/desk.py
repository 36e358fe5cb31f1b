"""What a retrieve yields: local instances from the spool, as many as the index has of what is asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.dimse.yields import EncodedInstance
from gateway.model import AssociationFacts, Instance, PayloadRef, Query
from gateway.ports import Converter, EncodedDataSet, Index
from gateway.retrieve.form import Forms
from gateway.routing.table import RoutingTable

PENDING = 0xFF00
BATCH = 256
"""Instances whose rows are read at once."""


@dataclass(frozen=True, slots=True)
class RetrieveDesk:
    """What the handlers of C-MOVE and C-GET work with."""

    index: Index
    open_payload: Callable[[PayloadRef], EncodedDataSet]
    """`Journal.open`."""
    converter: Converter


@dataclass(frozen=True, slots=True)
class Retrieve:
    """One request."""

    query: Query
    table: RoutingTable
    facts: AssociationFacts
    """Of the requestor's association."""
    forms: Forms


async def retrieved(desk: RetrieveDesk, request: Retrieve) -> AsyncGenerator[Any]:
    """The number of instances, then each of them, as the handlers of C-MOVE and C-GET yield them.

    Raises:
        Temporary: the index cannot be read now.
    """
    held: Sequence[int] = ()
    if request.table.query_retrieve.is_local:
        held = await desk.index.find_instances(request.query)
    yield len(held)
    async for instance in _local(desk, request, held):
        yield PENDING, instance


async def _local(desk: RetrieveDesk, request: Retrieve, held: Sequence[int]) -> AsyncGenerator[EncodedInstance]:
    """What was forgotten since it was counted is not yielded: the engine counts it as failed."""
    for start in range(0, len(held), BATCH):
        for instance in await desk.index.instances(held[start : start + BATCH]):
            yield request.forms.encoded(instance, opener(desk, instance))


def opener(desk: RetrieveDesk, instance: Instance) -> Callable[[], Awaitable[EncodedDataSet]]:
    """Opens the stored bytes when it is this instance's turn."""

    async def body() -> EncodedDataSet:
        return desk.open_payload(instance.payload)

    return body

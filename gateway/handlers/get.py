"""C-GET: send what is asked for over the requestor's own association (PS3.4 §C.4.3)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.handlers.retrieve_request import refusal_of, request_of
from gateway.query.compile import BadIdentifier
from gateway.retrieve.retrieve_desk import RetrieveDesk
from gateway.retrieve.retrieve_stream import retrieved


async def handle_get(event: Event, desk: RetrieveDesk) -> AsyncGenerator[Any]:
    """`evt.EVT_C_GET`: how many, then the instances. Those without a context that has the SCP role for us count as
    failed.

    Raises:
        Unreadable, Temporary: with their statuses.
    """
    peer = event.association.peer
    try:
        request = request_of(event, () if peer is None else (peer,), desk)
    except BadIdentifier as error:
        yield refusal_of(event, error), None
        return
    async with aclosing(retrieved(desk, request)) as steps:
        async for step in steps:
            yield step

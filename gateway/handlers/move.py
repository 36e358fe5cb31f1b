"""C-MOVE: send what is asked for to one or many peers at once (PS3.4 §C.4.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.yields import MoveDestinations
from gateway.handlers.retrieve_request import refusal_of, request_of
from gateway.query.compile import BadIdentifier
from gateway.retrieve.move_destinations import move_places
from gateway.retrieve.retrieve_desk import RetrieveDesk
from gateway.retrieve.retrieve_stream import retrieved
from gateway.routing.ae_title_templates import titled


async def handle_move(event: Event, desk: RetrieveDesk) -> AsyncGenerator[Any]:
    """`evt.EVT_C_MOVE`: where to, how many, then the instances.

    Raises:
        MoveDestinationUnknown, NotAllowed: before anything is looked for.
        Unreadable, Temporary: with their statuses.
    """
    table = event.association.table
    peers = move_places(table, event.move_destination or "", event.association.peer)
    try:
        request = request_of(event, peers, desk)
    except BadIdentifier as error:
        yield refusal_of(event, error), None
        return
    yield MoveDestinations(
        [titled(peer, event.facts) for peer in peers],
        originator_ae_title=table.query_retrieve.move_originator or None,
        associations=min(peer.associations for peer in peers),
    )
    async with aclosing(retrieved(desk, request)) as steps:
        async for step in steps:
            yield step

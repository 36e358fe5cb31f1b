"""C-MOVE: send what is asked for to one or many peers at once (PS3.4 §C.4.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.yields import MoveDestinations
from gateway.handlers.retrieve import RetrieveHandler, refusal_of
from gateway.ports.errors import GatewayError
from gateway.retrieve.move_destinations import move_places
from gateway.retrieve.retrieve_stream import retrieved
from gateway.routing.ae_title_templates import titled


class MoveHandler(RetrieveHandler):
    """`evt.EVT_C_MOVE`."""

    async def __call__(self, event: Event) -> AsyncGenerator[Any]:
        """Yield the destination, the number of instances, then the instances; or a final status, before or after
        them.
        """
        table = event.association.table
        try:
            peers = move_places(table, event.move_destination or "", event.association.peer)
            request = self._request_of(event, peers)
        except GatewayError as error:
            yield refusal_of(event, error), None
            return
        yield MoveDestinations(
            [titled(peer, event.facts) for peer in peers],
            originator_ae_title=table.query_retrieve.move_originator or None,
            associations=min(peer.associations for peer in peers),
        )
        try:
            async with aclosing(retrieved(self._backends, request)) as steps:
                async for step in steps:
                    yield step
        except GatewayError as error:
            yield error.final_status(), None

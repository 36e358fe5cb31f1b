"""C-GET: send what is asked for over the requestor's own association (PS3.4 §C.4.3)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.handlers.retrieve import RetrieveHandler, refusal_of
from gateway.ports.errors import GatewayError
from gateway.retrieve.retrieve_stream import retrieved


class GetHandler(RetrieveHandler):
    """`evt.EVT_C_GET`."""

    async def __call__(self, event: Event) -> AsyncGenerator[Any]:
        """Yield the number of instances, then the instances; or a final status, before or after them. Instances
        without a context that has the SCP role for us count as failed.
        """
        peer = event.association.peer
        try:
            request = self._request_of(event, () if peer is None else (peer,))
        except GatewayError as error:
            yield refusal_of(event, error), None
            return
        try:
            async with aclosing(retrieved(self._backends, request)) as steps:
                async for step in steps:
                    yield step
        except GatewayError as error:
            yield error.final_status(), None

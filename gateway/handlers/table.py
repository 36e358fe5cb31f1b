"""Which handler answers which event: the whole of what the gateway does for a requestor."""

from __future__ import annotations

from typing import Any

from pynetdicom import evt

from gateway.handlers.echo import handle_echo
from gateway.handlers.find import handle_find
from gateway.handlers.get import handle_get
from gateway.handlers.move import handle_move
from gateway.handlers.store import StoreHandler
from gateway.retrieve.retrieve_desk import RetrieveDesk
from gateway.sources.query_desk import QueryDesk


def bindings(store: StoreHandler, query: QueryDesk, retrieve: RetrieveDesk) -> list[tuple[Any, ...]]:
    """(event, handler[, arguments]) as pynetdicom's `evt_handlers` has them; what is not here is not offered."""
    return [
        (evt.EVT_C_ECHO, handle_echo),
        (evt.EVT_C_STORE, store),
        (evt.EVT_C_FIND, handle_find, [query]),
        (evt.EVT_C_GET, handle_get, [retrieve]),
        (evt.EVT_C_MOVE, handle_move, [retrieve]),
    ]

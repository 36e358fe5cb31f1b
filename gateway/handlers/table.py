"""Which handler answers which event: the whole of what the gateway does for a requestor."""

from __future__ import annotations

from typing import Any

from pynetdicom import evt

from gateway.handlers.echo import handle_echo
from gateway.handlers.store import StoreDesk, handle_store


def bindings(store: StoreDesk) -> list[tuple[Any, ...]]:
    """(event, handler[, arguments]) as pynetdicom's `evt_handlers` has them; what is not here is not offered."""
    return [
        (evt.EVT_C_ECHO, handle_echo),
        (evt.EVT_C_STORE, handle_store, [store]),
    ]

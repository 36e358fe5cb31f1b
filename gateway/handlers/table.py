"""The table of handlers by event: everything that the gateway does for a requestor."""

from __future__ import annotations

from typing import Any

from pynetdicom import evt

from gateway.handlers.echo import handle_echo
from gateway.handlers.find import FindHandler
from gateway.handlers.get import GetHandler
from gateway.handlers.move import MoveHandler
from gateway.handlers.store import StoreHandler
from gateway.intake.intake import Intake
from gateway.retrieve.retrieve_backends import RetrieveBackends


def bindings(intake: Intake, retrieves: RetrieveBackends) -> list[tuple[Any, ...]]:
    """(event, handler) as pynetdicom's `evt_handlers` has them; what is not here is not offered."""
    return [
        (evt.EVT_C_ECHO, handle_echo),
        (evt.EVT_C_STORE, StoreHandler(intake, retrieves.rendezvous)),
        (evt.EVT_C_FIND, FindHandler(retrieves.query)),
        (evt.EVT_C_GET, GetHandler(retrieves)),
        (evt.EVT_C_MOVE, MoveHandler(retrieves)),
    ]

"""C-ECHO: the requestor verifies that the gateway answers (PS3.7 §9.1.5)."""

from __future__ import annotations

from gateway.dimse.acceptor.handler_thread import on_event_loop
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.model.dimse_status import SUCCESS


@on_event_loop
def handle_echo(event: Event) -> int:
    """`evt.EVT_C_ECHO`: always Success; the rights of the requestor were checked at admission."""
    return SUCCESS

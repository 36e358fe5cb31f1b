"""Statuses for the mistakes of a C-GET's or C-MOVE's handler, as pynetdicom documents them."""

from __future__ import annotations

from dataclasses import dataclass

from pynetdicom import evt

from gateway.model import dimse_status


@dataclass(frozen=True, slots=True)
class ContractStatuses:
    """The statuses of one of the two services, and its event."""

    event: evt.InterventionEvent
    service: str
    bad_destination_yield: int
    """The status for a handler that fails or ends before it gives a destination."""
    bad_destination: int
    """The status for a value that cannot be a destination, or whose host has no address."""
    bad_number: int
    """The status for a handler that gives no number of sub-operations."""
    too_many: int
    """The status for a handler that announces more than the counters hold."""
    failed: int
    """The status for a handler that fails later, or gives neither a pair nor a status."""


GET = ContractStatuses(
    evt.EVT_C_GET,
    "get",
    bad_destination_yield=dimse_status.GET_BAD_NUMBER,
    bad_destination=dimse_status.GET_BAD_NUMBER,
    bad_number=dimse_status.GET_BAD_NUMBER,
    too_many=dimse_status.GET_TOO_MANY,
    failed=dimse_status.GET_HANDLER_FAILED,
)
MOVE = ContractStatuses(
    evt.EVT_C_MOVE,
    "move",
    bad_destination_yield=dimse_status.MOVE_BAD_DESTINATION_YIELD,
    bad_destination=dimse_status.MOVE_BAD_DESTINATION,
    bad_number=dimse_status.MOVE_BAD_NUMBER,
    too_many=dimse_status.MOVE_TOO_MANY,
    failed=dimse_status.MOVE_HANDLER_FAILED,
)

"""The yields of a C-GET's or C-MOVE's handler, read phase after phase: the destinations (C-MOVE alone), the number of
instances, then pairs of status and instance.

In each phase a final status may stand in place of the documented yield, and each has its own status for a handler that
fails (`gateway.dimse.services.retrieve_statuses`). Both end the operation as `FinalResponse`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from gateway.dimse.protocol.cancellation import Interrupted
from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.associate_keywords import is_place
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.handler_yields import END, HandlerYields
from gateway.dimse.pynetdicom_contract.yields import UNKNOWN, MoveDestinations, RelayedCounters, SubOperationDone
from gateway.dimse.services.counters import MOST
from gateway.dimse.services.responding import FinalResponse, early_status, note_wrong_yield, of_exception, read_pair
from gateway.dimse.services.retrieve_statuses import ContractStatuses
from gateway.model import dimse_status
from gateway.model.dimse_status import Category
from gateway.model.final_status import FinalStatus
from gateway.model.peer import Peer
from gateway.ports.errors import GatewayError

log = structlog.get_logger()

T = TypeVar("T")


class RetrieveYields:
    """Reads a handler's yields; each method raises FinalResponse when the operation ends with what was read.

    Args:
        event: the request, which notes a handler that breaks its contract.
        steps: gives one yield after the other.
        statuses: of the service.
    """

    def __init__(self, event: Event, steps: HandlerYields, statuses: ContractStatuses) -> None:
        self._event = event
        self._steps = steps
        self._statuses = statuses
        self.reason = ""
        """The reason why the gateway's own handler refused the request or broke it off."""

    async def destinations(self) -> MoveDestinations:
        """The places that instances go to. They are looked up once there is something to send.

        Raises FinalResponse, Interrupted.
        """
        item = await self._next(self._statuses.bad_destination_yield)
        if item is END:
            log.error("handler_yielded_nothing", handler=self._event.event.name)
            note_wrong_yield(self._event, "nothing")
            raise FinalResponse({"Status": self._statuses.bad_destination_yield})
        self._end_early(item)
        if isinstance(item, tuple | list) and None in item[:2]:
            raise FinalResponse({"Status": dimse_status.MOVE_DESTINATION_UNKNOWN})
        return attempt(self._event, functools.partial(as_destinations, item), self._statuses.bad_destination)

    async def number(self) -> int | None:
        """The number of instances; None when the handler does not know it. Raises FinalResponse, Interrupted."""
        item = await self._next(self._statuses.bad_number)
        self._end_early(item)
        if item is UNKNOWN:
            return None
        number: int = attempt(self._event, lambda: int(item), self._statuses.bad_number)
        if number > MOST:
            log.error("sub_operation_limit_exceeded", handler=self._event.event.name, number=number)
            note_wrong_yield(self._event, f"{number} sub-operations")
            raise FinalResponse({"Status": self._statuses.too_many})
        return max(0, number)

    async def next_pending(self, *, is_complete: bool) -> tuple[Command, Any] | None:
        """Status elements and value of the next Pending pair; None when the handler has ended.

        Args:
            is_complete: all sub-operations are done.

        Raises FinalResponse, Interrupted.
        """
        item = await self._next_after_all() if is_complete else await self._next(self._statuses.failed)
        if item is END:
            return None
        elements, value = attempt(self._event, functools.partial(read_pair, item), self._statuses.failed)
        if Category.of(elements["Status"]) is not Category.PENDING:
            self._note_reason(item)
            raise FinalResponse(elements, value)
        return elements, value

    async def close(self) -> None:
        """Close the handler's generator."""
        await self._steps.close()

    async def _next(self, status_of_failure: int) -> Any:
        """The next yield, or `END`. Raises FinalResponse for what the handler raises, Interrupted.

        A handler that raises when it is called, and gives nothing to iterate over, has a status of its own.
        """
        try:
            return await self._steps.next()
        except Interrupted:
            raise
        except Exception as error:
            self.reason = str(error) if isinstance(error, GatewayError) else ""
            otherwise = status_of_failure if self._steps.is_begun else self._statuses.failed
            raise FinalResponse(of_exception(error, otherwise, self._event)) from None

    async def _next_after_all(self) -> Any:
        """The next yield when all sub-operations are complete. As in pynetdicom neither a status nor an exception
        counts any more, unless it is one of the gateway's own."""
        try:
            item = await self._steps.next()
        except Interrupted:
            raise
        except GatewayError as error:
            self.reason = str(error)
            raise FinalResponse(of_exception(error, self._statuses.failed, self._event)) from None
        except Exception as error:
            of_exception(error, self._statuses.failed, self._event)
            return END
        counts = item is END or (
            isinstance(item, tuple)
            and (isinstance(item[0], FinalStatus) or isinstance(item[-1], RelayedCounters | SubOperationDone))
        )
        if not counts:
            log.warning("handler_yielded_too_many", handler=self._event.event.name)
        return item if counts else END

    def _end_early(self, item: Any) -> None:
        """Raises FinalResponse when a final status stands where something else is documented."""
        found = early_status(item)
        if found is not None:
            self._note_reason(item)
            raise FinalResponse(*found)

    def _note_reason(self, item: Any) -> None:
        """Keep the comment of a final status of the gateway's own handlers."""
        final = item[0] if isinstance(item, tuple) else item
        if isinstance(final, FinalStatus):
            self.reason = final.comment


def attempt(event: Event, read: Callable[[], T], status_of_failure: int) -> T:
    """The result of `read`, which interprets a yield. Raises FinalResponse with `status_of_failure` when it raises."""
    try:
        return read()
    except Exception as error:
        raise FinalResponse(of_exception(error, status_of_failure, event)) from None


def as_destinations(item: Any) -> MoveDestinations:
    """A yield as destinations. Raises TypeError for what cannot be one place or several."""
    if isinstance(item, MoveDestinations):
        return item
    if isinstance(item, list) and not is_place(item):
        return MoveDestinations(item)
    if not isinstance(item, Peer | tuple | list | str):
        raise TypeError("a destination is (addr, port) or (addr, port, kwargs)")
    return MoveDestinations([item if isinstance(item, Peer) else tuple(item)])

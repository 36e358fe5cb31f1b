"""Common parts of C-FIND, C-GET and C-MOVE: checks before the handler, its yields, and the responses."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import structlog
from pydicom.dataset import Dataset

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol import status
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.identifiers import IdentifierReceiver
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.status import StatusRefusal
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.services.served import request_fields
from gateway.model import dimse_status
from gateway.model.dimse_status import Category
from gateway.model.final_status import FinalStatus
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError, NotAllowed, ObjectTooLarge
from gateway.query.identifier import excess

log = structlog.get_logger()

SERVICES = {CommandField.C_FIND: "find", CommandField.C_GET: "get", CommandField.C_MOVE: "move"}
NAMES = {"find": "C-FIND", "get": "C-GET", "move": "C-MOVE"}

_TOO_LARGE = {
    "find": dimse_status.OUT_OF_RESOURCES,
    "get": dimse_status.UNABLE_TO_COUNT_MATCHES,
    "move": dimse_status.UNABLE_TO_COUNT_MATCHES,
}
_STATUS_KEYWORDS = ("Status", "ErrorComment", "OffendingElement")


class FinalResponse(Exception):
    """Ends an operation: status elements of the final response, and what the handler gave with them."""

    def __init__(self, elements: Command, value: Any = None) -> None:
        super().__init__(elements["Status"])
        self.elements = elements
        self.value = value


def receive_identifier(association: AcceptorAssociation, message: Message) -> DataSetReceiver:
    """Refuse before the identifier comes what it cannot mend."""
    error = _refusal(association, message)
    if error is not None:
        raise error
    if association.is_duplicate(message):
        raise StatusRefusal(dimse_status.DUPLICATE_INVOCATION, f"Message ID {message.command['MessageID']} is in use")
    return IdentifierReceiver()


def refusal(association: AcceptorAssociation, message: Message) -> Command | None:
    """The status elements for a request that no handler is to see; None for a good one."""
    service = SERVICES[message.command["CommandField"]]
    error = message.failure or _refusal(association, message)
    if error is None and message.body is None:
        error = StatusRefusal(dimse_status.DOES_NOT_MATCH_SOP_CLASS, "the request has no identifier")
    if error is None and message.body is not None:
        too_much = excess(message.body.view(), str(message.context.transfer_syntax))
        error = StatusRefusal(dimse_status.UNABLE_TO_PROCESS, too_much) if too_much else None
    if error is None:
        return None
    elements = status.of_error(error, dimse_status.UNABLE_TO_PROCESS)
    if isinstance(error, ObjectTooLarge):
        elements["Status"] = _TOO_LARGE[service]
    log.warning(
        "query_retrieve_refused",
        service=service,
        status=f"0x{elements['Status']:04X}",
        reason=elements.get("ErrorComment") or type(error).__name__,
        **request_fields(association, message),
    )
    return elements


def _refusal(association: AcceptorAssociation, message: Message) -> GatewayError | None:
    command, context = message.command, message.context
    service = SERVICES[command["CommandField"]]
    if context.service != service or not context.is_scp:
        text = f"{NAMES[service]} over a context that is not for it"
        return StatusRefusal(dimse_status.SOP_CLASS_NOT_SUPPORTED, text)
    if command.get("AffectedSOPClassUID", "") != context.abstract_syntax:
        text = "the SOP class of the command is not that of its context"
        return StatusRefusal(dimse_status.SOP_CLASS_NOT_SUPPORTED, text)
    if not association.may(service):
        return NotAllowed(f"{NAMES[service]} is not allowed for {association.facts.calling_ae_title}")
    if service == "move" and not command.get("MoveDestination"):
        return StatusRefusal(dimse_status.MOVE_DESTINATION_UNKNOWN, "the Move Destination is empty")
    return None


def priority_of(command: Command) -> int:
    """0 medium, 1 high, 2 low; others are not passed on: there are peers that end the association over them."""
    priority = command.get("Priority", 0)
    return int(priority) if priority in (0, 1, 2) else 0


# --- yields -----------------------------------------------------------------------------------------------------


def read_pair(item: Any) -> tuple[Command, Any]:
    """Status elements and value of one yield: two values in whatever they can be unpacked from, or a status alone.

    Raises:
        TypeError, ValueError: neither ``(status, value)`` nor a status.
    """
    if type(item) is tuple and len(item) == 2 and type(item[0]) is int and 0 <= item[0] <= 0xFFFF:
        return {"Status": item[0]}, item[1]  # as nearly all are
    value = None
    if not isinstance(item, int | Dataset | FinalStatus):
        item, value = item
    elements = status.of_result(item)
    return {keyword: elements[keyword] for keyword in _STATUS_KEYWORDS if keyword in elements}, value


def early_status(item: Any) -> tuple[Command, Any] | None:
    """`read_pair` of a final status that stands where something else is documented: a `FinalStatus` or a data set with
    Status, or one of them or a number with a data set or None behind it. None for everything else."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Dataset | None):
        status = item[0]
    else:
        status = item if isinstance(item, Dataset | FinalStatus) else None
    if not isinstance(status, int | FinalStatus) and not (isinstance(status, Dataset) and "Status" in status):
        return None
    elements, value = read_pair(item)
    return None if Category.of(elements["Status"]) is Category.PENDING else (elements, value)


def of_exception(error: Exception, otherwise: int, event: Event, *, is_handlers: bool = True) -> Command:
    """A handler's exception: a `GatewayError` says its status, anything else is `otherwise`, counted where it is the
    handler's own fault, and logged without its text, which may quote the identifier."""
    event.has_failed = True
    if isinstance(error, GatewayError):
        return status.of_error(error, otherwise)
    if is_handlers:
        event.association.handler_failed(event.event, error)
    log.error("handler_failed", handler=event.event.name, error=type(error).__name__, where=status.stack_lines(error))
    return {"Status": otherwise}


def note_wrong_yield(event: Event, what: str) -> None:
    """Note that the handler yielded something outside its contract; `what` names it."""
    event.has_failed = True
    event.association.handler_failed(event.event, what)


def answered(event: Event, outcome: str) -> None:
    """A request came to its end; `outcome` is its final status, or how the association ended before."""
    if outcome.startswith("0x") and not event.has_failed:
        event.association.handler_answered(event.event)


# --- responses --------------------------------------------------------------------------------------------------


class ResponseSender:
    """Sends the responses to one request."""

    def __init__(self, association: AcceptorAssociation, message: Message) -> None:
        self._association = association
        self._head: Command = {
            "AffectedSOPClassUID": message.command.get("AffectedSOPClassUID"),
            "CommandField": message.command["CommandField"] | RESPONSE,
            "MessageIDBeingRespondedTo": message.command["MessageID"],
        }
        self._context_id = message.context.context_id
        self.begun_s = time.monotonic()

    def send(self, elements: Command) -> None:
        """A response without an identifier; nothing happens when the association is gone."""
        with contextlib.suppress(AssociationEnded):
            self._association.send_command(self._context_id, {**self._head, **elements})

    async def send_with(self, elements: Command, identifier: EncodedDataSet) -> None:
        """A response with an identifier; waits while the peer leaves earlier ones unread."""
        with contextlib.suppress(AssociationEnded):
            await self._association.send_message(self._context_id, {**self._head, **elements}, identifier)

    async def send_with_each(self, elements: Command, identifiers: Iterable[bytes]) -> None:
        """A response with each of the identifiers; small ones leave together."""
        with contextlib.suppress(AssociationEnded):
            await self._association.send_messages(self._context_id, {**self._head, **elements}, identifiers)

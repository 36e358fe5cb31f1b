"""Serving requests: one function an operation, in one visible table.

An operation's `serve` may answer at once (it returns None), or give back a coroutine, which the association awaits
before it takes the next request, or a completion, which calls `AcceptorAssociation.complete`. It may send any number of
responses: those of C-FIND, C-GET and C-MOVE do.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from pynetdicom import evt

from gateway.common.completion import Completion
from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.acceptor.handler_thread import contained
from gateway.dimse.acceptor.operations import Later, Operation, Operations
from gateway.dimse.protocol import status
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.status import StatusRefusal
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.services.find_provider import serve_find
from gateway.dimse.services.responding import receive_identifier
from gateway.dimse.services.retrieve_provider import serve_get, serve_move
from gateway.dimse.services.served import count_outcome, count_store
from gateway.model import dimse_status
from gateway.ports.encoded_data_set import DataSetReceiver
from gateway.ports.errors import ClassMismatch, GatewayError

log = structlog.get_logger()

UID = re.compile(r"[0-9][0-9.]{0,63}")
"""PS3.5 §9.1, but for leading zeros and empty components, which senders make and receivers take."""
ODD_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
"""The values that `accept: {uids: any}` takes besides UIDs: without signs that have a meaning in a path, a URL or a
query.
"""


def respond(association: AcceptorAssociation, message: Message, elements: Command) -> None:
    """Send the response to `message` with `elements` besides the mandatory ones."""
    command = message.command
    uid = command.get("AffectedSOPClassUID") or command.get("RequestedSOPClassUID")
    association.send_response(
        message,
        {
            "AffectedSOPClassUID": uid,
            "CommandField": command["CommandField"] | RESPONSE,
            "MessageIDBeingRespondedTo": command["MessageID"],
            **elements,
        },
    )


def serve_echo(association: AcceptorAssociation, message: Message) -> Later | None:
    """C-ECHO (PS3.7 §9.1.5). A handler that fails is answered 0x0000, as its contract documents."""
    if message.context.service != "echo":
        text = "C-ECHO over a context that is not Verification"
        respond(association, message, status.of_error(StatusRefusal(dimse_status.SOP_CLASS_NOT_SUPPORTED, text), 0))
        return None
    return _call(association, message, evt.EVT_C_ECHO, dimse_status.SUCCESS, _respond_echo)


def serve_store(association: AcceptorAssociation, message: Message) -> Later | None:
    """C-STORE (PS3.7 §9.1.1, PS3.4 §B.2.3)."""
    error = message.failure or (
        None if message.body is not None else _store_refusal(association, message) or _NO_DATA_SET
    )
    if error is not None:
        _log_refused(association, message, error)
        _respond_store(association, message, status.of_error(error, dimse_status.STORE_HANDLER_FAILED))
        return None
    return _call(association, message, evt.EVT_C_STORE, dimse_status.STORE_HANDLER_FAILED, _respond_store)


def _log_refused(association: AcceptorAssociation, message: Message, error: Exception) -> None:
    """Log the refusal as the handler does: no sender's object goes away without a line."""
    if not isinstance(error, GatewayError):
        return  # a fault of ours has its own line
    log.warning(
        "instance_refused",
        sop_instance_uid=message.command.get("AffectedSOPInstanceUID", ""),
        sop_class_uid=message.command.get("AffectedSOPClassUID", ""),
        **association.facts.log_fields(),
        status=f"0x{error.dimse_status:04X}",
        error=type(error).__name__,
        reason=str(error),
    )


def receive_store(association: AcceptorAssociation, message: Message) -> DataSetReceiver:
    """Refuse before the data set comes what no data set can mend."""
    error = _store_refusal(association, message)
    if error is not None:
        raise error
    return association.new_receiver()


def serve_unrecognized(association: AcceptorAssociation, message: Message) -> Later | None:
    """Answer a request without a handler 0x0211, never with an abort."""
    error = StatusRefusal(dimse_status.UNRECOGNIZED_OPERATION, "the gateway does not offer this operation")
    respond(association, message, status.of_error(error, dimse_status.UNRECOGNIZED_OPERATION))
    return None


_NO_DATA_SET = StatusRefusal(dimse_status.CANNOT_UNDERSTAND, "the C-STORE request has no data set")


_STORED = {"Status": dimse_status.SUCCESS}


def _store_refusal(association: AcceptorAssociation, message: Message) -> Exception | None:
    """The reason why a C-STORE command cannot be served; None when it can."""
    command, context = message.command, message.context
    if context.service != "store" or not context.is_scp:
        return StatusRefusal(dimse_status.SOP_CLASS_NOT_SUPPORTED, "C-STORE over a context that is not for storage")
    if command.get("AffectedSOPClassUID", "") != context.abstract_syntax:
        return ClassMismatch("SOP class of the command is not that of its context")
    uid = command.get("AffectedSOPInstanceUID", "")
    peer = association.peer
    form = ODD_UID if peer is not None and peer.accepts_odd_uids else UID
    if not form.fullmatch(uid):
        text = "Affected SOP Instance UID is missing" if not uid else "Affected SOP Instance UID is no UID"
        return StatusRefusal(dimse_status.INVALID_OBJECT_INSTANCE, text)
    return None


def _respond_echo(association: AcceptorAssociation, message: Message, elements: Command) -> None:
    respond(association, message, elements)
    count_outcome(association, "c_echo", f"0x{elements['Status']:04X}")


def _respond_store(association: AcceptorAssociation, message: Message, elements: Command) -> None:
    if elements == _STORED:
        association.send_response(message, None)
    else:
        elements.setdefault("AffectedSOPInstanceUID", message.command.get("AffectedSOPInstanceUID"))
        respond(association, message, elements)
    count_store(association, message, elements["Status"])


def _call(
    association: AcceptorAssociation,
    message: Message,
    kind: evt.InterventionEvent,
    status_of_failure: int,
    answer: Callable[[AcceptorAssociation, Message, Command], None],
) -> Later | None:
    """Call the handler: on the event loop, where one that is not asynchronous is answered at once, or in the thread of
    the association, where it may block without keeping others waiting."""
    handler, arguments, is_on_event_loop = association.handlers[kind]
    event = Event(association, kind, message)
    if not is_on_event_loop:
        called = association.handler_thread.call(functools.partial(handler, event, *arguments))
        return _await(association, message, event, _awaited(called), status_of_failure, answer)
    try:
        result = handler(event, *arguments)
    except BaseException as raised:
        elements = _failed(association, kind, contained(raised), status_of_failure)
    else:
        if isinstance(result, Completion):
            answering = association, message, event, status_of_failure, answer
            result.then(functools.partial(association.complete, _answer, *answering))
            return result
        if hasattr(result, "__await__"):
            return _await(association, message, event, result, status_of_failure, answer)
        elements = _returned(association, kind, result)
    answer(association, message, elements)
    event.close()
    return None


def _failed(
    association: AcceptorAssociation, kind: evt.InterventionEvent, error: BaseException, status_of_failure: int
) -> Command:
    """Status elements of what a handler raised. A `GatewayError` is an answer, and no failure."""
    if not isinstance(error, GatewayError):
        association.handler_failed(kind, error)
    return status.of_error(error, status_of_failure)


def _returned(association: AcceptorAssociation, kind: evt.InterventionEvent, result: Any) -> Command:
    """Status elements of what a handler returned."""
    if status.is_answer(result):
        association.handler_answered(kind)
    else:
        what = f"{type(result).__name__} in place of a status"
        association.handler_failed(kind, what)
        log.error("handler_failed", handler=kind.name, error=what, association=association.association_id)
    return status.of_result(result)


async def _awaited(called: Awaitable[Any]) -> Any:
    """The result of a plain function in its thread; it may be a coroutine."""
    returned = await called
    return await returned if hasattr(returned, "__await__") else returned


async def _await(
    association: AcceptorAssociation,
    message: Message,
    event: Event,
    result: Awaitable[Any],
    status_of_failure: int,
    answer: Callable[[AcceptorAssociation, Message, Command], None],
) -> None:
    failed: BaseException | None = None
    given = None
    try:
        given = await result
    except BaseException as raised:
        failed = contained(raised)
        if not isinstance(failed, Exception):
            raise
    _answer(association, message, event, status_of_failure, answer, given, failed)


def _answer(
    association: AcceptorAssociation,
    message: Message,
    event: Event,
    status_of_failure: int,
    answer: Callable[[AcceptorAssociation, Message, Command], None],
    result: Any,
    error: BaseException | None,
) -> None:
    """Send the answer of a handler that took time."""
    try:
        if error is not None:
            raise error
        elements = _returned(association, event.event, result)
    except Exception as failed:
        elements = _failed(association, event.event, failed, status_of_failure)
    answer(association, message, elements)
    event.close()


OPERATIONS = Operations(
    {
        CommandField.C_ECHO: Operation(evt.EVT_C_ECHO, "echo", serve_echo),
        CommandField.C_STORE: Operation(evt.EVT_C_STORE, "store", serve_store, receive_store),
        CommandField.C_FIND: Operation(evt.EVT_C_FIND, "find", serve_find, receive_identifier),
        CommandField.C_GET: Operation(evt.EVT_C_GET, "get", serve_get, receive_identifier),
        CommandField.C_MOVE: Operation(evt.EVT_C_MOVE, "move", serve_move, receive_identifier),
    },
    serve_unrecognized,
)

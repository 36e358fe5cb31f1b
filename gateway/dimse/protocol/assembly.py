"""Presentation data values → messages (PS3.7 §6.3, PS3.8 Annex E), data sets streamed to their receivers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.message import (
    NO_DATA_SET,
    RESPONSE,
    Command,
    CommandDecoder,
    CommandField,
    CommandPattern,
    MalformedCommand,
)
from gateway.dimse.protocol.pdata import COMMAND, LAST, header
from gateway.dimse.protocol.upper_layer import AbortReason
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError, ObjectTooLarge

log = structlog.get_logger()


class ProtocolError(Exception):
    """The peer broke the protocol; the association is aborted with `reason`."""

    def __init__(self, reason: AbortReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _is_request(field: int) -> bool:
    """True for what is answered, and must therefore have a Message ID (PS3.7 §9.3, §10.3)."""
    return not field & RESPONSE and field != CommandField.C_CANCEL


class Message:
    """One message as it arrived. `failure` says why its data set was not kept; then `body` is None."""

    __slots__ = ("_is_body_taken", "body", "command", "complete_s", "context", "failure", "received_at", "table")

    def __init__(self, context: AcceptedContext, command: Command) -> None:
        self.context = context
        self.command = command
        self.body: EncodedDataSet | None = None
        self._is_body_taken = False
        self.failure: Exception | None = None
        self.received_at = time.time()
        """Seconds since 1970 at the end of the command set."""
        self.complete_s = time.monotonic()
        """The same, by a monotonic clock."""
        self.table: Any = None
        """The rules that were in force when a request had arrived whole."""

    def take_body(self) -> EncodedDataSet:
        """The data set, from now on the caller's to close, who may do so before `close` or after it."""
        assert self.body is not None
        assert not self._is_body_taken
        self._is_body_taken = True
        return self.body

    def close(self) -> None:
        """Free the data set, unless it was taken."""
        if self.body is not None:
            if not self._is_body_taken:
                self.body.close()
            self.body = None


class MessageAssembler:
    """Puts fragments together, one message at a time.

    Args:
        contexts: accepted presentation contexts by ID.
        open_data_set: makes the receiver for the data set of a message whose command set is complete; None throws the
            data set away. May raise, then the data set is thrown away and the error stands in `Message.failure`.
        max_command_bytes: bound of one command set.
        max_object_bytes: bound of one data set; what is over it is read, thrown away, and `failure` says so.
    """

    __slots__ = (
        "_command",
        "_contexts",
        "_decoder",
        "_fragments",
        "_is_last_taken",
        "_known_context",
        "_known_of",
        "_length",
        "_max_command_bytes",
        "_max_object_bytes",
        "_message",
        "_open_data_set",
        "_receiver",
        "known",
        "pending",
    )

    def __init__(
        self,
        contexts: Mapping[int, AcceptedContext],
        open_data_set: Callable[[Message], DataSetReceiver | None],
        *,
        max_command_bytes: int,
        max_object_bytes: int,
    ) -> None:
        self._contexts = contexts
        self._open_data_set = open_data_set
        self._max_command_bytes = max_command_bytes
        self._max_object_bytes = max_object_bytes
        self._decoder = CommandDecoder()
        self.known: CommandPattern | None = None
        """The last command with a data set, as others are like it, behind the header of its P-DATA-TF."""
        self._known_of: CommandPattern | None = None
        self._known_context: AcceptedContext | None = None
        self._command: bytearray | None = None
        self._fragments: AcceptedContext | None = None
        """Context of the message that is being assembled."""
        self._message: Message | None = None
        """The message whose command set is complete, and whose data set is not."""
        self._receiver: DataSetReceiver | None = None
        self._length = 0
        self._is_last_taken = False
        self.pending: Awaitable[None] | None = None
        """Set by a receiver that wants no more fragments until it is done: await it, then call `resume`."""

    @property
    def is_mid_message(self) -> bool:
        """True when the peer owes us the rest of a message."""
        return self._fragments is not None

    def fragment(self, context_id: int, control: int, data: memoryview) -> Message | None:
        """Take one piece; the message when it is complete.

        Raises:
            ProtocolError: context not accepted, fragments interleaved, command set too long or malformed.
        """
        context = self._fragments
        if context is None:
            context = self._contexts.get(context_id)
            if context is None:
                raise ProtocolError(
                    AbortReason.INVALID_PARAMETER, f"presentation context {context_id} was not accepted"
                )
            self._fragments = context
        elif context.context_id != context_id:
            raise ProtocolError(AbortReason.UNEXPECTED_PARAMETER, "fragments of two messages are interleaved")
        if control & COMMAND:
            return self._command_fragment(context, control, data)
        if self._message is None:
            raise ProtocolError(AbortReason.UNEXPECTED_PARAMETER, "a data set fragment before the end of the command")
        return self._data_fragment(self._message, control, data)

    def whole(self, command: Command, data: memoryview) -> Message:
        """Take a command set that is like `known`, and its whole data set, as `fragment` does one after the other; the
        message, also while its receiver is `pending`. For use between messages."""
        assert self._known_context is not None
        message = Message(self._known_context, command)
        self._fragments, self._message = message.context, message
        try:
            receiver = self._receiver = self._open_data_set(message)
            if receiver is not None:
                if len(data) > self._max_object_bytes:
                    raise self._too_large()
                self.pending = receiver.write(data)
                if self.pending is not None:
                    self._is_last_taken = True
                    return message
                message.body = receiver.finish()
        except Exception as error:
            self._fail(message, error)
        self._fragments = self._message = self._receiver = None
        return message

    def resume(self, error: Exception | None) -> Message | None:
        """`pending` is done, or failed with `error`; the message when its last fragment was taken already."""
        self.pending = None
        message = self._message
        if message is None:
            return None
        if error is not None:
            self._fail(message, error)
        return self._complete(message) if self._is_last_taken else None

    def discard(self) -> None:
        """The rest of the message will not come."""
        receiver, self._receiver = self._receiver, None
        self._message = self._command = self._fragments = self.pending = None
        if receiver is not None:
            _discard(receiver)

    def _command_fragment(self, context: AcceptedContext, control: int, data: memoryview) -> Message | None:
        if self._message is not None:
            raise ProtocolError(AbortReason.UNEXPECTED_PARAMETER, "a command fragment inside a data set")
        collected = self._command
        if len(data) + (len(collected) if collected else 0) > self._max_command_bytes:
            raise ProtocolError(AbortReason.INVALID_PARAMETER, f"a command set over {self._max_command_bytes} bytes")
        if not control & LAST:
            if collected is None:
                collected = self._command = bytearray()
            collected += data
            return None
        encoded = bytes(data)
        if collected is not None:
            encoded = bytes(collected) + encoded
            self._command = None
        return self._begin(context, encoded)

    def _begin(self, context: AcceptedContext, encoded: bytes) -> Message | None:
        try:
            command = self._decoder.decode(encoded)
        except MalformedCommand as error:
            raise ProtocolError(AbortReason.INVALID_PARAMETER, f"malformed command set: {error}") from error
        if "CommandField" not in command:
            raise ProtocolError(AbortReason.INVALID_PARAMETER, "a command set without Command Field")
        if "MessageID" not in command and _is_request(command["CommandField"]):
            raise ProtocolError(AbortReason.INVALID_PARAMETER, "a request without Message ID")
        message = Message(context, command)
        if command.get("CommandDataSetType", NO_DATA_SET) == NO_DATA_SET:
            self._fragments = None
            return message
        if self._decoder.pattern is not self._known_of or context is not self._known_context:
            self._learn(context, self._decoder.pattern)
        self._message = message
        self._length = 0
        self._is_last_taken = False
        try:
            self._receiver = self._open_data_set(message)
        except Exception as error:
            self._fail(message, error)
        return None

    def _learn(self, context: AcceptedContext, pattern: CommandPattern | None) -> None:
        self._known_of, self._known_context, self.known = pattern, context, None
        if pattern is not None:
            self.known = pattern.behind(header(context.context_id, COMMAND | LAST, pattern.length_bytes))

    def _data_fragment(self, message: Message, control: int, data: memoryview) -> Message | None:
        receiver = self._receiver
        if receiver is not None:
            self._length += len(data)
            if self._length > self._max_object_bytes:
                self._fail(message, self._too_large())
            else:
                try:
                    self.pending = receiver.write(data)
                except Exception as error:
                    self._fail(message, error)
        self._is_last_taken = bool(control & LAST)
        return self._complete(message) if self._is_last_taken and self.pending is None else None

    def _too_large(self) -> ObjectTooLarge:
        return ObjectTooLarge(f"the object is over the limit of {self._max_object_bytes} bytes")

    def _complete(self, message: Message) -> Message:
        self._message = self._fragments = None
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            self._finish(message, receiver)
        return message

    def _finish(self, message: Message, receiver: DataSetReceiver) -> None:
        try:
            message.body = receiver.finish()
        except Exception as error:
            self._receiver = receiver
            self._fail(message, error)

    def _fail(self, message: Message, error: Exception) -> None:
        """Keep the association: the rest of the message is read and thrown away, the answer is the error's status."""
        if not isinstance(error, GatewayError):
            log.error("data_set_not_received", exc_info=error)
        message.failure = error
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            _discard(receiver)


def _discard(receiver: Any) -> None:
    try:
        receiver.discard()
    except Exception:
        log.exception("data_set_not_discarded")

"""pynetdicom's notification events: of associations of ours (`evt_handlers` of a C-MOVE handler's keywords), and of
those that peers asked us for (`gateway.dimse.pynetdicom_contract.notified`).

Handlers get `pynetdicom.events.Event` with the documented attributes, one after the other in the order of the events; a
plain function runs in a thread, a coroutine function on the event loop. What a handler raises is logged. The events are
made of the bytes that went over the wire, so that an association without handlers does nothing for them.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from pynetdicom import evt, pdu
from pynetdicom.dimse_messages import DIMSEMessage

from gateway.dimse.acceptor.handler_thread import HandlerThread, contained, runs_on_event_loop

log = structlog.get_logger()

HEADER_BYTES = 6
BEHIND = 64
"""Events that handlers may be behind before we send nothing more."""

RAISED = frozenset(
    {
        evt.EVT_ABORTED,
        evt.EVT_ACCEPTED,
        evt.EVT_ACSE_RECV,
        evt.EVT_ACSE_SENT,
        evt.EVT_CONN_CLOSE,
        evt.EVT_CONN_OPEN,
        evt.EVT_DATA_RECV,
        evt.EVT_DATA_SENT,
        evt.EVT_DIMSE_RECV,
        evt.EVT_DIMSE_SENT,
        evt.EVT_ESTABLISHED,
        evt.EVT_PDU_RECV,
        evt.EVT_PDU_SENT,
        evt.EVT_REJECTED,
        evt.EVT_RELEASED,
        evt.EVT_REQUESTED,
    }
)
"""The events that can be bound. Not EVT_FSM_TRANSITION, since the state machine is not pynetdicom's. An association
of ours has no intervention event either, since no request comes over one for sub-operations.
"""

_PDUS: dict[int, type[Any]] = {
    0x01: pdu.A_ASSOCIATE_RQ,
    0x02: pdu.A_ASSOCIATE_AC,
    0x03: pdu.A_ASSOCIATE_RJ,
    0x04: pdu.P_DATA_TF,
    0x05: pdu.A_RELEASE_RQ,
    0x06: pdu.A_RELEASE_RP,
    0x07: pdu.A_ABORT_RQ,
}
_P_DATA = 0x04
_OF_BYTES = {
    True: (evt.EVT_DATA_SENT, evt.EVT_PDU_SENT, evt.EVT_ACSE_SENT, evt.EVT_DIMSE_SENT),
    False: (evt.EVT_DATA_RECV, evt.EVT_PDU_RECV, evt.EVT_ACSE_RECV, evt.EVT_DIMSE_RECV),
}


@dataclass(frozen=True, slots=True, eq=False)
class BoundNotification:
    """One handler of one event."""

    event: Any
    handler: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    @property
    def documented(self) -> tuple[Callable[..., Any], list[Any] | None]:
        """The binding as pynetdicom's `get_handlers` gives it."""
        return self.handler, list(self.arguments) or None

    def is_same(self, other: BoundNotification) -> bool:
        """True for what need not be bound twice."""
        return (self.event, self.handler, self.arguments) == (other.event, other.handler, other.arguments)


def with_one_more(handlers: tuple[BoundNotification, ...], more: BoundNotification) -> tuple[BoundNotification, ...]:
    """`handlers` and one more, as pynetdicom binds: any number an event, the same one with the same arguments once."""
    return handlers if any(each.is_same(more) for each in handlers) else (*handlers, more)


def without(
    handlers: tuple[BoundNotification, ...], event: Any, handler: Callable[..., Any]
) -> tuple[BoundNotification, ...]:
    """`handlers` without one, as pynetdicom unbinds."""
    return tuple(each for each in handlers if each.event != event or each.handler != handler)


def of_event(handlers: tuple[BoundNotification, ...], event: Any) -> list[tuple[Callable[..., Any], list[Any] | None]]:
    """The bindings of one event as pynetdicom's `get_handlers` gives them."""
    return [each.documented for each in handlers if each.event == event]


def bound_handlers(written: Any) -> tuple[BoundNotification, ...]:
    """``[(event, handler), (event, handler, args), …]`` as bound handlers.

    Raises:
        TypeError: something else, or an event that is not raised (`RAISED`).
    """
    return tuple(_bound(*entry) for entry in written or ())


def _bound(event: Any, handler: Any, arguments: Any = None) -> BoundNotification:
    if not callable(handler):
        raise TypeError(f"the handler of {event} cannot be called")
    if event not in RAISED:
        raise TypeError(f"evt_handlers: {getattr(event, 'name', event)} is not raised on an association of ours")
    return BoundNotification(event, handler, tuple(arguments or ()))


class Notifier:
    """Calls the handlers of one association.

    Args:
        handlers: of its events.
        association: what handlers get as `event.assoc`.
        crowded: called with True while the handlers are far behind, and with False when they are not any more.
    """

    def __init__(
        self,
        handlers: tuple[BoundNotification, ...],
        association: Any,
        crowded: Callable[[bool], None] = lambda is_crowded: None,
    ) -> None:
        self.handlers = handlers
        self._crowded = crowded
        self._association = association
        self._waiting: list[tuple[BoundNotification, Any]] = []
        self._worker: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._streams = {True: _Stream(), False: _Stream()}

    @property
    def handlers(self) -> tuple[BoundNotification, ...]:
        """The handlers that are bound now."""
        return self._handlers

    @handlers.setter
    def handlers(self, handlers: tuple[BoundNotification, ...]) -> None:
        self._handlers = handlers
        self._wanted = {bound.event for bound in handlers}

    def raised(self, event: Any, **attributes: Any) -> None:
        """Call the handlers of `event` soon."""
        if event not in self._wanted:
            return
        made = evt.Event(self._association, event, attributes)
        self._waiting += [(bound, made) for bound in self._handlers if bound.event == event]
        if len(self._waiting) > BEHIND:
            self._room.clear()
            self._crowded(True)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    def bytes_passed(self, data: bytes | memoryview, *, is_sent: bool) -> None:
        """Raise the events of all that these bytes, sent or received, complete."""
        of_data, of_pdu, of_acse, of_dimse = _OF_BYTES[is_sent]
        if not self._wanted & {of_data, of_pdu, of_acse, of_dimse}:
            return
        stream = self._streams[is_sent]
        for encoded in stream.whole(data):
            self.raised(of_data, data=encoded)
            if not self._wanted & {of_pdu, of_acse, of_dimse}:
                continue
            decoded = _decoded(encoded)
            if decoded is None:
                continue
            self.raised(of_pdu, pdu=decoded)
            if encoded[0] != _P_DATA:
                self.raised(of_acse, primitive=decoded.to_primitive())
            elif of_dimse in self._wanted:
                for message in stream.messages(decoded):
                    self.raised(of_dimse, message=message)

    async def until_there_is_room(self) -> None:
        """Return when the handlers are not far behind."""
        await self._room.wait()

    async def _work(self) -> None:
        """Deliver until nothing waits. Plain functions have a thread of their own: one that blocks delays no other."""
        thread: HandlerThread | None = None
        try:
            while self._waiting:
                bound, event = self._waiting.pop(0)
                if len(self._waiting) <= BEHIND and not self._room.is_set():
                    self._room.set()
                    self._crowded(False)
                if not runs_on_event_loop(bound.handler):
                    thread = thread or HandlerThread()
                await _called(bound, event, thread)
        finally:
            self._worker = None
            if thread is not None:
                thread.stop()


async def _called(bound: BoundNotification, event: Any, thread: HandlerThread | None) -> None:
    """Call a handler; what it raises is logged by its kind."""
    call = functools.partial(bound.handler, event, *bound.arguments)
    try:
        if thread is not None and not runs_on_event_loop(bound.handler):
            await thread.call(call)
            return
        answer = call()
        if inspect.isawaitable(answer):
            await answer
    except BaseException as raised:
        error = contained(raised)
        if error is raised and not isinstance(error, Exception):
            raise  # the task is ended
        log.error("handler_failed", handler=bound.event.name, error=type(raised).__name__)


class _Stream:
    """One direction of an association: bytes to PDUs, PDUs to messages."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._message: Any = None

    def whole(self, data: bytes | memoryview) -> Iterator[bytes]:
        """The PDUs that `data` completes."""
        self._rest += data
        while len(self._rest) >= HEADER_BYTES:
            size = HEADER_BYTES + int.from_bytes(self._rest[2:HEADER_BYTES], "big")
            if len(self._rest) < size:
                return
            yield bytes(self._rest[:size])
            del self._rest[:size]

    def messages(self, p_data: Any) -> Iterator[Any]:
        """The DIMSE messages that a P-DATA-TF completes."""
        primitive = p_data.to_primitive()
        if self._message is None:
            self._message = DIMSEMessage()
        if self._message.decode_msg(primitive):
            yield self._message
            self._message = None


def _decoded(encoded: bytes) -> Any:
    """The PDU of pynetdicom; None for one that it cannot read."""
    kind = _PDUS.get(encoded[0])
    if kind is None:
        return None
    made = kind()
    try:
        made.decode(encoded)
    except Exception:
        return None
    return made

"""Notification events of associations that peers requested (pynetdicom's `EVT_CONN_OPEN`, `EVT_PDU_RECV`, …).

A `Notifier` sees all bytes by a protocol and a transport that stand between asyncio's and the association. They are put
there while handlers are bound, so that other associations pay nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.pynetdicom_contract import handler_association
from gateway.dimse.pynetdicom_contract.notifications import BoundNotification, Notifier

Passed = Callable[[bytes | memoryview], None]


class Notified:
    """The notifications of one association to the handlers of its events.

    Args:
        association: reading and writing wait while its handlers are far behind.
        handlers: at least one.
    """

    def __init__(self, association: AcceptorAssociation, handlers: tuple[BoundNotification, ...]) -> None:
        self._association = association
        self.notifier = Notifier(handlers, handler_association.of(association), crowded=association.crowded)
        self.tap: asyncio.BufferedProtocol = Tap(association, self._received)
        self._is_in_step = {True: not association.is_sending, False: association.is_between_messages}
        """Direction (True: sent) → True when a message was seen from its beginning."""

    @property
    def handlers(self) -> tuple[BoundNotification, ...]:
        """The handlers that are bound now."""
        return self.notifier.handlers

    @handlers.setter
    def handlers(self, handlers: tuple[BoundNotification, ...]) -> None:
        self.notifier.handlers = handlers

    def raised(self, event: Any, **attributes: Any) -> None:
        """Call the handlers of `event` soon."""
        self.notifier.raised(event, **attributes)

    def wrapped(self, transport: asyncio.Transport) -> asyncio.Transport:
        """The transport that the association is to write to."""
        if transport.get_protocol() is not self.tap:
            transport.set_protocol(self.tap)
        return TappedTransport(transport, self._sent)

    def _received(self, data: bytes | memoryview) -> None:
        self._is_in_step[False] = self._is_in_step[False] or self._association.is_between_messages
        if self._is_in_step[False]:
            self.notifier.bytes_passed(data, is_sent=False)

    def _sent(self, data: bytes | memoryview) -> None:
        self._is_in_step[True] = self._is_in_step[True] or not self._association.is_sending
        if self._is_in_step[True]:
            self.notifier.bytes_passed(data, is_sent=True)


class Tap(asyncio.BufferedProtocol):
    """Gives everything to `protocol`, and shows what is read before that."""

    def __init__(self, protocol: asyncio.BufferedProtocol, passed: Passed) -> None:
        self._protocol = protocol
        self._passed = passed
        self._buffer = memoryview(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        self._buffer = memoryview(self._protocol.get_buffer(sizehint))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._passed(self._buffer[:nbytes])
        self._protocol.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class TappedTransport(asyncio.Transport):
    """Shows what is written; all else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, passed: Passed) -> None:
        super().__init__()
        self._transport = transport
        self._passed = passed

    def write(self, data: Any) -> None:
        self._transport.write(data)
        self._passed(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

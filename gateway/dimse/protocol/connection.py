"""An asyncio transport under an association: one receive buffer a loop, reading held back, writes that may stall."""

from __future__ import annotations

import asyncio
import enum
import os
import socket
import weakref
from collections.abc import Sequence

from gateway.common.turns import TURN_WORK, turns_of
from gateway.dimse.protocol.deadlines import AssociationTimer, Deadlines
from gateway.dimse.protocol.flow import Inflow, Outflow
from gateway.dimse.protocol.pdata import PDUReader

RECEIVE_BUFFER_BYTES = 256 * 1024
FIRST_READ_BYTES = 64 * 1024
"""The size of a first read without TLS; when that is full, a second one takes `MORE_BYTES`."""
MORE_BYTES = 512 * 1024
WRITE_HIGH_BYTES = 256 * 1024
WRITE_LOW_BYTES = 64 * 1024
GATHERED_BYTES = 64 * 1024
"""From here on pieces are given to the system as they are: joining fewer bytes costs less than that."""
MOST_GATHERED = 1024
"""The most pieces that Linux takes at once (IOV_MAX)."""

_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = weakref.WeakKeyDictionary()


class ReadingHeld(enum.IntFlag):
    """The reasons why nothing is read from the peer."""

    TRANSPORT = 1
    """Reading is held because there is no transport yet (TLS handshake)."""
    RECEIVER = 2
    QUEUE = 4
    WRITE = 8
    TURN = 16
    """The bytes that were read are more work than one turn allows."""
    HANDLERS = 32
    """Handlers of notification events are far behind."""


def _receive_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    """The one buffer of `loop`: it is filled and emptied without another read in between."""
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
    return buffer


def _plain_descriptor(transport: asyncio.Transport) -> int:
    """The descriptor of a connection whose bytes are those that are written; -1 under TLS and without a socket."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("sslcontext") is not None:
        return -1
    return int(connection.fileno())


def after(pieces: Sequence[bytes | memoryview], done_bytes: int) -> bytes:
    """A copy of the pieces without their first `done_bytes`."""
    left = list(pieces)
    for number, piece in enumerate(left):
        if done_bytes < len(piece):
            return b"".join((memoryview(piece)[done_bytes:], *left[number + 1 :]))
        done_bytes -= len(piece)
    return b""


class AssociationTransport(asyncio.BufferedProtocol):
    """Feeds a `PDUReader` and has the subclass work through it (`_pump`); use it on its event loop only.

    Args:
        reader: gets what arrives.
        send_limit_s: how long the peer may leave our writes unread before `AssociationTimer.SENDING` expires.
    """

    holds_reading_while_writing: bool
    """True where every request that is read makes us write."""

    def __init__(self, reader: PDUReader, send_limit_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = reader
        self._send_limit_s = send_limit_s
        self._deadlines = Deadlines(self._loop, self._expired)
        self._buffer = _receive_buffer(self._loop)
        self._held = int(ReadingHeld.TRANSPORT)
        self._turns = turns_of(self._loop)
        self._work_left = TURN_WORK
        """The work left until this association gives way to the others."""
        self._writable: asyncio.Future[None] | None = None
        self._is_write_paused = False
        self._inflow = Inflow()
        self._outflow = Outflow()
        self._descriptor = -1
        """The socket that bytes may be written to beside the transport; -1 for none, as under TLS and while handlers
        of notification events look at what passes the transport."""
        self._closed: asyncio.Future[None] | None = None
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """True when the connection is gone."""
        return self._is_closed

    async def wait_closed(self) -> None:
        """Return when the connection is gone."""
        if self._is_closed:
            return
        if self._closed is None:
            self._closed = self._loop.create_future()
        await asyncio.shield(self._closed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.attach(transport)

    def attach(self, transport: asyncio.Transport) -> None:
        """Work on `transport`, plain or after its TLS handshake."""
        self._transport = transport
        self._outflow = Outflow(transport)
        self._descriptor = _plain_descriptor(transport)
        self._buffer = _receive_buffer(self._loop)[: FIRST_READ_BYTES if self._descriptor >= 0 else None]
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        transport.set_write_buffer_limits(WRITE_HIGH_BYTES, WRITE_LOW_BYTES)
        self._attached()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received(self._buffer[:nbytes])
        if nbytes == FIRST_READ_BYTES and (more := self._read_more()):
            self._received(memoryview(more))

    def _read_more(self) -> bytes:
        """Read once more, after a read that was full, into bytes that receivers may keep; b"" for nothing now."""
        if self._held or self._descriptor < 0 or self._reader.is_broken:
            return b""
        try:
            return os.read(self._descriptor, MORE_BYTES)
        except OSError:  # nothing, or broken: the transport finds out as well, and deals with it
            return b""

    def _received(self, view: memoryview) -> None:
        self._inflow.received_bytes += len(view)
        self._reader.feed(view)
        self._work_left = TURN_WORK
        self._pump()

    def eof_received(self) -> bool:
        return False  # a half-closed association is of no use: close

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closed = True
        self._descriptor = -1
        self._lost(exc)
        self._deadlines.stop_all()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._outflow.mark()
        self._deadlines.start(AssociationTimer.SENDING, self._send_limit_s)
        if self.holds_reading_while_writing:
            self._hold(ReadingHeld.WRITE)

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._deadlines.stop(AssociationTimer.SENDING)
        self._let_writers_go_on()
        if self.holds_reading_while_writing:
            self._unhold(ReadingHeld.WRITE)

    def _hold(self, reason: ReadingHeld) -> None:
        if not self._held and self._transport is not None:
            self._transport.pause_reading()
            self._deadlines.stop(AssociationTimer.RECEIVING)
            self._deadlines.stop(AssociationTimer.PROGRESS)  # what keeps the peer waiting is ours
        self._held |= reason

    def _unhold(self, reason: ReadingHeld) -> None:
        self._held &= ~reason
        if self._held or self._transport is None:
            return
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._pump()

    def _give_way(self) -> None:
        """Read nothing, and go on with what was read when it is our turn again."""
        self._hold(ReadingHeld.TURN)
        self._turns.wait(self._take_turn)

    def _take_turn(self) -> None:
        self._work_left = TURN_WORK
        self._unhold(ReadingHeld.TURN)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._outflow.written_bytes += len(data)
            self._transport.write(data)

    def _write_pieces(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write all of `pieces` in order. What the system does not take at once is copied: their owner may close them
        while the transport still sends."""
        taken_bytes = self._gathered(pieces)
        if not taken_bytes:
            self._write(b"".join(pieces))
            return
        self._outflow.written_bytes += taken_bytes
        left = after(pieces, taken_bytes)
        if left:
            self._write(left)

    def _keep_to_transport(self) -> None:
        """Write nothing beside the transport from now on: somebody looks at what it is given."""
        self._descriptor = -1

    def _gathered(self, pieces: Sequence[bytes | memoryview]) -> int:
        """The number of bytes that the system took without a copy of ours; 0 when the transport is to have them all."""
        transport = self._transport
        if (
            self._descriptor < 0
            or transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size()
            or len(pieces) > MOST_GATHERED
            or sum(map(len, pieces)) < GATHERED_BYTES
        ):
            return 0
        try:
            return os.writev(self._descriptor, pieces)
        except OSError:  # full, or broken: the transport finds out as well, and deals with it
            return 0

    async def _until_writable(self) -> None:
        """Return when the peer has read most of what was written, or when `_let_writers_go_on` says so."""
        if self._is_write_paused:
            if self._writable is None or self._writable.done():
                self._writable = self._loop.create_future()
            await asyncio.shield(self._writable)  # others may wait for it too

    def _let_writers_go_on(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _abort_transport(self) -> None:
        if self._transport is not None and not self._is_closed:  # asyncio's may raise when it is gone
            self._transport.abort()

    def _close_transport(self) -> None:
        transport = self._transport
        if transport is None or self._is_closed:
            return
        if transport.get_write_buffer_size():
            transport.abort()  # closing would wait for a peer that does not read
        else:
            transport.close()

    # --- for the subclass --------------------------------------------------------------------------------------

    def _attached(self) -> None:
        """The transport is there, maybe not yet the one to work on."""

    def _pump(self) -> None:
        """Work through what the reader holds, unless reading is held."""
        raise NotImplementedError

    def _lost(self, error: Exception | None) -> None:
        """The transport is gone."""

    def _expired(self, timer: AssociationTimer) -> None:
        raise NotImplementedError

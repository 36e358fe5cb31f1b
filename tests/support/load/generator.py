"""A load generator on raw sockets: one thread, epoll, N associations, each with one C-STORE outstanding.

The requests are built once; a use patches two UIDs and the message ID, so that the generator costs a send, a receive
and a few microseconds an object. `python -m tests.support.load.generator --port 11112 --objects 1000`
prints what came back.
"""

from __future__ import annotations

import argparse
import json
import random
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.load.objects import Sample, sample
from tests.support.load.wire import (
    ABORT,
    ASSOCIATE_AC,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RQ_PDU,
    Context,
    Negotiated,
    StoreRequest,
    associate_rq,
    instance_uid,
    read_associate,
    read_command,
    us,
)

RECEIVE_BYTES = 65536
RETRY_S = 0.02
"""The time between two tries of one association."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to send to, and as whom."""

    port: int
    called: str = "GATEWAY"
    calling: str = "LOAD"
    timeout_s: float = 60.0


@dataclass(slots=True)
class Report:
    """What came back."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    """SOP Instance UIDs that were answered with 0x0000."""
    unanswered: list[str] = field(default_factory=list)
    """Sent, at least in part, but the association ended before the answer."""
    connections: int = 0

    @property
    def per_second(self) -> float:
        """Objects acknowledged a second."""
        return len(self.acknowledged) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """Latency from a request's first byte to its response, in milliseconds."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0

    def summary(self) -> dict[str, object]:
        """For people and JSON."""
        return {
            "acknowledged": len(self.acknowledged),
            "per_second": round(self.per_second, 1),
            "seconds": round(self.seconds, 3),
            "statuses": {f"0x{status:04X}": count for status, count in sorted(self.statuses.items())},
            "unanswered": len(self.unanswered),
            "latency_ms": {name: round(self.percentile_ms(share), 2) for name, share in PERCENTILES.items()},
        }


PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


class AssociationFailed(ConnectionError):
    """The peer did not accept."""


def receive_pdu(connection: socket.socket, buffer: bytearray) -> tuple[int, memoryview]:
    """Read one whole PDU from a blocking socket; what is left stays in `buffer`. (type, body)."""
    while len(buffer) < 6 or len(buffer) < 6 + int.from_bytes(buffer[2:6], "big"):
        got = connection.recv(RECEIVE_BYTES)
        if not got:
            raise AssociationFailed("the peer closed the connection")
        buffer += got
    end = 6 + int.from_bytes(buffer[2:6], "big")
    pdu = bytes(buffer[:end])
    del buffer[:end]
    return pdu[0], memoryview(pdu)[6:]


def open_association(target: Target, request: bytes) -> tuple[socket.socket, Negotiated]:
    """Connect and associate, blocking.

    Raises:
        ConnectionError: refused, rejected, aborted; TimeoutError: no answer in time.
    """
    connection = socket.create_connection(("127.0.0.1", target.port), timeout=target.timeout_s)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        kind, body = receive_pdu(connection, bytearray())
        if kind != ASSOCIATE_AC:
            raise AssociationFailed(f"PDU of type {kind} instead of A-ASSOCIATE-AC: {bytes(body).hex()}")
        return connection, read_associate(body)
    except BaseException:
        connection.close()
        raise


class _Line:
    """One association of the generator."""

    __slots__ = ("buffer", "connection", "message_id", "objects", "pending", "request", "sent_at", "uid")

    def __init__(self, connection: socket.socket, request: StoreRequest) -> None:
        self.connection = connection
        self.request = request
        self.buffer = bytearray()
        self.pending: memoryview | None = None
        self.message_id = 0
        self.objects = 0
        self.sent_at = 0.0
        self.uid = b""


class Load:
    """Sends until `objects` are sent or `seconds` are over, whichever is given.

    With `reconnect` a lost association is opened again, and its object counts as unanswered; else it is an error.
    With `again` an object that was refused or not answered is sent again, over another association, until it is stored.
    After `objects_per_association` an association is released and a new one opened.
    `stop()` from another thread ends it after the answers to what is under way.
    """

    def __init__(
        self,
        target: Target,
        *,
        size_bytes: int = 8192,
        associations: int = 1,
        objects: int | None = None,
        seconds: float | None = None,
        reconnect: bool = False,
        again: bool = False,
        objects_per_association: int = 1 << 62,
        run: int | None = None,
        what: Sample | None = None,
        on_acknowledged: Callable[[str], None] | None = None,
    ) -> None:
        assert objects is not None or seconds is not None, "say when to end"
        self.target = target
        self.what = what or sample(size_bytes)
        self.associations = associations
        self.remaining = objects if objects is not None else 1 << 62
        self.seconds = seconds
        self.reconnect = reconnect
        self.again = again
        self.objects_per_association = objects_per_association
        self.run_number = random.SystemRandom().randrange(10**12) if run is None else run
        self.report = Report()
        self.on_acknowledged = on_acknowledged
        self._number = 0
        self._owed: list[bytes] = []
        """SOP Instance UIDs of objects that are to be sent again."""
        self._selector = selectors.DefaultSelector()
        self._lines: set[_Line] = set()
        self._deadline = float("inf")
        self._is_stopped = False
        contexts = [Context(1, self.what.sop_class_uid, (self.what.transfer_syntax_uid,))]
        self._associate = associate_rq(target.called, target.calling, contexts)

    def stop(self) -> None:
        """End soon; may be called from another thread."""
        self._is_stopped = True

    def run(self) -> Report:
        """Send everything; returns when all answers are there."""
        try:
            lines = [self._open() for _ in range(self.associations)]
            started = time.perf_counter()
            if self.seconds is not None:
                self._deadline = started + self.seconds
            for line in lines:
                if line is not None:
                    self._next(line)
            self._serve()
            self.report.seconds = time.perf_counter() - started
            return self.report
        finally:
            for line in list(self._lines):
                self._close(line)
            self._selector.close()

    # --- one association

    def _open(self) -> _Line | None:
        """A new association; None when the time was over before the peer came back (`reconnect`)."""
        while True:
            try:
                connection, negotiated = open_association(self.target, self._associate)
            except (ConnectionError, TimeoutError):
                if not self.reconnect:
                    raise
                if self._is_over:
                    return None
                time.sleep(RETRY_S)
                continue
            break
        result, _ = negotiated.results[1]
        if result != 0:
            connection.close()
            raise AssociationFailed(f"the presentation context was not accepted: result {result}")
        connection.setblocking(False)
        self.report.connections += 1
        sop_class_uid, data_set = self.what.sop_class_uid, self.what.data_set
        line = _Line(
            connection, StoreRequest(1, sop_class_uid, data_set, self.what.uid_at, negotiated.max_pdu_bytes or 131072)
        )
        self._selector.register(connection, selectors.EVENT_READ, line)
        self._lines.add(line)
        return line

    def _close(self, line: _Line) -> None:
        self._lines.discard(line)
        self._selector.unregister(line.connection)
        line.connection.close()

    @property
    def _is_over(self) -> bool:
        is_done = self.remaining <= 0 and not self._owed
        return self._is_stopped or is_done or time.perf_counter() >= self._deadline

    def _release(self, line: _Line) -> None:
        line.connection.setblocking(True)
        line.connection.settimeout(5.0)
        try:
            line.connection.sendall(RELEASE_RQ_PDU)
            receive_pdu(line.connection, line.buffer)
        except OSError:
            pass  # the object was answered; how the association ends is not what is measured
        self._close(line)

    def _next(self, line: _Line) -> None:
        """Send the next request, or release."""
        if self._is_over:
            self._release(line)
            return
        if line.objects >= self.objects_per_association:
            self._release(line)
            fresh = self._open()
            if fresh is None:
                return
            line = fresh
        line.objects += 1
        line.message_id = line.message_id % 0xFFFF + 1
        line.uid = self._next_uid()
        line.pending = memoryview(line.request.patch(line.message_id, line.uid))
        line.sent_at = time.perf_counter()
        self._push(line)

    def _next_uid(self) -> bytes:
        if self._owed:
            return self._owed.pop(0)
        self.remaining -= 1
        self._number += 1
        return instance_uid(self.run_number, self._number)

    def _push(self, line: _Line) -> None:
        """Send as much as the socket takes."""
        pending = line.pending
        assert pending is not None
        try:
            sent = line.connection.send(pending)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lost(line)
            return
        if sent < len(pending):
            line.pending = pending[sent:]
            self._selector.modify(line.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, line)
            return
        line.pending = None
        if self._selector.get_key(line.connection).events != selectors.EVENT_READ:
            self._selector.modify(line.connection, selectors.EVENT_READ, line)

    def _serve(self) -> None:
        patience_s = self.target.timeout_s
        while self._lines:
            ready = self._selector.select(patience_s)
            if not ready:
                raise TimeoutError(f"no answer for {patience_s} s; {self.report.summary()}")
            for key, events in ready:
                line: _Line = key.data
                if line not in self._lines:
                    continue
                if events & selectors.EVENT_WRITE and line.pending is not None:
                    self._push(line)
                if events & selectors.EVENT_READ and line in self._lines:
                    self._pull(line)

    def _pull(self, line: _Line) -> None:
        try:
            got = line.connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self._lost(line)
            return
        buffer = line.buffer
        buffer += got
        while len(buffer) >= 6 and line in self._lines:
            end = 6 + int.from_bytes(buffer[2:6], "big")
            if len(buffer) < end:
                return
            kind, body = buffer[0], bytes(buffer[6:end])
            del buffer[:end]
            if kind == ABORT:
                self._lost(line)
                return
            assert kind == P_DATA, f"unexpected PDU of type {kind}"
            self._answered(line, body)

    def _answered(self, line: _Line, body: bytes) -> None:
        length, _, header = struct.unpack_from(">IBB", body)
        assert (header, length) == (COMMAND | LAST, len(body) - 4), "a response of several fragments"
        values = read_command(body[6:])
        assert us(values, 0x0120) == line.message_id, "a response to another request"
        report, status, uid = self.report, us(values, 0x0900), line.uid.decode()
        report.latencies_s.append(time.perf_counter() - line.sent_at)
        report.statuses[status] += 1
        if status == 0x0000:
            report.acknowledged.append(uid)
            if self.on_acknowledged is not None:
                self.on_acknowledged(uid)
        elif self.again:
            self._owed.append(line.uid)
            line.objects = self.objects_per_association
            time.sleep(RETRY_S)
        self._next(line)

    def _lost(self, line: _Line) -> None:
        self.report.unanswered.append(line.uid.decode())
        if self.again:
            self._owed.append(line.uid)
        self._close(line)
        if not self.reconnect:
            raise AssociationFailed(f"an association was lost; {self.report.summary()}")
        again = self._open()
        if again is not None:
            self._next(again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--called", default="GATEWAY")
    parser.add_argument("--calling", default="LOAD")
    parser.add_argument("--size-bytes", type=int, default=8192)
    parser.add_argument("--associations", type=int, default=1)
    parser.add_argument("--objects", type=int)
    parser.add_argument("--seconds", type=float)
    arguments = parser.parse_args()
    load = Load(
        Target(arguments.port, arguments.called, arguments.calling),
        size_bytes=arguments.size_bytes,
        associations=arguments.associations,
        objects=arguments.objects,
        seconds=arguments.seconds,
    )
    print(json.dumps(load.run().summary(), indent=2))


if __name__ == "__main__":
    main()

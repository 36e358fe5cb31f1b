"""The sending half of the relay floor: committed objects go to a sink over a few associations, one at a time each."""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.floor_commands import P_DATA_HEADER, read_elements, store_request
from tests.support.load.wire import ASSOCIATE_AC, LAST, P_DATA, Context, associate_rq, read_associate

OUTGOING_ASSOCIATIONS = 4
"""As many as the gateway's peer has in the other benchmarks."""
BUFFER_BYTES = 1 << 17
SUCCESS = b"\x00\x00"


@dataclass(frozen=True, slots=True)
class Kept:
    """A committed object that the sink is to get."""

    number: int
    sop_class_uid: bytes
    sop_instance_uid: bytes
    transfer_syntax_uid: bytes
    offset: int
    size: int


class Outgoing:
    """One association to the sink, with at most one C-STORE outstanding."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.agreed: tuple[bytes, bytes] | None = None
        """SOP class and transfer syntax of its only presentation context."""
        self.connection: socket.socket | None = None
        self.fragment_bytes = 0
        self.buffer = bytearray(BUFFER_BYTES)
        self.pending: list[bytes | memoryview] = []
        self.received = bytearray()
        self.number = 0

    def associate(self, kept: Kept) -> socket.socket:
        """An association for objects like this one; blocks."""
        if self.connection:
            self.connection.close()
        self.connection = socket.create_connection(("127.0.0.1", self.port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        names = kept.sop_class_uid.rstrip(b"\0").decode(), (kept.transfer_syntax_uid.decode(),)
        self.connection.sendall(associate_rq("SINK", "FLOOR", [Context(1, *names)]))
        header = self.connection.recv(6, socket.MSG_WAITALL)
        body = self.connection.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)
        answer = read_associate(memoryview(body))
        assert header[0] == ASSOCIATE_AC, "the sink rejects the association"
        assert answer.results[1][0] == 0, "the sink rejects the presentation context"
        self.fragment_bytes = (answer.max_pdu_bytes or BUFFER_BYTES) - 6
        self.connection.setblocking(False)
        self.agreed = kept.sop_class_uid, kept.transfer_syntax_uid
        return self.connection

    def begin(self, kept: Kept, log: int) -> None:
        """Read the object back and have its request as `pending`."""
        self.number = kept.number
        if kept.size > len(self.buffer):
            self.buffer = bytearray(kept.size)
        data = memoryview(self.buffer)[: kept.size]
        assert os.preadv(log, [data], kept.offset) == kept.size
        self.pending = [store_request(1, kept.sop_class_uid, kept.sop_instance_uid)]
        for start in range(0, kept.size, self.fragment_bytes):
            fragment = data[start : start + self.fragment_bytes]
            last = LAST if start + self.fragment_bytes >= kept.size else 0
            self.pending.append(P_DATA_HEADER.pack(P_DATA, len(fragment) + 6, len(fragment) + 2, 1, last))
            self.pending.append(fragment)

    def push(self) -> bool:
        """Send what the socket takes; True when all is sent."""
        assert self.connection is not None
        while self.pending:
            try:
                sent = self.connection.sendmsg(self.pending)
            except BlockingIOError:
                return False
            while self.pending and sent >= len(self.pending[0]):
                sent -= len(self.pending.pop(0))
            if sent:
                self.pending[0] = memoryview(self.pending[0])[sent:]
        return True

    def is_settled(self) -> bool:
        """Read once; True when the sink has answered.

        Raises:
            ConnectionError: with something else than 0x0000.
        """
        assert self.connection is not None
        self.received += self.connection.recv(65536)
        if len(self.received) < 6:
            raise ConnectionError("the sink closed the association")
        end = 6 + int.from_bytes(self.received[2:6], "big")
        if len(self.received) < end:
            return False
        status = read_elements(self.received, 12, end).get(0x0900)
        del self.received[:end]
        if status != SUCCESS:
            raise ConnectionError(f"the sink answered {status!r}")
        return True


class Relay:
    """Sends what is committed to the sink, in the order of the commits, over the loop's epoll."""

    def __init__(self, port: int) -> None:
        self._wakes, self._woken = socket.socketpair()
        self.log = -1
        self._waiting: deque[Kept] = deque()
        self._settled: deque[tuple[int]] = deque()
        self._idle = [Outgoing(port) for _ in range(OUTGOING_ASSOCIATIONS)]
        self.busy: dict[int, Outgoing] = {}
        """By descriptor."""

    def register(self, poll: select.epoll) -> None:
        """Be woken by `poll` for what is committed."""
        self._poll = poll
        poll.register(self._woken, select.EPOLLIN)

    def send(self, kept: Iterable[Kept]) -> None:
        """Called by the committer's thread."""
        self._waiting += kept
        if self._idle:
            self._wakes.send(b"\0")

    def settled_numbers(self) -> list[tuple[int]]:
        """Called by the committer's thread: delivered since the last call, as rows of one number."""
        return [self._settled.popleft() for _ in range(len(self._settled))]

    def on_event(self, descriptor: int, events: int) -> bool:
        """False when the descriptor is not one of the relay's."""
        if descriptor == self._woken.fileno():
            self._woken.recv(4096)
        elif (outgoing := self.busy.get(descriptor)) is None:
            return False
        elif events & select.EPOLLOUT:
            if outgoing.push():
                self._poll.modify(descriptor, select.EPOLLIN)
        elif outgoing.is_settled():
            self._settled.append((outgoing.number,))
            self._idle.append(outgoing)
        self._start()
        return True

    def _start(self) -> None:
        while self._idle and self._waiting:
            outgoing, kept = self._idle.pop(), self._waiting.popleft()
            if outgoing.agreed != (kept.sop_class_uid, kept.transfer_syntax_uid):
                connection = outgoing.associate(kept)
                self.busy[connection.fileno()] = outgoing
                self._poll.register(connection, select.EPOLLIN)
            outgoing.begin(kept, self.log)
            if not outgoing.push():
                assert outgoing.connection is not None
                self._poll.modify(outgoing.connection, select.EPOLLIN | select.EPOLLOUT)

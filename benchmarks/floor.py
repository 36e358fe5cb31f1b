"""The floor: the least that one Python process can do and still keep the gateway's promise.

`python -m benchmarks.floor --port 11112 --folder DIR [--sink PORT]`. It parses PDUs, appends each object with a record
that names it, syncs once for all that wait, adds two SQLite rows an object in one transaction, and answers 0x0000. No
rules, no checks, no index, no log. With `--sink` it is the relay floor: each committed object is read back and goes to
the sink by C-STORE, over four associations with one object outstanding each; its queue row goes once the sink has
answered 0x0000. A restart reads nothing back: the floor only has to cost what keeping the promise costs.

One thread serves all sockets by epoll, one commits: of the arrangements that were tried (asyncio with a committer
thread, one thread for all) this one is as fast as any with one association and with eight, small objects and large.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import select
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from benchmarks.floor_commands import read_elements, success
from benchmarks.floor_relay import Kept, Relay
from tests.support.load.wire import (
    ASSOCIATE_RQ,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RP_PDU,
    RELEASE_RQ,
    associate_ac,
    read_associate,
)

BUFFER_BYTES = 1 << 17
MOST_IN_A_GROUP = 512
MOST_VECTORS = 1000
ZEROS = bytes(1 << 20)
"""Written ahead of the log's end, so that most syncs find the file's length unchanged."""
SETTLED_AT_LEAST_EVERY_S = 0.05
"""Rows of delivered objects go with the next group of arrivals, or after this time."""
PDV = struct.Struct(">IBB")
RECORD = struct.Struct("<IHHHQ")
"""Magic, lengths of SOP Class UID, SOP Instance UID and transfer syntax UID, length of the data set."""
MAGIC = 0x314A424F
STORE_RQ = b"\x01\x00"
TABLES = """
    pragma journal_mode = wal;
    pragma synchronous = normal;
    create table instance (id integer primary key, uid text, offset int, size int);
    create table delivery (id integer primary key, instance int, destination text, due int)
"""


@dataclass(slots=True)
class Arrival:
    """An object whose last fragment has come in."""

    line: Line
    context_id: int
    command: dict[int, bytes]
    fragments: list[memoryview]


class Line:
    """One association that stores here."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = bytearray(BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.parsed = self.end = 0
        self.command: dict[int, bytes] = {}
        self.fragments: list[tuple[int, int]] = []
        self.syntaxes: dict[int, bytes] = {}
        self.is_answered = True
        """False while an object of it is in the hands of the committer, whose fragments lie in `buffer`."""

    def receive(self) -> bool:
        """Read once; False when the connection is over."""
        if self.parsed == self.end and not self.fragments and self.is_answered:
            self.parsed = self.end = 0
        elif self.end == len(self.buffer):
            larger = bytearray(2 * len(self.buffer))
            larger[: self.end] = self.buffer
            self.buffer, self.view = larger, memoryview(larger)
        try:
            got = self.connection.recv_into(self.view[self.end :])
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.end += got
        return got > 0

    def arrivals(self) -> Iterator[Arrival]:
        """Objects that are complete now.

        Raises:
            ConnectionError: the association is over, or the peer asks for something else than to store.
        """
        buffer, end = self.buffer, self.end
        while end - self.parsed >= 6:
            start = self.parsed
            stop = start + 6 + int.from_bytes(buffer[start + 2 : start + 6], "big")
            if end < stop:
                return
            self.parsed = stop
            if buffer[start] == P_DATA:
                yield from self._values(start + 6, stop)
                continue
            self._other_pdu(buffer[start], bytes(buffer[start + 6 : stop]))

    def _values(self, position: int, stop: int) -> Iterator[Arrival]:
        while position < stop:
            length, context_id, header = PDV.unpack_from(self.buffer, position)
            start, position = position + 6, position + 4 + length
            if header & COMMAND:
                self.command = read_elements(self.buffer, start, position)
                if self.command[0x0100] != STORE_RQ:
                    raise ConnectionError("not a C-STORE request")
                continue
            self.fragments.append((start, position))
            if header & LAST:
                fragments = [self.view[begin:end] for begin, end in self.fragments]
                self.fragments.clear()
                self.is_answered = False
                yield Arrival(self, context_id, self.command, fragments)

    def _other_pdu(self, kind: int, body: bytes) -> None:
        if kind == ASSOCIATE_RQ:
            request = read_associate(memoryview(body))
            self.syntaxes = {each.context_id: each.transfer_syntaxes[0].encode() for each in request.contexts}
            self.connection.sendall(associate_ac(request))
            return
        if kind == RELEASE_RQ:
            self.connection.sendall(RELEASE_RP_PDU)
        raise ConnectionError("released or aborted")

    def answer(self, arrival: Arrival) -> None:
        """C-STORE-RSP with 0x0000."""
        self.is_answered = True
        with contextlib.suppress(OSError):  # the object is kept; the peer is gone
            self.connection.send(success(arrival.context_id, arrival.command))


class Committer:
    """Appends, syncs, adds the rows and answers, for all that wait at a time; a thread of its own."""

    def __init__(self, folder: Path, relay: Relay | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = os.open(folder / "log", os.O_RDWR | os.O_CREAT, 0o600)
        self.waiting: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self.relay = relay
        self._number = self._end = self._zeroed = 0

    def run(self) -> None:
        """For ever."""
        self._database = apsw.Connection(str(self.folder / "rows.db"))
        for _ in self._database.execute(TABLES):
            pass
        patience_s = SETTLED_AT_LEAST_EVERY_S if self.relay else None
        while True:
            try:
                group = [self.waiting.get(timeout=patience_s)]
            except queue.Empty:
                self._add_rows([])
                continue
            with contextlib.suppress(queue.Empty):
                while len(group) < MOST_IN_A_GROUP:
                    group.append(self.waiting.get_nowait())
            self._commit(group)

    def _commit(self, group: list[Arrival]) -> None:
        """The promise and what it rests on, in order."""
        kept = self._append(group)
        os.fdatasync(self.log)
        self._add_rows(kept)
        for arrival in group:
            arrival.line.answer(arrival)
        if self.relay:
            self.relay.send(kept)

    def _append(self, group: list[Arrival]) -> list[Kept]:
        vectors: list[bytes | memoryview] = []
        kept = []
        end = self._end
        for arrival in group:
            uids = arrival.command[0x0002], arrival.command[0x1000], arrival.line.syntaxes[arrival.context_id]
            size = sum(map(len, arrival.fragments))
            name = b"".join((RECORD.pack(MAGIC, *map(len, uids), size), *uids))
            vectors += (name, *arrival.fragments)
            self._number += 1
            kept.append(Kept(self._number, *uids, end + len(name), size))
            end += len(name) + size
        if end > self._zeroed and end - self._end < len(ZEROS) // 4:
            os.pwrite(self.log, ZEROS, self._zeroed)
            self._zeroed += len(ZEROS)
        while vectors:
            self._end += os.pwritev(self.log, vectors[:MOST_VECTORS], self._end)
            del vectors[:MOST_VECTORS]
        assert self._end == end, "the disk took less than it was given"
        self._zeroed = max(self._zeroed, end)
        return kept

    def _add_rows(self, kept: list[Kept]) -> None:
        settled = self.relay.settled_numbers() if self.relay else []
        if not kept and not settled:
            return
        with self._database:
            run = self._database.executemany
            run(
                "insert into instance values (?, ?, ?, ?)",
                [(one.number, one.sop_instance_uid.decode(), one.offset, one.size) for one in kept],
            )
            run("insert into delivery values (?, ?, 'sink', 0)", [(one.number, one.number) for one in kept])
            if settled:
                run("delete from delivery where id = ?", settled)


def serve(port: int, committer: Committer) -> None:
    """The loop of all sockets; for ever."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    relay, lines = committer.relay, dict[int, Line]()
    if relay:
        relay.register(poll)
    while True:
        for descriptor, events in poll.poll():
            if line := lines.get(descriptor):
                try:
                    if not line.receive():
                        raise ConnectionError("closed")
                    for arrival in line.arrivals():
                        committer.waiting.put(arrival)
                except ConnectionError:
                    poll.unregister(descriptor)
                    lines.pop(descriptor).connection.close()
            elif not (relay and relay.on_event(descriptor, events)):
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                lines[connection.fileno()] = Line(connection)
                poll.register(connection, select.EPOLLIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sink", type=int, default=0, metavar="PORT")
    arguments = parser.parse_args()
    relay = Relay(arguments.sink) if arguments.sink else None
    committer = Committer(arguments.folder, relay)
    if relay:
        relay.log = committer.log
    threading.Thread(target=committer.run, daemon=True).start()
    serve(arguments.port, committer)


if __name__ == "__main__":
    main()

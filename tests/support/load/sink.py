"""A C-STORE SCP that accepts everything, answers 0x0000 and counts: raw sockets, one thread, epoll.

A second port tells what arrived: connect, send one line (`stats`, `objects` or `clear`), read JSON. As a peer of tests
and benchmarks use `Sink`, which runs it in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import selectors
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.load.wire import (
    ABORT,
    ASSOCIATE_RQ,
    C_STORE_RQ,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RP_PDU,
    RELEASE_RQ,
    associate_ac,
    read_associate,
    read_command,
    response,
    us,
)
from tests.support.processes import GUARD_S, Daemon, free_port, is_listening, until

MAX_PDU_BYTES = 131072
HEAD_BYTES = 4096
INVALID_SOP_INSTANCE = 0x0117  # PS3.7 §C.5.11


@dataclass(slots=True)
class Counts:
    """What arrived. Times are those of `time.monotonic`, which all processes of a machine share."""

    total: int = 0
    size_bytes: int = 0
    associations: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    objects: dict[str, list[str]] = field(default_factory=dict)
    """SOP Instance UID → what is known of each arrival: digest (with `digest`), or marks that were found."""


@dataclass(slots=True)
class Line:
    """One connection."""

    connection: socket.socket
    buffer: bytearray = field(default_factory=lambda: bytearray(4 * MAX_PDU_BYTES))
    start: int = 0
    end: int = 0
    command: bytearray = field(default_factory=bytearray)
    request: dict[int, bytes] = field(default_factory=dict)
    size_bytes: int = 0
    digest: Any = None
    head: bytearray = field(default_factory=bytearray)


class Server:
    """The sink's loop. `marks` are texts that are looked for in the first 4 KB of each data set."""

    def __init__(self, port: int, control_port: int, *, digest: bool, marks: list[str], silent: bool) -> None:
        self.counts = Counts()
        self.is_digesting = digest
        self.is_silent = silent
        self.marks = [mark.encode() for mark in marks]
        self.selector = selectors.DefaultSelector()
        for number, kind in ((control_port, "control"), (port, "dicom")):
            listener = socket.create_server(("127.0.0.1", number), backlog=512)
            self.selector.register(listener, selectors.EVENT_READ, kind)

    def serve(self) -> None:
        """For ever."""
        while True:
            for key, _ in self.selector.select():
                if isinstance(key.data, Line):
                    self._pull(key.data)
                    continue
                assert isinstance(key.fileobj, socket.socket)
                connection, _ = key.fileobj.accept()
                if key.data == "control":
                    self._control(connection)
                    continue
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.selector.register(connection, selectors.EVENT_READ, Line(connection))

    def _control(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # somebody who asked and went away ends nothing
            connection.settimeout(GUARD_S)
            command = connection.recv(64).strip()
            counts = self.counts
            answer: dict[str, Any] = {
                "distinct": len(counts.objects),
                "total": counts.total,
                "size_bytes": counts.size_bytes,
                "associations": counts.associations,
                "first_at": counts.first_at,
                "last_at": counts.last_at,
            }
            if command == b"objects":
                answer["objects"] = counts.objects
            if command == b"clear":
                self.counts = Counts()
            connection.sendall(json.dumps(answer).encode())

    def _drop(self, line: Line) -> None:
        self.selector.unregister(line.connection)
        line.connection.close()

    def _pull(self, line: Line) -> None:
        if line.end == len(line.buffer):  # a PDU never exceeds a quarter of it, so there is room after the move
            line.buffer[: line.end - line.start] = line.buffer[line.start : line.end]
            line.end -= line.start
            line.start = 0
        with memoryview(line.buffer) as whole:
            try:
                got = line.connection.recv_into(whole[line.end :])
                line.end += got
                is_open = bool(got) and self._take(line, whole)
            except OSError:
                is_open = False
            except Exception:  # one broken peer does not end the sink; what it did is in the log
                traceback.print_exc()
                is_open = False
        if not is_open:
            self._drop(line)

    def _take(self, line: Line, whole: memoryview) -> bool:
        """Handle the PDUs that are complete; False when the connection is to be closed."""
        while line.end - line.start >= 6:
            length = int.from_bytes(whole[line.start + 2 : line.start + 6], "big")
            if length > 2 * MAX_PDU_BYTES:
                return False
            if line.end - line.start < 6 + length:
                break
            kind = whole[line.start]
            body = whole[line.start + 6 : line.start + 6 + length]
            line.start += 6 + length
            if not self._pdu(line, kind, body):
                return False
        if line.start == line.end:
            line.start = line.end = 0
        return True

    def _pdu(self, line: Line, kind: int, body: memoryview) -> bool:
        if kind == P_DATA:
            self._p_data(line, body)
            return True
        if kind == ASSOCIATE_RQ:
            self.counts.associations += 1
            line.connection.sendall(associate_ac(read_associate(body), MAX_PDU_BYTES))
            return True
        if kind == RELEASE_RQ:
            line.connection.sendall(RELEASE_RP_PDU)
            return True
        return kind != ABORT

    def _p_data(self, line: Line, body: memoryview) -> None:
        position = 0
        while position < len(body):
            length = int.from_bytes(body[position : position + 4], "big")
            context_id, header = body[position + 4], body[position + 5]
            self._value(line, context_id, header, body[position + 6 : position + 4 + length])
            position += 4 + length

    def _value(self, line: Line, context_id: int, header: int, fragment: memoryview) -> None:
        if header & COMMAND:
            line.command += fragment
            if header & LAST:
                line.request = read_command(line.command)
                line.command.clear()
                if us(line.request, 0x0100) != C_STORE_RQ and not self.is_silent:
                    line.connection.sendall(response(context_id, line.request, 0x0000))
            return
        line.size_bytes += len(fragment)
        if self.is_digesting:
            line.digest = line.digest or hashlib.sha256()
            line.digest.update(fragment)
        if self.marks and len(line.head) < HEAD_BYTES:
            line.head += fragment[: HEAD_BYTES - len(line.head)]
        if header & LAST:
            self._store(line, context_id)

    def _store(self, line: Line, context_id: int) -> None:
        if self.is_silent:
            return
        counts = self.counts
        known = (
            [line.digest.hexdigest()] if line.digest else [mark.decode() for mark in self.marks if mark in line.head]
        )
        uid = line.request.get(0x1000, b"").rstrip(b"\0").decode()
        if uid:
            counts.objects.setdefault(uid, []).append(",".join(known))
            counts.total += 1
            counts.size_bytes += line.size_bytes
            counts.last_at = time.monotonic()
            counts.first_at = counts.first_at or counts.last_at
        line.size_bytes, line.digest = 0, None
        line.head.clear()
        line.connection.sendall(response(context_id, line.request, 0x0000 if uid else INVALID_SOP_INSTANCE))


class Sink(Daemon):
    """The sink in a process of its own.

    `digest`: keep the SHA-256 of each data set; `marks`: texts to look for in it; `silent`: accept associations and
    requests, and never answer a request.
    """

    name = "sink"

    def __init__(
        self,
        log_path: Path,
        *,
        port: int = 0,
        ae_title: str = "SINK",
        digest: bool = False,
        marks: tuple[str, ...] = (),
        silent: bool = False,
    ) -> None:
        super().__init__(log_path)
        self.port = port or free_port()
        self.control_port = free_port()
        self.ae_title = ae_title
        self.options = [*(["--digest"] if digest else []), *(["--silent"] if silent else [])]
        self.options += [f"--mark={mark}" for mark in marks]

    def command(self) -> list[str]:
        ports = ["--port", str(self.port), "--control-port", str(self.control_port)]
        return [sys.executable, "-m", "tests.support.load.sink", *ports, *self.options]

    async def is_ready(self) -> bool:
        return is_listening(self.control_port) and is_listening(self.port)

    def ask(self, command: str = "stats") -> dict[str, Any]:
        """What arrived so far; `objects` adds UID → a text an arrival, `clear` starts anew."""
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=GUARD_S) as connection:
            connection.sendall(command.encode() + b"\n")
            with connection.makefile("rb") as file:
                answer: dict[str, Any] = json.loads(file.read())
        return answer

    async def received(self, distinct: int, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait for that many distinct SOP Instance UIDs; the statistics."""
        stats: dict[str, Any] = {}

        async def enough() -> bool:
            stats.update(await asyncio.to_thread(self.ask))
            return int(stats["distinct"]) >= distinct

        await until(enough, timeout_s, f"{distinct} objects at {self.name}")
        return stats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--mark", action="append", default=[])
    arguments = parser.parse_args()
    Server(
        arguments.port,
        arguments.control_port,
        digest=arguments.digest,
        marks=arguments.mark,
        silent=arguments.silent,
    ).serve()


if __name__ == "__main__":
    main()

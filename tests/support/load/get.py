"""A C-GET on a raw socket: takes the objects, answers 0x0000 to each, and counts. Data sets are read and let go."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

from tests.support.load.generator import Target, open_association
from tests.support.load.objects import MR_IMAGE_STORAGE
from tests.support.load.wire import (
    C_GET_RQ,
    C_STORE_RQ,
    COMMAND,
    EXPLICIT_VR_LITTLE_ENDIAN,
    LAST,
    P_DATA,
    RELEASE_RQ_PDU,
    Context,
    associate_rq,
    command_set,
    p_data,
    read_command,
    response,
    us,
)

STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
BUFFER_BYTES = 1 << 20
PENDING = 0xFF00


@dataclass(slots=True)
class Got:
    """The result of one C-GET."""

    objects: int = 0
    size_bytes: int = 0
    status: int = PENDING
    seconds: float = 0.0
    own_seconds: float = 0.0
    """Processor time of the thread that received."""


def study_identifier(study_instance_uid: str) -> bytes:
    """Query/Retrieve Level STUDY and the UID, in Explicit VR Little Endian."""
    uid = study_instance_uid.encode() + b"\0" * (len(study_instance_uid) % 2)
    level = struct.pack("<HH2sH", 0x0008, 0x0052, b"CS", 6) + b"STUDY "
    return level + struct.pack("<HH2sH", 0x0020, 0x000D, b"UI", len(uid)) + uid


class _Getting:
    def __init__(self, connection: socket.socket) -> None:
        self.got = Got()
        self._connection = connection
        self._command = bytearray()
        self._request: dict[int, bytes] = {}

    def run(self) -> Got:
        buffer = bytearray(BUFFER_BYTES)
        view = memoryview(buffer)
        start = end = 0
        while True:
            while end - start >= 6:
                length = int.from_bytes(buffer[start + 2 : start + 6], "big")
                if end - start < 6 + length:
                    break
                assert buffer[start] == P_DATA, f"PDU of type {buffer[start]}"
                if self._values(view[start + 6 : start + 6 + length]):
                    return self.got
                start += 6 + length
            if start == end:
                start = end = 0
            elif len(buffer) - end < 6 + BUFFER_BYTES // 4:
                buffer[: end - start] = buffer[start:end]
                start, end = 0, end - start
            count = self._connection.recv_into(view[end:])
            assert count, "the peer closed the connection"
            end += count

    def _values(self, body: memoryview) -> bool:
        """True when the final response is among them."""
        position = 0
        while position < len(body):
            length, context_id, header = struct.unpack_from(">IBB", body, position)
            value = body[position + 6 : position + 4 + length]
            position += 4 + length
            if header & COMMAND:
                self._command += value
                if header & LAST and self._is_final():
                    return True
                continue
            self.got.size_bytes += len(value)
            if header & LAST and us(self._request, 0x0100) == C_STORE_RQ:
                self.got.objects += 1
                self._connection.sendall(response(context_id, self._request, 0x0000))
        return False

    def _is_final(self) -> bool:
        self._request = read_command(self._command)
        self._command.clear()
        if us(self._request, 0x0100) == C_STORE_RQ:
            return False
        self.got.status = us(self._request, 0x0900)
        return self.got.status != PENDING


def get_study(target: Target, study_instance_uid: str) -> Got:
    """Get a study of MR images; from the request to the final response.

    Raises:
        ConnectionError: the association is refused, or ends.
    """
    syntaxes = (EXPLICIT_VR_LITTLE_ENDIAN,)
    contexts = [Context(1, STUDY_GET, syntaxes), Context(3, MR_IMAGE_STORAGE, syntaxes)]
    request = associate_rq(target.called, target.calling, contexts, scp_of=(MR_IMAGE_STORAGE,))
    connection, negotiated = open_association(target, request)
    with connection:
        assert {number: result for number, (result, _) in negotiated.results.items()} == {1: 0, 3: 0}
        command = command_set(
            [
                (0x0002, STUDY_GET.encode() + b"\0" * (len(STUDY_GET) % 2)),
                (0x0100, struct.pack("<H", C_GET_RQ)),
                (0x0110, struct.pack("<H", 1)),
                (0x0700, struct.pack("<H", 0)),
                (0x0800, struct.pack("<H", 1)),
            ]
        )
        began_s, spent_s = time.perf_counter(), time.thread_time()
        identifier = p_data(1, LAST, study_identifier(study_instance_uid))
        connection.sendall(p_data(1, COMMAND | LAST, command) + identifier)
        got = _Getting(connection).run()
        got.seconds, got.own_seconds = time.perf_counter() - began_s, time.thread_time() - spent_s
        connection.sendall(RELEASE_RQ_PDU)
        return got

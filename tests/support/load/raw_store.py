"""One C-STORE of bytes as they are, however odd, over an association of its own."""

from __future__ import annotations

import socket
import struct

from tests.support.load.wire import (
    ABORT,
    ASSOCIATE_AC,
    C_STORE_RQ,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RQ_PDU,
    Context,
    associate_rq,
    command_set,
    p_data,
    read_associate,
    read_command,
    us,
)

SENDER = "SENDER"
"""The calling AE title."""
SUCCESS = 0x0000
FRAGMENT_BYTES = 16000


def store(
    port: int,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    data: bytes,
    *,
    called: str,
    timeout_s: float,
) -> int | str:
    """The status; in words where there is none. An odd data set goes out in an odd fragment."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.settimeout(timeout_s)
            context = Context(1, sop_class_uid, (transfer_syntax_uid,))
            line.sendall(associate_rq(called, SENDER, [context]))
            kind, body = _pdu(line)
            if kind != ASSOCIATE_AC:
                return "the association is rejected"
            if read_associate(memoryview(body)).results.get(1, (1, ""))[0] != 0:
                return "no presentation context is accepted"
            line.sendall(_request(sop_class_uid, sop_instance_uid, data))
            kind, body = _pdu(line)
            if kind != P_DATA:
                return "the association is aborted" if kind == ABORT else f"PDU type {kind}"
            line.sendall(RELEASE_RQ_PDU)
            return us(read_command(body[6:]), 0x0900)
    except TimeoutError:
        return "no answer"
    except (OSError, EOFError):
        return "the connection is lost"


def is_taken(status: int | str) -> bool:
    """Success, or a warning."""
    return isinstance(status, int) and (status == SUCCESS or status >> 12 == 0xB)


def _request(sop_class_uid: str, sop_instance_uid: str, data: bytes) -> bytes:
    uids = [uid.encode() + b"\0" * (len(uid) % 2) for uid in (sop_class_uid, sop_instance_uid)]
    command = command_set(
        [
            (0x0002, uids[0]),
            (0x0100, struct.pack("<H", C_STORE_RQ)),
            (0x0110, struct.pack("<H", 1)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 1)),
            (0x1000, uids[1]),
        ]
    )
    starts = range(0, max(1, len(data)), FRAGMENT_BYTES)
    fragments = [
        p_data(1, LAST if start + FRAGMENT_BYTES >= len(data) else 0, data[start : start + FRAGMENT_BYTES])
        for start in starts
    ]
    return b"".join([p_data(1, COMMAND | LAST, command), *fragments])


def _pdu(line: socket.socket) -> tuple[int, bytes]:
    kind, length = struct.unpack(">BxI", _exactly(line, 6))
    return kind, _exactly(line, length)


def _exactly(line: socket.socket, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        piece = line.recv(length - len(found))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)

"""The two command sets that the floors write, and the reading of one (PS3.7 §9.3.1, §E.1): with few steps an object."""

from __future__ import annotations

import struct

from tests.support.load.wire import C_STORE_RQ, COMMAND, LAST, NO_DATA_SET, P_DATA

ELEMENT = struct.Struct("<HHI")
P_DATA_HEADER = struct.Struct(">BxIIBB")
_GROUP_LENGTH = struct.Struct("<HHII")


def _us(number: int, value: int) -> bytes:
    return ELEMENT.pack(0, number, 2) + struct.pack("<H", value)


_RESPONSE_START = _us(0x0100, 0x8000 | C_STORE_RQ) + ELEMENT.pack(0, 0x0120, 2)
_RESPONSE_END = _us(0x0800, NO_DATA_SET) + _us(0x0900, 0x0000)
_REQUEST_MIDDLE = b"".join(_us(*each) for each in ((0x0100, C_STORE_RQ), (0x0110, 1), (0x0700, 0), (0x0800, 0)))


def read_elements(buffer: bytes | bytearray, position: int, stop: int) -> dict[int, bytes]:
    """Element number → value of a command set that came in one fragment."""
    values = {}
    while position < stop:
        _, number, length = ELEMENT.unpack_from(buffer, position)
        position += 8
        values[number] = bytes(buffer[position : position + length])
        position += length
    return values


def _p_data(context_id: int, body: bytes) -> bytes:
    length = len(body) + 12
    header = P_DATA_HEADER.pack(P_DATA, length + 6, length + 2, context_id, COMMAND | LAST)
    return header + _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def success(context_id: int, request: dict[int, bytes]) -> bytes:
    """The C-STORE-RSP with 0x0000 as a PDU."""
    sop_class_uid, sop_instance_uid = request[0x0002], request[0x1000]
    parts = (
        ELEMENT.pack(0, 0x0002, len(sop_class_uid)),
        sop_class_uid,
        _RESPONSE_START,
        request[0x0110],
        _RESPONSE_END,
        ELEMENT.pack(0, 0x1000, len(sop_instance_uid)),
        sop_instance_uid,
    )
    return _p_data(context_id, b"".join(parts))


def store_request(context_id: int, sop_class_uid: bytes, sop_instance_uid: bytes) -> bytes:
    """The command of a C-STORE-RQ as a PDU; one is outstanding at a time, so its Message ID is always 1."""
    parts = (
        ELEMENT.pack(0, 0x0002, len(sop_class_uid)),
        sop_class_uid,
        _REQUEST_MIDDLE,
        ELEMENT.pack(0, 0x1000, len(sop_instance_uid)),
        sop_instance_uid,
    )
    return _p_data(context_id, b"".join(parts))

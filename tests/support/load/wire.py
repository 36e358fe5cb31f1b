"""The few PDUs that the load generator and the sink speak, as bytes (PS3.8 §9.3, PS3.7 §E.1).

Nothing of the gateway or of pynetdicom is used here: what measures must not share a fault with what is measured.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_ECHO_RQ = 0x0001, 0x0010, 0x0020, 0x0030
COMMAND, LAST = 0x01, 0x02
"""Bits of a presentation data value's message control header (PS3.8 §E.2)."""
NO_DATA_SET = 0x0101

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_IMPLEMENTATION_CLASS = b"2.25.244361985716293"
HEADER = struct.Struct(">BxI")
"""Type and length of a PDU."""
RELEASE_RQ_PDU = bytes([RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0])
RELEASE_RP_PDU = bytes([RELEASE_RP, 0, 0, 0, 0, 4, 0, 0, 0, 0])


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context; in an answer, `transfer_syntaxes` is the accepted one alone."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What an A-ASSOCIATE-RQ or -AC says. `results` maps context identifier → (result, transfer syntax)."""

    called: str
    calling: str
    contexts: tuple[Context, ...]
    results: dict[int, tuple[int, str]]
    max_pdu_bytes: int
    """0: no limit."""


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _associate(kind: int, called: str, calling: str, contexts: bytes, max_pdu_bytes: int, roles: bytes = b"") -> bytes:
    user = _item(0x51, struct.pack(">I", max_pdu_bytes)) + _item(0x52, _IMPLEMENTATION_CLASS) + roles
    user += _item(0x55, b"BENCH")
    body = struct.pack(">H2x16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    body += _item(0x10, _APPLICATION_CONTEXT) + contexts + _item(0x50, user)
    return HEADER.pack(kind, len(body)) + body


def associate_rq(
    called: str,
    calling: str,
    contexts: Sequence[Context],
    max_pdu_bytes: int = 131072,
    *,
    scp_of: Sequence[str] = (),
) -> bytes:
    """An A-ASSOCIATE-RQ PDU; `scp_of` are SOP classes that the requestor is an SCP of (PS3.7 §D.3.3.4)."""
    items = b""
    for context in contexts:
        content = bytes([context.context_id, 0, 0, 0]) + _item(0x30, context.abstract_syntax.encode())
        content += b"".join(_item(0x40, syntax.encode()) for syntax in context.transfer_syntaxes)
        items += _item(0x20, content)
    roles = b"".join(_item(0x54, struct.pack(">H", len(uid)) + uid.encode() + b"\0\1") for uid in scp_of)
    return _associate(ASSOCIATE_RQ, called, calling, items, max_pdu_bytes, roles)


def associate_ac(request: Negotiated, max_pdu_bytes: int = 131072) -> bytes:
    """An A-ASSOCIATE-AC PDU that accepts every context with its first transfer syntax."""
    items = b"".join(
        _item(0x21, bytes([context.context_id, 0, 0, 0]) + _item(0x40, context.transfer_syntaxes[0].encode()))
        for context in request.contexts
    )
    return _associate(ASSOCIATE_AC, request.called, request.calling, items, max_pdu_bytes)


def _items(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    position = 0
    while position < len(content):
        kind, length = struct.unpack_from(">BxH", content, position)
        yield kind, content[position + 4 : position + 4 + length]
        position += 4 + length


def read_associate(body: memoryview) -> Negotiated:
    """Read the body (after the 6 byte header) of an A-ASSOCIATE-RQ or -AC."""
    contexts: list[Context] = []
    results: dict[int, tuple[int, str]] = {}
    max_pdu_bytes = 0
    for kind, content in _items(body[68:]):
        if kind == 0x50:
            for sub_kind, value in _items(content):
                if sub_kind == 0x51:
                    (max_pdu_bytes,) = struct.unpack(">I", value)
            continue
        if kind not in (0x20, 0x21):
            continue
        names = [(sub_kind, bytes(value).decode().rstrip("\0 ")) for sub_kind, value in _items(content[4:])]
        transfer_syntaxes = tuple(name for sub_kind, name in names if sub_kind == 0x40)
        abstract = next((name for sub_kind, name in names if sub_kind == 0x30), "")
        contexts.append(Context(content[0], abstract, transfer_syntaxes))
        results[content[0]] = (content[2], transfer_syntaxes[0] if transfer_syntaxes else "")
    titles = bytes(body[4:36]).decode("ascii", "replace")
    return Negotiated(titles[:16].strip(), titles[16:].strip(), tuple(contexts), results, max_pdu_bytes)


# --- messages ---------------------------------------------------------------------------------------------------


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _uid(text: bytes) -> bytes:
    return text + b"\0" * (len(text) % 2)


def command_set(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """A command set (Implicit VR Little Endian) with its group length; `elements` of group 0000 in order."""
    body = b"".join(_element(number, value) for number, value in elements)
    return _element(0x0000, struct.pack("<I", len(body))) + body


def read_command(command: bytes | bytearray | memoryview) -> dict[int, bytes]:
    """Element number → value of a command set."""
    values: dict[int, bytes] = {}
    position = 0
    while position < len(command):
        _, number, length = struct.unpack_from("<HHI", command, position)
        position += 8
        values[number] = bytes(command[position : position + length])
        position += length
    return values


def us(values: dict[int, bytes], number: int, missing: int = 0xFFFF) -> int:
    """The unsigned short of an element."""
    value = values.get(number)
    return missing if value is None else int(struct.unpack("<H", value)[0])


def p_data(context_id: int, header: int, fragment: bytes | memoryview) -> bytes:
    """A P-DATA-TF PDU with one presentation data value."""
    return struct.pack(">BxIIBB", P_DATA, len(fragment) + 6, len(fragment) + 2, context_id, header) + bytes(fragment)


def response(context_id: int, request: dict[int, bytes], status: int) -> bytes:
    """The C-STORE-RSP or C-ECHO-RSP to a request's command set."""
    elements = [(0x0002, request.get(0x0002, b"")), (0x0100, struct.pack("<H", us(request, 0x0100) | 0x8000))]
    elements += [(0x0120, request[0x0110]), (0x0800, struct.pack("<H", NO_DATA_SET))]
    elements += [(0x0900, struct.pack("<H", status))]
    if 0x1000 in request:
        elements.append((0x1000, request[0x1000]))
    return p_data(context_id, COMMAND | LAST, command_set(elements))


UID_LENGTH = 38


def instance_uid(run: int, number: int) -> bytes:
    """A SOP Instance UID of `UID_LENGTH` characters: below 2.25, from a run (< 10^12) and a number."""
    return b"2.25.1%012d%020d" % (run, number)


class StoreRequest:
    """A C-STORE request as the bytes of all its PDUs, built once; each use patches the UID and the message ID."""

    def __init__(
        self, context_id: int, sop_class_uid: str, data_set: bytes, data_set_uid_at: int, max_pdu_bytes: int
    ) -> None:
        placeholder = instance_uid(0, 0)
        command = command_set(
            [
                (0x0002, _uid(sop_class_uid.encode())),
                (0x0100, struct.pack("<H", C_STORE_RQ)),
                (0x0110, struct.pack("<H", 0)),
                (0x0700, struct.pack("<H", 0)),
                (0x0800, struct.pack("<H", 0)),
                (0x1000, placeholder),
            ]
        )
        first = p_data(context_id, COMMAND | LAST, command)
        fragment_bytes = (max_pdu_bytes or 131072) - 6
        assert data_set_uid_at + UID_LENGTH < fragment_bytes, "the UID must lie in the first fragment"
        self.buffer = bytearray(first)
        for start in range(0, len(data_set), fragment_bytes):
            fragment = data_set[start : start + fragment_bytes]
            self.buffer += p_data(context_id, LAST if start + fragment_bytes >= len(data_set) else 0, fragment)
        self._command_uid_at = first.index(placeholder)
        self._data_uid_at = len(first) + 12 + data_set_uid_at
        self._message_id_at = first.index(struct.pack("<HHI", 0, 0x0110, 2)) + 8

    def patch(self, message_id: int, uid: bytes) -> bytearray:
        """The PDUs of the next request."""
        struct.pack_into("<H", self.buffer, self._message_id_at, message_id)
        self.buffer[self._command_uid_at : self._command_uid_at + UID_LENGTH] = uid
        self.buffer[self._data_uid_at : self._data_uid_at + UID_LENGTH] = uid
        return self.buffer

"""The command set codec (PS3.7 §6.3, Annex E): Implicit VR Little Endian, group 0000, to and from a dict of values.

Values are text for UI, AE and LO, int for US and UL, a tuple of tags for AT. Keys are the standard's keywords.
"""

from __future__ import annotations

import enum
import functools
import struct
from collections.abc import Callable, Mapping
from typing import Any

Command = dict[str, Any]

NO_DATA_SET = 0x0101
"""Command Data Set Type of a message without one (PS3.7 §E.1)."""

DATA_SET = 0x0001


class CommandField(enum.IntEnum):
    """Command Field (0000,0100) of requests; a response adds 0x8000 (PS3.7 §E.1)."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


RESPONSE = 0x8000


class MalformedCommand(ValueError):
    """The bytes are no command set."""


LONGEST_TEXT = 256
"""The length at which AE titles, UIDs and LO are cut: longer than any valid one. A UID of this length is refused
where it counts.
"""


def _text(value: bytes) -> str:
    return value[:LONGEST_TEXT].rstrip(b"\0 ").decode("latin-1")


def _title(value: bytes) -> str:
    return value[:LONGEST_TEXT].strip(b"\0 ").decode("latin-1")


def _us(value: bytes) -> int | None:
    return int.from_bytes(value[:2], "little") if len(value) >= 2 else None


def _ul(value: bytes) -> int | None:
    return int.from_bytes(value[:4], "little") if len(value) >= 4 else None


def _at(value: bytes) -> tuple[int, ...]:
    pairs = struct.iter_unpack("<HH", value[: len(value) & ~3])
    return tuple(group << 16 | element for group, element in pairs)


def encode_uid(value: Any) -> bytes:
    """A UID with its padding (PS3.5 §9.1)."""
    encoded = str(value).encode("ascii", "replace")
    return encoded + b"\0" if len(encoded) & 1 else encoded


def _encode_text(value: Any) -> bytes:
    encoded = str(value).encode("ascii", "replace")
    return encoded + b" " if len(encoded) & 1 else encoded


def _encode_us(value: Any) -> bytes:
    return int(value).to_bytes(2, "little")


def _encode_ul(value: Any) -> bytes:
    return int(value).to_bytes(4, "little")


def _encode_at(value: Any) -> bytes:
    tags = (value,) if isinstance(value, int) else value
    return b"".join(struct.pack("<HH", int(tag) >> 16, int(tag) & 0xFFFF) for tag in tags)


UI, AE, LO = (_text, encode_uid), (_title, _encode_text), (_text, _encode_text)
US, UL, AT = (_us, _encode_us), (_ul, _encode_ul), (_at, _encode_at)

_ELEMENTS: dict[int, tuple[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]]] = {
    0x0000: ("CommandGroupLength", UL),
    0x0002: ("AffectedSOPClassUID", UI),
    0x0003: ("RequestedSOPClassUID", UI),
    0x0100: ("CommandField", US),
    0x0110: ("MessageID", US),
    0x0120: ("MessageIDBeingRespondedTo", US),
    0x0600: ("MoveDestination", AE),
    0x0700: ("Priority", US),
    0x0800: ("CommandDataSetType", US),
    0x0900: ("Status", US),
    0x0901: ("OffendingElement", AT),
    0x0902: ("ErrorComment", LO),
    0x0903: ("ErrorID", US),
    0x1000: ("AffectedSOPInstanceUID", UI),
    0x1001: ("RequestedSOPInstanceUID", UI),
    0x1002: ("EventTypeID", US),
    0x1005: ("AttributeIdentifierList", AT),
    0x1008: ("ActionTypeID", US),
    0x1020: ("NumberOfRemainingSuboperations", US),
    0x1021: ("NumberOfCompletedSuboperations", US),
    0x1022: ("NumberOfFailedSuboperations", US),
    0x1023: ("NumberOfWarningSuboperations", US),
    0x1030: ("MoveOriginatorApplicationEntityTitle", AE),
    0x1031: ("MoveOriginatorMessageID", US),
}

_DECODERS = {element: (keyword, vr[0]) for element, (keyword, vr) in _ELEMENTS.items()}
_ENCODERS = {keyword: (element, vr[1]) for element, (keyword, vr) in _ELEMENTS.items()}
_ORDER = {keyword: element for keyword, (element, _) in _ENCODERS.items()}
_NUMBERS = frozenset(keyword for keyword, vr in _ELEMENTS.values() if vr is US)
_MESSAGE_IDS = {0x0110: "MessageID", 0x0120: "MessageIDBeingRespondedTo"}
_AFFECTED_SOP_INSTANCE_UID = 0x1000
_HEADER = struct.Struct("<HHI")
_NUMBER = struct.Struct("<HHIH")
_GROUP_LENGTH = struct.Struct("<HHII")


def decode(data: bytes) -> Command:
    """Read a command set; elements that PS3.7 §E does not know are passed over, and so are empty numbers.

    Raises:
        MalformedCommand: not group 0000, or an element reaches beyond the end.
    """
    command: Command = {}
    position, end = 0, len(data)
    unpack, decoders = _HEADER.unpack_from, _DECODERS
    while position < end:
        if end - position < 8:
            raise MalformedCommand("an element header is cut off")
        group, element, length = unpack(data, position)
        position += 8
        if group or length > end - position:
            raise MalformedCommand(f"element ({group:04X},{element:04X}) of {length} bytes")
        if element in decoders:
            keyword, read = decoders[element]
            value = read(data[position : position + length])
            if value is not None:
                command[keyword] = value
        position += length
    return command


LONGEST_REMEMBERED = 1024
"""Bytes of a command: longer than that of any C-STORE or response without an odd value."""


class CommandPattern:
    """A command, and where others that are like it have another Message ID and Affected SOP Instance UID."""

    __slots__ = (
        "_before_id",
        "_before_uid",
        "_behind",
        "_command",
        "_id_at",
        "_id_keyword",
        "_uid_at",
        "_uid_end",
        "length_bytes",
    )

    def __init__(
        self, encoded: bytes, command: Command, id_keyword: str, id_at: int, uid_at: int, uid_end: int
    ) -> None:
        """No UID where both its ends are the same."""
        self.length_bytes = len(encoded)
        self._command, self._id_keyword = command, id_keyword
        self._id_at, self._uid_at, self._uid_end = id_at, uid_at, uid_end
        self._before_id, self._before_uid = encoded[:id_at], encoded[id_at + 2 : uid_at]
        self._behind = encoded[uid_end:]

    def behind(self, header: bytes) -> CommandPattern:
        """The same for commands with `header` before them."""
        places = (len(header) + at for at in (self._id_at, self._uid_at, self._uid_end))
        id_and_uid = bytes(2) + self._before_uid + bytes(self._uid_end - self._uid_at)
        encoded = header + self._before_id + id_and_uid + self._behind
        return CommandPattern(encoded, self._command, self._id_keyword, *places)

    def command_of(self, encoded: bytes) -> Command | None:
        """The command as `decode` gives it, where `encoded` is like this one; None for any other."""
        id_at, uid_at, uid_end = self._id_at, self._uid_at, self._uid_end
        if (
            len(encoded) != self.length_bytes
            or not encoded.startswith(self._before_id)
            or encoded[id_at + 2 : uid_at] != self._before_uid
            or not encoded.endswith(self._behind)
        ):
            return None
        command = self._command.copy()
        command[self._id_keyword] = encoded[id_at] | encoded[id_at + 1] << 8
        if uid_at != uid_end:
            command["AffectedSOPInstanceUID"] = _text(encoded[uid_at:uid_end])
        return command


class CommandDecoder:
    """Decodes the commands of one association. A command that is as the one before it, but for the Message ID and the
    Affected SOP Instance UID, is known already: objects of a series come so, and their responses."""

    __slots__ = ("pattern",)

    def __init__(self) -> None:
        self.pattern: CommandPattern | None = None
        """The command before; None for one that others are not like."""

    def decode(self, encoded: bytes) -> Command:
        """As `decode`."""
        known = self.pattern.command_of(encoded) if self.pattern is not None else None
        if known is not None:
            return known
        command = decode(encoded)
        self.pattern = _pattern_of(encoded, command)
        return command


def _pattern_of(encoded: bytes, command: Command) -> CommandPattern | None:
    """The pattern of a command with one Message ID, of its own or of the request, and at most one UID, behind that."""
    if len(encoded) > LONGEST_REMEMBERED:
        return None
    ids: list[tuple[int, int, int]] = []
    uids: list[tuple[int, int, int]] = []
    position = 0
    while position < len(encoded):
        _, element, length = _HEADER.unpack_from(encoded, position)
        place = (element, position + 8, length)
        if element in _MESSAGE_IDS:
            ids.append(place)
        elif element == _AFFECTED_SOP_INSTANCE_UID:
            uids.append(place)
        position += 8 + length
    if len(ids) != 1 or ids[0][2] != 2 or len(uids) > 1:
        return None
    element, id_at, _ = ids[0]
    _, uid_at, length = uids[0] if uids else (0, id_at + 2, 0)
    if uid_at <= id_at:
        return None
    return CommandPattern(encoded, command.copy(), _MESSAGE_IDS[element], id_at, uid_at, uid_at + length)


@functools.lru_cache(maxsize=256)
def _ordered(keywords: tuple[str, ...]) -> tuple[tuple[str, int, Callable[[Any], bytes] | None], ...]:
    """(keyword, element, its encoder or None for a number of 16 bits) in the standard's order, without the group
    length. The few sets of elements that commands have are sorted once. Raises KeyError for an unknown keyword."""
    ordered = sorted(keywords, key=_ORDER.__getitem__)
    return tuple(
        (keyword, _ENCODERS[keyword][0], None if keyword in _NUMBERS else _ENCODERS[keyword][1])
        for keyword in ordered
        if keyword != "CommandGroupLength"
    )


def encode(command: Mapping[str, Any]) -> bytes:
    """Write a command set with its group length; elements in the standard's order, None left out."""
    parts = []
    for keyword, element, write in _ordered(tuple(command)):
        value = command[keyword]
        if value is None:
            continue
        if write is None:
            parts.append(_NUMBER.pack(0, element, 2, int(value)))
            continue
        encoded = write(value)
        parts.append(_HEADER.pack(0, element, len(encoded)))
        parts.append(encoded)
    body = b"".join(parts)
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body

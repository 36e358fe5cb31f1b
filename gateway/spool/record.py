"""The header that stands before every record, so that segments and files can be read without the database.

128 bytes, little endian: magic, header length, kind (0: payload, 1: redo, 2: cancellation), length of what follows, its
digest, transfer syntax UID of a payload (padded with NUL), CRC-32 of all that, checksum of what follows.

The digest (`gateway.spool.digest`) says what a payload is. The checksum (the low half of XXH3-64; 0: none) says nine
times as fast that stored bytes are as they were; where it does not agree, the digest decides.

The CRC-32 of records in segments begins with a number made of the spool's identity (`seed_of`). A sender does not know
it, so that bytes inside a payload cannot pass for a record where a damaged file is searched for the next one. Large
files, and segments of former versions, have a CRC that begins with 0.
"""

from __future__ import annotations

import functools
import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import xxhash

MAGIC = b"DGWREC01"
_FIELDS = struct.Struct("<8sIIQ32s64s")
_CHECK = struct.Struct("<II")
HEADER_BYTES = _FIELDS.size + _CHECK.size
assert HEADER_BYTES == 128

PAYLOAD, REDO, CANCEL = 0, 1, 2
"""Kinds: an encoded data set; the redo record of the payloads before it; the arrivals of it that were refused after
all. See `gateway.spool.redo`."""


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """One record as its header tells it."""

    offset_bytes: int
    """The offset of the content, after the header."""
    length_bytes: int
    digest: bytes
    transfer_syntax_uid: str
    kind: int = PAYLOAD
    checksum: int = 0

    @property
    def end_bytes(self) -> int:
        """The offset at which the next record begins."""
        return self.offset_bytes + self.length_bytes


class Checksum:
    """A checksum of bytes that come in pieces."""

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_64()

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        self._hash.update(piece)

    def value(self) -> int:
        """The checksum, never 0."""
        return self._hash.intdigest() & 0xFFFFFFFF or 1


def checksum_of(pieces: Sequence[bytes | bytearray | memoryview]) -> int:
    """The checksum of all pieces in order."""
    if len(pieces) == 1:
        return xxhash.xxh3_64_intdigest(pieces[0]) & 0xFFFFFFFF or 1
    checksum = Checksum()
    for piece in pieces:
        checksum.update(piece)
    return checksum.value()


def seed_of(spool_id: str) -> int:
    """The start value of the CRC-32 of this spool's headers; 0 for a spool without an identity."""
    return int.from_bytes(hashlib.sha256(spool_id.encode()).digest()[:4], "little") if spool_id else 0


def pack(
    length_bytes: int, digest: bytes, transfer_syntax_uid: str, kind: int = PAYLOAD, checksum: int = 0, seed: int = 0
) -> bytes:
    """The header of a record."""
    uid = transfer_syntax_uid.encode("ascii", "replace")[:64]
    fields = _FIELDS.pack(MAGIC, HEADER_BYTES, kind, length_bytes, digest, uid)
    return fields + _CHECK.pack(zlib.crc32(fields, seed), checksum)


def unpack(header: bytes, header_offset_bytes: int = 0, seed: int | None = 0) -> RecordHeader | None:
    """The content of a header; None when this is not one, or a torn one. With `seed` None its CRC is not checked."""
    if len(header) < HEADER_BYTES:
        return None
    magic, header_bytes, kind, length_bytes, digest, uid = _FIELDS.unpack_from(header)
    check, checksum = _CHECK.unpack_from(header, _FIELDS.size)
    if magic != MAGIC or header_bytes != HEADER_BYTES:
        return None
    if seed is not None and check != zlib.crc32(header[: _FIELDS.size], seed):
        return None
    syntax = uid.rstrip(b"\0").decode("ascii", "replace")
    return RecordHeader(header_offset_bytes + HEADER_BYTES, length_bytes, digest, syntax, kind, checksum)


def repaired(header: bytes, header_offset_bytes: int, seed: int) -> list[RecordHeader]:
    """The possible contents of a header before one of its bytes changed. Only the digest of the following bytes proves
    one."""
    if len(header) < HEADER_BYTES:
        return []
    fields, (check, _) = header[: _FIELDS.size], _CHECK.unpack_from(header, _FIELDS.size)
    difference = check ^ zlib.crc32(fields, seed)
    as_it_is = unpack(header, header_offset_bytes, None)
    found = [as_it_is]  # the CRC itself has changed, or the spool had another identity
    place = _one_byte_errors().get(difference)
    if place is not None:
        position, change = place
        whole = bytearray(header)
        whole[position] ^= change
        is_crc_alone = difference.to_bytes(4, "little").count(0) == 3
        found.insert(1 if is_crc_alone else 0, unpack(bytes(whole), header_offset_bytes, seed))
    return [each for each in found if each is not None]


@functools.cache
def _one_byte_errors() -> dict[int, tuple[int, int]]:
    """The change of the fields' CRC-32 → the byte of them that changed, and its change. CRC-32 is linear, so this holds
    for any content."""
    zeros = bytes(_FIELDS.size)
    base = zlib.crc32(zeros)
    errors = {}
    for position in range(_FIELDS.size):
        for change in range(1, 256):
            changed = zeros[:position] + bytes([change]) + zeros[position + 1 :]
            errors[base ^ zlib.crc32(changed)] = (position, change)
    return errors

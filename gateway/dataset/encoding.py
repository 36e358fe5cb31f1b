"""How a transfer syntax writes data elements (PS3.5 §7, §10, Annex A)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from gateway.ports import Unreadable

INFLATED_LIMIT_BYTES = 1 << 30
"""A deflated data set may not grow beyond this."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How element headers and binary values are written."""

    is_implicit: bool = False
    is_big_endian: bool = False

    def __str__(self) -> str:
        vr = "implicit" if self.is_implicit else "explicit"
        return f"{vr} VR {'big' if self.is_big_endian else 'little'} endian"


EXPLICIT_LITTLE = Encoding()
IMPLICIT_LITTLE = Encoding(is_implicit=True)
EXPLICIT_BIG = Encoding(is_big_endian=True)

_ENCODINGS = {
    "1.2.840.10008.1.2": IMPLICIT_LITTLE,
    "1.2.840.10008.1.2.2": EXPLICIT_BIG,
    "1.2.840.10008.1.20": IMPLICIT_LITTLE,  # Papyrus 3 (retired)
    "1.2.840.113619.5.2": IMPLICIT_LITTLE,  # GE private: implicit, pixel data alone big endian
}
DEFLATED = frozenset(
    {
        "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    }
)
"""Data sets that are one raw deflate stream as a whole (PS3.5 §A.5)."""


def encodings_of(transfer_syntax_uid: str) -> tuple[Encoding, ...]:
    """The encodings to try, the one that the transfer syntax says first. Private ones are explicit VR little endian
    (PS3.5 §A.4). Some writers mislabel implicit as explicit or the other way; such an object is read as it is."""
    encoding = _ENCODINGS.get(transfer_syntax_uid, EXPLICIT_LITTLE)
    if encoding.is_big_endian:
        return (encoding,)
    return (encoding, EXPLICIT_LITTLE if encoding.is_implicit else IMPLICIT_LITTLE)


def inflate(view: memoryview, limit_bytes: int = INFLATED_LIMIT_BYTES) -> memoryview:
    """The data set inside a deflate stream (RFC 1951, no zlib header); after it one padding byte is allowed, and the
    checksum and length that writers leave who took the stream out of a gzip file.

    Raises:
        Unreadable: not such a stream, cut, followed by something else, or over the limit.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(view, limit_bytes + 1)
    except zlib.error as error:
        raise Unreadable(f"the deflated data set cannot be inflated: {error}") from None
    if len(inflated) > limit_bytes:
        raise Unreadable(f"the deflated data set grows beyond {limit_bytes} bytes")
    if not stream.eof:
        raise Unreadable(f"the deflated data set is cut: it does not end within {len(view)} bytes")
    if stream.unused_data not in (b"", b"\0") and not _is_gzip_trailer(stream.unused_data, inflated):
        raise Unreadable(f"{len(stream.unused_data)} bytes follow the deflated data set")
    return memoryview(inflated)


def _is_gzip_trailer(rest: bytes, inflated: bytes) -> bool:
    return rest == struct.pack("<LL", zlib.crc32(inflated), len(inflated) & 0xFFFFFFFF)


def deflate(pieces: list[bytes | memoryview]) -> bytes:
    """The pieces as one deflate stream, padded to even length (PS3.5 §A.5)."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = b"".join([stream.compress(piece) for piece in pieces]) + stream.flush()
    return deflated + b"\0" if len(deflated) % 2 else deflated

"""The encoding of data elements by transfer syntax (PS3.5 §7, §10, Annex A)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of element headers and binary values."""

    is_implicit: bool = False
    is_big_endian: bool = False
    notes: dict[str, str] | None = field(default=None, compare=False, repr=False)
    """The notes of a tolerant reading, which goes on where archives do: each row of `gateway.leniency` that was used,
    and its first place. None: a reading to the letter."""

    @property
    def is_tolerant(self) -> bool:
        """True for a reading that passes over what archives pass over."""
        return self.notes is not None

    def tolerant(self) -> Encoding:
        """The same, for one tolerant reading."""
        return replace(self, notes={})

    def note(self, kind: str, where: str) -> None:
        """Note that a tolerant reading used the row `kind`."""
        if self.notes is not None:
            self.notes.setdefault(kind, where)

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


def readings_of(transfer_syntax_uid: str) -> tuple[Encoding, ...]:
    """The encodings in which a stored or received data set is read, in order: to the letter, then tolerantly, which is
    done in the one that the transfer syntax says alone: the more is passed over, the more fits that was never meant."""
    strict = encodings_of(transfer_syntax_uid)
    return (*strict, strict[0].tolerant())


def deflate(pieces: list[bytes | memoryview]) -> bytes:
    """The pieces as one deflate stream, padded to even length (PS3.5 §A.5)."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = b"".join([stream.compress(piece) for piece in pieces]) + stream.flush()
    return deflated + b"\0" if len(deflated) % 2 else deflated

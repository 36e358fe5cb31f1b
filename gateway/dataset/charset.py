"""Text of data sets: Specific Character Set (PS3.3 §C.12.1.1.2, PS3.5 §6.1) to and from Python text.

All defined terms of that section are known. Decoding never raises and never warns, whatever the bytes are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.dataset import code_extensions
from gateway.dataset.code_extensions import ASCII, ONLY_ASCII, SETS, Active, CodeSet, Reader, decode_with

UNDECODABLE = code_extensions.UNDECODABLE

_ALONE = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}
"""Character sets without code extensions (PS3.3 Table C.12-5): term → Python codec."""

TERMS = (
    "",
    *_ALONE,
    *(f"ISO_IR {number}" for number, sets in SETS.items() if sets[0].is_ascii),
    *(f"ISO 2022 IR {number}" for number in SETS),
)
"""The defined terms; the empty one is the default repertoire, of which others are extensions."""

_OTHER_NAMES = {
    "UTF8": "ISO_IR 192",
    "UNICODE": "ISO_IR 192",
    "GB18030": "GB18030",
    "GBK": "GBK",
    "ISO2022GBK": "GBK",
    "GB2312": "ISO 2022 IR 58",
    "ASCII": "ISO_IR 6",
    "LATIN1": "ISO_IR 100",
    **{f"ISO8859{part}": f"ISO_IR {number}" for part, number in ((1, 100), (2, 101), (3, 109), (4, 110), (5, 144))},
    **{f"ISO8859{part}": f"ISO_IR {number}" for part, number in ((6, 127), (7, 126), (8, 138), (9, 148), (15, 203))},
}
"""Names that writers use for them, in capitals without spaces and dashes."""
_TERM = re.compile(r"ISO(2022)?(?:IR)?(\d+)")

_NAME_DELIMITERS = "\\^="
_IN_PIECES = re.compile(r"([\\\r\n\t\f])")
_NAME_IN_PIECES = re.compile(r"([\\^=\r\n\t\f])")


@dataclass(frozen=True, slots=True)
class Encodings:
    """The codecs with which text of one Specific Character Set is read and written.

    `plain` is the codec of bytes without escape sequences, empty when G1 begins empty and other sets are declared.
    `alone` is the codec of a set without code extensions, and `others` are the sets that escape sequences may name.
    """

    plain: str = "iso8859_1"
    alone: str = ""
    reading: Active = ONLY_ASCII
    writing: Active = ONLY_ASCII
    others: tuple[CodeSet, ...] = ()
    guesses: tuple[str, ...] = ()


DEFAULT = Encodings()
"""ISO_IR 6; bytes above 127 are read as Latin-1 rather than lost."""


MOST_REMEMBERED_CHARACTERS = 256
"""The greatest number of characters of a Specific Character Set that is remembered; a longer one is looked up each
time."""
MOST_NAMES = 64
"""The greatest number of names of one set that are read; there are fewer defined terms."""


def encodings(names: tuple[str, ...]) -> Encodings:
    """The encodings for these values of Specific Character Set; unknown ones count as empty."""
    names = names[:MOST_NAMES]
    is_short = sum(map(len, names)) <= MOST_REMEMBERED_CHARACTERS
    return _remembered(names) if is_short else _encodings(names)


def _encodings(names: tuple[str, ...]) -> Encodings:
    terms = [term if term in TERMS else "" for term in map(_canonical, names)]
    if not any(terms):
        return DEFAULT
    if terms[0] in _ALONE:
        return Encodings(_ALONE[terms[0]], _ALONE[terms[0]])
    declared = [SETS[term.rpartition(" ")[2]] if term and term not in _ALONE else () for term in terms]
    first = declared[0]
    g0 = first[0] if first and first[0].is_ascii else ASCII
    g1 = next((one for one in first if one.is_g1), None)
    is_multi_byte = any(one.width == 2 for one in first)
    extensions = declared if len(declared) > 1 or is_multi_byte else []
    others = [one for some in extensions for one in some if not one.is_ascii]
    guesses = [_ALONE[term] for term in terms if term in _ALONE] + [one.codec for one in others if not one.prefix]
    plain = g1.codec if g1 is not None else "" if guesses else DEFAULT.plain
    return Encodings(
        plain,
        "",
        Active(g0, g1),
        Active(g0, None if is_multi_byte else g1),
        tuple(dict.fromkeys(others)),
        tuple(guesses),
    )


_remembered = lru_cache(maxsize=256)(_encodings)


def unknown(names: tuple[str, ...]) -> str:
    """The first of a Specific Character Set's values that nobody knows; empty when all are known."""
    return next((name for name in names if _canonical(name) not in TERMS), "")


def are_default(names: tuple[str, ...]) -> bool:
    """True for the default repertoire, which is ASCII, and where nothing is named."""
    return all(name in ("ISO_IR 6", "ISO 2022 IR 6", "") for name in names)


def is_stand_alone(name: str) -> bool:
    """True for character sets that cannot be combined with others by escape sequences (PS3.3 Table C.12-5)."""
    return _canonical(name) in _ALONE


def _canonical(name: str) -> str:
    """The defined term that a writer meant: ``ISO IR 100``, ``ISO_IR_100``, ``ISO-IR 100``, ``iso_ir 100`` and the like
    are one."""
    name = name.strip(" \0")
    if name in TERMS:
        return name
    compact = re.sub(r"[-_ .]", "", name.upper())
    if compact in _OTHER_NAMES:
        return _OTHER_NAMES[compact]
    match = _TERM.fullmatch(compact)
    if match is None:
        return name
    terms = (f"ISO 2022 IR {match[2]}", f"ISO_IR {match[2]}")
    return next((term for term in (terms if match[1] else terms[::-1]) if term in TERMS), name)


def decode(raw: bytes, codecs: Encodings, *, is_name: bool = False, is_multiple: bool = True) -> str:
    """The text of `raw`; what cannot be decoded becomes U+FFFD.

    `is_name` is for person names, whose components are delimited as well; `is_multiple` is false for VRs that hold one
    value, in which a backslash is an ordinary character.
    """
    has_escapes = b"\x1b" in raw
    if not has_escapes and raw.isascii():
        return raw.decode("ascii")
    if not has_escapes and codecs.plain:
        try:
            return raw.decode(codecs.plain)
        except UnicodeError:
            return decode_with(codecs.plain, raw)
    delimiters = _NAME_DELIMITERS if is_name else "\\" if is_multiple else ""
    return Reader(raw, codecs.reading, codecs.alone, codecs.guesses, delimiters).text()


def encode(text: str, codecs: Encodings, *, is_name: bool = False) -> bytes:
    """`text` as bytes.

    Raises:
        UnicodeError: the character set has no way to write it.
    """
    if "\x1b" in text:
        raise UnicodeError("an escape character is no text")
    if text.isascii():
        return text.encode("ascii")
    encoded = _without_escapes(text, codecs)
    if not encoded:
        pieces: Sequence[str] = (_NAME_IN_PIECES if is_name else _IN_PIECES).split(text)
        encoded = b"".join(code_extensions.write(piece, codecs.writing, codecs.others) for piece in pieces)
    if decode(encoded, codecs, is_name=is_name) != text:
        raise UnicodeError("the character set cannot write it")
    return encoded


def _without_escapes(text: str, codecs: Encodings) -> bytes:
    """`text` in the set without code extensions, or in the Latin set that is active at first; empty when that cannot
    be.

    Raises:
        UnicodeError: the set without code extensions has no way to write it.
    """
    if codecs.alone:
        return text.encode(codecs.alone)
    g1 = codecs.writing.g1
    if g1 is None or not g1.codec.startswith("iso8859"):
        return b""
    try:
        return text.encode(g1.codec)
    except UnicodeError:
        return b""

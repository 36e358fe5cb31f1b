"""Text of data sets: Specific Character Set (PS3.3 §C.12.1.1.2, PS3.5 §6.1) to and from Python text.

The tables are pydicom's; decoding never raises and never warns, whatever the bytes are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import filterfalse

from pydicom import charset

Encodings = tuple[str, ...]
"""Python codecs, the one for text without escape sequences first."""

DEFAULT: Encodings = ("iso8859",)
"""ISO_IR 6; like pydicom, bytes above 127 are read as Latin-1 rather than lost."""

UNDECODABLE = "\ufffd"
"""Stands for what cannot be decoded; writing it would make the loss a lasting one."""

_ESCAPED = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_TEXT_DELIMITERS = re.compile(rb"[\r\n\t\f\\]")
_NAME_DELIMITERS = re.compile(rb"[\r\n\t\f\\^=]")


@lru_cache(maxsize=256)
def encodings(names: tuple[str, ...]) -> Encodings:
    """The codecs of a Specific Character Set's values; unknown ones are left out."""
    known = [charset.python_encoding[name] for name in map(_canonical, names) if name in charset.python_encoding]
    if len(known) > 1 and any(_canonical(name) in charset.STAND_ALONE_ENCODINGS for name in names):
        return (known[0],) if _canonical(names[0]) in charset.STAND_ALONE_ENCODINGS else tuple(known)
    return tuple(known) or DEFAULT


def unknown(names: tuple[str, ...]) -> str:
    """The first of a Specific Character Set's values that nobody knows; empty when all are known."""
    return next((name for name in names if _canonical(name) not in charset.python_encoding), "")


def is_stand_alone(name: str) -> bool:
    """True for character sets that cannot be combined with others by escape sequences (PS3.3 Table C.12-5)."""
    return _canonical(name) in charset.STAND_ALONE_ENCODINGS


def _canonical(name: str) -> str:
    """Writers confuse ``ISO IR 100``, ``ISO_IR_100`` and ``ISO-IR 100``."""
    name = name.strip(" \0")
    match = re.fullmatch(r"(ISO)[ _-](?:(2022)[ _-])?IR[ _-]?(\d+)", name)
    if match is None:
        return name
    return f"ISO 2022 IR {match[3]}" if match[2] else f"ISO_IR {match[3]}"


def decode(raw: bytes, codecs: Encodings, *, is_name: bool = False) -> str:
    """The text of `raw`; what cannot be decoded becomes U+FFFD."""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    if b"\x1b" not in raw:
        return _decode(raw, codecs[0])
    delimiters = _NAME_DELIMITERS if is_name else _TEXT_DELIMITERS
    return "".join(_decode_escaped(piece, codecs, delimiters) for piece in _ESCAPED.findall(raw))


def _decode_escaped(piece: bytes, codecs: Encodings, delimiters: re.Pattern[bytes]) -> str:
    if not piece.startswith(b"\x1b"):
        return _decode(piece, codecs[0])
    length = 4 if piece.startswith((b"\x1b$(", b"\x1b$)")) else 3
    codec = charset.CODES_TO_ENCODINGS.get(piece[:length])
    if codec is None:
        return _decode(piece, codecs[0])
    if codec in charset.handled_encodings:
        return _decode(piece, codec)
    text = piece[length:]
    delimiter = delimiters.search(text)
    if delimiter is None:
        return _decode(text, codec)
    return _decode(text[: delimiter.start()], codec) + _decode(text[delimiter.start() :], codecs[0])


def _decode(raw: bytes, codec: str) -> str:
    return raw.decode(codec, errors="replace")


def encode(text: str, codecs: Encodings, *, is_name: bool = False) -> bytes:
    """`text` as bytes.

    Raises:
        UnicodeError: the character set has no way to write it.
    """
    if text.isascii():
        return text.encode("ascii")
    if len(codecs) == 1:
        encoded = _encode_alone(text, codecs[0])
    else:
        pieces = re.split(r"([\^=\\\r\n\t\f])" if is_name else r"([\\\r\n\t\f])", text)
        encoded = b"".join(_encode_extended(piece, codecs) for piece in pieces)
    if decode(encoded, codecs, is_name=is_name) != text:
        raise UnicodeError("the character set cannot write it")
    return encoded


def _encode_alone(text: str, codec: str) -> bytes:
    if codec == DEFAULT[0]:
        raise UnicodeError("only ASCII can be written without a Specific Character Set")
    return text.encode(codec)


def _encode_extended(text: str, codecs: Encodings) -> bytes:
    """Code extensions (PS3.5 §6.1.2.5); pydicom chooses the escape sequences."""
    if text.isascii():
        return text.encode("ascii")
    for character in filterfalse(str.isascii, text):
        is_in_default = _has(character, DEFAULT[0]) and DEFAULT[0] in codecs  # would go out as a bare Latin-1 byte
        if is_in_default or not any(_has(character, codec) for codec in codecs):
            raise UnicodeError("the character set cannot write it")
    return bytes(charset.encode_string(text, list(codecs)))


@lru_cache(maxsize=4096)
def _has(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeError:
        return False
    return True

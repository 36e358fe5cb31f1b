"""Text with code extensions: the escape sequences of ISO 2022 that DICOM uses (PS3.5 §6.1.2.4 and §6.1.2.5).

Two coded character sets are active at a time: G0 for bytes 0x21 to 0x7E, G1 for bytes from 0x80. An escape sequence
puts another set in the place of one of them. Before delimiters and control characters both are again what the first
value of Specific Character Set says.

Reading is lenient: it takes escape sequences of sets that are not declared, those that ISO 2022 has for the same sets
in the other place, texts that forget the escape sequence after a delimiter, and the vendors' larger repertoires.
Writing keeps to the standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

UNDECODABLE = "\ufffd"
"""Stands for what cannot be decoded; writing it would make the loss a lasting one."""

CONTROLS = "\t\n\f\r"
"""The control characters of text, besides ESC (PS3.5 §6.1.3)."""


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A coded character set in G0 or G1 (PS3.3 Tables C.12-3 and C.12-4).

    `codec` is the Python codec that has its characters, each of them as `prefix` and `width` bytes from 0x80 on.
    """

    escape: bytes
    codec: str
    width: int = 1
    is_g1: bool = False
    prefix: bytes = b""

    @property
    def is_ascii(self) -> bool:
        """True for ISO 646 and JIS X 0201 romaji, whose two other characters are read as ASCII's."""
        return self.codec == "ascii"


class Active(NamedTuple):
    """The sets in G0 and G1."""

    g0: CodeSet
    g1: CodeSet | None


ASCII = CodeSet(b"\x1b(B", "ascii")
ROMAJI = CodeSet(b"\x1b(J", "ascii")
KATAKANA = CodeSet(b"\x1b)I", "shift_jis", is_g1=True)
JIS_X_0208 = CodeSet(b"\x1b$B", "euc_jp", 2)
JIS_X_0212 = CodeSet(b"\x1b$(D", "euc_jp", 2, prefix=b"\x8f")
KS_X_1001 = CodeSet(b"\x1b$)C", "euc_kr", 2, is_g1=True)
GB_2312 = CodeSet(b"\x1b$)A", "gb2312", 2, is_g1=True)
ONLY_ASCII = Active(ASCII, None)

_LATIN = {
    "100": CodeSet(b"\x1b-A", "iso8859_1", is_g1=True),
    "101": CodeSet(b"\x1b-B", "iso8859_2", is_g1=True),
    "109": CodeSet(b"\x1b-C", "iso8859_3", is_g1=True),
    "110": CodeSet(b"\x1b-D", "iso8859_4", is_g1=True),
    "144": CodeSet(b"\x1b-L", "iso8859_5", is_g1=True),
    "127": CodeSet(b"\x1b-G", "iso8859_6", is_g1=True),
    "126": CodeSet(b"\x1b-F", "iso8859_7", is_g1=True),
    "138": CodeSet(b"\x1b-H", "iso8859_8", is_g1=True),
    "148": CodeSet(b"\x1b-M", "iso8859_9", is_g1=True),
    "203": CodeSet(b"\x1b-b", "iso8859_15", is_g1=True),
    "166": CodeSet(b"\x1b-T", "iso8859_11", is_g1=True),
}
SETS: dict[str, tuple[CodeSet, ...]] = {
    "6": (ASCII,),
    **{number: (ASCII, one) for number, one in _LATIN.items()},
    "13": (ROMAJI, KATAKANA),
    "87": (JIS_X_0208,),
    "159": (JIS_X_0212,),
    "149": (KS_X_1001,),
    "58": (GB_2312,),
}
"""The code sets of each defined term, by the number of the term."""

_IN_THE_OTHER_PLACE = (
    CodeSet(b"\x1b(I", "shift_jis"),
    CodeSet(b"\x1b(H", "ascii"),  # of old Japanese software, for ROMAJI
    CodeSet(b"\x1b$@", "euc_jp", 2),  # JIS C 6226-1978
    CodeSet(b"\x1b$(@", "euc_jp", 2),
    CodeSet(b"\x1b$(B", "euc_jp", 2),
    CodeSet(b"\x1b$)B", "euc_jp", 2, is_g1=True),
    CodeSet(b"\x1b$)D", "euc_jp", 2, is_g1=True, prefix=b"\x8f"),
    CodeSet(b"\x1b$A", "gb2312", 2),
    CodeSet(b"\x1b$(A", "gb2312", 2),
    CodeSet(b"\x1b$(C", "euc_kr", 2),
)
_BY_ESCAPE = {one.escape: one for one in (*(each for some in SETS.values() for each in some), *_IN_THE_OTHER_PLACE)}

_LARGER = {
    "shift_jis": ("cp932",),
    "euc_jp": ("euc_jis_2004",),
    "euc_kr": ("cp949",),
    "gb2312": ("gbk", "gb18030"),
    "gbk": ("gb18030",),
}
"""Repertoires of vendors and later editions, which senders write in the name of the smaller one."""

_TOKENS = re.compile(
    rb"(?P<escape>\x1b(?:\$[()*+\-./]?[0-~]|[()*+\-./][!-/]*[0-~])?)"
    rb"|(?P<low>[!-~]+)|(?P<high>[\x80-\xff]+)|(?P<other>[\x00-\x1a\x1c-\x20\x7f])"
)
_TO_ESCAPE = re.compile(rb"[^\x1b]*")
_TO_DELIMITER = re.compile(rb"[^\x00-\x1f\\^=]*")
_TO_HIGH = bytes(value | 0x80 for value in range(0x100))

# --- reading ----------------------------------------------------------------------------------------------------


def decode_with(codec: str, raw: bytes) -> str:
    """`raw` in one codec, or one of the larger repertoires; what none of them has becomes U+FFFD."""
    text = _strictly(raw, codec)
    return raw.decode(codec, "replace") if text is None else text


def _strictly(raw: bytes, codec: str) -> str | None:
    for one in (codec, *_LARGER.get(codec, ())):
        try:
            return raw.decode(one)
        except UnicodeError:
            continue
    return None


class Reader:
    """Reads one value.

    Args:
        raw: its bytes.
        initial: the sets at its start and after delimiters.
        alone: the codec of a set that takes no escape sequences, in place of G1; empty otherwise.
        guesses: codecs for bytes from 0x80 on where G1 is empty, tried in order.
        delimiters: the characters that end a component or value.
    """

    def __init__(self, raw: bytes, initial: Active, alone: str, guesses: Sequence[str], delimiters: str) -> None:
        self._raw = raw
        self._initial = self._active = initial
        self._alone = alone
        self._guesses = guesses
        self._delimiters = delimiters
        self._last_codec = ""
        self._tried_to = 0

    def text(self) -> str:
        """The value's text, without escape sequences. Unknown ones and what cannot be decoded become U+FFFD."""
        return "".join(self._pieces())

    def _pieces(self) -> Iterator[str]:
        at = 0
        while at < len(self._raw):
            if self._alone and self._active == self._initial and self._raw[at] != 0x1B:
                stop = self._end(_TO_ESCAPE, at)
                yield decode_with(self._alone, self._raw[at:stop])
                at = stop
                continue
            match = _TOKENS.match(self._raw, at)
            assert match is not None
            token = match[0]
            at = match.end()
            if match["escape"] is not None:
                yield self._escaped(token)
            elif match["low"] is not None:
                rest, text = self._low(token)
                at -= rest
                yield text
            elif match["high"] is not None:
                stop, text = self._high(match.start(), match.end())
                at = stop
                yield text
            else:
                yield self._reset(chr(token[0])) if chr(token[0]) in CONTROLS else chr(token[0])

    def _end(self, pattern: re.Pattern[bytes], at: int) -> int:
        match = pattern.match(self._raw, at)
        assert match is not None
        return match.end()

    def _reset(self, text: str) -> str:
        self._active = self._initial
        return text

    def _escaped(self, escape: bytes) -> str:
        found = _BY_ESCAPE.get(escape)
        if found is None:
            return UNDECODABLE
        self._active = Active(self._active.g0, found) if found.is_g1 else Active(found, self._active.g1)
        if found.is_g1:
            self._last_codec = found.codec
        return ""

    def _low(self, run: bytes) -> tuple[int, str]:
        """The number of bytes at the end of `run` that are left for the next step, and the text of the others."""
        g0 = self._active.g0
        if g0.width == 2:
            text = _double(g0, run)
            if len(run) % 2 == 0:
                return 0, text
            last = chr(run[-1])  # what switches back to ASCII is missing
            return 0, text + (self._reset(last) if last in self._delimiters else UNDECODABLE)
        found = [at for at in (run.find(each.encode()) for each in self._delimiters) if at >= 0]
        if self._active == self._initial or not found:
            return 0, _single(g0, run)
        count = min(found)
        text = _single(g0, run[:count])
        return len(run) - count - 1, text + self._reset(chr(run[count]))

    def _high(self, start: int, stop: int) -> tuple[int, str]:
        """The end of the bytes read, and their text."""
        run = self._raw[start:stop]
        g1 = self._active.g1
        if g1 is None:
            for codec in (self._last_codec, *self._guesses):
                text = _strictly(run, codec) if codec else None
                if text is not None:
                    return stop, text
            return stop, run.decode("iso8859_1")
        if g1.width == 1:
            return stop, decode_with(g1.codec, run)
        if g1.prefix:
            return stop, _double(g1, run)
        text = _strictly(run, g1.codec)
        if text is not None:
            return stop, text
        longer = None
        if start >= self._tried_to:  # the larger repertoires have second bytes below 0x80
            self._tried_to = self._end(_TO_DELIMITER, start)
            longer = _strictly(self._raw[start : self._tried_to], g1.codec)
        return (stop, run.decode(g1.codec, "replace")) if longer is None else (self._tried_to, longer)


def _single(one: CodeSet, run: bytes) -> str:
    return run.decode("ascii") if one.is_ascii else decode_with(one.codec, run.translate(_TO_HIGH))


def _double(one: CodeSet, run: bytes) -> str:
    """The text of whole pairs; a lone byte at the end is left out."""
    high = run[: len(run) // 2 * 2].translate(_TO_HIGH)
    if one.prefix:
        high = b"".join(one.prefix + high[at : at + 2] for at in range(0, len(high), 2))
    return decode_with(one.codec, high)


# --- writing ----------------------------------------------------------------------------------------------------


def write(text: str, initial: Active, others: Sequence[CodeSet]) -> bytes:
    """`text` without delimiters and control characters, in the sets of `initial` and, by escape sequences, `others`.

    Raises:
        UnicodeError: none of them has a character.
    """
    active = initial
    written: list[bytes] = []
    for character in text:
        if character.isascii():
            if not active.g0.is_ascii:
                active = Active(initial.g0, active.g1)
                written.append(initial.g0.escape)
            written.append(character.encode("ascii"))
            continue
        one = _set_for(character, active, initial, others)
        if one not in active:
            active = Active(active.g0, one) if one.is_g1 else Active(one, active.g1)
            written.append(one.escape)
        written.append(_bytes_of(character, one))
    if active.g0 != initial.g0:
        written.append(initial.g0.escape)
    if active.g1 != initial.g1 and initial.g1 is not None:
        written.append(initial.g1.escape)
    return b"".join(written)


def _set_for(character: str, active: Active, initial: Active, others: Sequence[CodeSet]) -> CodeSet:
    for one in (active.g0, active.g1, initial.g1, *others):
        if one is not None and _bytes_of(character, one):
            return one
    raise UnicodeError("the character set cannot write it")


@lru_cache(maxsize=8192)
def _bytes_of(character: str, one: CodeSet) -> bytes:
    """Empty when `one` does not have the character."""
    try:
        encoded = character.encode(one.codec)
    except UnicodeError:
        return b""
    encoded = encoded.removeprefix(one.prefix) if encoded.startswith(one.prefix) else b""
    is_its_own = len(encoded) == one.width and all(byte >= 0x80 for byte in encoded)
    if not is_its_own:
        return b""
    return encoded if one.is_g1 else bytes(byte & 0x7F for byte in encoded)

"""Identifiers of C-FIND, C-MOVE and C-GET: bytes to values and back, without pydicom's Dataset.

Values are text in Unicode; the character set is a matter of the bytes alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from gateway.dataset import charset
from gateway.dataset.dictionary import SEQUENCE, SPECIFIC_CHARACTER_SET
from gateway.dataset.elements import EVERY_UNBOUNDED, SEQUENCE_VRS, SLICE_BYTES, Element, inside
from gateway.dataset.encoding import DEFLATED, Encoding, deflate, encodings_of
from gateway.dataset.inflation import inflate
from gateway.dataset.items import items
from gateway.dataset.value import IN_CHARACTER_SET, NUMBERS, texts
from gateway.dataset.walk import Walker, walk
from gateway.dataset.writer import LONGEST_SHORT_VALUE, item_header, padded, padding_of, prepared_header
from gateway.model.query import Attributes, QueryItem, Value
from gateway.ports.errors import ObjectTooLarge, Unreadable
from gateway.query.attributes import vr_for
from gateway.query.typed import Bulk, TypedValue, bulk, is_bulk, typed

MAX_BYTES = 4 * 1024**2
"""An identifier beyond this is refused; 50 000 UIDs fit in."""
MOST_ELEMENTS = 10_000
"""The most elements at all levels, items included; the data dictionary has about 5 000 attributes."""
MOST_VALUES = 100_000
"""The greatest number of values of all elements; a Failed SOP Instance UID List has at most 65 535."""
MAX_DEPTH = 16
"""Sequences inside each other."""

_NOT_TEXT = re.compile("[\x1b\ud800-\udfff" + charset.UNDECODABLE + "]")
"""Characters that no character set writes: bytes that could not be decoded, and code points that are no characters."""

UTF_8 = ("ISO_IR 192",)
LATIN_1 = ("ISO_IR 100",)


# --- reading ----------------------------------------------------------------------------------------------------


def excess(view: memoryview | bytes, transfer_syntax_uid: str) -> str:
    """The reason why an encoded identifier is too large to be read, as an Error Comment; empty when it is not.

    Elements at all levels are counted, and values by their backslashes. Bytes that cannot be walked are left to
    `read_identifier`, which reports them.
    """
    view = memoryview(view)
    if len(view) > MAX_BYTES:
        return f"the identifier has more than {MAX_BYTES} bytes"
    try:
        if transfer_syntax_uid in DEFLATED:
            view = inflate(view, MAX_BYTES)
    except ObjectTooLarge:
        return f"the identifier inflates to more than {MAX_BYTES} bytes"
    except Unreadable:
        return ""
    if bytes(view).count(b"\\") > MOST_VALUES:
        return f"the identifier has more than {MOST_VALUES} values"
    encodings = encodings_of(transfer_syntax_uid)
    for encoding in encodings:
        try:
            count = _elements_in(view, encoding)
        except Unreadable:
            continue
        return f"the identifier has more than {MOST_ELEMENTS} elements" if count > MOST_ELEMENTS else ""
    return ""


def _elements_in(view: memoryview, encoding: Encoding) -> int:
    """Elements and items at all levels; the count ends soon after `MOST_ELEMENTS`. Raises Unreadable."""
    count = 0
    levels = [(0, len(view), encoding)]
    while levels and count <= MOST_ELEMENTS:
        start, stop, of_level = levels.pop()
        walker = Walker(view, start, stop, of_level, EVERY_UNBOUNDED)
        is_done = False
        while not is_done and count + len(walker.found) <= MOST_ELEMENTS:
            is_done = walker.go_on(min(walker.position + SLICE_BYTES, stop))
        count += len(walker.found)
        for element in walker.found:
            vr = element.vr if element.vr not in ("", "UN") else vr_for(element.tag)
            if vr != SEQUENCE or element.vr not in SEQUENCE_VRS or count > MOST_ELEMENTS:
                continue
            within = inside(element, of_level)
            for item in items(view, element, within):
                count += 1
                if count > MOST_ELEMENTS:
                    break
                levels.append((item.value, item.stop, within))
    return count


def read_identifier(view: memoryview | bytes, transfer_syntax_uid: str) -> dict[int, Value]:
    """All attributes of an encoded identifier, group lengths left out; texts decoded, padding gone.

    Raises:
        Unreadable: not an identifier in this transfer syntax, or more than is read (`excess`).
    """
    view = memoryview(view)
    too_much = excess(view, transfer_syntax_uid)
    if too_much:
        raise Unreadable(too_much)
    if transfer_syntax_uid in DEFLATED:
        view = inflate(view, MAX_BYTES)
    first, *others = encodings_of(transfer_syntax_uid)
    try:
        return _read(view, 0, len(view), first, charset.DEFAULT, 0)
    except Unreadable:
        for encoding in others:
            try:
                return _read(view, 0, len(view), encoding, charset.DEFAULT, 0)
            except Unreadable:
                continue
        raise


def _read(
    view: memoryview, start: int, stop: int, encoding: Encoding, codecs: charset.Encodings, depth: int
) -> dict[int, Value]:
    if depth > MAX_DEPTH:
        raise Unreadable(f"sequences are nested more than {MAX_DEPTH} levels deep at byte {start}")
    found = walk(view, start, stop, encoding, EVERY_UNBOUNDED)
    for element in found:
        if element.tag == SPECIFIC_CHARACTER_SET:
            codecs = charset.encodings(texts(bytes(view[element.value : element.stop]), "CS", charset.DEFAULT))
            break
    values: dict[int, Value] = {}
    for element in found:
        if element.tag & 0xFFFF and element.tag not in values:
            values[element.tag] = _value(view, element, encoding, codecs, depth)
    return values


def _value(view: memoryview, element: Element, encoding: Encoding, codecs: charset.Encodings, depth: int) -> Value:
    vr = element.vr if element.vr not in ("", "UN") else vr_for(element.tag)
    if vr == SEQUENCE and element.vr in SEQUENCE_VRS:
        within = inside(element, encoding)
        return tuple(
            _read(view, item.value, item.stop, within, codecs, depth + 1) for item in items(view, element, within)
        )
    if element.end != element.stop:
        return ()  # of undefined length, and no sequence
    raw = bytes(view[element.value : element.stop])
    is_big_endian = encoding.is_big_endian and element.vr != "UN"
    if is_bulk(vr):
        return bulk(raw, vr, is_big_endian=is_big_endian)
    return typed(texts(raw, vr, codecs, is_big_endian=is_big_endian), element.tag, vr)


# --- writing ----------------------------------------------------------------------------------------------------


class _Head(NamedTuple):
    """The prepared header that stands before a value."""

    vr: str
    tag_and_vr: bytes
    length: struct.Struct
    padding: bytes
    is_text: bool


@lru_cache(maxsize=8192)
def _head(tag: int, encoding: Encoding, vr: str = "") -> _Head:
    vr = vr or vr_for(tag)
    is_text = vr not in NUMBERS and vr not in ("AT", SEQUENCE)
    return _Head(vr, *prepared_header(encoding, tag, vr), padding_of(vr), is_text)


_OTHER = (b"", None, b"")
"""In place of a header: what is no text is written another way."""
MOST_HEADERS = 1024
"""Headers that an encoder keeps; there is one encoder a request."""


class IdentifierEncoder:
    """Writes identifiers in one transfer syntax, in the character set asked for; where none is, or it cannot write
    them, in the one that they name themselves, which is their source's; then in a larger one.

    `replaced` counts the values that went out otherwise than they are: with ``?`` for what could not be decoded or may
    not stand in their VR, or empty since their VR cannot hold them.

    Args:
        character_sets: Specific Character Set; () for none in particular.
        is_always_declared: they are written also where no value needs them: of a request, they say what answers may
            use.
    """

    def __init__(
        self, transfer_syntax_uid: str, character_sets: Sequence[str] = (), *, is_always_declared: bool = False
    ) -> None:
        self._encoding = encodings_of(transfer_syntax_uid)[0]
        self._headers: dict[int, tuple[bytes, Callable[[int], bytes] | None, bytes]] = {}
        """Tag → header, what writes the length behind it, padding."""
        self._is_deflated = transfer_syntax_uid in DEFLATED
        self.replaced = 0
        self._replaced_in_this = 0
        requested = tuple(character_sets)
        wanted = [requested] if any(requested) and requested != ("ISO_IR 6",) else []
        self._declared = self._text(SPECIFIC_CHARACTER_SET, requested) if wanted and is_always_declared else b""
        self._wanted = wanted

    def __call__(self, attributes: Attributes) -> bytes:
        """The encoded identifier, elements in order of tags. Specific Character Set is set as it is needed, or kept
        where nobody asked for another; a value that its VR cannot hold goes out empty."""
        own = _own_set(attributes)
        declared = self._declared or (self._text(SPECIFIC_CHARACTER_SET, own) if own and not self._wanted else b"")
        try:
            encoded = self._identifier(attributes, charset.DEFAULT, declared)
        except UnicodeError:
            encoded = self._beyond_ascii(attributes, own)
        self.replaced += self._replaced_in_this
        return deflate([encoded]) if self._is_deflated else encoded

    def _beyond_ascii(self, attributes: Attributes, own: tuple[str, ...]) -> bytes:
        for names in dict.fromkeys((*self._wanted, *([own] if own else []), LATIN_1, UTF_8)):
            try:
                return self._identifier(attributes, charset.encodings(names), self._text(SPECIFIC_CHARACTER_SET, names))
            except UnicodeError:
                continue
        raise AssertionError("UTF-8 writes everything")

    def _text(self, tag: int, values: tuple[str, ...]) -> bytes:
        return self._element(tag, values, charset.DEFAULT)

    def _identifier(self, attributes: Attributes, codecs: charset.Encodings, character_set: bytes) -> bytes:
        self._replaced_in_this = 0
        return self._elements(attributes, codecs, character_set)

    def _elements(self, attributes: Attributes, codecs: charset.Encodings, character_set: bytes) -> bytes:
        pieces = []
        headers = self._headers
        for tag in sorted(attributes):
            if tag == SPECIFIC_CHARACTER_SET:
                continue
            value = attributes[tag]
            header, pack, padding = headers.get(tag) or self._header(tag)
            text = value[0] if value else ""
            if pack is None or len(value) > 1 or type(text) is not str or not _is_plain(text):
                pieces.append(self._element(tag, value, codecs))
                continue
            length = len(text)
            if length & 1:
                pieces.append(b"%b%b%b%b" % (header, pack(length + 1), text.encode(), padding))
            else:
                pieces.append(b"%b%b%b" % (header, pack(length), text.encode()))
        if character_set:
            place = sum(tag < SPECIFIC_CHARACTER_SET for tag in attributes)
            pieces.insert(place, character_set)
        return b"".join(pieces)

    def _header(self, tag: int) -> tuple[bytes, Callable[[int], bytes] | None, bytes]:
        """The header of one text in ASCII, the usual value; `_OTHER` where the VR has no text."""
        head = _head(tag, self._encoding)
        header = (head.tag_and_vr, head.length.pack, head.padding) if head.is_text else _OTHER
        if len(self._headers) < MOST_HEADERS:
            self._headers[tag] = header
        return header

    def _element(self, tag: int, value: Value, codecs: charset.Encodings) -> bytes:
        """Raises UnicodeError when `codecs` cannot write it."""
        first = value[0] if value else ""
        if not isinstance(first, str):
            return self._sequence(_head(tag, self._encoding, SEQUENCE), value, codecs)
        head = _head(tag, self._encoding, first.vr if isinstance(first, TypedValue) else "")
        if not value:
            return head.tag_and_vr + head.length.pack(0)
        if head.vr == SEQUENCE:
            return self._sequence(head, value, codecs)
        raw = self._encoded(head, value, codecs)
        try:
            return head.tag_and_vr + head.length.pack(len(raw)) + raw
        except struct.error:  # more than 65534 bytes where the length has 16 bits
            self._replaced_in_this += 1
            return head.tag_and_vr + head.length.pack(0)

    def _encoded(self, head: _Head, value: Value, codecs: charset.Encodings) -> bytes:
        if not head.is_text:
            numbers = _numbers(head.vr, value, is_big_endian=self._encoding.is_big_endian)
            self._replaced_in_this += not numbers and any(value)
            return numbers
        if isinstance(value[0], Bulk):
            raw = value[0].bytes_of(is_big_endian=self._encoding.is_big_endian)
            return padded(raw, "OB")
        text = value[0] if len(value) == 1 else "\\".join(str(each) for each in value)
        assert isinstance(text, str)
        if head.vr not in IN_CHARACTER_SET:
            raw = text.encode("ascii", "replace")
            self._replaced_in_this += not text.isascii()
        elif text.isascii() and "\x1b" not in text:
            raw = text.encode("ascii")
        else:
            writable = _NOT_TEXT.sub("?", text)
            self._replaced_in_this += writable != text
            raw = charset.encode(writable, codecs, is_name=head.vr == "PN")
        return raw if len(raw) % 2 == 0 else raw + head.padding

    def _sequence(self, head: _Head, value: Value, codecs: charset.Encodings) -> bytes:
        pieces = []
        for item in value:
            if isinstance(item, str):
                continue
            content = self._elements(item, codecs, b"")
            pieces.append(item_header(self._encoding, len(content)) + content)
        body = b"".join(pieces)
        return head.tag_and_vr + head.length.pack(len(body)) + body


def _is_plain(text: str) -> bool:
    """True for ASCII that is written as it is, whatever the VR, and fits a length of 16 bits."""
    return text.isascii() and len(text) < LONGEST_SHORT_VALUE and "\x1b" not in text


def _own_set(attributes: Attributes) -> tuple[str, ...]:
    """The Specific Character Set that an identifier came with; () for none, ASCII, and one that nobody knows."""
    if SPECIFIC_CHARACTER_SET not in attributes:
        return ()
    names = all_texts(attributes, SPECIFIC_CHARACTER_SET)
    is_ascii = not any(names) or names in (("ISO_IR 6",), ("ISO 2022 IR 6",))
    return () if is_ascii or not all(name in charset.TERMS for name in names) else names


def _numbers(vr: str, value: Value, *, is_big_endian: bool) -> bytes:
    order = ">" if is_big_endian else "<"
    try:
        if vr == "AT":
            tags = [int(str(each), 16) for each in value]
            return b"".join(struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) for tag in tags)
        read = float if vr in ("FL", "FD") else int
        return b"".join(struct.pack(order + NUMBERS[vr], read(str(each))) for each in value)
    except (ValueError, OverflowError, struct.error):
        return b""


def first_text(attributes: Attributes | QueryItem, tag: int) -> str:
    """The first value of an attribute; empty without one."""
    value = attributes.get(tag, ())
    return value[0] if value and isinstance(value[0], str) else ""


def all_texts(attributes: Attributes | QueryItem, tag: int) -> tuple[str, ...]:
    """The values of an attribute that is no sequence."""
    return tuple(each for each in attributes.get(tag, ()) if isinstance(each, str))

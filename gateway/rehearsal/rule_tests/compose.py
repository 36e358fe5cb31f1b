"""The encoded data set that a test's `attributes:` describe, so that it is scanned like one that arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.dataset import charset
from gateway.dataset.dictionary import (
    PIXEL_REPRESENTATION,
    SEQUENCE,
    SPECIFIC_CHARACTER_SET,
    creator_of,
    is_private,
    is_private_creator,
    name_of,
    private_vr_of,
    vr_of,
)
from gateway.dataset.encode import encode
from gateway.dataset.encoding import DEFLATED, Encoding, deflate, encodings_of
from gateway.dataset.private import with_block
from gateway.dataset.value import BULK, TEXT_WITH_BACKSLASH
from gateway.dataset.writer import element_header, is_too_long, item_header, padded, vr_in_context
from gateway.model.problem import SettingPath
from gateway.ports.errors import Refusal
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.fields import sop_class_uid

WrittenAttributes = Mapping[str, object]
UNKNOWN = "UN"

SOP_CLASS_UID, SOP_INSTANCE_UID = 0x00080016, 0x00080018
DEFAULTS: Mapping[str, str] = {
    "SOPClassUID": "SecondaryCaptureImageStorage",
    "SOPInstanceUID": "1.2.826.0.1.3680043.10.1.3",
    "StudyInstanceUID": "1.2.826.0.1.3680043.10.1.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.10.1.2",
}
"""The values of an object for the attributes that a test does not give."""


class Uncomposable(ValueError):
    """An attribute of a test cannot be encoded; `path` leads to it."""

    def __init__(self, path: SettingPath, message: str) -> None:
        super().__init__(message)
        self.path = path


def compose(attributes: WrittenAttributes, transfer_syntax_uid: str) -> bytes:
    """The data set, elements in order of tags. Values are a text, a number, a list of them, nothing; for sequences one
    mapping or a list of mappings; for binary VRs pairs of hexadecimal digits.

    Raises:
        Uncomposable: an unknown attribute, or a value that it cannot have. For such objects a test names a file.
    """
    encoding = encodings_of(transfer_syntax_uid)[0]
    level = _ComposedLevel(
        {**{key: value for key, value in DEFAULTS.items() if key not in attributes}, **attributes}, encoding
    )
    data = level.encoded(())
    return deflate([data]) if transfer_syntax_uid in DEFLATED else data


class _ComposedLevel:
    """A data set or an item on its way to bytes."""

    def __init__(self, attributes: WrittenAttributes, encoding: Encoding, parent: _ComposedLevel | None = None) -> None:
        self.attributes, self.encoding, self.parent = attributes, encoding, parent
        self.creators: dict[int, str] = {}
        """Private creator elements by tag."""
        self.codecs: charset.Encodings = parent.codecs if parent else charset.DEFAULT
        self.is_signed: bool = parent.is_signed if parent else False

    def encoded(self, path: SettingPath) -> bytes:
        named = self._by_tag(path)
        for tag, (key, value) in named.items():
            if tag == SPECIFIC_CHARACTER_SET:
                self.codecs = charset.encodings(_texts(value, "CS", (*path, key)))
            elif tag == PIXEL_REPRESENTATION:
                self.is_signed = _texts(value, "US", (*path, key)) == ("1",)
        return b"".join(self._element(tag, value, (*path, key)) for tag, (key, value) in sorted(named.items()))

    def _by_tag(self, path: SettingPath) -> dict[int, tuple[str, object]]:
        """Tag → (as it was written, value), with the private creators that the paths name."""
        named: dict[int, tuple[str, object]] = {}
        by_creator: list[tuple[int, str, str, object]] = []
        for key, value in self.attributes.items():
            try:
                parsed = parse(key)
            except ValueError as error:
                raise Uncomposable((*path, key), str(error)) from None
            if parsed.steps:
                raise Uncomposable((*path, key), f"write {key.partition('[')[0]} as a list of mappings, one an item")
            if parsed.creator:
                by_creator.append((parsed.tag, parsed.creator, key, value))
            elif parsed.tag in named:
                raise Uncomposable((*path, key), f"{key} and {named[parsed.tag][0]} are the same attribute")
            else:
                named[parsed.tag] = (key, value)
            if is_private_creator(parsed.tag):
                self.creators[parsed.tag] = str(value)
        for tag, creator, key, value in by_creator:
            block = self._block(tag, creator)
            named[creator_of(with_block(tag, block))] = (key, creator)
            named[with_block(tag, block)] = (key, value)
        return named

    def _block(self, tag: int, creator: str) -> int:
        group = tag & 0xFFFF0000
        for element in range(group + 0x10, group + 0x100):
            if self.creators.setdefault(element, creator) == creator:
                return element & 0xFF
        raise Uncomposable((), f"the private group {group >> 16:04X} is full")

    def _element(self, tag: int, value: object, path: SettingPath) -> bytes:
        vr = self._vr(tag, value)
        if vr == SEQUENCE:
            content = self._items(value, path)
        elif vr in BULK or vr == UNKNOWN:
            content = _binary(value, tag, path)
        else:
            try:
                texts = _texts(value, vr, path)
                if tag == SOP_CLASS_UID and texts:
                    texts = (sop_class_uid(texts[0]),)
                content = encode(texts, vr, self.codecs, is_big_endian=self.encoding.is_big_endian)
            except (Refusal, ValueError) as error:
                raise Uncomposable(path, f"{name_of(tag)}: {error}") from None
        return self._header(tag, vr, len(content), path) + content

    def _vr(self, tag: int, value: object) -> str:
        vr = vr_of(tag)
        if vr is None and is_private(tag):
            vr = private_vr_of(tag, self.creators.get(creator_of(tag), "")) or _guessed(value)
        if vr is None or " or " not in vr:
            return vr or UNKNOWN
        return vr_in_context(vr, lambda: self.is_signed)

    def _items(self, value: object, path: SettingPath) -> bytes:
        items = [value] if isinstance(value, Mapping) else value or []
        if not isinstance(items, Sequence) or not all(isinstance(item, Mapping) for item in items):
            raise Uncomposable(path, "a sequence takes a list of mappings, one an item")
        pieces: list[bytes] = []
        for index, item in enumerate(items):
            at = path if isinstance(value, Mapping) else (*path, index)
            content = _ComposedLevel(item, self.encoding, self).encoded(at)
            pieces += [item_header(self.encoding, len(content)), content]
        return b"".join(pieces)

    def _header(self, tag: int, vr: str, length: int, path: SettingPath) -> bytes:
        if is_too_long(self.encoding, vr, length):
            raise Uncomposable(path, f"{length} bytes are too long for VR {vr}")
        return element_header(self.encoding, tag, vr, length)


def _guessed(value: object) -> str:
    """The VR of a private attribute that no dictionary knows."""
    is_sequence = isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )
    return SEQUENCE if is_sequence else "LO"


def _texts(value: object, vr: str, path: SettingPath) -> tuple[str, ...]:
    """The values as text; () for nothing and for an empty text."""
    if value is None or value == "" or value == []:
        return ()
    several = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(one, Mapping | list | tuple | bool) for one in several):
        raise Uncomposable(path, "expected a text, a number, or a list of them")
    texts = tuple("" if one is None else str(one) for one in several)
    if len(texts) == 1 and vr not in TEXT_WITH_BACKSLASH:
        return tuple(texts[0].split("\\"))
    return texts


def _binary(value: object, tag: int, path: SettingPath) -> bytes:
    try:
        content = bytes.fromhex("" if value is None else str(value))
    except ValueError:
        raise Uncomposable(path, f"{name_of(tag)} is binary: write pairs of hexadecimal digits") from None
    return padded(content, "OB")

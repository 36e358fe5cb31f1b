"""Text of an encoded data set in another Specific Character Set (PS3.3 §C.12.1.1.2), at every level, or not at all.

ASCII keeps its bytes. So do values of unknown VR, which need not be text.
"""

from __future__ import annotations

from gateway.common.plain_text import shown_code
from gateway.dataset import charset
from gateway.dataset.dictionary import SPECIFIC_CHARACTER_SET, name_of
from gateway.dataset.elements import Element
from gateway.dataset.level import EncodedLevel
from gateway.dataset.rewrite import ItemPath, effective_vr, walked
from gateway.dataset.value import IN_CHARACTER_SET, texts
from gateway.dataset.writer import Pieces
from gateway.ports.edits import Recode
from gateway.ports.errors import Refusal

_PAD = " \0"


def recoded(level: EncodedLevel, recode: Recode) -> Pieces | None:
    """All bytes of `level`, a data set or a part of one, of which every element was found; None when nothing changes.

    Raises:
        Refusal: a text is not what its character set says, or cannot be written in the new one. The message names the
            attribute, not its value.
        Unreadable: as `gateway.dataset.rewrite.rewritten`.
    """
    recoding = _Recoding(recode)
    changes = walked(level, recoding, ())
    if SPECIFIC_CHARACTER_SET not in level.first and level.parent is None:
        pieces = level.written(SPECIFIC_CHARACTER_SET, None, recode.to, 0)
        changes += level.placed(SPECIFIC_CHARACTER_SET, pieces)
    if not changes:
        return None
    return level.joined([*changes, *level.lengths(changes)])


class _Recoding:
    """The visitor that `walked` calls for every element."""

    tags: frozenset[int] | None = None

    def __init__(self, recode: Recode) -> None:
        self._to = recode.to
        self._undeclared = recode.undeclared
        self._codecs = charset.encodings(recode.to)

    def __call__(self, level: EncodedLevel, element: Element, path: ItemPath, *, is_sequence: bool) -> Pieces | None:
        if element.tag == SPECIFIC_CHARACTER_SET:
            return self._declared(level, element, path)
        if is_sequence or element.stop == element.value or element.end != element.stop:
            return None
        vr = effective_vr(level, element, is_sequence=False)
        if vr not in IN_CHARACTER_SET:
            return None
        raw = bytes(level.view[element.value : element.stop])
        if raw.isascii() and b"\x1b" not in raw:
            return None
        text = self._text(raw, level, element, is_name=vr == "PN")
        try:
            encoded = charset.encode(text, self._codecs, is_name=vr == "PN")
        except UnicodeError:
            names = "\\".join(self._to)
            raise Refusal(f"{name_of(element.tag)} has characters that {names} cannot write") from None
        encoded += b" " * (len(encoded) % 2)
        if encoded == raw:
            return None
        return [level.header(element.tag, element.vr or vr, len(encoded)) + encoded]

    def _declared(self, level: EncodedLevel, element: Element, path: ItemPath) -> Pieces | None:
        raw = bytes(level.view[element.value : element.stop])
        if texts(raw, "CS", charset.DEFAULT) == self._to:
            return None
        return level.written(element.tag, element, self._to, len(path))

    def _text(self, raw: bytes, level: EncodedLevel, element: Element, *, is_name: bool) -> str:
        names = level.character_set()
        if charset.are_default(names):
            names = self._undeclared
            if not names:
                raise Refusal(
                    f"{name_of(element.tag)} is not ASCII, and the object has no Specific Character Set; say with "
                    "`undeclared` what its text is"
                )
        unknown = charset.unknown(names)
        if unknown:
            raise Refusal(f"{name_of(element.tag)} is in an unknown character set ({shown_code(unknown)})")
        text = charset.decode(raw, charset.encodings(names), is_name=is_name)
        if charset.UNDECODABLE in text:
            raise Refusal(f"{name_of(element.tag)} is not in the object's Specific Character Set ({names[0]})")
        return text.rstrip(_PAD)

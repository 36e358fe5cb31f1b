"""Attribute paths as people write them: a keyword, a tag, or one of them inside sequences.

``PatientName`` · ``00100010`` · ``(0010,0010)`` · ``RequestAttributesSequence[0].ScheduledProcedureStepID`` ·
``ReferencedStudySequence[*].ReferencedSOPInstanceUID``. An index counts items from 0; ``*`` means every item.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache

from pydicom.datadict import keyword_dict

from gateway.dataset.dictionary import SEQUENCE, vr_of
from gateway.model import AttributePath

_STEP = re.compile(
    r"(?P<name>[A-Za-z]\w*|[0-9A-Fa-f]{8}|\(\s*[0-9A-Fa-f]{4}\s*,\s*[0-9A-Fa-f]{4}\s*\))(?:\[(?P<index>\*|\d{1,6})\])?"
)
_OUTSIDE_DATA_SET = {0x0000: "the command set", 0x0002: "the file meta information"}
_NEVER_A_GROUP = frozenset({0x0001, 0x0003, 0x0005, 0x0007, 0xFFFF, 0xFFFE})  # PS3.5 §7.1, §7.8
_INSTEAD = {
    0x00020002: "use the predicate `sop_class`",
    0x00020003: "use SOPInstanceUID",
    0x00020010: "use the predicate `transfer_syntax`",
    0x00020016: "use the predicate `calling_ae_title`",
}
MAX_STEPS = 16
"""Sequence levels that a path may go down."""


def parse(text: str) -> AttributePath:
    """The path that `text` names.

    Raises:
        ValueError: it names none; the message says why and what is close.
    """
    pieces = _split(text)
    if len(pieces) - 1 > MAX_STEPS:
        raise ValueError(f"{text!r} goes down {len(pieces) - 1} sequences; at most {MAX_STEPS} are supported")
    steps = tuple(_sequence_step(piece, text) for piece in pieces[:-1])
    name, index = _match(pieces[-1], text)
    tag = tag_of(name)
    if index is not None:
        raise ValueError(f"{text!r}: {name}[{index}] is an item, not an attribute; add the attribute after it")
    return AttributePath(tag=tag, steps=steps, text=text)


@lru_cache(maxsize=4096)
def tag_of(name: str) -> int:
    """The tag (group << 16 | element) of a keyword or of a written tag, within a data set.

    Raises:
        ValueError: unknown, or not part of a data set.
    """
    tag = keyword_dict.get(name)
    if tag is None:
        digits = re.sub(r"[(),\s]", "", name)
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", digits):
            raise ValueError(f"unknown attribute keyword {name!r}{did_you_mean(name, keyword_dict)}")
        tag = int(digits, 16)
    group = tag >> 16
    if group in _OUTSIDE_DATA_SET:
        instead = f"; {_INSTEAD[tag]}" if tag in _INSTEAD else ""
        raise ValueError(f"{name!r} belongs to {_OUTSIDE_DATA_SET[group]}, not to the data set{instead}")
    if group in _NEVER_A_GROUP:
        raise ValueError(f"{name!r}: group {group:04X} never holds data elements (PS3.5 §7.1)")
    return int(tag)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'X'?)`` when something known is close, else nothing; upper and lower case do not matter."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.7)
    return f" (did you mean {by_folded[close[0]]!r}?)" if close else ""


def _split(text: str) -> list[str]:
    pieces = text.strip().split(".")
    if not all(pieces):
        raise ValueError(f"{text!r} is not an attribute path; write a keyword, a tag, or Sequence[0].Keyword")
    return pieces


def _match(piece: str, text: str) -> tuple[str, str | None]:
    match = _STEP.fullmatch(piece.strip())
    if match is None:
        raise ValueError(
            f"{piece!r} is not an attribute in {text!r}" if piece != text else f"{text!r} is not an attribute"
        )
    return match["name"], match["index"]


def _sequence_step(piece: str, text: str) -> tuple[int, int | None]:
    name, index = _match(piece, text)
    tag = tag_of(name)
    vr = vr_of(tag)
    if vr not in (SEQUENCE, None):
        raise ValueError(f"{text!r}: {name} is not a sequence (its VR is {vr})")
    if index is None:
        raise ValueError(f"{text!r}: say which item of {name}: {name}[0] is the first, {name}[*] is every one")
    return tag, None if index == "*" else int(index)

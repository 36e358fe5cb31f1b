"""The form of a text for a comparison: a part of a person name, without case, without diacritics."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Literal

Component = Literal["family", "given", "middle", "prefix", "suffix"]
Representation = Literal["alphabetic", "ideographic", "phonetic"]
Shape = Callable[[str], str]

COMPONENTS = ("family", "given", "middle", "prefix", "suffix")
"""Components of a person name, in their order (PS3.5 §6.2.1.1)."""
REPRESENTATIONS = ("alphabetic", "ideographic", "phonetic")
"""Component groups of a person name, in their order (PS3.5 §6.2.1.2)."""

_LETTERS = str.maketrans(
    {
        **{"Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Ħ": "H", "ħ": "h"},
        **{"Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Þ": "Th", "þ": "th", "\u0131": "i", "ß": "ss", "ẞ": "SS"},
    }
)
"""Letters whose stroke or ligature Unicode does not take apart."""
MAX_MARKS = 64
_KEPT = "\u3099\u309a"
"""Voicing marks make another syllable of a kana, not the same one with an accent."""


def name_part(text: str, component: Component | None, representation: Representation | None) -> str:
    """One component or component group of a person name; empty when it has none.

    A component alone is the alphabetic one. A group alone comes without delimiters at its end.
    """
    groups = text.split("=")
    index = REPRESENTATIONS.index(representation or "alphabetic")
    group = groups[index] if index < len(groups) else ""
    if component is None:
        return group.strip().rstrip("^").rstrip()
    parts = group.split("^")
    place = COMPONENTS.index(component)
    return parts[place].strip() if place < len(parts) else ""


def without_diacritics(text: str) -> str:
    """``Müller-Łoś`` → ``Muller-Los``: base letters only."""
    if text.isascii():
        return text
    # Before as well, since taking apart sorts the marks behind a letter, which takes the square of their number.
    apart = unicodedata.normalize("NFD", _without_marks(text.translate(_LETTERS)))
    return unicodedata.normalize("NFC", _without_marks(apart))


def _without_marks(text: str) -> str:
    return "".join(one for one in text if one in _KEPT or not unicodedata.combining(one))


def folded(text: str) -> str:
    """The text without the difference of upper and lower case, composed (Unicode NFC).

    A text with more than `MAX_MARKS` marks behind one letter is in no language, and stays composed as it is.
    """
    if text.isascii():
        return text.casefold()
    return text.casefold() if _has_many_marks(text) else unicodedata.normalize("NFC", text.casefold())


def _has_many_marks(text: str) -> bool:
    count = 0
    for one in text if len(text) > MAX_MARKS else "":
        count = count + 1 if unicodedata.combining(one) else 0
        if count > MAX_MARKS:
            return True
    return False


def shape(
    component: Component | None,
    representation: Representation | None,
    *,
    ignore_case: bool,
    ignore_diacritics: bool,
) -> Shape | None:
    """All of it as one function; None when nothing is to be done."""
    steps: list[Shape] = []
    if component or representation:
        steps.append(partial(name_part, component=component, representation=representation))
    if ignore_diacritics:
        steps.append(without_diacritics)
    if ignore_case:
        steps.append(folded)
    if len(steps) < 2:
        return steps[0] if steps else None

    def shaped(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return shaped

"""The data dictionary (PS3.6): lookups by tag, with the rules for private ones (PS3.5 §7.8)."""

from __future__ import annotations

import re
from functools import lru_cache

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, private_dictionary_VR, tag_for_keyword

SEQUENCE = "SQ"
SPECIFIC_CHARACTER_SET = 0x00080005
PIXEL_REPRESENTATION = 0x00280103


def is_private(tag: int) -> bool:
    """True when the group number is odd (PS3.5 §7.8)."""
    return bool(tag >> 16 & 1)


def is_private_creator(tag: int) -> bool:
    """True for (gggg,0010-00FF) of a private group (PS3.5 §7.8.1)."""
    return is_private(tag) and 0x0010 <= tag & 0xFFFF <= 0x00FF


def creator_of(tag: int) -> int:
    """The private creator element that reserves the block of a private tag (PS3.5 §7.8.1)."""
    return tag & 0xFFFF0000 | tag >> 8 & 0xFF


def tag_of(keyword: str) -> int:
    """The tag of a keyword that the dictionary has. Raises KeyError for others."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return int(tag)


@lru_cache(maxsize=8192)
def vr_of(tag: int) -> str | None:
    """The dictionary's VR, ``US or SS`` and the like included; None for private and unknown tags."""
    if is_private_creator(tag):
        return "LO"
    if tag & 0xFFFF == 0:
        return "UL"  # group lengths (PS3.5 §7.2)
    if is_private(tag):
        return None
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return None


LONGEST_CREATOR = 64
"""Private creators are LO (PS3.5 §7.8.1)."""


def private_vr_of(tag: int, creator: str) -> str | None:
    """The VR that a known vendor gives its private attribute; None when nobody told."""
    return _private_vr_of(tag, creator) if len(creator) <= LONGEST_CREATOR else None


@lru_cache(maxsize=1024)
def _private_vr_of(tag: int, creator: str) -> str | None:
    try:
        return str(private_dictionary_VR(tag, creator))
    except KeyError:
        return None


@lru_cache(maxsize=8192)
def vm_of(tag: int) -> str:
    """The dictionary's value multiplicity, as ``1`` or ``2-2n``; ``1-n`` for private and unknown tags."""
    if is_private_creator(tag):
        return "1"
    try:
        return str(dictionary_VM(tag))
    except KeyError:
        return "1-n"


@lru_cache(maxsize=8192)
def takes_count(tag: int, count: int) -> bool:
    """True when an attribute may have `count` values (PS3.5 §6.4); none is always possible."""
    match = re.fullmatch(r"(\d+)(?:-(\d*)(n?))?(?: or 1)?", vm_of(tag))
    if count == 0 or match is None:
        return True
    least, most, is_open = int(match[1]), match[2], match[3]
    if most is None:
        return count == least
    if not is_open:
        return least <= count <= int(most)
    return count >= least and count % int(most or 1) == 0


@lru_cache(maxsize=8192)
def name_of(tag: int) -> str:
    """The keyword of `tag` for messages, or ``(gggg,eeee)`` when it has none."""
    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"

"""Private attributes by creator (PS3.5 §7.8.1): where one object, or one item, has what a path means.

A private creator (gggg,0010-00FF) reserves the block of elements (gggg,bb00-bbFF) whose `bb` is its own number. Another
object may have the same creator in another block, and an item has creators of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from gateway.dataset.dictionary import private_vr_of, vr_of
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal

STAND_IN_BLOCK = 0x10
"""The block in the tag of a path by creator."""
_BLOCKS = range(0x10, 0x100)


def with_block(tag: int, block: int) -> int:
    """The private `tag` in another block."""
    return tag & 0xFFFF00FF | block << 8


def possible_tags(tag: int, creator: str) -> list[int]:
    """The places of `tag`: itself without a creator, else one in every block."""
    return [with_block(tag, block) for block in _BLOCKS] if creator else [tag]


def found_tags(tag: int, creator: str, elements: Iterable[int], value_of: Callable[[int], str]) -> list[int]:
    """The tags that an object may have for the element `tag` of `creator`, one for each block that the creator reserved
    there, those first at which there is an element; none when it reserved no block.

    `elements` are the object's, or at least all its private creators; `value_of` gives a creator's value.
    """
    there = set(elements)
    group = tag & 0xFFFF0000
    creators = sorted(element for element in there if group + 0x10 <= element <= group + 0xFF)
    tags = [with_block(tag, element & 0xFF) for element in creators if value_of(element) == creator]
    return sorted(tags, key=lambda found: found not in there)


def takes_away(edit: Edit) -> bool:
    """True for an edit that is meant for an element in every block of its creator."""
    return edit.value is None or edit.where == "present"


def creators_of_group(tag: int) -> list[int]:
    """Every private creator element that the group of `tag` can have, in order."""
    return [tag & 0xFFFF0000 | block for block in _BLOCKS]


def no_block_left(tag: int) -> Refusal:
    """The refusal when the group of `tag` has no free block."""
    return Refusal(f"group {tag >> 16:04X} has no block left for another private creator")


def here(path: AttributePath, depth: int) -> tuple[int, str]:
    """(tag, creator) of what `path` names at this depth: a sequence it goes into, or the attribute itself."""
    if len(path.steps) == depth:
        return path.tag, path.creator
    return path.steps[depth][0], path.step_creators[depth] if path.step_creators else ""


def placed(path: AttributePath, depth: int, tag: int) -> AttributePath:
    """`path` with the tag that the object has at this depth in place of the one by creator."""
    if len(path.steps) == depth:
        return dataclasses.replace(path, tag=tag, creator="")
    steps = (*path.steps[:depth], (tag, path.steps[depth][1]), *path.steps[depth + 1 :])
    creators = (*path.step_creators[:depth], "", *path.step_creators[depth + 1 :])
    return dataclasses.replace(path, steps=steps, step_creators=creators if any(creators) else ())


def vr_at(path: AttributePath) -> str | None:
    """The dictionary's VR of what the path leads to, private ones of known vendors included; None when nobody knows."""
    return private_vr_of(path.tag, path.creator) if path.creator else vr_of(path.tag)

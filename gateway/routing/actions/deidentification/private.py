"""Private elements that are known to hold nothing that identifies (PS3.15 §E.3.10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.dataset.dictionary import is_private_creator
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import RewriteElement
from gateway.ports.facts import Facts
from gateway.routing.actions.deidentification.rulings import Ruling, Treatment
from gateway.routing.actions.deidentification.tables import Option, safe_private
from gateway.routing.language.attribute_path import parse

MAX_DECLARED: Final = 32
"""Items of Private Data Element Characteristics Sequence (0008,0300) that are read; others declare nothing."""

_CHARACTERISTICS: Final = tuple(
    tuple(
        parse(f"PrivateDataElementCharacteristicsSequence[{index}].{keyword}")
        for keyword in (
            "PrivateGroupReference",
            "PrivateCreatorReference",
            "BlockIdentifyingInformationStatus",
            "NonidentifyingPrivateElements",
        )
    )
    for index in range(MAX_DECLARED)
)
READ: Final[tuple[AttributePath, ...]] = tuple(path for item in _CHARACTERISTICS for path in item)
"""The attributes that `declared` reads."""


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """The private elements that stay, and how."""

    elements: frozenset[tuple[str, int, int]]
    """(private creator, group, element within its block), those that the object declares included."""
    blocks: frozenset[tuple[str, int]]
    """(private creator, group) that the object declares safe as a whole."""
    reserved: frozenset[tuple[str, int]]
    """(private creator, group) of everything that may stay."""
    by_vr: Mapping[str, Ruling]
    """The ruling for those that stay, by VR: UIDs, dates and names are treated as the rest of the object has them."""

    def keeps(self, element: RewriteElement) -> bool:
        """True for a safe element, and for a private creator of one."""
        group, number = element.tag >> 16, element.tag & 0xFFFF
        if is_private_creator(element.tag):
            return any((creator, group) in self.reserved for creator in element.values)
        if (element.private_creator, group) in self.blocks:
            return True
        return (element.private_creator, group, number & 0xFF) in self.elements


def safe_private_of(facts: Facts, options: frozenset[Option]) -> SafePrivate | None:
    """The private elements of an object that stay; None without the option."""
    if "retain-safe-private" not in options:
        return None
    elements, blocks = _declared(facts)
    known = safe_private() | elements if elements else safe_private()
    reserved = blocks | {(creator, group) for creator, group, _element in known}
    return SafePrivate(known, blocks, reserved, by_vr(options))


@lru_cache(maxsize=64)
def by_vr(options: frozenset[Option]) -> Mapping[str, Ruling]:
    """Rulings by VR on attributes that no row of the table names: UIDs, dates, times and names are what the table is
    about. VRs that are not in it stay.
    """
    by_vr = {"PN": Ruling(Treatment.REMOVE)}
    if "retain-uids" not in options:
        by_vr["UI"] = Ruling(Treatment.UID)
    if "retain-longitudinal-modified" in options:
        by_vr |= dict.fromkeys(("DA", "DT"), Ruling(Treatment.SHIFT))
    elif "retain-longitudinal-full" not in options:
        by_vr |= dict.fromkeys(("DA", "DT", "TM"), Ruling(Treatment.REMOVE))
    return by_vr


def _declared(facts: Facts) -> tuple[frozenset[tuple[str, int, int]], frozenset[tuple[str, int]]]:
    """The elements that (0008,0300) calls safe: those of blocks that are MIXED, and blocks that are SAFE (PS3.3
    §C.12.1).
    """
    elements: set[tuple[str, int, int]] = set()
    blocks: set[tuple[str, int]] = set()
    for item in _CHARACTERISTICS:
        groups, creators, statuses, numbers = (facts.values(path) or () for path in item)
        if len(groups) != 1 or len(creators) != 1 or not groups[0].isdecimal():
            continue
        group, creator = int(groups[0]), creators[0]
        if statuses == ("SAFE",):
            blocks.add((creator, group))
        elif statuses == ("MIXED",):
            elements.update((creator, group, int(number) & 0xFF) for number in numbers if number.isdecimal())
    return frozenset(elements), frozenset(blocks)

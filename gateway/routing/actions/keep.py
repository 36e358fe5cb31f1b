"""Actions that say what stays of the whole object: every element, at every level, is decided on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from gateway.dataset.dictionary import (
    PIXEL_REPRESENTATION,
    SPECIFIC_CHARACTER_SET,
    creator_of,
    is_private,
    is_private_creator,
)
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import KEEP, REMOVE, Change, Rewrite, RewriteElement
from gateway.ports.facts import Facts
from gateway.ports.kinds import action
from gateway.routing.actions.deidentification.tables import safe_private
from gateway.routing.language.attribute_path import tag_of
from gateway.routing.language.fields import GroupNumber, PrivateCreator, PrivateElementNumber
from gateway.routing.language.path_selection import problems_of_steps

_NEEDED = """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID SpecificCharacterSet
    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames FrameIncrementPointer FrameTime
    FrameTimeVector Rows Columns PixelAspectRatio BitsAllocated BitsStored HighBit PixelRepresentation
    SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue PixelPaddingRangeLimit ColorSpace
    PixelDataProviderURL
    RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor BluePaletteColorLookupTableDescriptor
    AlphaPaletteColorLookupTableDescriptor PaletteColorLookupTableUID RedPaletteColorLookupTableData
    GreenPaletteColorLookupTableData BluePaletteColorLookupTableData AlphaPaletteColorLookupTableData
    SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData
    SegmentedBluePaletteColorLookupTableData SegmentedAlphaPaletteColorLookupTableData ICCProfile
    LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod BurnedInAnnotation
"""
NEEDED: Final = frozenset(map(tag_of, _NEEDED.split()))
"""The attributes that identify an object, and those without which its texts and pixels cannot be read (PS3.3
§C.7.6.3).
"""
_NEEDED_IN_ITEMS: Final = frozenset({SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION})
_PIXEL_GROUP: Final = 0x7FE0


@action("keep_only")
@dataclass(frozen=True, slots=True)
class KeepOnly:
    """Takes everything out of the object but `attributes` and whole `groups`, sequences with all that is in them.

    A path keeps its sequence with that attribute alone: ``RequestAttributesSequence[*].StudyInstanceUID``. Always kept
    are the UIDs of SOP class, instance, study and series, Specific Character Set, pixel data with the attributes it
    cannot be read without, and the private creators of what is kept.
    """

    example: ClassVar[str] = "keep_only: {attributes: [Modality, StudyDate, PatientID], groups: ['0018', '0028']}"

    attributes_: tuple[AttributePath, ...]
    groups: tuple[GroupNumber, ...] = ()

    def edits(self, facts: Facts) -> Iterable[Rewrite]:
        return (KeptOnly(self.attributes_, frozenset(self.groups)),)

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def problems(self) -> Iterable[SettingProblem]:
        return problems_of_steps(self.attributes_)


@dataclass(frozen=True, slots=True)
class KeptOnly:
    """`gateway.ports.edits.Rewrite` of `keep_only`."""

    paths: tuple[AttributePath, ...]
    groups: frozenset[int]

    @property
    def tags(self) -> frozenset[int] | None:
        return None

    def __call__(self, element: RewriteElement) -> Change:
        top = element.path[0][0] if element.path else element.tag
        group = top >> 16
        is_needed = element.tag in (_NEEDED_IN_ITEMS if element.path else NEEDED) or group == _PIXEL_GROUP
        if is_needed or group in self.groups or any(self._keeps(path, element) for path in self.paths):
            return KEEP
        return REMOVE

    def _keeps(self, path: AttributePath, element: RewriteElement) -> bool:
        way = [*path.steps, (path.tag, None)]
        here = [*element.path, (element.tag, None)]
        for depth, ((wanted, index), (tag, item)) in enumerate(zip(way, here, strict=False)):
            is_last = depth == len(path.steps)
            is_own = depth == len(element.path)
            creator = path.creator if is_last else ""
            if is_own and is_private_creator(tag):
                return self._keeps_creator(wanted, creator, element)
            if is_last and creator:
                matches = self._is_by(wanted, creator, tag, element.private_creator if is_own else None)
            else:
                matches = wanted == tag and (is_own or index in (None, item))
            if not matches:
                return False
            if is_last:
                return True
        return True  # a sequence on the way

    def _keeps_creator(self, wanted: int, creator: str, element: RewriteElement) -> bool:
        if creator:
            return wanted >> 16 == element.tag >> 16 and creator in element.values
        return wanted == element.tag or (is_private(wanted) and creator_of(wanted) == element.tag)

    def _is_by(self, wanted: int, creator: str, tag: int, private_creator: str | None) -> bool:
        return not (wanted ^ tag) & 0xFFFF00FF and private_creator in (creator, None)


@dataclass(frozen=True, slots=True)
class SafePrivateSetting:
    """Private attributes that stay: those of `creator`, or only these `elements` of it, in any group or in `group`."""

    creator: PrivateCreator
    elements: tuple[PrivateElementNumber, ...] | None = None
    group: GroupNumber | None = None

    shorthand: ClassVar[str] = "creator"

    def problems(self) -> Iterable[SettingProblem]:
        if self.group is not None and not self.group & 1:
            yield ("group",), f"group {self.group:04X} is even, and only odd groups are private (PS3.5 §7.8)"

    def keeps(self, creator: str, group: int, element: int | None) -> bool:
        """`element` None asks for the private creator itself."""
        is_here = creator == self.creator and self.group in (None, group)
        return is_here and (element is None or self.elements is None or element in self.elements)


@action("remove_private")
@dataclass(frozen=True, slots=True)
class RemovePrivate:
    """Takes all private attributes out of the object, at every level, but for what `keep` names by private creator:
    the creator's name alone, or with some `elements` of its block and the `group`.

    With `keep_safe` those stay as well that the standard lists as safe (PS3.15 Table E.3.10-1).
    """

    example: ClassVar[str] = """
remove_private:
  keep:
    - Philips PET Private Group
    - {creator: SIEMENS MR HEADER, group: "0019", elements: ["0C", "0D", "0E"]}
"""

    keep: tuple[SafePrivateSetting, ...] = ()
    keep_safe: bool = False

    def edits(self, facts: Facts) -> Iterable[Rewrite]:
        return (PublicOnly(self.keep, self.keep_safe),)

    def attributes(self) -> Iterable[AttributePath]:
        return ()


@dataclass(frozen=True, slots=True)
class PublicOnly:
    """`gateway.ports.edits.Rewrite` of `remove_private`."""

    keep: tuple[SafePrivateSetting, ...]
    is_keeping_safe: bool

    @property
    def tags(self) -> frozenset[int] | None:
        return None

    def __call__(self, element: RewriteElement) -> Change:
        group = element.tag >> 16
        if not group & 1:
            return KEEP
        if is_private_creator(element.tag):
            creator, number = next(iter(element.values), ""), None
        else:
            creator, number = element.private_creator, element.tag & 0xFF
        is_kept = any(safe.keeps(creator, group, number) for safe in self.keep) or self._is_safe(creator, group, number)
        return KEEP if creator and is_kept else REMOVE

    def _is_safe(self, creator: str, group: int, number: int | None) -> bool:
        if not self.is_keeping_safe:
            return False
        if number is None:
            return (creator, group) in _safe_blocks()
        return (creator, group, number) in safe_private()


@lru_cache(maxsize=1)
def _safe_blocks() -> frozenset[tuple[str, int]]:
    return frozenset((creator, group) for creator, group, _number in safe_private())

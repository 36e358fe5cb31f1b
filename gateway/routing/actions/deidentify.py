"""De-identification as an action; what it does to an element is in `gateway.routing.actions.deidentification`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final, Literal

from gateway.dataset.dictionary import name_of
from gateway.dataset.mask import NATIVE_LITTLE_ENDIAN, PixelLayout, Rectangle, painted
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingPath, SettingProblem
from gateway.ports.edits import Alteration, Edit, Repainted
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.ports.kinds import action
from gateway.routing.actions.attributes import problems_of_constants, split
from gateway.routing.actions.deidentification import marks, private
from gateway.routing.actions.deidentification.clean import IDENTIFYING, words_of
from gateway.routing.actions.deidentification.overrides import overrides_of
from gateway.routing.actions.deidentification.rewrite import Deidentification
from gateway.routing.actions.deidentification.rulings import rulings
from gateway.routing.actions.deidentification.tables import Option
from gateway.routing.actions.pseudonym import ISSUER_OF_PATIENT_ID, PATIENT_ID, STUDY_INSTANCE_UID, patient_in
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.fields import RemoveTarget, SecretKey, SetTarget
from gateway.routing.language.pseudonym import MAX_SHIFT_DAYS, shift_days
from gateway.routing.language.template import Template

_OVERLAY_BITS: Final = tuple(parse(f"{group:04X}0100") for group in range(0x6000, 0x6020, 2))
"""Overlay Bits Allocated of each plane: 1, unless the overlay lies in unused bits of the pixels."""
_LAYOUT: Final = {
    name: parse(keyword)
    for name, keyword in (
        ("rows", "Rows"),
        ("columns", "Columns"),
        ("samples", "SamplesPerPixel"),
        ("bits_allocated", "BitsAllocated"),
        ("planar_configuration", "PlanarConfiguration"),
        ("frames", "NumberOfFrames"),
        ("photometric_interpretation", "PhotometricInterpretation"),
    )
}
_SELECTED_BY: Final = {
    name: parse(keyword)
    for name, keyword in (
        ("modality", "Modality"),
        ("manufacturer", "Manufacturer"),
        ("model", "ManufacturerModelName"),
        ("rows", "Rows"),
        ("columns", "Columns"),
    )
}


@dataclass(frozen=True, slots=True)
class Region:
    """Rectangles to paint over in the images that fit: what is given must be equal, upper and lower case alike. Without
    rectangles the images that fit are known to show no text."""

    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    rows: int = 0
    columns: int = 0
    rectangles: tuple[Rectangle, ...] = ()

    def fits(self, facts: Facts) -> bool:
        """True for images that this is about."""
        for name, path in _SELECTED_BY.items():
            wanted = str(getattr(self, name) or "").casefold()
            if wanted and wanted not in [value.casefold() for value in facts.values(path) or ()]:
                return False
        return True


@action("deidentify")
@dataclass(frozen=True, slots=True)
class Deidentify:
    """Takes the identity out of the object by the Basic Application Level Confidentiality Profile of PS3.15 Annex E and
    its options, at every level.

    Attributes that the standard's table names are treated as it says; private ones and curves and overlay planes go. Of
    those that it does not name, person names go, UIDs of instances, dates and times are treated as others of their VR,
    what is not in DICOM's dictionary goes, and the rest stays. UIDs become new ones by `key`, the same in every object.
    Where the table leaves a choice, the Type of the attribute in the object's IOD decides; where that is not known, the
    object stays valid. The object says in (0012,0062) to (0012,0064) and (0028,0303) what was done.

    `retain-longitudinal-modified` moves all dates of a patient by the same number of days out of `shift_days`
    (from, to; never 0), as `shift_date` does with the same key.
    The `clean-…` options keep texts without what identifies: words of the object's own identifying attributes, dates,
    numbers, addresses. Text content items of reports and annotations become dummies; overlays and curves are removed
    even so. An object with Burned In Annotation YES is refused, unless `burned_in_annotation: accept`.

    The site's `keep`, `remove`, `empty` and `replace` win over the table. Without sequences in its path, an attribute
    is meant at every level; `replace` sets it, there already or not, with values as in `set`.

    `clean-pixel-data` paints over the rectangles of every one of `regions` that fits the image, and refuses an image
    that none fits, unless its Burned In Annotation is NO. Pixels are painted in native little endian transfer syntaxes
    only: put a `transcode` before it for others. `clean-recognizable-visual` refuses images unless their Recognizable
    Visual Features is NO.
    """

    example: ClassVar[str] = """
deidentify:
  profile: basic
  options: [retain-device, retain-longitudinal-modified, clean-descriptors]
  key: research
  keep: [PatientSex, PatientAge]
  remove: [ProtocolName]
  replace: {PatientName: Subject, ClinicalTrialSponsorName: A sponsor}
"""

    key: SecretKey
    profile: Literal["basic"] = "basic"
    options: tuple[Option, ...] = ()
    keep: tuple[AttributePath, ...] = ()
    remove: tuple[RemoveTarget, ...] = ()
    empty: tuple[RemoveTarget, ...] = ()
    replace: Mapping[SetTarget, Template] = field(default_factory=dict)
    shift_days: tuple[int, ...] = (-3650, -1)
    burned_in_annotation: Literal["refuse", "accept"] = "refuse"
    regions: tuple[Region, ...] = ()

    def edits(self, facts: Facts) -> Iterable[Alteration]:
        """The rewrite, then the site's replacements, then the marks.

        Raises Refusal for an object that may show identity in its pixels, as far as its attributes tell.
        """
        options = frozenset(self.options)
        repaint = self._repaint(facts)
        rewrite = Deidentification(
            rulings=rulings(options, facts.sop_class_uid),
            overrides=overrides_of(self.keep, self.remove, self.empty),
            key=self.key,
            shift_days=self._shift_days(facts),
            identifying=words_of(value for path in IDENTIFYING for value in facts.values(path) or ()),
            unlisted=private.by_vr(options),
            safe_private=private.safe_private_of(facts, options),
            keeps_uids="retain-uids" in options,
            repaint=repaint,
        )
        replaced = [Edit(path, split(path, template.render(facts))) for path, template in self.replace.items()]
        shown = [Edit(marks.BURNED_IN_ANNOTATION, ("NO",))] if repaint is not None else []
        return [rewrite, *replaced, *shown, *marks.marks(facts, options)]

    def attributes(self) -> Iterable[AttributePath]:
        yield from IDENTIFYING
        yield from marks.READ
        yield from (PATIENT_ID, ISSUER_OF_PATIENT_ID, STUDY_INSTANCE_UID)
        yield from (marks.BURNED_IN_ANNOTATION, marks.RECOGNIZABLE_VISUAL_FEATURES)
        yield from _OVERLAY_BITS
        yield from _LAYOUT.values()
        if self.regions:
            yield from _SELECTED_BY.values()
        if "retain-safe-private" in self.options:
            yield from private.READ
        for template in self.replace.values():
            yield from (path for _name, path in template.attributes)

    def problems(self) -> Iterable[SettingProblem]:
        if {"retain-longitudinal-full", "retain-longitudinal-modified"} <= set(self.options):
            yield ("options",), "retain-longitudinal-full and retain-longitudinal-modified exclude each other"
        days = self.shift_days
        if len(days) != 2 or not -MAX_SHIFT_DAYS <= days[0] <= days[1] <= MAX_SHIFT_DAYS or days == (0, 0):
            yield ("shift_days",), f"expected two numbers of days in order, as [-365, -1], within {MAX_SHIFT_DAYS} days"
        if "clean-pixel-data" in self.options and not self.regions:
            yield ("options",), "clean-pixel-data needs `regions`: the rectangles to paint over"
        if self.regions and "clean-pixel-data" not in self.options:
            yield ("regions",), "regions are painted over by the option clean-pixel-data, which is not chosen"
        yield from _conflicts(
            {"keep": self.keep, "remove": self.remove, "empty": self.empty, "replace": tuple(self.replace)}
        )
        yield from ((("replace", *path), message) for path, message in problems_of_constants(self.replace))

    def _shift_days(self, facts: Facts) -> int:
        least, most = self.shift_days
        return shift_days(self.key, patient_in(facts), (least, most))

    def _repaint(self, facts: Facts) -> Repainted | None:
        """The change of the pixels; None when they stay. Raises Refusal when they may not go on."""
        _refuse_embedded_overlays(facts)
        if not facts.values(_LAYOUT["rows"]):
            return None  # no image
        if "clean-recognizable-visual" in self.options and _text(facts, marks.RECOGNIZABLE_VISUAL_FEATURES) != "NO":
            raise Refusal(
                "the object may show recognizable visual features: Recognizable Visual Features (0028,0302) is not NO"
            )
        burned_in = _text(facts, marks.BURNED_IN_ANNOTATION)
        if "clean-pixel-data" not in self.options:
            if burned_in == "YES" and self.burned_in_annotation == "refuse":
                raise Refusal("the pixels show identifying text: Burned In Annotation (0028,0301) is YES")
            return None
        fitting = [region for region in self.regions if region.fits(facts)]
        if not fitting:
            if burned_in == "NO":
                return None
            raise Refusal("the pixels may show identifying text, and none of the `regions` fits the image")
        rectangles = [rectangle for region in fitting for rectangle in region.rectangles]
        return Repainted(partial(painted, layout=_layout(facts), rectangles=rectangles)) if rectangles else None


def _text(facts: Facts, path: AttributePath) -> str:
    return next(iter(facts.values(path) or ()), "")


def _layout(facts: Facts) -> PixelLayout:
    if facts.transfer_syntax_uid not in NATIVE_LITTLE_ENDIAN:
        raise Refusal(
            f"the pixels cannot be masked in transfer syntax {facts.transfer_syntax_uid}: "
            "put `transcode: {to: [ExplicitVRLittleEndian]}` before"
        )
    number = {name: _text(facts, path) for name, path in _LAYOUT.items()}
    try:
        return PixelLayout(
            rows=int(number["rows"]),
            columns=int(number["columns"] or 0),
            samples=int(number["samples"] or 1),
            bits_allocated=int(number["bits_allocated"] or 0),
            is_planar=number["planar_configuration"] == "1",
            frames=int(number["frames"] or 1),
            photometric_interpretation=number["photometric_interpretation"],
        )
    except ValueError:
        raise Refusal("the pixels cannot be masked: the attributes that describe them are not numbers") from None


def _refuse_embedded_overlays(facts: Facts) -> None:
    """An overlay in unused bits of the pixels (retired, PS3.5-2004 §8.1.2) would stay when its description goes."""
    for path in _OVERLAY_BITS:
        if _text(facts, path) not in ("", "0", "1"):
            raise Refusal(f"an overlay lies in the bits of the pixels, where it cannot be removed ({path.text})")


def _conflicts(lists: Mapping[str, tuple[AttributePath, ...]]) -> Iterable[SettingProblem]:
    """Attributes that the site names twice, and those that say what was done."""
    first: dict[tuple[object, ...], str] = {}
    for setting, paths in lists.items():
        for index, path in enumerate(paths):
            place: SettingPath = (setting, path.text if setting == "replace" else index)
            same = (path.steps, path.tag, path.creator, path.step_creators)
            if path.tag in marks.SET:
                yield place, f"{name_of(path.tag)} says what was done: it is set by `deidentify` itself"
            elif same in first:
                yield place, f"{path.text} is under `{first[same]}` already"
            else:
                first[same] = setting

"""Predicates on the object as a whole: its SOP class, transfer syntax, modality, size and pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NewType

from gateway.common import setting_faults as faults
from gateway.common.quantity import size_bytes
from gateway.common.setting_faults import did_you_mean, unknown_word
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingPath, SettingProblem
from gateway.ports.facts import Facts
from gateway.ports.kinds import Callers, predicate
from gateway.routing import index_keys
from gateway.routing.index_keys import FirstValue, Keys
from gateway.routing.language import sop_groups
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.comparison import BOUNDS, LOWER, STRICT
from gateway.routing.language.fields import FIELD_TYPES, UID_PATTERN, FieldType, TransferSyntaxUID, sop_class_uid
from gateway.routing.language.scale import number
from gateway.routing.language.value_forms import small_letters_fault

MODALITY = parse("Modality")
_FIRST_MODALITY = FirstValue(MODALITY)

SOPClasses = NewType("SOPClasses", frozenset[str])
"""UIDs; written as one keyword, name or UID, or as the name of a group."""
SizeBytes = NewType("SizeBytes", int)


def sop_classes(text: str) -> SOPClasses:
    """Raises ValueError for what is neither a SOP class nor a group of `sop_groups.RULES`."""
    if text in sop_groups.RULES:
        return SOPClasses(sop_groups.group(text))
    try:
        return SOPClasses(frozenset({sop_class_uid(text)}))
    except ValueError:
        near = "" if UID_PATTERN.fullmatch(text) else did_you_mean(text, sop_groups.RULES)
        if not near:
            raise
        raise ValueError(unknown_word("SOP class or group", text, near)) from None


def a_size(text: str) -> SizeBytes:
    """Raises ValueError for what is no size with a unit."""
    try:
        return SizeBytes(size_bytes(text))
    except (ValueError, KeyError):
        raise ValueError(f"{text!r} is not a size such as 500 MB, 1.5 GiB or 0 B") from None


FIELD_TYPES[SOPClasses] = FieldType(
    sop_classes,
    "unknown-sop-class",
    {
        "type": "string",
        "description": "SOP class: keyword, name or UID; or a group: " + ", ".join(sop_groups.RULES),
        "examples": ["CTImageStorage", *list(sop_groups.RULES)[:2]],
    },
)
FIELD_TYPES[SizeBytes] = FieldType(
    a_size, "bad-size", {"type": "string", "description": "Size with its unit: 500 MB, 1.5 GiB"}
)


@predicate("sop_class")
@dataclass(frozen=True, slots=True)
class SOPClass:
    """True when the object's SOP class is one of these: keyword (CTImageStorage), name, UID or group.

    The groups are derived from the dictionary: {groups}.
    """

    example: ClassVar[str] = "sop_class: [images, EncapsulatedPDFStorage]"

    any_of: tuple[SOPClasses, ...]
    _uids: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_uids", frozenset[str]().union(*self.any_of))

    def __call__(self, facts: Facts) -> bool:
        return facts.sop_class_uid in self._uids

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        return (Keys(index_keys.sop_class, self._uids),)

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"the SOP class is {facts.sop_class_uid}"


SOPClass.__doc__ = (SOPClass.__doc__ or "").format(
    groups="; ".join(f"{name} ({words})" for name, (words, _rule) in sop_groups.RULES.items())
)


@predicate("transfer_syntax")
@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """True when the object came in one of these transfer syntaxes: keyword (JPEG2000Lossless), name or UID."""

    example: ClassVar[str] = "transfer_syntax: [ExplicitVRLittleEndian, ImplicitVRLittleEndian]"

    any_of: tuple[TransferSyntaxUID, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.transfer_syntax_uid in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        return (Keys(index_keys.transfer_syntax, frozenset(self.any_of)),)

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"the transfer syntax is {facts.transfer_syntax_uid}"


@predicate("modality")
@dataclass(frozen=True, slots=True)
class Modality:
    """True when Modality (0008,0060) is one of these (case matters)."""

    instead_for_studies: ClassVar[str] = "; write attribute: {select: ModalitiesInStudy, …}"
    example: ClassVar[str] = "modality: [CT, MR]"

    any_of: tuple[str, ...]

    def __call__(self, facts: Facts) -> bool:
        values = facts.values(MODALITY)
        return bool(values) and values[0] in self.any_of  # type: ignore[index]

    def attributes(self) -> Iterable[AttributePath]:
        return (MODALITY,)

    def keys(self) -> Iterable[Keys]:
        return (Keys(_FIRST_MODALITY, frozenset(self.any_of)),)

    def never_holds(self, callers: Callers) -> Iterable[tuple[SettingPath, str]]:
        faults_found = enumerate(small_letters_fault("Modality", text) for text in self.any_of)
        return [((index,), fault) for index, fault in faults_found if fault]

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        values = facts.values(MODALITY)
        return f"Modality is {values[0]!r}" if values else "Modality is absent or empty"


@predicate("size")
@dataclass(frozen=True, slots=True)
class SizeMatch:
    """True when the encoded data set, as it arrived, lies within these bounds: a size in B, kB, MB, GB (powers of 1000)
    or KiB, MiB, GiB (powers of 1024)."""

    example: ClassVar[str] = "size: {more_than: 500 MB}"

    at_least: SizeBytes | None = None
    more_than: SizeBytes | None = None
    at_most: SizeBytes | None = None
    less_than: SizeBytes | None = None

    def __call__(self, facts: Facts) -> bool:
        return is_within(self, facts.length_bytes)

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"the data set has {facts.length_bytes} bytes"

    def problems(self) -> Iterable[SettingProblem]:
        return problems_of_bounds(self, "size")


def is_within(bounds: object, value: float) -> bool:
    """True when `value` fits all of at_least, more_than, at_most and less_than that `bounds` has."""
    return all(test(value, bound) for test, bound, _name in _bounds(bounds))


def problems_of_bounds(bounds: object, name: str) -> Iterable[SettingProblem]:
    """None at all, two on one side, or nothing between them."""
    found = _bounds(bounds)
    if not found:
        yield (), faults.needs(name, ("at_least", "more_than", "at_most", "less_than")).message
    for side in (LOWER, BOUNDS.keys() - LOWER):
        same = [setting for _test, _bound, setting in found if setting in side]
        for extra in same[1:]:
            yield (extra,), f"`{same[0]}` and `{extra}` are the same side; leave one out"
    low = next((one for one in found if one[2] in LOWER), None)
    high = next((one for one in found if one[2] not in LOWER), None)
    if low and high and (low[1] > high[1] or (low[1] == high[1] and {low[2], high[2]} & STRICT)):
        yield (high[2],), f"nothing is {BOUNDS[low[2]][1]} the one and {BOUNDS[high[2]][1]} the other"


def _bounds(settings: object) -> list[tuple[Callable[[Any, Any], bool], float, str]]:
    names = [name for name in BOUNDS if getattr(settings, name, None) is not None]
    return [(BOUNDS[name][0], getattr(settings, name), name) for name in names]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number or a list of them, or bounds."""

    shorthand: ClassVar[str] = "any_of"

    any_of: tuple[int, ...] | None = None
    at_least: int | None = None
    more_than: int | None = None
    at_most: int | None = None
    less_than: int | None = None

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float):
            return False
        return (self.any_of is None or value in self.any_of) and is_within(self, value)

    def problems(self) -> Iterable[SettingProblem]:
        if self.any_of is None:
            yield from problems_of_bounds(self, "this")
        elif _bounds(self):
            yield ("any_of",), "numbers or bounds, not both"


_NUMBERS = {
    "rows": parse("Rows"),
    "columns": parse("Columns"),
    "frames": parse("NumberOfFrames"),
    "bits_allocated": parse("BitsAllocated"),
    "bits_stored": parse("BitsStored"),
    "samples": parse("SamplesPerPixel"),
}
_PHOTOMETRIC = parse("PhotometricInterpretation")


@predicate("pixels")
@dataclass(frozen=True, slots=True)
class Pixels:
    """True when the attributes that describe the pixels are all as asked for; nothing is decoded. False for an object
    without Rows. Each setting takes a number, a list of them, or bounds (at_least, more_than, at_most, less_than).

    rows, columns, frames (1 without Number of Frames), bits_allocated, bits_stored, samples (per pixel), photometric
    (Photometric Interpretation: MONOCHROME2, RGB, …).
    """

    example: ClassVar[str] = "pixels: {frames: {more_than: 1}, bits_allocated: [8, 16], photometric: MONOCHROME2}"

    rows: Numbers | None = None
    columns: Numbers | None = None
    frames: Numbers | None = None
    bits_allocated: Numbers | None = None
    bits_stored: Numbers | None = None
    samples: Numbers | None = None
    photometric: tuple[str, ...] | None = None
    _numbers: tuple[tuple[AttributePath, Numbers], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = [(path, getattr(self, name)) for name, path in _NUMBERS.items()]
        object.__setattr__(self, "_numbers", tuple((path, wanted) for path, wanted in numbers if wanted is not None))

    def __call__(self, facts: Facts) -> bool:
        if not facts.values(_NUMBERS["rows"]):
            return False
        for path, wanted in self._numbers:
            if _number(facts, path) not in wanted:
                return False
        return self.photometric is None or (facts.values(_PHOTOMETRIC) or ("",))[0] in self.photometric

    def attributes(self) -> Iterable[AttributePath]:
        photometric = () if self.photometric is None else (_PHOTOMETRIC,)
        return (_NUMBERS["rows"], *(path for path, _wanted in self._numbers), *photometric)

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        if not facts.values(_NUMBERS["rows"]):
            return "Rows is absent or empty"
        shown = [f"{path.text} {_shown(facts, path)}" for path, _wanted in self._numbers]
        if self.photometric is not None:
            shown.append(f"{_PHOTOMETRIC.text} {(facts.values(_PHOTOMETRIC) or ('absent',))[0]}")
        return ", ".join(shown)

    def problems(self) -> Iterable[SettingProblem]:
        if not self._numbers and self.photometric is None:
            yield (), faults.needs("pixels", (*_NUMBERS, "photometric")).message


def _number(facts: Facts, path: AttributePath) -> int | float | None:
    values = facts.values(path)
    if not values:
        return 1 if path is _NUMBERS["frames"] else None
    return number(values[0])


def _shown(facts: Facts, path: AttributePath) -> str:
    values = facts.values(path)
    if not values:
        return "absent, which is 1" if path is _NUMBERS["frames"] else "absent"
    return values[0][:32] if number(values[0]) is not None else f"{values[0][:32]!r}, not a number"

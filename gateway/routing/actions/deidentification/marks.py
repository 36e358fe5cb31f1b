"""The marks of a de-identified object (PS3.3 §C.7.1.1, §C.12.1; codes of PS3.16 CID 7050)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Edit
from gateway.ports.facts import Facts
from gateway.routing.actions.deidentification.tables import Option, edition
from gateway.routing.language.attribute_path import parse

Code = tuple[str, str, str]
"""Code Value, Coding Scheme Designator, Code Meaning."""

_PROFILE: Final[Code] = ("113100", "DCM", "Basic Application Confidentiality Profile")
_OPTIONS: Final[dict[Option, tuple[str, str]]] = {
    "clean-pixel-data": ("113101", "Clean Pixel Data Option"),
    "clean-recognizable-visual": ("113102", "Clean Recognizable Visual Features Option"),
    "clean-graphics": ("113103", "Clean Graphics Option"),
    "clean-structured-content": ("113104", "Clean Structured Content Option"),
    "clean-descriptors": ("113105", "Clean Descriptors Option"),
    "retain-longitudinal-full": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "retain-longitudinal-modified": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain-device": ("113109", "Retain Device Identity Option"),
    "retain-uids": ("113110", "Retain UIDs Option"),
    "retain-safe-private": ("113111", "Retain Safe Private Option"),
    "retain-institution": ("113112", "Retain Institution Identity Option"),
}

PATIENT_IDENTITY_REMOVED: Final = parse("PatientIdentityRemoved")
METHOD: Final = parse("DeidentificationMethod")
METHOD_CODES: Final = parse("DeidentificationMethodCodeSequence")
TEMPORAL_INFORMATION: Final = parse("LongitudinalTemporalInformationModified")
BURNED_IN_ANNOTATION: Final = parse("BurnedInAnnotation")
RECOGNIZABLE_VISUAL_FEATURES: Final = parse("RecognizableVisualFeatures")

_CODE_PARTS: Final = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_EARLIER_CODES: Final = tuple(parse(f"{METHOD_CODES.text}[*].{part}") for part in _CODE_PARTS)

READ: Final[tuple[AttributePath, ...]] = (METHOD, *_EARLIER_CODES)
"""The attributes that `marks` reads: earlier de-identification stays recorded."""
SET: Final = frozenset(path.tag for path in (PATIENT_IDENTITY_REMOVED, METHOD, METHOD_CODES, TEMPORAL_INFORMATION))
"""The attributes that `marks` always sets; no rule may say otherwise."""


def codes_of(options: Iterable[Option]) -> list[Code]:
    """Codes of CID 7050: the profile, then the options by their code."""
    return [_PROFILE, *sorted((value, "DCM", meaning) for value, meaning in map(_OPTIONS.__getitem__, options))]


def marks(facts: Facts, options: frozenset[Option]) -> Sequence[Edit]:
    """The edits that say it, after all others. The sequence of codes must be gone by then."""
    method = f"PS3.15 {edition().removeprefix('PS3.15 ')} Basic Profile"
    methods = dict.fromkeys((*(facts.values(METHOD) or ()), method))
    edits = [
        Edit(PATIENT_IDENTITY_REMOVED, ("YES",)),
        Edit(METHOD, tuple(text for text in methods if text)),
        Edit(TEMPORAL_INFORMATION, (_temporal(options),)),
    ]
    for index, code in enumerate(dict.fromkeys((*_earlier(facts), *codes_of(options)))):
        for part, text in zip(_CODE_PARTS, code, strict=True):
            edits.append(Edit(parse(f"{METHOD_CODES.text}[{index}].{part}"), (text,)))
    return edits


def _temporal(options: frozenset[Option]) -> str:
    if "retain-longitudinal-full" in options:
        return "UNMODIFIED"
    return "MODIFIED" if "retain-longitudinal-modified" in options else "REMOVED"


def _earlier(facts: Facts) -> Iterable[Code]:
    """Codes of an earlier de-identification; none when they cannot be told apart."""
    parts = [facts.values(path) or () for path in _EARLIER_CODES]
    if len({len(part) for part in parts}) != 1:
        return ()
    return [code for code in zip(*parts, strict=True) if all(code)]

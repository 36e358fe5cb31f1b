"""Groups of storage SOP classes, derived from the UID dictionary (PS3.6 Table A-1) by rules on UIDs and names.

Retired classes are in their groups, since objects of them still arrive. A class may be in several groups, or in none.
Private classes are in none: no dictionary says what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pydicom._uid_dict import UID_dictionary

_STORAGE = "1.2.840.10008.5.1.4.1.1."
"""Root of the storage SOP classes (PS3.4 Table B.5-1)."""

_IMAGES_BY_OTHER_NAMES = frozenset(
    {
        "EnhancedUSVolumeStorage",
        "ParametricMapStorage",
        "SegmentationStorage",
        "RTDoseStorage",
        "OphthalmicThicknessMapStorage",
        "CornealTopographyMapStorage",
        "OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage",
        "DICOS2DAITStorage",
        "DICOS3DAITStorage",
    }
)
"""IODs with pixels (Image Pixel or its floating point kin, PS3.3 Annex A) whose names do not say Image Storage."""

_REPORTS_BY_OTHER_UIDS = frozenset({"SpectaclePrescriptionReportStorage", "MacularGridThicknessAndVolumeReportStorage"})
"""IODs with the SR Document Content Module (PS3.3 §C.17.3) outside …1.1.88."""

GroupRule = Callable[[str, str, str], bool]
"""(UID, name, keyword) → whether the class belongs."""

RULES: dict[str, tuple[str, GroupRule]] = {
    "images": (
        "the name says Image Storage, or the IOD has pixels all the same: segmentations, parametric maps, RT doses",
        lambda uid, name, keyword: "Image Storage" in name or keyword in _IMAGES_BY_OTHER_NAMES,
    ),
    "reports": (
        "structured reports: UIDs below 1.2.840.10008.5.1.4.1.1.88, key object selections too, and two eye reports",
        lambda uid, name, keyword: uid.startswith(f"{_STORAGE}88.") or keyword in _REPORTS_BY_OTHER_UIDS,
    ),
    "dose_reports": (
        "the name says Radiation Dose SR",
        lambda uid, name, keyword: "Radiation Dose SR" in name,
    ),
    "waveforms": (
        "the name says Waveform Storage",
        lambda uid, name, keyword: "Waveform Storage" in name,
    ),
    "presentation_states": (
        "the name says Presentation State",
        lambda uid, name, keyword: "Presentation State" in name,
    ),
    "encapsulated": (
        "the name begins with Encapsulated: PDF, CDA, STL, OBJ, MTL",
        lambda uid, name, keyword: name.startswith("Encapsulated"),
    ),
    "radiotherapy": (
        "UIDs below 1.2.840.10008.5.1.4.1.1.481, and what else begins with RT",
        lambda uid, name, keyword: uid.startswith(f"{_STORAGE}481.") or name.startswith("RT "),
    ),
    "segmentations": (
        "the name says Segmentation",
        lambda uid, name, keyword: "Segmentation" in name,
    ),
    "registrations": (
        "the name says Registration or Fiducials",
        lambda uid, name, keyword: "Registration" in name or "Fiducials" in name,
    ),
    "raw_data": (
        "Raw Data Storage and MR spectra",
        lambda uid, name, keyword: keyword in ("RawDataStorage", "MRSpectroscopyStorage"),
    ),
    "protocols": (
        "the name says Procedure Protocol or Protocol Approval",
        lambda uid, name, keyword: "Procedure Protocol" in name or "Protocol Approval" in name,
    ),
}
"""Group → (its rule in words, its rule)."""


@cache
def group(name: str) -> frozenset[str]:
    """The UIDs of one group of `RULES`; KeyError for another name."""
    _words, belongs = RULES[name]
    return frozenset(
        uid
        for uid, (title, kind, _info, _retired, keyword) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in title and is_composite(uid) and belongs(uid, title, keyword)
    )


def is_composite(uid: str) -> bool:
    """True for composite objects; media, Storage Commitment and print are services with Storage in their names."""
    return uid.startswith("1.2.840.10008.5.1.4.")

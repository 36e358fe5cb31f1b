"""The standard's tables that de-identification rests on, as they stand in this folder.

`table_e1_1.csv` is PS3.15 Table E.1-1, `table_e3_10_1.csv` is Table E.3.10-1; their first line names the edition.
`attribute_types.json` holds, for attributes whose action depends on it, their Type in the top level of each IOD
(PS3.3), by SOP class; the strictest one where modules differ. `tools/confidentiality_tables.py` makes all three.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

Option = Literal[
    "retain-safe-private",
    "retain-uids",
    "retain-device",
    "retain-institution",
    "retain-patient-characteristics",
    "retain-longitudinal-full",
    "retain-longitudinal-modified",
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
    "clean-recognizable-visual",
    "clean-pixel-data",
]
"""Options of the Basic Application Level Confidentiality Profile (PS3.15 §E.3); the last two have no column."""

ActionCode = Literal["D", "Z", "X", "K", "C", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"]
"""PS3.15 Table E.1-1a."""

COLUMNS: Final[tuple[Option, ...]] = (
    "retain-safe-private",
    "retain-uids",
    "retain-device",
    "retain-institution",
    "retain-patient-characteristics",
    "retain-longitudinal-full",
    "retain-longitudinal-modified",
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
)
"""Options with a column, in the table's order."""

CURVES: Final = "(50xx,xxxx)"
OVERLAY_DATA: Final = "(60xx,3000)"
OVERLAY_COMMENTS: Final = "(60xx,4000)"
PRIVATE: Final = "(gggg,eeee) where gggg is odd"
PATTERNS: Final = frozenset({CURVES, OVERLAY_DATA, OVERLAY_COMMENTS, PRIVATE})
"""Rows that stand for more than one tag."""

_TAG = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")
_BLOCK_TAG = re.compile(r"\(([0-9A-F]{4}),xx([0-9A-F]{2})\)")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1."""

    tag: str
    """The tag as the table writes it: ``(0010,0010)``, or one of `PATTERNS`."""
    name: str
    basic: ActionCode
    options: Mapping[Option, ActionCode]
    """Action codes of the options that have one; each overrides `basic` when its option is chosen."""

    @property
    def number(self) -> int:
        """Group << 16 | element. Raises ValueError for a row of `PATTERNS`."""
        return tag_number(self.tag)


def tag_number(text: str) -> int:
    """Group << 16 | element of ``(gggg,eeee)``; raises ValueError for anything else."""
    match = _TAG.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is not one tag")
    return int(match[1] + match[2], 16)


@cache
def rows() -> tuple[Row, ...]:
    """Table E.1-1."""
    return tuple(
        Row(
            tag=record["tag"],
            name=record["name"],
            basic=record["basic"],  # type: ignore[arg-type]  # a test holds the codes
            options={option: record[option] for option in COLUMNS if record[option]},  # type: ignore[misc]
        )
        for record in _records("table_e1_1.csv")
    )


@cache
def edition() -> str:
    """The edition of Table E.1-1, as ``PS3.15 2026c``."""
    return _lines("table_e1_1.csv")[0].removeprefix("# DICOM ").partition(",")[0]


@cache
def safe_private() -> frozenset[tuple[str, int, int]]:
    """Table E.3.10-1: (private creator, group, element within its block)."""
    safe = set()
    for record in _records("table_e3_10_1.csv"):
        match = _BLOCK_TAG.fullmatch(record["tag"])
        assert match is not None, record["tag"]
        safe.add((record["creator"], int(match[1], 16), int(match[2], 16)))
    return frozenset(safe)


@cache
@cache
def typed_sop_classes() -> frozenset[str]:
    """The SOP classes that `types_of` knows."""
    return frozenset(json.loads((files(__package__) / "attribute_types.json").read_text("utf-8"))["sop_classes"])


def types_of(sop_class_uid: str) -> Mapping[int, str]:
    """Attribute Types (PS3.5 §7.4) of tags in the top level of the IOD behind a SOP class: ``1``, ``1C``, ``2``,
    ``2C`` or ``3``. Tags that are not there, and all of an unknown SOP class, have no known Type."""
    data = json.loads((files(__package__) / "attribute_types.json").read_text("utf-8"))
    try:
        position = data["sop_classes"].index(sop_class_uid)
    except ValueError:
        return {}
    types: dict[int, str] = {}
    for tag, by_type in data["types"].items():
        listed = [attribute_type for attribute_type, classes in by_type.items() if position in _listed(classes)]
        otherwise = [attribute_type for attribute_type, classes in by_type.items() if classes == "*"]
        found = (listed or otherwise or [""])[0]
        if found:
            types[tag_number(tag)] = found
    return types


def _listed(classes: object) -> Iterable[int]:
    return classes if isinstance(classes, list) else ()


def _lines(name: str) -> list[str]:
    return (files(__package__) / name).read_text("utf-8").splitlines()


def _records(name: str) -> Iterable[dict[str, str]]:
    return csv.DictReader(line for line in _lines(name) if not line.startswith("#"))

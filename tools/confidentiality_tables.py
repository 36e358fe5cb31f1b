"""Makes the data files of `gateway.routing.actions.deidentification` from the standard's own tables.

    python tools/confidentiality_tables.py profile part15.xml      Tables E.1-1 and E.3.10-1 of PS3.15, in DocBook
    python tools/confidentiality_tables.py types FOLDER            attribute Types, from PS3.3 as JSON

`part15.xml` is what the DICOM web site publishes as DocBook. FOLDER holds `sops.json`, `ciods.json`,
`ciod_to_modules.json` and `module_to_attributes.json`, which the package `dicom-standard` (PyPI) makes of PS3.3; its
edition is told with ``--edition 2020b``. With ``--check`` nothing is written: the exit code is 1 when a file differs.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.routing.actions.deidentification.tables import COLUMNS, PATTERNS, PRIVATE

FOLDER = Path(__file__).parents[1] / "gateway" / "routing" / "actions" / "deidentification"
DOCBOOK = {"d": "http://docbook.org/ns/docbook"}
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
HEADER = ("Attribute Name", "Tag", None, None, "Basic Prof.")
"""The first columns of Table E.1-1; two whose names changed between editions do not matter here."""
DEPENDENT = frozenset({"Z", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"})
"""Action codes that an attribute's Type decides."""
STRICTEST_FIRST = ("1", "1C", "2", "2C", "3")


def edition_of(book: ElementTree.Element) -> str:
    """``PS3.15 2026c`` out of the subtitle; exits when it is another part."""
    subtitle = "".join(book.find("d:subtitle", DOCBOOK).itertext())  # type: ignore[union-attr]
    match = re.search(r"PS3\.15 \d{4}[a-z]", subtitle)
    if match is None:
        sys.exit(f"this is not PS3.15: {subtitle}")
    return match[0]


def table(book: ElementTree.Element, label: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table with a label, as text; exits when there is none."""
    for found in book.iterfind(".//d:table", DOCBOOK):
        if found.get(XML_ID) == f"table_{label}":
            head = found.find("d:thead/d:tr", DOCBOOK)
            assert head is not None
            return cells(head), [cells(row) for row in found.iterfind("d:tbody/d:tr", DOCBOOK)]
    sys.exit(f"there is no Table {label}")


def cells(row: ElementTree.Element) -> list[str]:
    """The texts of a row, white space as one space each."""
    return [" ".join("".join(cell.itertext()).split()) for cell in row]


def profile_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Tag, name, basic code and the options' codes; exits when the table has another form than known."""
    if any(known not in (None, found) for known, found in zip(HEADER, header, strict=False)):
        sys.exit(f"Table E.1-1 has other columns: {header}")
    if len(header) != len(HEADER) + len(COLUMNS):
        sys.exit(f"Table E.1-1 has {len(header)} columns, not {len(HEADER) + len(COLUMNS)}")
    made = []
    for name, tag, _retired, _in_iod, *codes in rows:
        made.append([written(tag), name.partition("(see Note")[0].strip(), *(code.replace(" ", "") for code in codes)])
    return sorted(made, key=lambda row: (row[0] == PRIVATE, row[0]))


def written(tag: str) -> str:
    """A tag in the form of the data files; exits for a pattern that the code does not know."""
    upper = re.sub(r"\(([0-9A-Fa-fXx]{4}),([0-9A-Fa-fXx]{4})\)", lambda match: match[0].upper().replace("X", "x"), tag)
    if upper not in PATTERNS and not re.fullmatch(r"\([0-9A-F]{4},[0-9A-F]{4}\)", upper):
        sys.exit(f"Table E.1-1 has a tag of a new form: {tag}")
    return upper


def safe_rows(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Private creator and tag, each once."""
    found = {(creator, f"{tag[:5].upper()},xx{tag[8:10].upper()})") for tag, creator, *_ in rows}
    return [list(row) for row in sorted(found)]


def as_csv(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """With the title as its first line."""
    out = io.StringIO()
    out.write(f"# {title}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def profile_files(part15: Path) -> dict[str, str]:
    """Name → content of the files that PS3.15 makes."""
    book = ElementTree.parse(part15).getroot()  # noqa: S314  # the standard, from whoever maintains this project
    edition = edition_of(book)
    profile = profile_rows(*table(book, "E.1-1"))
    safe = safe_rows(table(book, "E.3.10-1")[1])
    title = f"DICOM {edition}, Table E.1-1: Application Level Confidentiality Profile Attributes"
    return {
        "table_e1_1.csv": as_csv(title, ("tag", "name", "basic", *COLUMNS), profile),
        "table_e3_10_1.csv": as_csv(
            f"DICOM {edition}, Table E.3.10-1: Safe Private Attributes", ("creator", "tag"), safe
        ),
    }


def types_file(folder: Path, edition: str) -> dict[str, str]:
    """Name → content of the file of attribute Types; for each tag the most common one as ``*``, the others by position
    in the list of SOP classes."""

    def read(name: str) -> list[dict[str, Any]]:
        loaded: list[dict[str, Any]] = json.loads((folder / f"{name}.json").read_text("utf-8"))
        return loaded

    wanted = dependent_tags()
    modules: dict[str, dict[str, str]] = {}
    for entry in read("module_to_attributes"):
        tag = entry["tag"].upper()
        if entry["path"].count(":") == 1 and tag in wanted and entry["type"] in STRICTEST_FIRST:
            keep_strictest(modules.setdefault(entry["moduleId"], {}), tag, entry["type"])
    iods: dict[str, dict[str, str]] = {}
    for entry in read("ciod_to_modules"):
        for tag, attribute_type in modules.get(entry["moduleId"], {}).items():
            keep_strictest(iods.setdefault(entry["ciodId"], {}), tag, attribute_type)
    ids = {entry["name"]: entry["id"] for entry in read("ciods")}
    by_class = {entry["id"]: iods.get(ids[entry["ciod"]], {}) for entry in read("sops")}
    return {"attribute_types.json": as_json(edition, sorted(by_class), by_class, sorted(wanted))}


def dependent_tags() -> frozenset[str]:
    """Those of Table E.1-1 whose action depends on their Type."""
    lines = (FOLDER / "table_e1_1.csv").read_text("utf-8").splitlines()
    records = csv.DictReader(line for line in lines if not line.startswith("#"))
    return frozenset(record["tag"] for record in records if record["basic"] in DEPENDENT)


def keep_strictest(types: dict[str, str], tag: str, attribute_type: str) -> None:
    """A module may ask more of an attribute than another one."""
    types[tag] = min(types.get(tag, "3"), attribute_type, key=STRICTEST_FIRST.index)


def as_json(
    edition: str, classes: Sequence[str], by_class: Mapping[str, Mapping[str, str]], tags: Iterable[str]
) -> str:
    """One line a tag, so that a change can be read."""
    lines = []
    for tag in tags:
        positions: dict[str, list[int]] = {}
        for position, uid in enumerate(classes):
            positions.setdefault(by_class[uid].get(tag, ""), []).append(position)
        common = max(positions, key=lambda attribute_type: len(positions[attribute_type]))
        entry: dict[str, object] = {common: "*"} if common else {}
        entry |= {found: positions[found] for found in sorted(positions) if found != common}
        if entry:
            lines.append(f"    {json.dumps(tag)}: {json.dumps(entry)}")
    listed = ",\n".join(lines)
    return (
        f'{{\n  "edition": "PS3.3 {edition}",\n  "sop_classes": {json.dumps(list(classes))},\n'
        f'  "types": {{\n{listed}\n  }}\n}}\n'
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("profile", "types"))
    parser.add_argument("source", type=Path)
    parser.add_argument("--edition", default="2020b", help="of PS3.3, for `types`")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the data files lie")
    parser.add_argument("--check", action="store_true", help="compare only")
    given = parser.parse_args(arguments)
    files = profile_files(given.source) if given.what == "profile" else types_file(given.source, given.edition)
    differing = 0
    for name, content in files.items():
        place = given.folder / name
        if given.check and (not place.exists() or place.read_text("utf-8") != content):
            print(f"{place} differs")
            differing = 1
        if not given.check:
            place.write_text(content, "utf-8")
    return differing


if __name__ == "__main__":
    sys.exit(main())

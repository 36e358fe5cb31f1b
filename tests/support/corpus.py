"""Real DICOM files that installed packages ship; nothing is downloaded."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

_FOLDERS = (("pydicom", "data/test_files"), ("pydicom", "data/charset_files"), ("data_store", "data"))


@dataclass(frozen=True, slots=True)
class Part10:
    """A Part 10 file, taken apart: its identifiers and the bytes of its data set."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


@functools.cache
def corpus() -> tuple[Path, ...]:
    """Every file of pydicom's test files and of pydicom-data with a name of DICOM files, in a fixed order."""
    found: list[Path] = []
    for package, folder in _FOLDERS:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        root = Path(spec.origin).parent / folder
        found += [path for path in sorted(root.rglob("*")) if path.is_file() and _looks_like_dicom(path)]
    return tuple(found)


def _looks_like_dicom(path: Path) -> bool:
    if path.suffix in (".dcm", ".DCM") or path.name == "DICOMDIR" or path.name.startswith("DICOMDIR"):
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_part10(path: Path) -> Part10:
    """Split a Part 10 file at the end of its file meta information (PS3.10 §7.1).

    Raises:
        ValueError: no preamble, or file meta information without the identifiers that C-STORE needs.
    """
    content = path.read_bytes()
    if content[128:132] != b"DICM":
        raise ValueError("no Part 10 file: no DICM after the preamble")
    meta: dict[int, str] = {}
    position = 132
    while content[position : position + 2] == b"\x02\x00":
        tag = int.from_bytes(content[position + 2 : position + 4], "little")
        vr = content[position + 4 : position + 6]
        if vr in (b"OB", b"UN", b"OW", b"UT"):
            start = position + 12
            length = int.from_bytes(content[position + 8 : start], "little")
        else:
            start = position + 8
            length = int.from_bytes(content[position + 6 : start], "little")
        if vr == b"UI":
            meta[tag] = content[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        position = start + length
    if not {0x0002, 0x0003, 0x0010} <= meta.keys():
        raise ValueError("file meta information lacks SOP Class UID, SOP Instance UID or Transfer Syntax UID")
    return Part10(path, meta[0x0002], meta[0x0003], meta[0x0010], content[position:])


def transfer_syntax_name(uid: str) -> str:
    """Name of a transfer syntax, or the UID itself when it is unknown."""
    return str(UID(uid).name)

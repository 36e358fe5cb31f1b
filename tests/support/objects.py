"""DICOM files from a few attributes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.rehearsal.rule_tests.compose import DEFAULTS, compose

EXPLICIT = "1.2.840.10008.1.2.1"


def write_part10(path: Path, attributes: Mapping[str, object], transfer_syntax_uid: str = EXPLICIT) -> Path:
    """A DICOM file (PS3.10 §7.1) of an object as tests of rules describe it."""
    uid = f"{transfer_syntax_uid}\0" if len(transfer_syntax_uid) % 2 else transfer_syntax_uid
    sop_class = b"1.2.840.10008.5.1.4.1.1.7\0"
    sop_instance = str({**DEFAULTS, **attributes}["SOPInstanceUID"]).encode()
    sop_instance += b"\0" * (len(sop_instance) % 2)
    elements = ((2, sop_class), (3, sop_instance), (0x10, uid.encode()))
    meta = b"".join(
        b"\2\0" + number.to_bytes(2, "little") + b"UI" + len(value).to_bytes(2, "little") + value
        for number, value in elements
    )
    path.write_bytes(bytes(128) + b"DICM" + meta + compose(attributes, transfer_syntax_uid))
    return path

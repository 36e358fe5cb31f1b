"""Data sets that break the standard, each in one way, as senders have been seen to write them.

They are put together from bytes, without the gateway's own code.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
LONG_VRS = frozenset({"OB", "OW", "SQ", "UN", "UT"})
ITEM_END, SEQUENCE_END = b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
PATIENT_AGE, METHOD_CODES = 0x00101010, 0x00120064
BEHIND = 0xFFFFFFFF
"""Sorts behind all elements."""
UID_ROOT = "1.2.826.0.1.3680043.10.543.9."


@dataclass(frozen=True, slots=True)
class OddObject:
    """One data set. `kinds` are the rows of `gateway.leniency` that taking it uses, in the order of their names."""

    name: str
    data: bytes
    transfer_syntax_uid: str
    kinds: tuple[str, ...]
    sop_instance_uid: str
    sop_class_uid: str = CT_IMAGE


def explicit(tag: int, vr: str, value: bytes = b"", *, has_long_length: bool | None = None) -> bytes:
    """An element; nothing is padded."""
    is_long = vr in LONG_VRS if has_long_length is None else has_long_length
    length = struct.pack("<HL", 0, len(value)) if is_long else struct.pack("<H", len(value))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("latin-1") + length + value


def implicit(tag: int, value: bytes = b"") -> bytes:
    """An element; nothing is padded."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def item(content: bytes) -> bytes:
    """An item of defined length."""
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content


def item_without_length(content: bytes) -> bytes:
    """An item of undefined length, in a sequence of undefined length; without its delimiter."""
    return b"\xfe\xff\x00\xe0" + b"\xff" * 4 + content + ITEM_END


def base(uid: str, *, is_implicit: bool = False) -> dict[int, bytes]:
    """A small CT image's elements by tag."""
    texts = {
        0x00080016: ("UI", CT_IMAGE),
        0x00080018: ("UI", uid),
        0x00080020: ("DA", "20260102"),
        0x00080060: ("CS", "CT"),
        0x00080090: ("PN", "Ref^Physician"),
        0x00100010: ("PN", "Doe^Jane"),
        0x00100020: ("LO", "PID1"),
        0x0020000D: ("UI", UID_ROOT + "1"),
        0x0020000E: ("UI", UID_ROOT + "2"),
    }
    made = {}
    for tag, (vr, text) in texts.items():
        value = text.encode() + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)
        made[tag] = implicit(tag, value) if is_implicit else explicit(tag, vr, value)
    return made


CODE = explicit(0x00080100, "SH", b"113100") + explicit(0x00080102, "SH", b"DCM ")
IMPLICIT_CODE = implicit(0x00080100, b"113100") + implicit(0x00080102, b"DCM ")
ODD_VRS = {
    "two spaces": "  ",
    "NULs": "\0\0",
    "question marks": "??",
    "minus signs": "--",
    "small letters": "ob",
    "FF": "\xff\xff",
    "digit": "1 ",
}


def _undefined(tag: int, content: bytes) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"SQ\0\0" + b"\xff" * 4 + content + SEQUENCE_END


def _in_explicit() -> dict[str, tuple[tuple[str, ...], dict[int, bytes]]]:
    """name → (rows, elements over those of `base`)."""
    found: dict[str, tuple[tuple[str, ...], dict[int, bytes]]] = {"nothing odd": ((), {})}
    for name, vr in ODD_VRS.items():
        odd = explicit(PATIENT_AGE, vr, b"012Y", has_long_length=False)
        code = explicit(0x00080100, vr, b"113100", has_long_length=False) + explicit(0x00080102, "SH", b"DCM ")
        found[f"VR of {name}"] = (("unknown_vr",), {PATIENT_AGE: odd})
        found[f"VR of {name}, empty"] = (
            ("unknown_vr",),
            {PATIENT_AGE: explicit(PATIENT_AGE, vr, has_long_length=False)},
        )
        found[f"VR of {name} in an item"] = ((), {METHOD_CODES: explicit(METHOD_CODES, "SQ", item(code))})
        found[f"VR of {name} in an item without length"] = (
            ("unknown_vr",),
            {METHOD_CODES: _undefined(METHOD_CODES, item_without_length(code))},
        )
    future = explicit(PATIENT_AGE, "XY", b"012Y", has_long_length=True)
    found["VR of the future"] = (("unknown_vr",), {PATIENT_AGE: future})
    meta = explicit(0x00020010, "UI", EXPLICIT.encode() + b"\0")
    odd_age = explicit(PATIENT_AGE, "AS", b"12Y")
    sequences = {
        "end of a sequence inside": item(CODE) + SEQUENCE_END,
        "end of an item inside": item(CODE + ITEM_END),
        "both ends inside": item(CODE + ITEM_END) + SEQUENCE_END,
        "text in a sequence": b"113100 Basic Profile",
    }
    found |= {name: ((), {METHOD_CODES: explicit(METHOD_CODES, "SQ", value)}) for name, value in sequences.items()}
    return found | {
        "end of an item behind": (("stray_item_end",), {BEHIND: ITEM_END}),
        "ends of an item and a sequence behind": (("stray_item_end",), {BEHIND: ITEM_END + SEQUENCE_END}),
        "zeros behind": (("zeros_behind",), {BEHIND: bytes(100)}),
        "two zeros behind": (("zeros_behind",), {BEHIND: bytes(2)}),
        "end of an item and zeros behind": (("stray_item_end", "zeros_behind"), {BEHIND: ITEM_END + bytes(10)}),
        "odd last value": (("odd_length",), {0x7FE00010: explicit(0x7FE00010, "OB", bytes(range(1, 16)))}),
        "odd value": (("odd_length",), {PATIENT_AGE: odd_age}),
        "odd value and a zero behind": (("zeros_behind",), {PATIENT_AGE: odd_age, BEHIND: b"\0"}),
        "two odd values": ((), {PATIENT_AGE: odd_age, 0x00081030: explicit(0x00081030, "LO", b"abc")}),
        "group 0002": (("file_meta_in_data_set",), {0x00020010: meta}),
        "group 0002 with its length": (
            ("file_meta_in_data_set",),
            {0x00020000: explicit(0x00020000, "UL", struct.pack("<L", len(meta))), 0x00020010: meta},
        ),
        "group 0002 in the middle": ((), {0x00100021: meta}),
        "an attribute twice": ((), {0x00100021: explicit(0x00100020, "LO", b"PID2")}),
        "text in UN of a sequence": ((), {METHOD_CODES: explicit(METHOD_CODES, "UN", b"113100 Basic Profile")}),
    }


def _in_implicit() -> dict[str, tuple[tuple[str, ...], dict[int, bytes]]]:
    sequences = {
        "end of a sequence inside": item(IMPLICIT_CODE) + SEQUENCE_END,
        "end of an item inside": item(IMPLICIT_CODE + ITEM_END),
        "only the end of a sequence inside": SEQUENCE_END,
        "text in a sequence": b"113100 Basic Profile",
        "short text in a sequence": b"Yes ",
    }
    found: dict[str, tuple[tuple[str, ...], dict[int, bytes]]] = {
        name: ((), {METHOD_CODES: implicit(METHOD_CODES, value)}) for name, value in sequences.items()
    }
    return found | {
        "nothing odd": ((), {}),
        "end of an item behind": (("stray_item_end",), {BEHIND: ITEM_END}),
        "zeros behind": (("zeros_behind",), {BEHIND: bytes(8)}),
        "odd last value": (("odd_length",), {0x7FE00010: implicit(0x7FE00010, bytes(range(1, 16)))}),
        "odd value": (("odd_length",), {PATIENT_AGE: implicit(PATIENT_AGE, b"12Y")}),
        "group 0002": (("file_meta_in_data_set",), {0x00020010: implicit(0x00020010, IMPLICIT.encode() + b"\0")}),
    }


DEFLATED = "1.2.840.10008.1.2.1.99"


def _in_deflated() -> Iterator[tuple[str, tuple[str, ...], dict[int, bytes], bytes]]:
    """Name, rows, elements over those of `base`, and bytes behind the deflate stream."""
    yield "nothing odd (deflated)", (), {}, b""
    yield "two zeros behind (deflated)", ("zeros_behind",), {}, bytes(2)
    yield "many zeros behind (deflated)", ("zeros_behind",), {}, bytes(70_000)
    for name in ("VR of two spaces", "end of an item behind", "odd last value"):
        rows, elements = _in_explicit()[name]
        yield f"{name} (deflated)", tuple(row for row in rows if row != "odd_length"), elements, b""


def odd_objects() -> list[OddObject]:
    """All of them, each under a SOP Instance UID of its own."""
    found: list[OddObject] = []
    for syntax, name_of, variants in ((EXPLICIT, "{}", _in_explicit()), (IMPLICIT, "{} (implicit)", _in_implicit())):
        for name, (kinds, more) in variants.items():
            uid = f"{UID_ROOT}3.{len(found) + 1}"
            parts = base(uid, is_implicit=syntax == IMPLICIT) | more
            data = b"".join(parts[tag] for tag in sorted(parts))
            found.append(OddObject(name_of.format(name), data, syntax, tuple(sorted(kinds)), uid))
    return found


def deflated_objects() -> list[OddObject]:
    """Deflated data sets that are odd, inside the stream or behind it, each under a SOP Instance UID of its own."""
    found: list[OddObject] = []
    for name, rows, elements, behind in _in_deflated():
        uid = f"{UID_ROOT}4.{len(found) + 1}"
        parts = base(uid, is_implicit=False) | elements
        stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = stream.compress(b"".join(parts[tag] for tag in sorted(parts))) + stream.flush()
        found.append(OddObject(name, data + bytes(len(data) % 2) + behind, DEFLATED, rows, uid))
    return found

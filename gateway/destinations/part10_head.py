"""The head of a DICOM file: preamble, prefix and File Meta Information (PS3.10 §7.1), written by hand."""

from __future__ import annotations

import struct

from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.writer import element_header, padded

GROUP = 0x0002
PREAMBLE = bytes(128) + b"DICM"
_GROUP_LENGTH_BYTES = 12
HEAD_BYTES = len(PREAMBLE) + _GROUP_LENGTH_BYTES


def file_meta(
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    implementation_class_uid: str,
    implementation_version_name: str,
    source_ae_title: str,
) -> bytes:
    """Everything before the data set: explicit VR little endian, File Meta Information Group Length right."""
    elements = [
        _element(0x0001, "OB", b"\x00\x01"),
        _text(0x0002, "UI", sop_class_uid),
        _text(0x0003, "UI", sop_instance_uid),
        _text(0x0010, "UI", transfer_syntax_uid),
        _text(0x0012, "UI", implementation_class_uid),
        _text(0x0013, "SH", implementation_version_name[:16]),
    ]
    if source_ae_title:
        elements.append(_text(0x0016, "AE", source_ae_title))
    group = b"".join(elements)
    return PREAMBLE + _element(0x0000, "UL", struct.pack("<L", len(group))) + group


def data_set_offset(head: bytes) -> int | None:
    """The offset of the data set of a DICOM file, from its first `HEAD_BYTES` bytes; None when it is no DICOM file."""
    if len(head) < HEAD_BYTES or head[128:132] != b"DICM" or head[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        return None
    (length,) = struct.unpack_from("<L", head, 140)
    return HEAD_BYTES + int(length)


def _text(element: int, vr: str, value: str) -> bytes:
    return _element(element, vr, padded(value.encode("ascii", "replace"), vr))


def _element(element: int, vr: str, value: bytes) -> bytes:
    return element_header(EXPLICIT_LITTLE, GROUP << 16 | element, vr, len(value)) + value

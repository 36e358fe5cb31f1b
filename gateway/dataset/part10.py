"""DICOM files (PS3.10 §7.1): where the data set begins, what it is, and its bytes as they stand in the file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import Unreadable

PREAMBLE_BYTES = 128
PREFIX = b"DICM"
FILE_META_LIMIT_BYTES = 1024 * 1024
LONG_VRS = frozenset({b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR"})
MEDIA_STORAGE_SOP_CLASS, MEDIA_STORAGE_SOP_INSTANCE, TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
IDENTIFIERS = (AttributePath(0x00080016), AttributePath(0x00080018))


class FileBody:
    """The data set of a DICOM file as `EncodedDataSet`; the file is mapped when all of it is wanted, else read."""

    def __init__(self, path: Path, offset_bytes: int) -> None:
        self._path = path
        self._offset_bytes = offset_bytes
        self._file = path.open("rb")
        self._map: mmap.mmap | None = None
        self.length_bytes = path.stat().st_size - offset_bytes

    def view(self) -> memoryview:
        if not self.length_bytes:
            return memoryview(b"")
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(self._map)[self._offset_bytes :]

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        self._file.seek(self._offset_bytes)
        while chunk := self._file.read(size_bytes):
            yield chunk

    def close(self) -> None:
        self._file.close()  # the map goes with its last view


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A DICOM file that can be sent."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset_bytes: int
    """The offset at which the data set begins."""

    def open(self) -> FileBody:
        """The data set of the file. Raises OSError."""
        return FileBody(self.path, self.offset_bytes)


def is_dicom_file(path: Path) -> bool:
    """True when `path` has the prefix of a DICOM file. Raises OSError."""
    with path.open("rb") as file:
        return file.read(PREAMBLE_BYTES + len(PREFIX))[PREAMBLE_BYTES:] == PREFIX


def read_dicom_file(path: Path) -> DicomFile:
    """The file with its identifiers: the data set's own, or the file meta information's where it cannot be read.

    Raises:
        Unreadable: it is no DICOM file, or lacks what C-STORE needs.
        OSError
    """
    with path.open("rb") as file:
        head = file.read(FILE_META_LIMIT_BYTES)
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + len(PREFIX)] != PREFIX:
        raise Unreadable(f"{path} is no DICOM file: no DICM after the preamble")
    meta, offset_bytes = _file_meta(head)
    transfer_syntax = meta.get(TRANSFER_SYNTAX, "")
    if not transfer_syntax:
        raise Unreadable(f"{path} does not name its transfer syntax")
    own_class, own_instance = _own_identifiers(path, offset_bytes, transfer_syntax)
    sop_class = own_class or meta.get(MEDIA_STORAGE_SOP_CLASS, "")
    sop_instance = own_instance or meta.get(MEDIA_STORAGE_SOP_INSTANCE, "")
    if MEDIA_STORAGE_DIRECTORY in (sop_class, meta.get(MEDIA_STORAGE_SOP_CLASS)):
        raise Unreadable(f"{path} is a DICOMDIR, which is not sent")
    if not sop_class or not sop_instance:
        raise Unreadable(f"{path} has no SOP Class UID or no SOP Instance UID")
    return DicomFile(path, sop_class, sop_instance, transfer_syntax, offset_bytes)


def data_set_of(data: bytes) -> tuple[memoryview, str]:
    """The data set of a DICOM file, or `data` itself where it is none, and its transfer syntax, which is Implicit VR
    Little Endian where nothing names one. For small ones, such as identifiers. Raises Unreadable."""
    if data[PREAMBLE_BYTES : PREAMBLE_BYTES + len(PREFIX)] != PREFIX:
        return memoryview(data), IMPLICIT_VR_LITTLE_ENDIAN
    meta, offset_bytes = _file_meta(data)
    return memoryview(data)[offset_bytes:], meta.get(TRANSFER_SYNTAX) or IMPLICIT_VR_LITTLE_ENDIAN


def _own_identifiers(path: Path, offset_bytes: int, transfer_syntax_uid: str) -> tuple[str, str]:
    body = FileBody(path, offset_bytes)
    try:
        scanned = scan(body.view(), transfer_syntax_uid, wanted(IDENTIFIERS))
        sop_class, sop_instance = (scanned.values(attribute) or ("",) for attribute in IDENTIFIERS)
    except Unreadable:
        return "", ""
    finally:
        body.close()
    return sop_class[0], sop_instance[0]


def _file_meta(head: bytes) -> tuple[dict[int, str], int]:
    """UIDs by element number of group 0002 (Explicit VR Little Endian), and where the group ends."""
    found: dict[int, str] = {}
    position = PREAMBLE_BYTES + len(PREFIX)
    while head[position : position + 2] == b"\x02\x00":
        element, vr = int.from_bytes(head[position + 2 : position + 4], "little"), head[position + 4 : position + 6]
        start, width = (position + 12, 4) if vr in LONG_VRS else (position + 8, 2)
        length = int.from_bytes(head[start - width : start], "little")
        if start + length > len(head):
            raise Unreadable("the file meta information is cut off")
        if vr == b"UI":
            found[element] = head[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        position = start + length
    return found, position

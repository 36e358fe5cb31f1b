"""The objects that the benchmarks send: MR images in Explicit VR Little Endian with a header of usual length."""

from __future__ import annotations

import hashlib
import random
import struct
from dataclasses import dataclass, replace

from tests.support.load.wire import EXPLICIT_VR_LITTLE_ENDIAN, UID_LENGTH, instance_uid

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
_STUDY, _SERIES = b"2.25.1000000000000000000001", b"2.25.1000000000000000000002"
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")

_HEADER: tuple[tuple[int, bytes, bytes], ...] = (
    (0x00080005, b"CS", b"ISO_IR 100"),
    (0x00080008, b"CS", b"ORIGINAL\\PRIMARY\\M\\SE"),
    (0x00080012, b"DA", b"20240131"),
    (0x00080013, b"TM", b"101500"),
    (0x00080016, b"UI", MR_IMAGE_STORAGE.encode()),
    (0x00080018, b"UI", instance_uid(0, 0)),
    (0x00080020, b"DA", b"20240131"),
    (0x00080030, b"TM", b"100000.000000"),
    (0x00080050, b"SH", b"A20240131"),
    (0x00080060, b"CS", b"MR"),
    (0x00080070, b"LO", b"Maker of Scanners"),
    (0x00080080, b"LO", b"North Hospital"),
    (0x00080090, b"PN", b"Referring^Doctor"),
    (0x00081010, b"SH", b"MR1"),
    (0x00081030, b"LO", b"Head routine"),
    (0x0008103E, b"LO", b"t1 se sag"),
    (0x00081090, b"LO", b"Model 1"),
    (0x00100010, b"PN", b"Benchmark^Object"),
    (0x00100020, b"LO", b"BENCH-0001"),
    (0x00100030, b"DA", b"19700101"),
    (0x00100040, b"CS", b"O"),
    (0x00180015, b"CS", b"HEAD"),
    (0x00180020, b"CS", b"SE"),
    (0x00180050, b"DS", b"5.0"),
    (0x00180080, b"DS", b"500.0"),
    (0x00180081, b"DS", b"12.0"),
    (0x00180087, b"DS", b"1.5"),
    (0x00181030, b"LO", b"t1_se"),
    (0x0020000D, b"UI", _STUDY),
    (0x0020000E, b"UI", _SERIES),
    (0x00200010, b"SH", b"1"),
    (0x00200011, b"IS", b"1"),
    (0x00200013, b"IS", b"1"),
    (0x00200032, b"DS", b"-120.0\\-110.5\\32.25"),
    (0x00200037, b"DS", b"1.0\\0.0\\0.0\\0.0\\1.0\\0.0"),
    (0x00200052, b"UI", b"2.25.1000000000000000000003"),
    (0x00280002, b"US", struct.pack("<H", 1)),
    (0x00280004, b"CS", b"MONOCHROME2"),
    (0x00280010, b"US", struct.pack("<H", 64)),
    (0x00280011, b"US", struct.pack("<H", 64)),
    (0x00280030, b"DS", b"0.9765625\\0.9765625"),
    (0x00280100, b"US", struct.pack("<H", 16)),
    (0x00280101, b"US", struct.pack("<H", 12)),
    (0x00280102, b"US", struct.pack("<H", 11)),
    (0x00280103, b"US", struct.pack("<H", 0)),
    (0x00281050, b"DS", b"600"),
    (0x00281051, b"DS", b"1200"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """An encoded data set with a place for the SOP Instance UID."""

    data_set: bytes
    uid_at: int
    sop_class_uid: str = MR_IMAGE_STORAGE
    transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN

    def digest(self, uid: str) -> str:
        """SHA-256 of the data set with this SOP Instance UID in its place."""
        head, tail = self.data_set[: self.uid_at], self.data_set[self.uid_at + UID_LENGTH :]
        return hashlib.sha256(head + uid.encode() + tail).hexdigest()


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One element in Explicit VR Little Endian (PS3.5 §7.1.2), its value padded to even length."""
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB", b"UN") else b" "
    group, number = tag >> 16, tag & 0xFFFF
    if vr in _LONG:
        return struct.pack("<HH2sxxI", group, number, vr, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def header(elements: int = 0) -> bytes:
    """Everything before Pixel Data, with private elements of a modality up to `elements` where these are more."""
    own = [(0x00190010, b"LO", b"BENCHMARK")]
    own += [(0x00191000 + at, b"LO", b"value %d of the scanner" % at) for at in range(elements - len(_HEADER) - 1)]
    return b"".join(element(*row) for row in sorted([*_HEADER, *(own if elements > len(_HEADER) else [])]))


def study_uid(number: int) -> str:
    """The Study Instance UID of the objects of `of_study(number)`."""
    return f"2.25.2{number:021d}"


def of_study(number: int) -> Sample:
    """An object of 8 KB whose Study Instance UID is `study_uid(number)`."""
    made = sample(8192)
    return replace(made, data_set=made.data_set.replace(_STUDY, study_uid(number).encode()))


def sample(size_bytes: int, elements: int = 0) -> Sample:
    """An object whose data set has `size_bytes` (an even number, at least 2 KB), and at least so many elements, Pixel
    Data aside: 302 at most."""
    head = header(elements)
    pixels = random.Random(size_bytes).randbytes(size_bytes - len(head) - 12)
    data_set = head + element(0x7FE00010, b"OW", pixels)
    assert len(data_set) == size_bytes
    return Sample(data_set, data_set.index(instance_uid(0, 0)))

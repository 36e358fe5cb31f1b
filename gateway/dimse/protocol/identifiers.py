"""Identifiers and instances as bytes: encoding, checking what came, Failed SOP Instance UID Lists, bulk data."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.dataset.elements import TagSelection
from gateway.dataset.encoding import DEFLATED, deflate, encodings_of
from gateway.dataset.inflation import inflate
from gateway.dataset.scan import parse, scan
from gateway.dataset.scanned_level import wanted
from gateway.dataset.splice import splice
from gateway.dataset.writer import element_header, padded, vr_for_length
from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.dimse.protocol.plain_data_set import encode_plain
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Edit
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import ObjectTooLarge

LARGEST_IDENTIFIER_BYTES = 4 * 1024 * 1024
"""A list of 65 535 UIDs fits."""

EXPLICIT_LITTLE_UID = "1.2.840.10008.1.2.1"
FAILED_SOP_INSTANCE_UID_LIST = 0x00080058

_NOTHING = wanted(())
_FAILED_LIST = TagSelection((FAILED_SOP_INSTANCE_UID_LIST,))

_BULK_DATA = (
    0x00287FE0,  # Pixel Data Provider URL
    0x00420011,  # Encapsulated Document
    0x56000020,  # Spectroscopy Data
    0x7FE00008,  # Float Pixel Data
    0x7FE00009,  # Double Float Pixel Data
    0x7FE00010,  # Pixel Data
    *(group << 16 | 0x3000 for group in range(0x5000, 0x5020, 2)),  # Curve Data
    *(group << 16 | 0x200C for group in range(0x5000, 0x5020, 2)),  # Audio Sample Data
    *(group << 16 | 0x3000 for group in range(0x6000, 0x6020, 2)),  # Overlay Data
)
_WAVEFORM_DATA = AttributePath(0x54001010, ((0x54000100, None),))
_WITHOUT_BULK_DATA = tuple(
    Edit(path, None, "present") for path in (*(AttributePath(tag) for tag in _BULK_DATA), _WAVEFORM_DATA)
)


class IdentifierReceiver(MemoryReceiver):
    """Keeps an identifier in memory, up to `LARGEST_IDENTIFIER_BYTES`."""

    __slots__ = ("_length_bytes",)

    def __init__(self) -> None:
        super().__init__()
        self._length_bytes = 0

    def write(self, fragment: memoryview) -> None:
        """Copy `fragment`. Raises ObjectTooLarge."""
        self._length_bytes += len(fragment)
        if self._length_bytes > LARGEST_IDENTIFIER_BYTES:
            raise ObjectTooLarge(f"the identifier is over the limit of {LARGEST_IDENTIFIER_BYTES} bytes")
        super().write(fragment)


def encode_data_set(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    """The bytes of a data set, without file meta information.

    Raises:
        ValueError: it cannot be encoded so; the message has no values in it.
    """
    encoding = encodings_of(transfer_syntax_uid)[0]
    plain = encode_plain(dataset, encoding)
    if plain is not None:
        return deflate([plain]) if transfer_syntax_uid in DEFLATED else plain
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = encoding.is_implicit, not encoding.is_big_endian
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom quotes values in its warnings
            write_dataset(file, dataset)
    except Exception as error:
        raise ValueError(f"the data set cannot be encoded: {type(error).__name__}") from error
    encoded: bytes = file.parent.getvalue()  # type: ignore[union-attr]
    return deflate([encoded]) if transfer_syntax_uid in DEFLATED else encoded


def as_identifier(value: Any, transfer_syntax_uid: str) -> EncodedDataSet:
    """An identifier to be sent: a data set is encoded, bytes and encoded data sets are taken as they are.

    Raises:
        ValueError: nothing that can be sent, or empty.
    """
    if isinstance(value, Dataset):
        value = encode_data_set(value, transfer_syntax_uid)
    body: EncodedDataSet = MemoryDataSet(bytes(value)) if isinstance(value, bytes | bytearray | memoryview) else value
    if not getattr(body, "length_bytes", 0):
        raise ValueError("the identifier is empty, or no data set")
    return body


def check(view: memoryview, transfer_syntax_uid: str) -> None:
    """See that the bytes are whole elements. Raises Unreadable, ObjectTooLarge."""
    if transfer_syntax_uid in DEFLATED:
        view, transfer_syntax_uid = inflate(view, LARGEST_IDENTIFIER_BYTES), EXPLICIT_LITTLE_UID
    scan(view, transfer_syntax_uid, _NOTHING)


def encode_failed_list(uids: Iterable[str], transfer_syntax_uid: str) -> bytes:
    """An identifier with the Failed SOP Instance UID List (0008,0058) alone.

    In explicit VR a value of 64 KiB and more is written with the VR UN, whose length has 32 bits (PS3.5 §6.2.2).
    """
    encoding = encodings_of(transfer_syntax_uid)[0]
    value = padded("\\".join(uids).encode("ascii", "replace"), "UI")
    head = element_header(encoding, FAILED_SOP_INSTANCE_UID_LIST, vr_for_length("UI", len(value)), len(value))
    return deflate([head, value]) if transfer_syntax_uid in DEFLATED else head + value


def read_failed_list(view: memoryview, transfer_syntax_uid: str) -> tuple[str, ...]:
    """The UIDs of a Failed SOP Instance UID List (0008,0058), whatever VR it was written with; () without one.

    Raises:
        Unreadable: the bytes are not a data set in this transfer syntax.
    """
    plain = inflate(view, LARGEST_IDENTIFIER_BYTES) if transfer_syntax_uid in DEFLATED else view
    plain, found, _ = parse(plain, transfer_syntax_uid, _FAILED_LIST)
    value = b"".join(bytes(plain[element.value : element.stop]) for element in found[:1])
    return tuple(filter(None, (uid.strip("\0 ") for uid in value.decode("ascii", "replace").split("\\"))))


def without_bulk_data(body: EncodedDataSet, transfer_syntax_uid: str) -> EncodedDataSet:
    """The data set without the attributes that PS3.4 Table Z.1-1 calls bulk data; `body` itself when it has none.

    Raises:
        Unreadable: the bytes are not a data set in this transfer syntax.
    """
    view = body.view()
    pieces = splice(view, transfer_syntax_uid, _WITHOUT_BULK_DATA)
    return body if len(pieces) == 1 and pieces[0] is view else MemoryDataSet(b"".join(pieces))

"""Pixels of encoded data sets as pydicom sees them, and images made by hand."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

Pixels = npt.NDArray[Any]

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
RLE, JPEG_LS, JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
JPEG_LS_NEAR, JPEG_2000 = "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"
JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"


def dataset(encoded: bytes | memoryview, transfer_syntax_uid: str) -> Dataset:
    """As pydicom reads it."""
    found: Dataset = read_dataset(BytesIO(bytes(encoded)), transfer_syntax_uid == IMPLICIT, transfer_syntax_uid != BIG)
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    return found


def pixels(found: Dataset, *, as_rgb: bool = False, by: str = "", whole_words: bool = False) -> Pixels:
    """The samples as they are; `as_rgb` turns YBR into RGB; `by` names the codec.

    With `whole_words` what lies above Bits Stored counts, else it is as the sign of the sample.
    """
    decoder = get_decoder(found.file_meta.TransferSyntaxUID)
    options: dict[str, Any] = {"correct_unused_bits": not whole_words}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decoder.as_array(found, raw=not as_rgb, decoding_plugin=by, **options)[0]


@dataclass(frozen=True)
class Made:
    """A native image of explicit VR little endian that is written by hand, element by element."""

    array: Pixels
    """(frames, rows, columns) or (frames, rows, columns, samples)."""
    bits_stored: int
    photometric: str = "MONOCHROME2"
    is_planar: bool = False
    extra: bytes = b""
    """Elements between (0008,0018) and group 0028."""
    behind: bytes = b""

    def encoded(self) -> bytes:
        array = self.array
        samples = array.shape[3] if array.ndim == 4 else 1
        signed = int(array.dtype.kind == "i")
        allocated = array.dtype.itemsize * 8
        values = array.transpose(0, 3, 1, 2) if self.is_planar else array
        raw = values.astype(array.dtype.newbyteorder("<")).tobytes()
        raw += b"\0" * (len(raw) % 2)
        parts = [
            _text(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
            _text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7.3"),
            _text(0x00080018, "UI", "1.2.3.4.5"),
            self.extra,
            _number(0x00280002, samples),
            _text(0x00280004, "CS", self.photometric),
            _number(0x00280006, int(self.is_planar)) if samples > 1 else b"",
            _text(0x00280008, "IS", str(len(array))),
            _number(0x00280010, array.shape[1]),
            _number(0x00280011, array.shape[2]),
            _number(0x00280100, allocated),
            _number(0x00280101, self.bits_stored),
            _number(0x00280102, self.bits_stored - 1),
            _number(0x00280103, signed),
            struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB" if allocated == 8 else b"OW", 0, len(raw)) + raw,
            self.behind,
        ]
        return b"".join(parts)


def gradient(frames: int, rows: int, columns: int, samples: int, dtype: str, bits: int) -> Pixels:
    """A picture with edges, noise and the extreme values of `bits`; the same every time."""
    shape = (frames, rows, columns, samples) if samples > 1 else (frames, rows, columns)
    random = np.random.default_rng(1)
    signed = np.dtype(dtype).kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    ramp = np.linspace(low, high, num=int(np.prod(shape))).reshape(shape)
    noisy = np.clip(ramp + random.integers(-3, 4, size=shape), low, high)
    noisy.flat[0], noisy.flat[-1] = low, high
    return noisy.astype(dtype)


def _text(tag: int, vr: str, value: str) -> bytes:
    raw = value.encode() + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(raw)) + raw


def _number(tag: int, value: int) -> bytes:
    return struct.pack("<HH2sHH", tag >> 16, tag & 0xFFFF, b"US", 2, value)

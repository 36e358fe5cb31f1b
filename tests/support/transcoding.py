"""Images of every kind made by hand, and what is compared of a data set before and after a conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from gateway.dataset.derivation import Loss
from gateway.dataset.scratch import Scratch
from gateway.dataset.transcode import Transcoded, transcode
from tests.support.pixels import EXPLICIT, Made, Pixels, dataset, gradient

PIXEL_TAGS = frozenset({0x00280004, 0x00280006, 0x7FE00000, 0x7FE00001, 0x7FE00002, 0x7FE00003, 0x7FE00010})
"""What says how pixels are encoded, and they themselves."""
LOSSLESSLY = Loss()


def image(
    frames: int = 1,
    rows: int = 40,
    columns: int = 35,
    samples: int = 1,
    dtype: str = "u1",
    bits: int = 8,
    photometric: str = "MONOCHROME2",
    *,
    is_planar: bool = False,
) -> Made:
    return Made(gradient(frames, rows, columns, samples, dtype, bits), bits, photometric, is_planar)


IMAGES = {
    "8 bit": image(),
    "8 bit, odd length": image(rows=33, columns=35),
    "8 bit signed": image(dtype="i1"),
    "6 of 8 bit": image(bits=6),
    "10 of 16 bit": image(dtype="u2", bits=10),
    "12 of 16 bit": image(dtype="u2", bits=12, photometric="MONOCHROME1"),
    "12 of 16 bit signed": image(dtype="i2", bits=12),
    "16 bit": image(dtype="u2", bits=16),
    "16 bit signed": image(dtype="i2", bits=16),
    "8 of 16 bit": image(dtype="u2", bits=8),
    "palette": image(photometric="PALETTE COLOR"),
    "RGB": image(samples=3, photometric="RGB"),
    "RGB by plane": image(samples=3, photometric="RGB", is_planar=True),
    "RGB, odd length": image(rows=33, samples=3, photometric="RGB"),
    "YBR_FULL": image(samples=3, photometric="YBR_FULL"),
    "several frames": image(frames=3, dtype="u2", bits=12),
    "several frames of odd length": image(frames=3, rows=33),
    "several frames of RGB by plane": image(frames=2, samples=3, photometric="RGB", is_planar=True),
}

OVERFULL = {
    "bits above the 12 stored ones": Made(gradient(1, 40, 40, 1, "u2", 16), 12),
    "bits above the 12 stored ones, signed": Made(gradient(2, 40, 40, 1, "i2", 16), 12),
}
"""Padding values, or overlays as they once were, lie where Bits Stored says that nothing does."""


def joined(result: Transcoded) -> bytes:
    return b"".join(result.pieces)


def to(data: bytes | memoryview, source: str, target: str, scratch: Scratch, loss: Loss = LOSSLESSLY) -> bytes:
    result = transcode(memoryview(data), source, [target], loss, scratch)
    assert result.transfer_syntax_uid == target
    return joined(result)


def others(found: Dataset) -> dict[int, object]:
    """Every top-level element that is not about how pixels are encoded, by its bytes or items."""
    return {
        int(tag): str(found[tag].value) if found[tag].VR == "SQ" else found.get_item(tag).value
        for tag in found.keys()  # noqa: SIM118 - a data set iterates over elements
        if int(tag) not in PIXEL_TAGS and int(tag) & 0xFFFF
    }


def assert_same(one: Pixels, other: Pixels) -> None:
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)


def as_file(encoded: bytes, transfer_syntax_uid: str, path: Path) -> Path:
    """A Part 10 file of a data set."""
    found = dataset(encoded, transfer_syntax_uid)
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.save_as(path, enforce_file_format=True)
    return path


def native_file(made: Made, path: Path) -> Path:
    """A Part 10 file of an image made by hand."""
    return as_file(made.encoded(), EXPLICIT, path)

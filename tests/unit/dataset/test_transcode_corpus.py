"""Real objects through every codec: pixels exactly as they were, all other elements too; and how many of them.

What is compressed is read back by another codec than the one that wrote it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from gateway.dataset.codecs import CODECS, LOSSLESS, is_native, missing, short_name
from gateway.dataset.scratch import Scratch
from gateway.dataset.transcode import transcode
from gateway.ports.errors import Refusal
from tests.support.corpus import Part10
from tests.support.data_set_writer import REAL, REAL_NAMES
from tests.support.pixels import (
    EXPLICIT,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LS,
    RLE,
    dataset,
    pixels,
)
from tests.support.transcoding import LOSSLESSLY, assert_same, others, to

pytestmark = pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")

LARGEST_BYTES = 1_000_000
"""Larger objects, and native pixels of more than twice as many bytes, are not different, but slow."""
LOSS = {0x00282110, 0x00282112, 0x00282114}
"""What decompression adds where the code loses for sure."""
ANOTHER_CODEC = {RLE: "pydicom", JPEG_LS: "gdcm", JPEG_2000_LOSSLESS: "gdcm"}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """pydicom wonders about odd attributes of real objects."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(str(tmp_path))


# --- out of every transfer syntax ---

CODED = [
    (part, name)
    for part, name in zip(REAL, REAL_NAMES, strict=True)
    if not is_native(part.transfer_syntax_uid) and len(part.data_set) < LARGEST_BYTES
]
NOT_READ = {"JPEG2000-embedded-sequence-delimiter.dcm": "no header that any codec reads"}


@pytest.mark.parametrize(("part", "name"), CODED, ids=[name for _, name in CODED])
def test_decompression_against_pydicom(part: Part10, name: str, scratch: Scratch) -> None:
    before = dcmread(part.path, force=True)
    if part.path.name in NOT_READ:
        with pytest.raises(Refusal, match="cannot be read"):
            transcode(memoryview(part.data_set), part.transfer_syntax_uid, [EXPLICIT], LOSSLESSLY, scratch)
        return
    after = dataset(to(part.data_set, part.transfer_syntax_uid, EXPLICIT, scratch), EXPLICIT)
    kept = others(after)
    for tag in LOSS:
        kept.pop(tag, None)
    assert {tag: value for tag, value in others(before).items() if tag not in LOSS} == kept
    if "PixelData" not in before or is_beyond_pydicom(part):
        return
    is_lossy = part.transfer_syntax_uid in (JPEG_BASELINE, JPEG_EXTENDED)
    assert_same(pixels(after), pixels(before, as_rgb=is_lossy))
    if before.PhotometricInterpretation.startswith("YBR") and (
        is_lossy or before.PhotometricInterpretation != "YBR_FULL"
    ):
        assert after.PhotometricInterpretation == "RGB"
    else:
        assert after.PhotometricInterpretation == before.PhotometricInterpretation


def is_beyond_pydicom(part: Part10) -> bool:
    return part.path.name in ("JPEG-lossy.dcm", "JPGExtended.dcm")  # 12 bits; dcmdjpeg says what is right


def test_how_many_are_decompressed() -> None:
    counted = Counter(short_name(part.transfer_syntax_uid) for part, _ in CODED if part.path.name not in NOT_READ)
    assert counted == {
        "JPEGBaseline8Bit": 14,
        "JPEGExtended12Bit": 2,
        "JPEGLosslessSV1": 5,
        "JPEGLSLossless": 2,
        "JPEGLSNearLossless": 4,
        "JPEG2000Lossless": 10,
        "JPEG2000": 7,
        "RLELossless": 12,
    }


# --- there and back ---


@dataclass(frozen=True)
class Case:
    """One real object on its way to one lossless transfer syntax."""

    part: Part10
    target: str
    name: str
    refused: str = ""
    """With this reason; empty: it comes back as it was."""


Told = Callable[[Dataset, str], bool]


def _is_small(found: Dataset, target: str) -> bool:
    return target == JPEG_2000_LOSSLESS and min(found.Rows, found.Columns) < 32


def _has_more_bits(found: Dataset, target: str) -> bool:
    return Path(found.filename).name == "mlut_18.dcm" and target == JPEG_2000_LOSSLESS


REFUSALS: list[tuple[str, Told]] = [
    ("SamplesPerPixel is missing", lambda found, _: "SamplesPerPixel" not in found),
    ("Number of Frames is no number", lambda found, _: "A" in str(found.get_item("NumberOfFrames"))),
    ("pixels of 1 allocated bits", lambda found, _: found.BitsAllocated == 1),
    ("less than 32 rows", _is_small),
    ("bits_stored", lambda found, target: found.BitsAllocated == 32 and target == JPEG_2000_LOSSLESS),
    ("PS3.5 §8.2 does not allow", lambda found, _: found.BitsAllocated == 32),
    ("destination buffer is too small", lambda found, target: found.Rows == 3 and target == JPEG_LS),
    ("outside the allowable range", _has_more_bits),
]
"""What cannot be compressed without loss, and why; the first that is true."""
SWAPPED = "writers disagree on the order of its bytes"


def _is_swapped_without_doubt(found: Dataset, part: Part10) -> bool:
    widths = {"OW": 16, "OB": 8}
    is_big = part.transfer_syntax_uid == "1.2.840.10008.1.2.2"
    return not is_big or found.BitsAllocated <= widths[found["PixelData"].VR]


def _reason(found: Dataset, part: Part10, target: str) -> str:
    if not _is_swapped_without_doubt(found, part):
        return SWAPPED
    return next((reason for reason, is_true in REFUSALS if is_true(found, target)), "")


def _native_bytes(found: Dataset) -> int:
    """Roughly."""
    names = ("Rows", "Columns", "SamplesPerPixel")
    size = int(found.get("BitsAllocated", 0)) // 8
    for name in names:
        size *= int(found.get(name, 0))
    frames = str(found.get_item("NumberOfFrames").value) if "NumberOfFrames" in found else "1"
    return size * int("".join(filter(str.isdigit, frames)) or 1)


def _cases() -> Iterator[Case]:
    for part, name in zip(REAL, REAL_NAMES, strict=True):
        if len(part.data_set) > LARGEST_BYTES or part.path.name in NOT_READ:
            continue
        found = dcmread(part.path, force=True)
        if "PixelData" not in found or _native_bytes(found) > 2 * LARGEST_BYTES:
            continue
        for target in LOSSLESS:
            if target == part.transfer_syntax_uid and _reason(found, part, target):
                continue  # it is left as it is
            yield Case(part, target, f"{short_name(target)}-{name}", _reason(found, part, target))


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    CASES = list(_cases())
ROUND_TRIPS = [case for case in CASES if not case.refused]
REFUSED = [case for case in CASES if case.refused]


def native(part: Part10, scratch: Scratch) -> bytes:
    if part.transfer_syntax_uid == EXPLICIT:
        return part.data_set
    return to(part.data_set, part.transfer_syntax_uid, EXPLICIT, scratch)


@pytest.mark.parametrize("case", ROUND_TRIPS, ids=[case.name for case in ROUND_TRIPS])
def test_real_images_there_and_back(case: Case, scratch: Scratch) -> None:
    plain = native(case.part, scratch)
    compressed = to(plain, EXPLICIT, case.target, scratch)
    before, between = dataset(plain, EXPLICIT), dataset(compressed, case.target)
    after = dataset(to(compressed, case.target, EXPLICIT, scratch), EXPLICIT)
    original = pixels(before, whole_words=True)
    assert_same(pixels(between, by=ANOTHER_CODEC[case.target], whole_words=True), original)
    assert_same(pixels(after, whole_words=True), original)
    assert others(between) == others(after) == others(before)
    assert between.SOPInstanceUID == before.SOPInstanceUID
    shared = {"YBR_FULL_422": "YBR_FULL"}
    photometric = before.PhotometricInterpretation
    assert after.PhotometricInterpretation == shared.get(photometric, photometric)


@pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
def test_what_a_codec_cannot_hold_is_refused(case: Case, scratch: Scratch) -> None:
    with pytest.raises(Refusal, match=case.refused):
        transcode(memoryview(case.part.data_set), case.part.transfer_syntax_uid, [case.target], LOSSLESSLY, scratch)


def test_how_many_come_back_as_they_were() -> None:
    counted = Counter(short_name(case.target) for case in ROUND_TRIPS)
    assert counted == {"RLELossless": 135, "JPEGLSLossless": 132, "JPEG2000Lossless": 98}
    sources = {short_name(case.part.transfer_syntax_uid) for case in ROUND_TRIPS}
    assert len(sources) == 12, sources

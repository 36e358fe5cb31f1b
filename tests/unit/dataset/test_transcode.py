"""One data set in another transfer syntax: pixels exactly as they were, all other elements too."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from gateway.dataset import codecs
from gateway.dataset.codecs import CODECS, LOSSLESS, missing
from gateway.dataset.derivation import Loss
from gateway.dataset.encapsulation import DELIMITER, basic_offset_table, extended_offset_table, fragment_header
from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scratch import MEMORY_BYTES, Scratch
from gateway.dataset.transcode import to_native, transcode
from gateway.ports.errors import Refusal
from tests.support.data_set_writer import REAL, Write
from tests.support.pixels import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
    JPEG_LS_NEAR,
    RLE,
    Made,
    Pixels,
    dataset,
    gradient,
    pixels,
)
from tests.support.transcoding import IMAGES, OVERFULL, assert_same, image, joined, others, to

pytestmark = pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")

EX = Write(EXPLICIT_LITTLE)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """pydicom wonders about odd attributes of real objects."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(str(tmp_path))


# --- made by hand ---


SHARED_ROWS, SHARED_COLUMNS = 33, 42


def shared_chrominance(frames: int = 2) -> tuple[bytes, Pixels]:
    """Native YBR_FULL_422, Y Y Cb Cr, and the pixels that it stands for."""
    pairs = np.random.default_rng(2).integers(0, 256, (frames, SHARED_ROWS, SHARED_COLUMNS // 2, 4), "u1")
    whole = np.empty((frames, SHARED_ROWS, SHARED_COLUMNS, 3), "u1")
    for column in range(SHARED_COLUMNS):
        luminance = pairs[:, :, column // 2, column % 2]
        blue, red = pairs[:, :, column // 2, 2], pairs[:, :, column // 2, 3]
        whole[:, :, column, 0], whole[:, :, column, 1], whole[:, :, column, 2] = luminance, blue, red
    data = Made(whole, 8, "YBR_FULL_422").encoded()
    length_bytes = pairs.nbytes + pairs.nbytes % 2
    head = data[: data.index(b"\xe0\x7f\x10\x00OB")]
    return head + EX.header(0x7FE00010, "OB", length_bytes) + pairs.tobytes(), whole


@pytest.mark.parametrize("target", LOSSLESS, ids=codecs.short_name)
def test_shared_chrominance_is_written_for_each_pixel(target: str, scratch: Scratch) -> None:
    native, whole = shared_chrominance()
    compressed = to(native, EXPLICIT, target, scratch)
    after = to(compressed, target, EXPLICIT, scratch)
    for found in (dataset(compressed, target), dataset(after, EXPLICIT)):
        assert_same(pixels(found), whole)
        assert found.PhotometricInterpretation == "YBR_FULL"
    assert to(native, EXPLICIT, IMPLICIT, scratch).endswith(native[-whole.nbytes * 2 // 3 :])


def without_pixels() -> bytes:
    data = IMAGES["8 bit"].encoded()
    return data[: data.index(b"\xe0\x7f\x10\x00OB")]


@pytest.mark.parametrize("target", LOSSLESS, ids=codecs.short_name)
@pytest.mark.parametrize("made", IMAGES.values(), ids=IMAGES.keys())
def test_lossless_there_and_back(made: Made, target: str, scratch: Scratch) -> None:
    native = made.encoded()
    before = dataset(native, EXPLICIT)
    compressed = to(native, EXPLICIT, target, scratch)
    between = dataset(compressed, target)
    after = dataset(to(compressed, target, EXPLICIT, scratch), EXPLICIT)

    for found in (between, after):
        assert_same(pixels(found), pixels(before))
        assert others(found) == others(before)
        assert found.NumberOfFrames == len(made.array)
    assert between["PixelData"].is_undefined_length
    assert after.PhotometricInterpretation == made.photometric
    assert len(after.PixelData) % 2 == 0
    assert ("OB" if made.array.dtype.itemsize == 1 else "OW") == after["PixelData"].VR


@pytest.mark.parametrize("target", [RLE, JPEG_LS], ids=codecs.short_name)
@pytest.mark.parametrize("made", OVERFULL.values(), ids=OVERFULL.keys())
def test_bits_above_bits_stored_are_kept(made: Made, target: str, scratch: Scratch) -> None:
    native = made.encoded()
    compressed = to(native, EXPLICIT, target, scratch)
    assert to(compressed, target, EXPLICIT, scratch) == native


@pytest.mark.parametrize(
    ("made", "target", "photometric", "planar"),
    [
        ("RGB", RLE, "RGB", 1),
        ("RGB by plane", RLE, "RGB", 1),
        ("YBR_FULL", RLE, "YBR_FULL", 1),
        ("RGB", JPEG_LS, "RGB", 0),
        ("RGB by plane", JPEG_LS, "RGB", 0),
        ("YBR_FULL", JPEG_LS, "YBR_FULL", 0),
        ("RGB", JPEG_2000_LOSSLESS, "YBR_RCT", 0),
        ("RGB by plane", JPEG_2000_LOSSLESS, "YBR_RCT", 0),
        ("YBR_FULL", JPEG_2000_LOSSLESS, "YBR_FULL", 0),
        ("palette", JPEG_2000_LOSSLESS, "PALETTE COLOR", None),
        ("12 of 16 bit", JPEG_2000_LOSSLESS, "MONOCHROME1", None),
    ],
)
def test_photometric_interpretation_says_what_is_there(
    made: str, target: str, photometric: str, planar: int | None, scratch: Scratch
) -> None:
    found = dataset(to(IMAGES[made].encoded(), EXPLICIT, target, scratch), target)
    assert found.PhotometricInterpretation == photometric
    assert found.get("PlanarConfiguration") == planar


@pytest.mark.parametrize("target", LOSSLESS, ids=codecs.short_name)
def test_offsets_lead_to_the_frames(target: str, scratch: Scratch) -> None:
    value = dataset(to(IMAGES["several frames"].encoded(), EXPLICIT, target, scratch), target).PixelData
    tag, length = struct.unpack_from("<LL", value)
    assert (tag, length) == (0xE000FFFE, 12)
    offsets = struct.unpack_from("<3L", value, 8)
    position, found = 20, []
    while position < len(value):  # pydicom takes the delimiter away
        assert struct.unpack_from("<L", value, position) == (0xE000FFFE,)
        found.append(position - 20)
        (size,) = struct.unpack_from("<L", value, position + 4)
        assert size % 2 == 0
        position += 8 + size
    assert tuple(found) == offsets


def test_beyond_four_gibibytes_the_offsets_are_extended() -> None:
    lengths = [0xFFFFFFF0, 0x10, 0x20]
    assert basic_offset_table(lengths) == struct.pack("<LL", 0xE000FFFE, 0)
    offsets, sizes = extended_offset_table(lengths)
    assert offsets == struct.pack("<HH2sHL3Q", 0x7FE0, 1, b"OV", 0, 24, 0, 0xFFFFFFF8, 0x100000010)
    assert sizes == struct.pack("<HH2sHL3Q", 0x7FE0, 2, b"OV", 0, 24, *lengths)
    assert extended_offset_table(lengths[:2]) == []  # the last frame begins within 32 bits


def extended(data: bytes, syntax: str) -> bytes:
    """The same with extended offset tables and an empty basic one."""
    found = dataset(data, syntax)
    value: bytes = found.PixelData
    count = struct.unpack_from("<L", value, 4)[0] // 4
    offsets = struct.unpack_from(f"<{count}L", value, 8)
    sizes = [struct.unpack_from("<L", value, 8 + 4 * count + offset + 4)[0] for offset in offsets]
    head = data[: data.index(b"\xe0\x7f\x10\x00OB")]
    tables = EX.element(0x7FE00001, "OV", struct.pack(f"<{count}Q", *offsets))
    tables += EX.element(0x7FE00002, "OV", struct.pack(f"<{count}Q", *sizes))
    tables += EX.element(0x7FE00003, "UV", struct.pack("<Q", len(value)))
    rest = value[8 + 4 * count :]
    return (
        head
        + tables
        + EX.header(0x7FE00010, "OB", 0xFFFFFFFF)
        + struct.pack("<LL", 0xE000FFFE, 0)
        + rest
        + (b"" if rest.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0") else struct.pack("<LL", 0xE0DDFFFE, 0))
    )


@pytest.mark.parametrize("target", [EXPLICIT, JPEG_LS], ids=codecs.short_name)
def test_extended_offset_tables_are_read_and_go_with_the_frames_they_tell_of(target: str, scratch: Scratch) -> None:
    made = IMAGES["several frames"]
    source = extended(to(made.encoded(), EXPLICIT, RLE, scratch), RLE)
    found = dataset(to(source, RLE, target, scratch), target)
    assert_same(pixels(found), made.array)
    assert not {0x7FE00001, 0x7FE00002, 0x7FE00003} & set(map(int, found.keys()))


def test_elements_behind_the_pixels_and_sequences_stay(scratch: Scratch) -> None:
    made = IMAGES["RGB"]
    code = EX.element("CodeValue", "SH", "1")
    extra = EX.sequence("ReferencedImageSequence", EX.item(code, is_defined=False), is_defined=False)
    behind = EX.element(0xFFFCFFFC, "OB", bytes(6))
    native = Made(made.array, 8, "RGB", extra=extra, behind=behind).encoded()
    compressed = to(native, EXPLICIT, JPEG_2000_LOSSLESS, scratch)
    assert compressed.endswith(behind)
    assert extra in compressed
    assert to(compressed, JPEG_2000_LOSSLESS, EXPLICIT, scratch) == native


@pytest.mark.parametrize("source", [IMPLICIT, RLE, JPEG_LS, JPEG_2000_LOSSLESS], ids=codecs.short_name)
@pytest.mark.parametrize("target", [IMPLICIT, RLE, JPEG_LS, JPEG_2000_LOSSLESS], ids=codecs.short_name)
def test_from_each_to_each(source: str, target: str, scratch: Scratch) -> None:
    native = IMAGES["several frames"].encoded()
    data = to(native, EXPLICIT, source, scratch)
    if source == target:
        untouched = transcode(memoryview(data), source, [JPEG_2000, target], Loss(), scratch)
        assert untouched.pieces == [data]
        return
    assert_same(pixels(dataset(to(data, source, target, scratch), target)), IMAGES["several frames"].array)


def test_the_first_that_works_is_taken(scratch: Scratch) -> None:
    small = image(rows=20)  # the JPEG 2000 encoder takes no less than 32 rows
    result = transcode(memoryview(small.encoded()), EXPLICIT, [JPEG_2000_LOSSLESS, JPEG_LS, RLE], Loss(), scratch)
    assert result.transfer_syntax_uid == JPEG_LS


def test_what_is_listed_only_to_be_left_alone_is_no_target(scratch: Scratch) -> None:
    data = memoryview(IMAGES["8 bit"].encoded())
    assert transcode(data, EXPLICIT, [JPEG_2000, RLE], Loss(), scratch).transfer_syntax_uid == RLE
    with pytest.raises(Refusal, match="can be written"):
        transcode(data, EXPLICIT, [JPEG_2000, JPEG_BASELINE], Loss(), scratch)


@pytest.mark.parametrize(
    ("source", "targets", "becomes"),
    [
        (EXPLICIT, [JPEG_2000_LOSSLESS], EXPLICIT),
        (EXPLICIT, [JPEG_2000_LOSSLESS, IMPLICIT], IMPLICIT),
        (JPEG_BASELINE, [EXPLICIT], EXPLICIT),
        (JPEG_BASELINE, [IMPLICIT], IMPLICIT),
        (JPEG_BASELINE, [RLE], JPEG_BASELINE),
    ],
)
def test_what_has_no_pixels_is_not_compressed(
    source: str, targets: Sequence[str], becomes: str, scratch: Scratch
) -> None:
    result = transcode(memoryview(without_pixels()), source, targets, Loss(), scratch)
    assert result.transfer_syntax_uid == becomes
    assert others(dataset(joined(result), becomes)) == others(dataset(without_pixels(), EXPLICIT))


@pytest.mark.parametrize(
    ("data", "source", "target", "text"),
    [
        (image(dtype="u4", bits=32).encoded(), EXPLICIT, JPEG_2000_LOSSLESS, "bits_stored"),
        (image(dtype="u4", bits=32).encoded(), EXPLICIT, RLE, "PS3.5 §8.2 does not allow"),
        (Made(gradient(1, 40, 40, 1, "u2", 16), 12).encoded(), EXPLICIT, JPEG_2000_LOSSLESS, "outside"),
        (image(rows=20).encoded(), EXPLICIT, JPEG_2000_LOSSLESS, "less than 32 rows"),
        (image(photometric="YBR_PARTIAL_422", samples=3).encoded(), EXPLICIT, RLE, "shares its chrominance"),
        (image(photometric="YBR_FULL_422", samples=3).encoded(), EXPLICIT, RLE, "shares its chrominance"),
        (image(photometric="YBR_FULL_422", samples=3, columns=34).encoded(), EXPLICIT, RLE, "its attributes tell of"),
        (image(frames=2).encoded().replace(b"IS\x02\x002 ", b"IS\x02\x003 "), EXPLICIT, RLE, "its attributes tell"),
        (image(frames=2).encoded().replace(b"IS\x02\x002 ", b"IS\x02\x001 "), EXPLICIT, RLE, "its attributes tell"),
        (image().encoded().replace(b"IS\x02\x001 ", b"IS\x02\x00x "), EXPLICIT, RLE, "Number of Frames"),
        (image().encoded().replace(b"\x28\0\x10\0US", b"\x28\0\x0f\0US"), EXPLICIT, RLE, "Rows is missing"),
        (image().encoded().replace(b"\x28\0\0\x01US\2\0\x08", b"\x28\0\0\x01US\2\0\x07"), EXPLICIT, RLE, "no sense"),
        (EX.element(0x7FE00008, "OF", bytes(8)), EXPLICIT, RLE, "float pixel data"),
        (image().encoded(), JPEG_BASELINE, EXPLICIT, "not encapsulated"),
        (EX.sequence(0x7FE00010, EX.item(b""), is_defined=False, vr="OB"), EXPLICIT, RLE, "native"),
        (EX.sequence(0x7FE00010, EX.item(b""), is_defined=False, vr="OB"), "1.2.840.10008.1.2.4.100", RLE, "no codec"),
        (image().encoded(), "1.2.840.113619.5.2", EXPLICIT, "nobody says"),
        (image().encoded(), "1.3.6.1.4.1.5962.300.1", RLE, "nobody says"),
        (without_pixels(), "1.2.840.10008.1.2.4.94", EXPLICIT, "elsewhere"),
    ],
    ids=[
        "32 bit as JPEG 2000",
        "32 bit as RLE",
        "bits above Bits Stored in use, JPEG 2000",
        "too small for JPEG 2000",
        "chrominance shared in a way that has no other name",
        "chrominance shared by an odd number of pixels",
        "chrominance that is not shared, though it should be",
        "a frame too few",
        "a frame too many",
        "frames that are no number",
        "an attribute missing",
        "attributes without sense",
        "float pixels",
        "native pixels in an encapsulated transfer syntax",
        "encapsulated pixels in a native transfer syntax",
        "MPEG2",
        "GE's private one, pixels big endian",
        "another private one",
        "JPIP",
    ],
)
def test_what_cannot_be_done_is_refused(data: bytes, source: str, target: str, text: str, scratch: Scratch) -> None:
    with pytest.raises(Refusal, match=text):
        transcode(memoryview(data), source, [target], Loss(), scratch)


def test_one_bit_pixels_stay_native(scratch: Scratch) -> None:
    data = image().encoded().replace(b"\x28\0\0\x01US\2\0\x08", b"\x28\0\0\x01US\2\0\x01")
    data = data.replace(b"\x28\0\1\x01US\2\0\x08", b"\x28\0\1\x01US\2\0\x01")
    with pytest.raises(Refusal, match="1 allocated bits"):
        transcode(memoryview(data), EXPLICIT, [RLE], Loss(), scratch)
    assert transcode(memoryview(data), EXPLICIT, [RLE, IMPLICIT], Loss(), scratch).transfer_syntax_uid == IMPLICIT


@pytest.mark.parametrize("count", [1, 3])
def test_frames_that_number_of_frames_does_not_tell_are_refused(count: int, scratch: Scratch) -> None:
    data = to(image(frames=2).encoded(), EXPLICIT, RLE, scratch)
    wrong = data.replace(b"IS\x02\x002 ", b"IS\x02\x00%d " % count)
    with pytest.raises(Refusal, match="frame"):
        transcode(memoryview(wrong), RLE, [EXPLICIT], Loss(), scratch)


def test_damaged_code_is_refused_and_not_quoted(scratch: Scratch) -> None:
    data = bytearray(to(IMAGES["8 bit"].encoded(), EXPLICIT, JPEG_2000_LOSSLESS, scratch))
    start = data.index(b"\xff\x4f\xff\x51")
    data[start + 4 : start + 60] = bytes(56)
    with pytest.raises(Refusal, match="frame 1 of the pixel data cannot be read as JPEG2000Lossless"):
        transcode(memoryview(data), JPEG_2000_LOSSLESS, [EXPLICIT], Loss(), scratch)


@pytest.mark.parametrize(
    "fragments",
    [fragment_header(0), b"", fragment_header(0) + fragment_header(0)],
    ids=["table alone", "nothing", "empty ones"],
)
def test_pixel_data_without_fragments_is_refused(fragments: bytes, scratch: Scratch) -> None:
    data = to(IMAGES["8 bit"].encoded(), EXPLICIT, RLE, scratch)
    start = data.index(b"\xe0\x7f\x10\x00OB") + 12
    with pytest.raises(Refusal, match="the encapsulated pixel data has no fragments"):
        transcode(memoryview(data[:start] + fragments + DELIMITER), RLE, [EXPLICIT], Loss(), scratch)


def test_what_a_codec_stumbles_over_is_said_without_its_own_words(scratch: Scratch) -> None:
    data = to(IMAGES["8 bit"].encoded(), EXPLICIT, RLE, scratch)
    start = data.index(b"\xe0\x7f\x10\x00OB") + 12
    wrong = data[:start] + fragment_header(0) + fragment_header(4) + b"\xff\xd8\xff\xd9" + DELIMITER
    with pytest.raises(Refusal, match=r"frame 1 .* as JPEGBaseline8Bit: the codec found no image in it"):
        transcode(memoryview(wrong), JPEG_BASELINE, [EXPLICIT], Loss(), scratch)


def test_icons_are_decompressed_with_the_image(scratch: Scratch) -> None:
    icon = to(image(rows=32, columns=32).encoded(), EXPLICIT, JPEG_LS, scratch)
    extra = EX.sequence("ReferencedImageSequence", EX.item(EX.element("CodeValue", "SH", "1")))
    made = Made(IMAGES["8 bit"].array, 8, extra=extra).encoded()
    data = to(made, EXPLICIT, JPEG_LS, scratch)
    place = data.index(b"\xe0\x7f\x10\x00OB")
    with_icon = data[:place] + EX.sequence(0x00880200, EX.item(icon)) + data[place:]
    found = dataset(to(with_icon, JPEG_LS, EXPLICIT, scratch), EXPLICIT)
    inside = found[0x00880200].value[0]
    inside.file_meta = found.file_meta
    assert_same(pixels(inside), image(rows=32, columns=32).array[0])
    assert_same(pixels(found), IMAGES["8 bit"].array[0])
    assert dataset(to(with_icon, JPEG_LS, IMPLICIT, scratch), IMPLICIT)[0x00880200].value[0].PixelData


def test_large_objects_pass_by_a_file(scratch: Scratch, tmp_path: Path) -> None:
    rows = MEMORY_BYTES // 1024 + 1
    made = Made(np.zeros((2, rows, 1024), "u1"), 8)
    grown: list[int] = []
    result = transcode(
        memoryview(to(made.encoded(), EXPLICIT, RLE, scratch)),
        RLE,
        [EXPLICIT],
        Loss(),
        Scratch(str(tmp_path), grown.append),
    )
    assert grown == [2 * rows * 1024]
    assert joined(result) == made.encoded()
    assert list(tmp_path.iterdir()) == []


def test_room_is_left_for_others(tmp_path: Path) -> None:
    full = Scratch(str(tmp_path), keep_free_bytes=1 << 62)
    small = image().encoded()
    assert to(small, EXPLICIT, RLE, full)  # what is in memory needs none
    with pytest.raises(OSError, match="No space left"):
        full.joined([bytes(MEMORY_BYTES), b"and one more"])
    assert list(tmp_path.iterdir()) == []


def test_to_native_leaves_native_alone(scratch: Scratch) -> None:
    native = memoryview(IMAGES["8 bit"].encoded())
    assert to_native(native, EXPLICIT, scratch) == [native]
    coded = to(native, EXPLICIT, RLE, scratch)
    assert b"".join(to_native(memoryview(coded), RLE, scratch)) == bytes(native)


@pytest.mark.parametrize(
    ("uids", "installed", "expected"),
    [
        ([JPEG_2000_LOSSLESS], {"numpy", "pylibjpeg", "openjpeg"}, ()),
        ([JPEG_2000_LOSSLESS], {"numpy"}, ("pylibjpeg", "pylibjpeg-openjpeg")),
        ([JPEG_LS, RLE], set[str](), ("numpy", "pyjpegls", "pylibjpeg", "pylibjpeg-rle")),
        ([EXPLICIT, IMPLICIT, BIG], set[str](), ()),
        ([JPEG_BASELINE], {"numpy"}, ("python-gdcm",)),
    ],
)
def test_missing_packages_are_named(uids: list[str], installed: set[str], expected: tuple[str, ...]) -> None:
    assert missing(uids, installed.__contains__) == expected


# --- with loss ---


@pytest.mark.parametrize(
    ("target", "loss", "method", "made"),
    [
        (JPEG_2000, Loss(ratio=8), "ISO_15444_1", "12 of 16 bit"),
        (JPEG_2000, Loss(ratio=8), "ISO_15444_1", "RGB"),
        (JPEG_LS_NEAR, Loss(near=3), "ISO_14495_1", "8 bit"),
        (JPEG_LS_NEAR, Loss(near=3), "ISO_14495_1", "RGB"),
    ],
)
def test_what_loses_pixels_is_a_new_object(target: str, loss: Loss, method: str, made: str, scratch: Scratch) -> None:
    native = memoryview(IMAGES[made].encoded())
    result = transcode(native, EXPLICIT, [target], loss, scratch)
    found = dataset(joined(result), target)
    assert found.SOPInstanceUID == result.sop_instance_uid != "1.2.3.4.5"
    assert result.sop_instance_uid.startswith("2.25.")
    assert list(found.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert found.LossyImageCompression == "01"
    assert found.LossyImageCompressionMethod == method
    size = sum(len(piece) for piece in result.pieces if isinstance(piece, memoryview))
    assert 1 < float(found.LossyImageCompressionRatio) <= IMAGES[made].array.nbytes / 10 + size
    assert "lossy compression" in found.DerivationDescription
    (source,) = found.SourceImageSequence
    assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == (found.SOPClassUID, "1.2.3.4.5")
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert found.DerivationCodeSequence[0].CodeValue == "113040"
    difference = np.abs(pixels(found, as_rgb=True).astype(int) - pixels(dataset(native, EXPLICIT)).astype(int))
    assert 0 < difference.max() <= (loss.near or 2**8)
    again = transcode(native, EXPLICIT, [target], loss, scratch)
    assert joined(again) == joined(result)  # a delivery that is tried again sends the same object


def test_frames_of_a_derived_image_are_derived(scratch: Scratch) -> None:
    frame_type = EX.element("FrameType", "CS", "ORIGINAL\\PRIMARY\\M\\NONE")
    frame = EX.sequence("MRImageFrameTypeSequence", EX.item(frame_type))
    groups = EX.sequence("SharedFunctionalGroupsSequence", EX.item(frame))
    groups += EX.sequence("PerFrameFunctionalGroupsSequence", EX.item(b""), EX.item(frame, is_defined=False))
    made = IMAGES["8 bit"].encoded()
    place = made.index(b"\xe0\x7f\x10\x00OB")
    result = transcode(memoryview(made[:place] + groups + made[place:]), EXPLICIT, [JPEG_2000], Loss(ratio=5), scratch)
    found = dataset(joined(result), JPEG_2000)
    for item in (found[0x52009229].value[0], found[0x52009230].value[1]):
        assert list(item.MRImageFrameTypeSequence[0].FrameType) == ["DERIVED", "PRIMARY", "M", "NONE"]


def test_loss_upon_loss_is_reported(scratch: Scratch) -> None:
    first = transcode(memoryview(IMAGES["8 bit"].encoded()), EXPLICIT, [JPEG_LS_NEAR], Loss(near=2), scratch)
    data = memoryview(joined(first))
    second = transcode(data, JPEG_LS_NEAR, [JPEG_2000], Loss(ratio=6), scratch)
    found = dataset(joined(second), JPEG_2000)
    assert list(found.LossyImageCompressionMethod) == ["ISO_14495_1", "ISO_15444_1"]
    assert len(found.LossyImageCompressionRatio) == 2
    assert [item.ReferencedSOPInstanceUID for item in found.SourceImageSequence] == [
        "1.2.3.4.5",
        first.sop_instance_uid,
    ]
    assert found.DerivationDescription.count("lossy compression") == 2


def test_loss_is_refused_for_colours_by_table(scratch: Scratch) -> None:
    with pytest.raises(Refusal):
        transcode(memoryview(IMAGES["palette"].encoded()), EXPLICIT, [JPEG_2000], Loss(ratio=8), scratch)


def test_decompression_keeps_telling_of_loss(scratch: Scratch) -> None:
    part = next(part for part in REAL if part.path.name == "SC_rgb_jpeg_dcmtk.dcm")
    found = dataset(to(part.data_set, JPEG_BASELINE, EXPLICIT, scratch), EXPLICIT)
    assert (found.LossyImageCompression, found.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    code_bytes = len(dataset(part.data_set, JPEG_BASELINE).PixelData) - 16  # the empty offset table, the item's header
    assert float(found.LossyImageCompressionRatio) == pytest.approx(len(found.PixelData) / code_bytes, rel=0.01)

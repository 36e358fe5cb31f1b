"""What dcmtk compresses we read, what we compress dcmtk reads: the same pixels, bit by bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from gateway.dataset.codecs import CODECS, missing, short_name
from gateway.dataset.scratch import Scratch
from gateway.dataset.transcode import transcode
from gateway.ports.errors import Refusal
from tests.support.corpus import Part10, read_part10
from tests.support.data_set_writer import REAL
from tests.support.pixels import EXPLICIT, IMPLICIT, JPEG_LS, RLE, dataset, pixels
from tests.support.processes import program, run
from tests.support.transcoding import IMAGES, LOSSLESSLY, OVERFULL, as_file, assert_same, native_file, to

pytestmark = [pytest.mark.peers, pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(str(tmp_path))


async def dcmtk(tool: str, source: Path, result: Path, *options: str) -> Path:
    finished = await run([program(tool), *options, source, result])
    assert finished.returncode == 0, finished.output
    return result


def decompressed(part: Part10, scratch: Scratch, target: str = EXPLICIT) -> bytes:
    return to(part.data_set, part.transfer_syntax_uid, target, scratch)


LOSSLESS_CODES = {
    "JPEG lossless": ("dcmcjpeg", "+el"),
    "JPEG lossless, first order": ("dcmcjpeg", "+e1"),
    "JPEG lossless, in fragments without offsets": ("dcmcjpeg", "+e1", "+fs", "1", "-ot"),
    "JPEG-LS by line": ("dcmcjpls", "+el", "+il"),
    "JPEG-LS by sample": ("dcmcjpls", "+el", "+is"),
    "JPEG-LS by plane": ("dcmcjpls", "+el", "+in"),
    "RLE": ("dcmcrle",),
}
KINDS = [
    "8 bit",
    "8 bit signed",
    "10 of 16 bit",
    "12 of 16 bit",
    "12 of 16 bit signed",
    "16 bit",
    "16 bit signed",
    "palette",
    "RGB by plane",
    "YBR_FULL",
    "several frames of odd length",
]


@pytest.mark.parametrize("code", LOSSLESS_CODES)
async def test_what_dcmtk_compresses_without_loss_is_read_as_it_was(
    code: str, scratch: Scratch, tmp_path: Path
) -> None:
    tool, *options = LOSSLESS_CODES[code]
    for kind in KINDS:
        made = IMAGES[kind]
        compressed = await dcmtk(tool, native_file(made, tmp_path / "in.dcm"), tmp_path / "code.dcm", *options)
        part = read_part10(compressed)
        assert part.transfer_syntax_uid in CODECS
        for target in (EXPLICIT, IMPLICIT):
            found = dataset(decompressed(part, scratch, target), target)
            assert_same(pixels(found), pixels(dataset(made.encoded(), EXPLICIT)))
            assert (found.PhotometricInterpretation, found.BitsStored) == (made.photometric, made.bits_stored), kind


LOSSY_CODES = {
    "baseline": ("+eb", "JPEGBaseline8Bit"),
    "baseline, colours by pixel": ("+eb", "+s4", "JPEGBaseline8Bit"),
    "baseline, colours of four pixels": ("+eb", "+np", "JPEGBaseline8Bit"),
    "baseline in RGB": ("+eb", "+cr", "JPEGBaseline8Bit"),
    "extended, 8 bit": ("+ee", "+be", "JPEGExtended12Bit"),
    "extended, 12 bit": ("+ee", "+bt", "JPEGExtended12Bit"),
    "spectral selection, 8 bit": ("+es", "+be", "JPEGSpectralSelectionNonHierarchical68"),
    "spectral selection, 12 bit": ("+es", "+bt", "JPEGSpectralSelectionNonHierarchical68"),
    "progressive, 8 bit": ("+ep", "+be", "JPEGFullProgressionNonHierarchical1012"),
    "progressive, 12 bit": ("+ep", "+bt", "JPEGFullProgressionNonHierarchical1012"),
}


@pytest.mark.parametrize("code", LOSSY_CODES)
async def test_what_dcmtk_compresses_with_loss_is_read_as_dcmtk_reads_it(
    code: str, scratch: Scratch, tmp_path: Path
) -> None:
    *options, name = LOSSY_CODES[code]
    for kind in ("8 bit", "12 of 16 bit", "12 of 16 bit signed", "RGB", "YBR_FULL", "several frames"):
        source = native_file(IMAGES[kind], tmp_path / "in.dcm")
        part = read_part10(await dcmtk("dcmcjpeg", source, tmp_path / "code.dcm", *options))
        assert short_name(part.transfer_syntax_uid) == name
        theirs = dcmread(await dcmtk("dcmdjpeg", tmp_path / "code.dcm", tmp_path / "out.dcm"))
        if theirs.SamplesPerPixel == 3 and theirs.BitsStored > 8:
            with pytest.raises(Refusal, match="YBR colours of 12 bits"):
                transcode(memoryview(part.data_set), part.transfer_syntax_uid, [EXPLICIT], LOSSLESSLY, scratch)
            continue
        ours = dataset(decompressed(part, scratch), EXPLICIT)
        assert_same(pixels(ours), pixels(theirs))
        assert ours.PhotometricInterpretation == theirs.PhotometricInterpretation
        assert (ours.LossyImageCompression, ours.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
        assert ours.SOPInstanceUID == part.sop_instance_uid  # to decompress makes no other image


TOOLS = {
    "JPEGBaseline8Bit": "dcmdjpeg",
    "JPEGExtended12Bit": "dcmdjpeg",
    "JPEGLosslessSV1": "dcmdjpeg",
    "JPEGLSLossless": "dcmdjpls",
    "JPEGLSNearLossless": "dcmdjpls",
    "RLELossless": "dcmdrle",
}
LARGEST_BYTES = 1_000_000
CODED = [part for part in REAL if len(part.data_set) < LARGEST_BYTES and short_name(part.transfer_syntax_uid) in TOOLS]


NOT_READ = {"SC_rgb_jpeg.dcm"}
"""By dcmtk, which takes its file meta information for something else."""


@pytest.mark.parametrize(("tool", "count"), [("dcmdjpeg", 19), ("dcmdjpls", 6), ("dcmdrle", 12)])
async def test_real_objects_are_read_as_dcmtk_reads_them(
    tool: str, count: int, scratch: Scratch, tmp_path: Path
) -> None:
    compared = 0
    for part in CODED:
        if TOOLS[short_name(part.transfer_syntax_uid)] != tool:
            continue
        finished = await run([program(tool), part.path, tmp_path / "out.dcm"])
        if part.path.name in NOT_READ:
            continue
        assert finished.returncode == 0, finished.output
        theirs = dcmread(tmp_path / "out.dcm")
        if "PixelData" not in theirs:
            continue
        ours = dataset(decompressed(part, scratch), EXPLICIT)
        assert_same(pixels(ours), pixels(theirs))
        assert ours.PhotometricInterpretation == theirs.PhotometricInterpretation
        compared += 1
    assert compared == count


@pytest.mark.parametrize(("target", "tool"), [(RLE, "dcmdrle"), (JPEG_LS, "dcmdjpls")])
async def test_dcmtk_reads_what_we_write(target: str, tool: str, scratch: Scratch, tmp_path: Path) -> None:
    for kind, made in (IMAGES | OVERFULL).items():
        encoded = to(made.encoded(), EXPLICIT, target, scratch)
        theirs = dcmread(await dcmtk(tool, as_file(encoded, target, tmp_path / "in.dcm"), tmp_path / "out.dcm"))
        assert_same(pixels(theirs), pixels(dataset(made.encoded(), EXPLICIT)))
        assert theirs.PhotometricInterpretation == made.photometric, kind

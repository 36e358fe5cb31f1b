"""Pixels out of and into compressed frames, by pydicom's plugins for native codecs. Loaded by worker processes only.

Frames go one by one, so that an object may be larger than the memory. The output of a lossless codec is read back and
compared: a frame that does not come back as it was is a Refusal, never an object.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.pixels.processing import convert_color_space

from gateway.dataset.codecs import (
    CODECS,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    JPEG_LS_NEAR_LOSSLESS,
    RLE,
    short_name,
)
from gateway.dataset.encapsulation import basic_offset_table, fragment_header
from gateway.dataset.fragments import is_without_fragments, without_empty
from gateway.dataset.image import Image
from gateway.ports.errors import Refusal

Frame = npt.NDArray[Any]
"""(rows, columns), or (rows, columns, samples): colour by pixel."""

JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
PROGRESSIVE = frozenset({"1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"})
"""Spectral selection and full progression (both retired)."""
TO_RGB = PROGRESSIVE | {"1.2.840.10008.1.2.4.50", JPEG_EXTENDED}
"""JPEG that loses: its YBR is the codec's own, and subsampled; RGB is what it stands for."""
_JPEG_LS = frozenset({JPEG_LS_LOSSLESS, JPEG_LS_NEAR_LOSSLESS})
_YBR = frozenset({"YBR_FULL", "YBR_FULL_422"})
SMALLEST_JPEG_2000 = 32
"""OpenJPEG's encoder makes six resolutions, each half of the last."""
_TRANSFORMED = {JPEG_2000_LOSSLESS: "YBR_RCT", JPEG_2000: "YBR_ICT"}
"""RGB is written with the multiple component transformation (PS3.5 §8.2.4)."""


class _Shortage(logging.Handler):
    """pydicom logs what a plugin raised, and then raises something else."""

    was_seen = False

    def emit(self, record: logging.LogRecord) -> None:
        self.was_seen |= record.exc_info is not None and isinstance(record.exc_info[1], MemoryError)


@contextmanager
def _codec(failed: Callable[[], str]) -> Iterator[None]:
    """Turn an exception of a codec into a Refusal, with the step that `failed` and the codec's message; or into
    MemoryError, if that was the cause."""
    shortage = _Shortage()
    logger = logging.getLogger("pydicom")
    logger.addHandler(shortage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom wonders about odd attributes; what counts here are the pixels
            yield
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        if shortage.was_seen:
            raise MemoryError from None
        raise Refusal(f"{failed()}: {_last_line(error)}") from None
    finally:
        logger.removeHandler(shortage)


class ViewFile(io.RawIOBase):
    """A view as a file, so that nothing copies all of it."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, len(self._view))[whence])
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._view) if size is None or size < 0 else self._position + size
        chunk = bytes(self._view[self._position : end])
        self._position += len(chunk)
        return chunk


def dtype_of(image: Image) -> np.dtype[Any]:
    """The type of one sample in native pixel data. Raises Refusal when there is none."""
    if image.bits_allocated not in (8, 16, 32, 64):
        raise Refusal(f"pixels of {image.bits_allocated} allocated bits cannot be compressed or decompressed")
    return np.dtype(f"<{'i' if image.is_signed else 'u'}{image.bits_allocated // 8}")


def decoded(
    value: memoryview, image: Image, transfer_syntax_uid: str, offsets: tuple[bytes, bytes] | None = None
) -> Iterator[tuple[Frame, str]]:
    """The frames of encapsulated pixel data, each with the photometric interpretation it now has.

    Args:
        value: the items, Basic Offset Table first.
        offsets: the Extended Offset Table and its lengths, if there are any.

    Raises:
        Refusal: no codec reads it, or there are more or fewer frames than the attributes say.
    """
    if is_without_fragments(value):
        raise Refusal("the encapsulated pixel data has no fragments")
    value, offsets = without_empty(value, offsets)
    kind = dtype_of(image)
    name = short_name(transfer_syntax_uid)
    count = 0
    with _codec(lambda: f"frame {count + 1} of the pixel data cannot be read as {name}"):
        for array, properties in _iterate(value, image, transfer_syntax_uid, offsets):
            count += 1
            if count > image.frames:
                raise Refusal(f"the pixel data has more frames than the {image.frames} that Number of Frames says")
            photometric = str(properties["photometric_interpretation"])
            if transfer_syntax_uid in TO_RGB and photometric in _YBR:
                if array.dtype.itemsize > 1:
                    raise Refusal(f"YBR colours of {image.bits_stored} bits in {name} cannot be converted to RGB")
                array, photometric = convert_color_space(array, "YBR_FULL", "RGB"), "RGB"
            yield _shaped(array, image, kind), photometric
    if count < image.frames:
        raise Refusal(f"the pixel data has {count} frames, not the {image.frames} that Number of Frames says")


def _iterate(
    value: memoryview, image: Image, transfer_syntax_uid: str, offsets: tuple[bytes, bytes] | None
) -> Iterator[tuple[Frame, dict[str, Any]]]:
    options: dict[str, Any] = _options(image) | {"correct_unused_bits": False, "number_of_frames": image.frames}
    if offsets is not None:
        options["extended_offsets"] = offsets
    if transfer_syntax_uid in PROGRESSIVE or (transfer_syntax_uid == JPEG_EXTENDED and image.bits_stored > 8):
        yield from _iterate_by_gdcm(value, image, transfer_syntax_uid, offsets)
        return
    decoder = get_decoder(transfer_syntax_uid)
    plugin = CODECS[transfer_syntax_uid].plugin
    yield from decoder.iter_array(cast(BinaryIO, ViewFile(value)), raw=True, decoding_plugin=plugin, **options)


def _iterate_by_gdcm(
    value: memoryview, image: Image, transfer_syntax_uid: str, offsets: tuple[bytes, bytes] | None
) -> Iterator[tuple[Frame, dict[str, Any]]]:
    """JPEG that pydicom's plugin leaves out, and that GDCM reads as dcmtk does."""
    import gdcm

    kind = np.dtype("<u1" if image.bits_allocated == 8 else "<u2")
    frames = generate_frames(ViewFile(value), number_of_frames=image.frames, extended_offsets=offsets)
    for code in frames:
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(code)
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetValue(fragments.__ref__())
        picture = gdcm.Image()
        picture.SetNumberOfDimensions(2)
        picture.SetDimensions((image.columns, image.rows, 1))
        picture.SetDataElement(element)
        number = gdcm.PhotometricInterpretation.GetPIType(image.photometric)
        picture.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(number))
        if image.samples > 1:
            picture.SetPlanarConfiguration(0)
        picture.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(transfer_syntax_uid)))
        stored = image.bits_stored
        picture.SetPixelFormat(
            gdcm.PixelFormat(image.samples, kind.itemsize * 8, stored, stored - 1, int(image.is_signed))
        )
        pixels = picture.GetBuffer().encode("utf-8", "surrogateescape")  # it comes as text of one character a byte
        yield (
            np.frombuffer(pixels, dtype=kind).reshape(_shape(image)),
            {"photometric_interpretation": image.photometric},
        )


def _shaped(array: Frame, image: Image, kind: np.dtype[Any]) -> Frame:
    """The frame with the sample size that the attributes give. Raises ValueError when the codec found another form."""
    if array.shape != _shape(image) or array.dtype.itemsize > kind.itemsize:
        raise ValueError("rows, columns or bits of the frame differ from those of the attributes")
    return np.ascontiguousarray(array, dtype=kind)


def _shape(image: Image) -> tuple[int, ...]:
    return (image.rows, image.columns, image.samples)[: 3 if image.samples > 1 else 2]


def native_frames(value: memoryview, image: Image) -> Iterator[Frame]:
    """The frames of native pixel data, little endian. Raises Refusal when they are not as the attributes say."""
    kind = dtype_of(image)
    is_shared = image.samples_per_frame != image.rows * image.columns * image.samples
    if is_shared and whole(image) is image:
        raise Refusal(f"native pixel data in {image.photometric} shares its chrominance: it cannot be compressed")
    length = image.length_bytes // image.frames
    excess = len(value) - image.length_bytes
    if excess < 0 or excess >= (2 if is_shared else max(length, 2)):
        raise Refusal(f"the pixel data has {len(value)} bytes, its attributes tell of {image.length_bytes}")
    for index in range(image.frames):
        array = np.frombuffer(value[index * length : (index + 1) * length], dtype=kind)
        if image.samples == 1:
            yield array.reshape(image.rows, image.columns)
        elif is_shared:
            yield _unshared(array.reshape(image.rows, image.columns // 2, 4))
        elif image.is_planar:
            yield array.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
        else:
            yield array.reshape(image.rows, image.columns, image.samples)


def whole(image: Image) -> Image:
    """The form in which frames are compressed: two pixels that share their chrominance get a copy of it each."""
    if image.photometric != "YBR_FULL_422" or image.samples != 3 or image.columns % 2 or image.is_planar:
        return image
    return replace(image, photometric="YBR_FULL")


def _unshared(array: Frame) -> Frame:
    """Y Y Cb Cr, twice the pixels wide (PS3.3 §C.7.6.3.1.2), as Y Cb Cr."""
    first, second, blue, red = (array[:, :, index] for index in range(4))
    left, right = np.stack([first, blue, red], axis=-1), np.stack([second, blue, red], axis=-1)
    return np.stack([left, right], axis=2).reshape(array.shape[0], array.shape[1] * 2, 3)


class FrameEncoder:
    """Writes frames in one transfer syntax.

    `loss` is the compression ratio for JPEG 2000, or the allowed error of a sample for JPEG-LS near-lossless.
    """

    def __init__(self, image: Image, transfer_syntax_uid: str, loss: float | None = None) -> None:
        self.image = image
        self.transfer_syntax_uid = transfer_syntax_uid
        self.photometric = image.photometric
        if image.photometric == "RGB":
            self.photometric = _TRANSFORMED.get(transfer_syntax_uid, "RGB")
        self._encoder = get_encoder(transfer_syntax_uid)
        self._options: dict[str, Any] = _options(image) | {"photometric_interpretation": self.photometric}
        self._options["bits_stored"] = self._precision()
        if transfer_syntax_uid == JPEG_LS_NEAR_LOSSLESS:
            self._options["jls_error"] = loss
        if transfer_syntax_uid == JPEG_2000:
            self._options["j2k_cr"] = [loss]
        self._is_lossless = loss is None

    def _precision(self) -> int:
        """Bits of a sample in the code. RLE takes whole bytes; of JPEG-LS readers want as many bytes as are allocated,
        and some cannot read less than 8 bits."""
        image = self.image
        is_usual = image.bits_stored > image.bits_allocated - 8 and image.bits_stored >= 8
        if self.transfer_syntax_uid == RLE or (self.transfer_syntax_uid in _JPEG_LS and not is_usual):
            return image.bits_allocated
        return image.bits_stored

    def _options_for(self, frame: Frame) -> dict[str, Any]:
        """JPEG-LS holds what lies above Bits Stored too, as whole words; dcmtk writes all its images like that."""
        bits: int = self._options["bits_stored"]
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.image.is_signed else (0, (1 << bits) - 1)
        if self.transfer_syntax_uid == JPEG_LS_LOSSLESS and not low <= frame.min() <= frame.max() <= high:
            return self._options | {"bits_stored": self.image.bits_allocated}
        return self._options

    def encode(self, frame: Frame) -> bytes:
        """The compressed frame, of even length. Raises Refusal when the codec cannot, or when pixels would change."""
        plugin = CODECS[self.transfer_syntax_uid].plugin
        name = short_name(self.transfer_syntax_uid)
        image = self.image
        if self.transfer_syntax_uid in _TRANSFORMED and min(image.rows, image.columns) < SMALLEST_JPEG_2000:
            raise Refusal(f"an image of less than {SMALLEST_JPEG_2000} rows or columns cannot be written as {name}")
        with _codec(lambda: f"the pixels cannot be written as {name}"):
            code = self._encoder.encode(
                np.ascontiguousarray(frame), encoding_plugin=plugin, number_of_frames=1, **self._options_for(frame)
            )
        padded = bytes(code) + b"\0" * (len(code) % 2)
        if self._is_lossless and not np.array_equal(self._read_back(padded), frame):
            raise Refusal(f"the pixels cannot be written as {name} without loss: they did not come back as they were")
        return padded

    def _read_back(self, code: bytes) -> Frame:
        single = replace(self.image, photometric=self.photometric, frames=1)
        item = memoryview(basic_offset_table([len(code)]) + fragment_header(len(code)) + code)
        return next(decoded(item, single, self.transfer_syntax_uid))[0]


def _options(image: Image) -> dict[str, Any]:
    return {
        "rows": image.rows,
        "columns": image.columns,
        "samples_per_pixel": image.samples,
        "bits_allocated": image.bits_allocated,
        "bits_stored": image.bits_stored,
        "pixel_representation": int(image.is_signed),
        "photometric_interpretation": image.photometric,
        "planar_configuration": 0,  # what codecs take and give; those that differ say so
    }


def _last_line(error: Exception) -> str:
    """The last line that says something: pydicom lists the error of each plugin. Python's own message about a plugin
    that failed inside says nothing of the code stream.
    """
    if "Part 5, Section 8.2" in str(error):
        return "PS3.5 §8.2 does not allow it for these Bits Allocated, Bits Stored and Photometric Interpretation"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1][:200] if lines else ""
    if not last or isinstance(error, _STUMBLED) or "'NoneType' object" in last:
        return "the codec found no image in it"
    return last


_STUMBLED = (struct.error, AttributeError, LookupError, TypeError, AssertionError)

"""The Image Pixel attributes of a data set and where its pixel data lies (PS3.3 §C.7.6.3), from its bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.dataset import charset
from gateway.dataset.dictionary import name_of
from gateway.dataset.elements import Element, selection_of
from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.value import texts
from gateway.dataset.walk import walk
from gateway.ports.errors import Refusal

PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA = 0x7FE00010, 0x7FE00008, 0x7FE00009
EXTENDED_OFFSETS, EXTENDED_LENGTHS, ENCAPSULATED_LENGTH = 0x7FE00001, 0x7FE00002, 0x7FE00003
SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ROWS, COLUMNS, ALLOCATED, STORED, HIGH_BIT, SIGNED = (
    0x00280010,
    0x00280011,
    0x00280100,
    0x00280101,
    0x00280102,
    0x00280103,
)
ICON_IMAGE_SEQUENCE = 0x00880200

FRAME_OF_PIXELS = frozenset({0x7FE00000, EXTENDED_OFFSETS, EXTENDED_LENGTHS, ENCAPSULATED_LENGTH, PIXEL_DATA})
"""Attributes that describe pixel data in its present encoding, and go with it."""
PIXELS = frozenset({PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA})
_WANTED = selection_of(
    FRAME_OF_PIXELS
    | PIXELS
    | {SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS, ALLOCATED, STORED, HIGH_BIT, SIGNED, ICON_IMAGE_SEQUENCE}
)


@dataclass(frozen=True, slots=True)
class Image:
    """The image as its attributes describe it."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    photometric: str
    is_planar: bool
    """Planar Configuration 1: colour by plane."""
    frames: int

    @property
    def samples_per_frame(self) -> int:
        """The samples of one frame; two pixels of YBR_FULL_422 share their chrominance (PS3.3 §C.7.6.3.1.2)."""
        shared = 2 if self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") else self.samples
        return self.rows * self.columns * shared

    @property
    def length_bytes(self) -> int:
        """The length of all frames, native, without padding."""
        return (self.samples_per_frame * self.frames * self.bits_allocated + 7) // 8


class ImageDataSet:
    """An explicit VR little endian data set with its pixel data, if it has some."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.found = walk(view, 0, len(view), EXPLICIT_LITTLE, _WANTED)
        self._first: dict[int, Element] = {}
        for element in self.found:
            self._first.setdefault(element.tag, element)

    @property
    def pixels(self) -> Element | None:
        """(7FE0,0010); None without."""
        return self._first.get(PIXEL_DATA)

    @property
    def has_pixels(self) -> bool:
        """True with pixel data of any kind, float included."""
        return not PIXELS.isdisjoint(self._first)

    @property
    def icons(self) -> Element | None:
        """The Icon Image Sequence."""
        return self._first.get(ICON_IMAGE_SEQUENCE)

    def value(self, tag: int) -> memoryview:
        """The bytes of an element; empty when absent."""
        element = self._first.get(tag)
        return self.view[element.value : element.stop] if element is not None else self.view[:0]

    def image(self) -> Image:
        """The Image Pixel attributes. Raises Refusal when one that is needed is missing or makes no sense."""
        samples = self._number(SAMPLES)
        image = Image(
            rows=self._number(ROWS),
            columns=self._number(COLUMNS),
            samples=samples,
            bits_allocated=self._number(ALLOCATED),
            bits_stored=self._number(STORED),
            is_signed=self._number(SIGNED, 0) == 1,
            photometric=self._text(PHOTOMETRIC),
            is_planar=samples > 1 and self._number(PLANAR, 0) == 1,
            frames=self._frames(),
        )
        if (
            min(image.rows, image.columns, image.samples) < 1
            or not 1 <= image.bits_stored <= image.bits_allocated <= 64
        ):
            raise Refusal(
                f"the pixel data cannot be converted: its attributes make no sense ({image.rows} rows, {image.columns} "
                f"columns, {image.samples} samples, {image.bits_stored} of {image.bits_allocated} bits)"
            )
        return image

    def around(self) -> tuple[memoryview, memoryview]:
        """The data set before and behind the pixel data, without what describes it as it is encoded now."""
        pixels = self._first[PIXEL_DATA]
        gone = sorted((element.start, element.end) for element in self.found if element.tag in FRAME_OF_PIXELS)
        before: list[memoryview] = []
        behind: list[memoryview] = []
        position = 0
        for start, end in [*gone, (len(self.view), len(self.view))]:
            (before if position < pixels.end else behind).append(self.view[position:start])
            position = end
        return memoryview(b"".join(before)), memoryview(b"".join(behind))

    def _number(self, tag: int, default: int | None = None) -> int:
        value = self.value(tag)
        if len(value) >= 2:
            return int(struct.unpack_from("<H", value)[0])
        if default is None:
            raise Refusal(f"the pixel data cannot be converted: {name_of(tag)} is missing")
        return default

    def _text(self, tag: int) -> str:
        return next(iter(texts(bytes(self.value(tag)), "CS", charset.DEFAULT)), "")

    def _frames(self) -> int:
        text = self._text(FRAMES)
        if text == "":
            return 1
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise Refusal("the pixel data cannot be converted: Number of Frames is no number from 1")
        return int(text)

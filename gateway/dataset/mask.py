"""Rectangles of native pixel data painted over, on the encoded bytes (PS3.5 §8.1.1, §8.2; PS3.3 §C.7.6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.dataset.writer import Pieces
from gateway.model.problem import SettingProblem
from gateway.ports.errors import Refusal

NATIVE_LITTLE_ENDIAN: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
"""Transfer syntaxes whose pixel data can be painted: implicit, explicit and deflated explicit VR little endian."""

_SUBSAMPLED: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
_WHOLE_BYTES: Final = frozenset({8, 16, 32, 64})


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Pixels to paint over: from column `left` and row `top`, both counted from 0; what lies outside does not count."""

    left: int
    top: int
    width: int
    height: int

    def problems(self) -> Iterable[SettingProblem]:
        for name, least in (("left", 0), ("top", 0), ("width", 1), ("height", 1)):
            if getattr(self, name) < least:
                yield (name,), f"{name} must be at least {least}"


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """The layout of an object's pixels in its Pixel Data (7FE0,0010)."""

    rows: int
    columns: int
    samples: int = 1
    bits_allocated: int = 8
    is_planar: bool = False
    """Planar Configuration 1: all of one sample, then all of the next, in each frame."""
    frames: int = 1
    photometric_interpretation: str = "MONOCHROME2"

    @property
    def is_subsampled(self) -> bool:
        """True when two pixels share their chrominance, in the order Y Y Cb Cr (PS3.3 §C.7.6.3.1.2)."""
        return self.photometric_interpretation in _SUBSAMPLED

    @property
    def frame_bits(self) -> int:
        """The bits of one frame; frames of one bit a pixel follow each other without a gap."""
        samples = 2 if self.is_subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def length_bytes(self) -> int:
        """The length of all frames, without the padding to even length."""
        return (self.frame_bits * self.frames + 7) // 8

    def check(self) -> None:
        """Raises Refusal for a layout that cannot be painted."""
        if min(self.rows, self.columns, self.samples, self.frames) < 1:
            raise Refusal("the pixels cannot be masked: rows, columns, samples and frames must be 1 or more")
        if self.bits_allocated == 1 and self.samples == 1:
            return
        if self.bits_allocated not in _WHOLE_BYTES:
            raise Refusal(f"the pixels cannot be masked: {self.bits_allocated} bits are allocated for each")
        if self.is_subsampled and (self.bits_allocated != 8 or self.columns % 2 or self.is_planar):
            raise Refusal("the pixels cannot be masked: chrominance is shared in an unusual way")


def painted(value: memoryview, layout: PixelLayout, rectangles: Sequence[Rectangle]) -> Pieces:
    """The value of Pixel Data with `rectangles` painted over in every frame, as long as before; the rest is a view.

    Raises Refusal when `value` is too short for the layout, or the layout cannot be painted.
    """
    layout.check()
    if len(value) < layout.length_bytes:
        raise Refusal(
            f"the pixels cannot be masked: {len(value)} bytes are there, the attributes tell of {layout.length_bytes}"
        )
    inside = [found for found in (_clipped(layout, rectangle) for rectangle in rectangles) if found is not None]
    if not inside:
        return [value]
    if layout.bits_allocated == 1:
        return [_painted_bits(value, layout, inside)]
    return _painted_planes(value, layout, inside)


def _clipped(layout: PixelLayout, rectangle: Rectangle) -> Rectangle | None:
    """The part of a rectangle that lies in the image, in whole pairs of pixels where they share their chrominance."""
    left, top = rectangle.left, rectangle.top
    right = min(left + rectangle.width, layout.columns)
    bottom = min(top + rectangle.height, layout.rows)
    if layout.is_subsampled:
        left, right = left // 2 * 2, (right + 1) // 2 * 2
    return Rectangle(left, top, right - left, bottom - top) if left < right and top < bottom else None


def _painted_planes(value: memoryview, layout: PixelLayout, rectangles: Sequence[Rectangle]) -> Pieces:
    """Only the rows from the first to the last touched one are copied, plane by plane."""
    fills = _fills(layout)
    stride = layout.frame_bits // 8 // layout.rows // layout.columns // (len(fills) if layout.is_planar else 1)
    row_bytes = stride * layout.columns
    top = min(rectangle.top for rectangle in rectangles)
    bottom = max(rectangle.top + rectangle.height for rectangle in rectangles)
    planes = layout.frames * (len(fills) if layout.is_planar else 1)
    pieces: Pieces = []
    position = 0
    for plane in range(planes):
        base = plane * row_bytes * layout.rows
        band = bytearray(value[base + top * row_bytes : base + bottom * row_bytes])
        fill = fills[plane % len(fills)] if layout.is_planar else b"".join(fills)
        for rectangle in rectangles:
            painted_row = (fill * rectangle.width)[: rectangle.width * stride]
            for row in range(rectangle.top - top, rectangle.top - top + rectangle.height):
                start = row * row_bytes + rectangle.left * stride
                band[start : start + len(painted_row)] = painted_row
        pieces += [value[position : base + top * row_bytes], bytes(band)]
        position = base + bottom * row_bytes
    return [*pieces, value[position:]]


def _fills(layout: PixelLayout) -> tuple[bytes, ...]:
    """The bytes to paint with, by sample: 0, with 8-bit chrominance in its middle, where it has no colour."""
    size_bytes = layout.bits_allocated // 8
    if layout.is_subsampled:
        return (b"\0", b"\0", b"\x80", b"\x80")
    if layout.photometric_interpretation.startswith("YBR") and layout.samples == 3 and size_bytes == 1:
        return (b"\0", b"\x80", b"\x80")
    return (bytes(size_bytes),) * layout.samples


def _painted_bits(value: memoryview, layout: PixelLayout, rectangles: Sequence[Rectangle]) -> bytes:
    """One bit a pixel, the first in the least significant bit; a frame begins where the last one ends."""
    bits = bytearray(value)
    for frame in range(layout.frames):
        for rectangle in rectangles:
            for row in range(rectangle.top, rectangle.top + rectangle.height):
                start = frame * layout.frame_bits + row * layout.columns + rectangle.left
                _clear(bits, start, start + rectangle.width)
    return bytes(bits)


def _clear(bits: bytearray, start: int, end: int) -> None:
    first, last = -(-start // 8), end // 8
    if first > last:  # within one byte
        bits[last] &= ~(((1 << (end - start)) - 1) << start % 8) & 0xFF
        return
    if start % 8:
        bits[first - 1] &= (1 << start % 8) - 1
    bits[first:last] = bytes(last - first)
    if end % 8:
        bits[last] &= 0xFF << end % 8 & 0xFF

"""Rectangles painted over: pixel by pixel against a picture that is drawn with slow loops."""

from __future__ import annotations

import random

import pytest

from gateway.dataset.mask import PixelLayout, Rectangle, painted
from gateway.ports.errors import Refusal

RECTANGLES = (Rectangle(1, 0, 3, 2), Rectangle(2, 1, 3, 2), Rectangle(5, 4, 100, 100), Rectangle(50, 0, 5, 5))
"""Overlapping ones, one that leaves the picture, one outside of it."""


def is_covered(row: int, column: int, rectangles: tuple[Rectangle, ...] = RECTANGLES) -> bool:
    return any(r.left <= column < r.left + r.width and r.top <= row < r.top + r.height for r in rectangles)


def noise(layout: PixelLayout, padding: bytes = b"") -> bytes:
    source = random.Random(7)
    return bytes(source.randrange(1, 128) for _ in range(layout.length_bytes)) + padding


def fill_of(layout: PixelLayout, sample: int) -> bytes:
    if layout.photometric_interpretation == "YBR_FULL" and sample and layout.bits_allocated == 8:
        return b"\x80"
    return bytes(layout.bits_allocated // 8)


def expected(value: bytes, layout: PixelLayout) -> bytes:
    size = layout.bits_allocated // 8
    out = bytearray(value)
    for frame in range(layout.frames):
        for row in range(layout.rows):
            for column in range(layout.columns):
                for sample in range(layout.samples):
                    if not is_covered(row, column):
                        continue
                    if layout.is_planar:
                        place = ((frame * layout.samples + sample) * layout.rows + row) * layout.columns + column
                    else:
                        place = ((frame * layout.rows + row) * layout.columns + column) * layout.samples + sample
                    out[place * size : (place + 1) * size] = fill_of(layout, sample)
    return bytes(out)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize(
    ("samples", "is_planar", "photometric"),
    [
        (1, False, "MONOCHROME2"),
        (1, True, "MONOCHROME1"),
        (1, False, "PALETTE COLOR"),
        (3, False, "RGB"),
        (3, True, "RGB"),
        (3, False, "YBR_FULL"),
        (3, True, "YBR_FULL"),
    ],
)
def test_every_pixel_in_a_rectangle_and_no_other(
    frames: int, bits: int, samples: int, is_planar: bool, photometric: str
) -> None:
    layout = PixelLayout(7, 9, samples, bits, is_planar, frames, photometric)
    value = noise(layout, b"\x7f" * (layout.length_bytes % 2))

    pieces = painted(memoryview(value), layout, RECTANGLES)

    assert b"".join(pieces) == expected(value, layout)


def test_shared_chrominance_is_painted_in_pairs_of_pixels() -> None:
    layout = PixelLayout(2, 8, 3, 8, False, 2, "YBR_FULL_422")
    value = noise(layout)

    result = b"".join(painted(memoryview(value), layout, (Rectangle(3, 1, 2, 1),)))

    for frame in (0, 32):
        row = frame + 16
        assert result[row + 4 : row + 12] == b"\0\0\x80\x80" * 2
        assert result[row : row + 4] + result[row + 12 : row + 16] == value[row : row + 4] + value[row + 12 : row + 16]
        assert result[frame:row] == value[frame:row]
    assert len(result) == len(value)


@pytest.mark.parametrize("columns", [8, 9, 13, 24])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_single_bits(columns: int, frames: int) -> None:
    layout = PixelLayout(5, columns, 1, 1, False, frames)
    source = random.Random(columns)
    value = bytes(source.randrange(256) for _ in range(layout.length_bytes + layout.length_bytes % 2))

    result = b"".join(painted(memoryview(value), layout, RECTANGLES))

    number, after = int.from_bytes(value, "little"), int.from_bytes(result, "little")
    for place in range(len(value) * 8):
        frame, in_frame = divmod(place, 5 * columns)
        is_gone = frame < frames and is_covered(*divmod(in_frame, columns))
        assert after >> place & 1 == (0 if is_gone else number >> place & 1), place


def test_what_lies_outside_of_the_touched_rows_is_not_copied() -> None:
    layout = PixelLayout(100, 100, frames=2)
    value = memoryview(bytearray(b"\1" * layout.length_bytes))

    pieces = painted(value, layout, (Rectangle(0, 10, 100, 5),))

    assert [len(piece) for piece in pieces if isinstance(piece, memoryview)] == [1000, 9500, 8500]
    assert painted(value, layout, (Rectangle(0, 100, 5, 5),)) == [value]


@pytest.mark.parametrize(
    ("layout", "length", "message"),
    [
        (PixelLayout(4, 4), 15, "15 bytes are there, the attributes tell of 16"),
        (PixelLayout(4, 4, bits_allocated=12), 99, "12 bits"),
        (PixelLayout(4, 4, samples=3, bits_allocated=1), 99, "1 bits"),
        (PixelLayout(0, 4), 99, "must be 1 or more"),
        (PixelLayout(4, 5, 3, photometric_interpretation="YBR_FULL_422"), 99, "unusual"),
        (PixelLayout(1 << 16, 1 << 16, 4, 64, False, 1 << 30), 99, "bytes are there"),
    ],
    ids=["too short", "12 bits", "bits of colours", "no rows", "odd columns", "a huge picture"],
)
def test_what_cannot_be_painted_is_refused(layout: PixelLayout, length: int, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        painted(memoryview(bytes(length)), layout, RECTANGLES)

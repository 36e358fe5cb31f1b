"""Hostile and greedy objects, through the codecs as they are: refused with a reason, in bounded time and memory."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from gateway.conversion.pool import ConversionPool
from gateway.dataset.codecs import CODECS, missing, short_name
from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scratch import Scratch
from gateway.model.settings import ConversionLimits
from gateway.ports.errors import Refusal
from gateway.ports.kinds import Conversion
from gateway.ports.meter import NoMeter
from gateway.spool.body import InMemoryDataSet
from tests.support.data_set_writer import Write
from tests.support.pixels import EXPLICIT, JPEG_2000_LOSSLESS, JPEG_LS, RLE, Made
from tests.support.transcoding import image, to

pytestmark = pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")

MEMORY_BYTES = 64 * 1024**2
OF_MEMORY = "64 MiB that `gateway.conversion.memory` allows|more memory than `gateway.conversion.memory` allows|crashed"
LOSSLESS = [RLE, JPEG_LS, JPEG_2000_LOSSLESS]


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[ConversionPool]:
    made = ConversionPool(ConversionLimits(1, MEMORY_BYTES, 240.0), str(tmp_path), NoMeter())
    yield made
    await made.close()


async def converted(pool: ConversionPool, data: bytes, source: str, target: str) -> bytes:
    made = await pool.convert(InMemoryDataSet([data]), source, Conversion("transcode", {"to": [target]}))
    result = bytes(made.body.view())
    made.body.close()
    return result


def claiming(data: bytes, rows: int, columns: int, frames: str = "") -> bytes:
    """The same, but its attributes tell of another size."""
    for tag, value in ((0x00280010, rows), (0x00280011, columns)):
        head = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"US", 2)
        place = data.index(head) + len(head)
        data = data[:place] + struct.pack("<H", value) + data[place + 2 :]
    if frames:
        data = data.replace(b"\x28\0\x08\0IS\x02\0001 ", Write(EXPLICIT_LITTLE).element(0x00280008, "IS", frames))
    return data


@pytest.mark.parametrize("syntax", LOSSLESS, ids=short_name)
@pytest.mark.parametrize(
    ("rows", "columns", "frames"),
    [(65535, 60000, ""), (65535, 65535, ""), (40, 35, "2000000"), (40, 35, "999999999999")],
    ids=["4 GB", "more than 4 GiB", "many frames", "very many frames"],
)
async def test_small_code_that_claims_to_be_large(
    pool: ConversionPool, syntax: str, rows: int, columns: int, frames: str, tmp_path: Path
) -> None:
    code = to(image().encoded(), EXPLICIT, syntax, Scratch(str(tmp_path)))
    with pytest.raises(Refusal):
        await converted(pool, claiming(code, rows, columns, frames), syntax, EXPLICIT)
    assert await converted(pool, code, syntax, EXPLICIT) == image().encoded()  # others go on


LARGE = Made(np.random.default_rng(3).integers(0, 1 << 16, (1, 5000, 5000), "u2"), 16).encoded()
"""50 MB, which no codec takes with 64 MiB."""


@pytest.mark.parametrize("syntax", LOSSLESS, ids=short_name)
async def test_a_frame_that_is_too_large_for_the_memory(pool: ConversionPool, syntax: str) -> None:
    with pytest.raises(Refusal, match=OF_MEMORY):
        await converted(pool, LARGE, EXPLICIT, syntax)
    small = image().encoded()
    assert await converted(pool, await converted(pool, small, EXPLICIT, syntax), syntax, EXPLICIT) == small


async def test_many_frames_need_the_memory_of_one(pool: ConversionPool) -> None:
    """80 MB of pixels with 64 MiB: frames go one by one, and what is made of them lies in files."""
    large = Made(np.broadcast_to(np.arange(40, dtype="u2")[:, None, None], (40, 1000, 1000)), 16).encoded()
    assert (await converted(pool, await converted(pool, large, EXPLICIT, RLE), RLE, EXPLICIT)) == large

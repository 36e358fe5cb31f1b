"""Native data sets that are written in another native transfer syntax on their way out."""

from __future__ import annotations

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.ports.errors import Unreadable
from gateway.sending.native_form import in_native_form
from gateway.spool.pieces import JOINED_BYTES

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
IN = {  # Rows (0028,0010) of 0xFF07
    EXPLICIT: bytes.fromhex("280010005553020007ff"),
    IMPLICIT: bytes.fromhex("280010000200000007ff"),
    BIG: bytes.fromhex("002800105553 0002ff07"),
}


@pytest.mark.parametrize("source", IN)
@pytest.mark.parametrize("target", IN)
async def test_every_value_is_the_same(source: str, target: str) -> None:
    written = await in_native_form(MemoryDataSet(IN[source]), source, target)
    assert bytes(written.view()) == IN[target]
    assert written.length_bytes == len(IN[target])


async def test_a_large_value_is_not_copied() -> None:
    size = 2 * JOINED_BYTES
    body = MemoryDataSet(bytes.fromhex("e07f10004f420000") + size.to_bytes(4, "little") + bytes(size))
    written = await in_native_form(body, EXPLICIT, IMPLICIT)
    chunks = list(written.chunks(size))
    assert b"".join(chunks) == bytes.fromhex("e07f1000") + size.to_bytes(4, "little") + bytes(size)
    assert any(piece.obj is body.view().obj for piece in written._pieces)


async def test_bytes_that_are_no_data_set_are_refused() -> None:
    with pytest.raises(Unreadable):
        await in_native_form(MemoryDataSet(b"no data set"), EXPLICIT, IMPLICIT)

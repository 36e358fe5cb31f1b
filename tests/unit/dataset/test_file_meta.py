"""Group 0002 inside a data set, which no file is to have twice."""

from __future__ import annotations

import pytest

from gateway.dataset.file_meta import without_file_meta
from tests.support.data_set_writer import DEFLATED, packed
from tests.support.odd_objects import EXPLICIT, IMPLICIT, OddObject, odd_objects

OBJECTS = odd_objects()
META = {
    EXPLICIT: b"\2\0\x10\0UI\x14\0" + EXPLICIT.encode() + b"\0",
    IMPLICIT: b"\2\0\x10\0\x12\0\0\0" + IMPLICIT.encode() + b"\0",
}


def plain(odd: OddObject) -> bytes:
    """Cut out by hand."""
    length = b"\2\0\0\0UL\4\0" + len(META[EXPLICIT]).to_bytes(4, "little")
    return odd.data.replace(length, b"").replace(META[odd.transfer_syntax_uid], b"")


@pytest.mark.parametrize("odd", OBJECTS, ids=lambda odd: odd.name)
def test_it_goes_and_nothing_else(odd: OddObject) -> None:
    pieces = without_file_meta(memoryview(odd.data), odd.transfer_syntax_uid)
    assert (pieces is None) is ("group 0002" not in odd.name)
    if pieces is not None:
        assert b"".join(pieces) == plain(odd) != odd.data


def test_of_a_deflated_data_set() -> None:
    odd = next(one for one in OBJECTS if one.name == "group 0002")
    pieces = without_file_meta(memoryview(packed(odd.data, DEFLATED)), DEFLATED)
    assert pieces is not None
    assert b"".join(pieces) == packed(plain(odd), DEFLATED)
    assert without_file_meta(memoryview(packed(plain(odd), DEFLATED)), DEFLATED) is None
    assert without_file_meta(memoryview(b"no stream"), DEFLATED) is None


def test_what_cannot_be_read_stays() -> None:
    assert without_file_meta(memoryview(META[EXPLICIT] + b"\x08\x00"), EXPLICIT) is None

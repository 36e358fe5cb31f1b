"""Names of objects, and comparisons of bytes that are cut in any way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.objects.naming import PIECE_BYTES, are_equal, exactly, folder_of, is_name

NAMES = {
    "a": True,
    "0": True,
    "_": True,
    "large/north-1.example.org/7f_3-a.dcm": True,
    "a" * 512: True,
    "a" * 513: False,
    "": False,
    "..": False,
    "a/..": False,
    "a/./b": False,
    ".partial/x": False,
    "/a": False,
    "a/": False,
    "a\n": False,
    "é": False,
    "٣": False,
}


@pytest.mark.parametrize("text", NAMES)
def test_names(text: str) -> None:
    assert is_name(text) is NAMES[text]


@pytest.mark.parametrize(
    ("prefix", "folder"), [("", ""), ("a", ""), ("a/", "a/"), ("a/b", "a/"), ("a/b/c.d", "a/b/"), ("a/b/", "a/b/")]
)
def test_the_folder_of_a_prefix(prefix: str, folder: str) -> None:
    assert folder_of(prefix) == folder


@pytest.mark.parametrize("prefix", ["/", "//", "/a", "../", "a//", "a/.b", "a b/"])
def test_a_prefix_that_begins_no_name(prefix: str) -> None:
    with pytest.raises(ValueError, match="begins no name"):
        folder_of(prefix)


def test_large_chunks_are_cut_and_empty_ones_are_left_out() -> None:
    pieces = list(exactly([b"", bytes(2 * PIECE_BYTES + 1), bytearray(b""), b"1"], 2 * PIECE_BYTES + 2))
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 1, 1]


def test_a_chunk_too_many_is_not_passed_on_and_ends_it() -> None:
    asked = iter([b"123", b"45", b"6"])
    with pytest.raises(ValueError, match="5 bytes or more where 4 were announced"):
        list(exactly(asked, 4))
    assert list(asked) == [b"6"]


CUTS = st.lists(st.binary(max_size=4), max_size=8)


@given(CUTS, CUTS, st.booleans())
def test_equality_does_not_depend_on_the_cuts(stored: list[bytes], chunks: list[bytes], is_same: bool) -> None:
    if is_same:
        joined = b"".join(stored)
        chunks = [joined[:1], b"", joined[1:3], joined[3:]]
    assert are_equal(stored, chunks) is (b"".join(stored) == b"".join(chunks))

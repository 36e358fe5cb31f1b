"""Items of sequences, and the end of what has an undefined length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataset.elements import ITEM_END, MAX_DEPTH, SEQUENCE_END, UNDEFINED, Element
from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.dataset.items import Skip, items, items_in_slices, may_hold_items, skip
from gateway.dataset.writer import delimiter, element_header, item_header
from gateway.ports.errors import Unreadable

ENCODED = pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG], ids=str)
ANY_ENCODING = st.sampled_from([EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
LENGTHS = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=6)
"""For each item: True for a defined length, and the number of its elements."""


def content(encoding: Encoding, elements: int) -> bytes:
    return b"".join(element_header(encoding, 0x00080100 + index, "SH", 2) + b"AB" for index in range(elements))


def item(encoding: Encoding, inside: bytes, *, is_defined: bool) -> bytes:
    if is_defined:
        return item_header(encoding, len(inside)) + inside
    return item_header(encoding, UNDEFINED) + inside + delimiter(encoding, ITEM_END)


def sequence_of(encoding: Encoding, shapes: list[tuple[bool, int]]) -> bytes:
    return b"".join(item(encoding, content(encoding, count), is_defined=is_defined) for is_defined, count in shapes)


def element_over(data: bytes) -> Element:
    return Element(0x00081140, "SQ", 0, 0, len(data), len(data))


@given(encoding=ANY_ENCODING, shapes=LENGTHS)
def test_items_are_found_one_after_the_other(encoding: Encoding, shapes: list[tuple[bool, int]]) -> None:
    data = sequence_of(encoding, shapes)
    found = list(items(memoryview(data), element_over(data), encoding))
    assert [data[each.value : each.stop] for each in found] == [content(encoding, count) for _, count in shapes]
    assert [each.end - each.stop for each in found] == [0 if is_defined else 8 for is_defined, _ in shapes]
    assert [each.start for each in found] == [0, *(each.end for each in found)][: len(found)]


@given(encoding=ANY_ENCODING, shapes=LENGTHS, slice_bytes=st.integers(1, 40))
def test_slices_give_the_same_items(encoding: Encoding, shapes: list[tuple[bool, int]], slice_bytes: int) -> None:
    data = sequence_of(encoding, shapes)
    given_way = list(items_in_slices(memoryview(data), element_over(data), encoding, slice_bytes))
    assert [each for each in given_way if each is not None] == list(
        items(memoryview(data), element_over(data), encoding)
    )
    assert not shapes or None in given_way or slice_bytes > 8


@given(encoding=ANY_ENCODING, shapes=LENGTHS, behind=st.binary(max_size=9), step=st.integers(1, 50))
def test_the_end_of_an_undefined_length(
    encoding: Encoding, shapes: list[tuple[bool, int]], behind: bytes, step: int
) -> None:
    inside = sequence_of(encoding, shapes) + delimiter(encoding, SEQUENCE_END)
    view = memoryview(inside + behind)
    assert skip(view, 0, len(view), encoding) == len(inside)
    skipping = Skip(view, 0, len(view), encoding)
    while not skipping.go_on(min(skipping.position + step, len(view))):
        pass
    assert skipping.position == len(inside)


@ENCODED
def test_nested_levels_are_followed_to_their_limit(encoding: Encoding) -> None:
    def nested(levels: int) -> bytes:
        opened = (item_header(encoding, UNDEFINED) + element_header(encoding, 0x00081140, "SQ", UNDEFINED)) * levels
        closed = (delimiter(encoding, SEQUENCE_END) + delimiter(encoding, ITEM_END)) * levels
        return opened + closed + delimiter(encoding, SEQUENCE_END)

    deep = nested(MAX_DEPTH - 1)
    assert skip(memoryview(deep), 0, len(deep), encoding) == len(deep)
    too_deep = nested(MAX_DEPTH)
    with pytest.raises(Unreadable, match=f"nested more than {MAX_DEPTH} levels"):
        skip(memoryview(too_deep), 0, len(too_deep), encoding)


@ENCODED
def test_what_is_no_list_of_items(encoding: Encoding) -> None:
    too_long = item_header(encoding, 10) + b"12345678"
    no_item = content(encoding, 1)
    half_a_header = item_header(encoding, 0) + item_header(encoding, 0)[:5]
    for data, message in [
        (too_long, "behind its sequence"),
        (no_item, "expected an item"),
        (half_a_header, "ends inside an item header"),
    ]:
        with pytest.raises(Unreadable, match=message):
            list(items(memoryview(data), element_over(data), encoding))


@ENCODED
def test_text_where_items_are_announced(encoding: Encoding) -> None:
    for data, expected in [
        (b"", True),
        (item_header(encoding, 0), True),
        (delimiter(encoding, SEQUENCE_END), True),
        (b"A TEXT HERE", False),
        (b"SHORT", False),
    ]:
        assert may_hold_items(memoryview(data), element_over(data), encoding) is expected

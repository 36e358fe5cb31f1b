"""The walk over element headers: in one go, in steps, and where an element is to be put in."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import data_element_generator

from gateway.dataset import walk as walk_module
from gateway.dataset.elements import EVERY, EVERY_UNBOUNDED, TagSelection
from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.dataset.walk import Walker, place_of, walk, walking
from gateway.ports.errors import Refusal, Unreadable
from tests.support.data_set_writer import Write

ENCODED = pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG], ids=str)
CONTENTS = st.dictionaries(
    st.integers(0x00080006, 0x7FE00009), st.binary(max_size=12).map(lambda raw: raw + bytes(len(raw) % 2)), max_size=30
)


def written(encoding: Encoding, contents: dict[int, bytes]) -> bytes:
    write = Write(encoding)
    return b"".join(write.element(tag, "LT" if tag % 2 else "UT", contents[tag]) for tag in sorted(contents))


@given(encoding=st.sampled_from([EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG]), contents=CONTENTS)
def test_the_elements_that_pydicom_finds(encoding: Encoding, contents: dict[int, bytes]) -> None:
    data = written(encoding, contents)
    oracle: Any = data_element_generator(io.BytesIO(data), encoding.is_implicit, not encoding.is_big_endian)
    found = walk(memoryview(data), 0, len(data), encoding, EVERY)
    assert {element.tag: data[element.value : element.stop] for element in found} == contents
    assert [(element.tag, element.value) for element in found] == [(each.tag, each.value_tell) for each in oracle]
    assert [element.start for element in found] == [0, *(element.end for element in found)][: len(found)]


@given(
    encoding=st.sampled_from([EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG]),
    contents=CONTENTS,
    step=st.integers(1, 64),
    share=st.integers(1, 4),
)
def test_steps_find_what_one_walk_finds(encoding: Encoding, contents: dict[int, bytes], step: int, share: int) -> None:
    data = memoryview(written(encoding, contents))
    selection = TagSelection(sorted(contents)[::share])
    walker = Walker(data, 0, len(data), encoding, selection)
    while not walker.go_on(min(walker.position + step, len(data))):
        pass
    assert walker.found == walk(data, 0, len(data), encoding, selection)
    assert [element.tag for element in walker.found] == sorted(contents)[::share]


@ENCODED
def test_others_may_go_on_between_two_slices(encoding: Encoding) -> None:
    data = memoryview(written(encoding, {0x00091000 + number: b"" for number in range(5000)}))
    steps = walking(data, 0, len(data), encoding, EVERY_UNBOUNDED)
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found = done.value
            break
        count += 1
    assert len(found) == 5000
    assert count >= 2


@ENCODED
def test_too_many_elements_are_not_changed(encoding: Encoding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "MOST_ELEMENTS", 99)
    data = memoryview(written(encoding, {0x00091000 + number: b"" for number in range(100)}))
    with pytest.raises(Refusal, match="more than 99 elements at one level"):
        walk(data, 0, len(data), encoding, EVERY)
    assert len(walk(data, 0, len(data), encoding, EVERY_UNBOUNDED)) == 100


@given(
    encoding=st.sampled_from([EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG]),
    contents=CONTENTS,
    tag=st.integers(0x00080000, 0x7FE00010),
)
def test_the_place_of_an_element_keeps_the_order(encoding: Encoding, contents: dict[int, bytes], tag: int) -> None:
    data = memoryview(written(encoding, contents))
    place = place_of(data, 0, len(data), encoding, tag)
    found = walk(data, 0, len(data), encoding, EVERY)
    assert all(element.tag <= tag for element in found if element.start < place)
    assert all(element.tag > tag for element in found if element.start >= place)
    assert place in {0, *(element.end for element in found)}


@ENCODED
@pytest.mark.parametrize("cut", range(1, 9))
def test_an_element_without_its_end_is_unreadable(encoding: Encoding, cut: int) -> None:
    data = memoryview(written(encoding, {0x00100010: b"DOE^JANE", 0x00100021: b"HOSPITAL"}))[:-cut]
    with pytest.raises(Unreadable):
        walk(data, 0, len(data), encoding, EVERY)

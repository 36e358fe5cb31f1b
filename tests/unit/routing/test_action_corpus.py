"""The whole-object actions on real objects: pydicom finds nothing left of what had to go, all else is as before."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.filereader import read_dataset

from gateway.dataset.encoding import Encoding
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.routing.actions.keep import NEEDED
from gateway.routing.actions.pseudonym import NOT_OF_INSTANCES
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.pseudonym import hashed_uid, is_well_known, shifted
from gateway.routing.language.resources import FileResources
from gateway.routing.table import apply_actions, attributes_of
from tests.support.corpus import Part10
from tests.support.data_set_writer import REAL, REAL_NAMES, Read, read_level, unpacked
from tests.unit.routing.test_action_catalogue import KEY, facts_of

LENGTH_TO_END = 0x00080001
SMALL_BYTES = 600_000
BROKEN_INSIDE = {"DICOMDIR-nooffset"}
"""An item that ends behind its sequence."""
SOME = [
    (part, name)
    for part, name in zip(REAL, REAL_NAMES, strict=True)
    if len(part.data_set) <= SMALL_BYTES and part.path.name not in BROKEN_INSIDE
]
OBJECTS = pytest.mark.parametrize("part", [part for part, _name in SOME], ids=[name for _part, name in SOME])


def edited(part: Part10, config: object) -> bytes:
    syntax = part.transfer_syntax_uid

    def fail(*problem: object) -> None:
        raise AssertionError(problem)

    actions = build_actions([config], fail, FileResources({"research": KEY}))
    facts = facts_of(part.data_set, syntax, attributes_of(actions))
    return b"".join(splice(memoryview(part.data_set), syntax, apply_actions(actions, facts)))


def read(part: Part10, data: bytes) -> pydicom.Dataset:
    encoding = encoding_of(part)
    plain = io.BytesIO(unpacked(data, part.transfer_syntax_uid))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = read_dataset(plain, encoding.is_implicit, not encoding.is_big_endian)
        list(every(data_set))  # pydicom reads what is asked for, and warns then
        return data_set


def encoding_of(part: Part10) -> Encoding:
    return scan(memoryview(part.data_set), part.transfer_syntax_uid, WantedElements(())).encoding


def level_of(part: Part10, data: bytes) -> Read:
    return read_level(unpacked(data, part.transfer_syntax_uid), encoding_of(part))


def every(data_set: pydicom.Dataset) -> Iterator[DataElement]:
    """All elements at all levels."""
    for element in data_set:
        yield from of(element)


def of(element: DataElement) -> Iterator[DataElement]:
    """The element, and all that is inside it."""
    yield element
    if element.VR == "SQ":
        for item in element.value:
            yield from every(item)


def texts(element: DataElement) -> list[str]:
    values = element.value if element.VM > 1 else [element.value] if element.VM else []
    return [str(value) for value in values]


def expected_uids(element: DataElement) -> list[str]:
    if element.tag in NOT_OF_INSTANCES:
        return texts(element)
    return [uid if not uid or is_well_known(uid) else hashed_uid(KEY, uid) for uid in texts(element)]


@OBJECTS
def test_uids(part: Part10) -> None:
    after = edited(part, {"hash_uid": {"key": "research"}})
    before, data_set = read(part, part.data_set), read(part, after)
    for one, other in zip(every(before), every(data_set), strict=True):
        assert one.tag == other.tag
        assert one.VR != "UI" or texts(other) == expected_uids(one), one.tag
    touched = {top.tag for top in before if any(one.VR == "UI" and expected_uids(one) != texts(one) for one in of(top))}
    for (tag, raw), (same, other_raw) in zip(level_of(part, part.data_set), level_of(part, after), strict=True):
        assert tag == same
        assert raw == other_raw or tag in touched or tag & 0xFFFF == 0 or tag == LENGTH_TO_END, hex(tag)


@OBJECTS
def test_private(part: Part10) -> None:
    after = edited(part, {"remove_private": {}})
    assert tags(read(part, after)) == public(read(part, part.data_set))


def tags(data_set: pydicom.Dataset) -> list[int]:
    return [element.tag for element in every(data_set) if element.tag.element]


def public(data_set: pydicom.Dataset) -> list[int]:
    """The tags that are not private and not inside of what is."""
    found: list[int] = []
    for element in data_set:
        if element.tag.is_private or not element.tag.element:
            continue
        found.append(element.tag)
        found += [tag for item in (element.value if element.VR == "SQ" else ()) for tag in public(item)]
    return found


@OBJECTS
def test_only_what_is_kept_stays(part: Part10) -> None:
    after = edited(part, {"keep_only": {"attributes": "Modality"}})
    old, new = level_of(part, part.data_set), level_of(part, after)
    kept = {*NEEDED, 0x00080060}
    expected = [(tag, raw) for tag, raw in old if tag in kept or (tag >> 16 == 0x7FE0 and tag & 0xFFFF)]
    assert [(tag, raw) for tag, raw in new if tag & 0xFFFF and tag != LENGTH_TO_END] == expected


@OBJECTS
def test_dates(part: Part10) -> None:
    config = {"shift_date": {"key": "research", "days": [-400, -365], "on_unparsable": "empty"}}
    after = edited(part, config)
    old, new = list(every(read(part, part.data_set))), list(every(read(part, after)))
    for one, other in zip(old, new, strict=True):
        if one.VR not in ("DA", "DT"):
            continue
        for before_text, after_text in zip(texts(one), texts(other), strict=False):
            assert after_text in ("", *_moved(before_text, one.VR))


def _moved(text: str, vr: str) -> list[str]:
    """All that may become of a date."""
    try:
        return [shifted(text, vr, days) for days in range(-400, -364)]
    except ValueError:
        return []

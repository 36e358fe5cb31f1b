"""Private attributes by creator: found in whichever block the object has them."""

from __future__ import annotations

import struct
import time

import pytest

from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scan import Wanted, scan
from gateway.routing.attribute import parse
from tests.unit.dataset.build import ENCODINGS, EXPLICIT, Write, packed

SYNTAXES = pytest.mark.parametrize("syntax", ENCODINGS)


def _object(syntax: str) -> bytes:
    """Creator ACME has block 12 at the top, block 10 in the items of its sequence; OTHER is the other way round."""
    write = Write(ENCODINGS[syntax])
    item = write.element(0x00990010, "LO", "ACME") + write.element(0x00991001, "LO", "inner")
    item += write.element(0x00990012, "LO", "OTHER") + write.element(0x00991201, "LO", "inner of other")
    return packed(
        write.element(0x00080060, "CS", "MR")
        + write.element(0x00990010, "LO", "OTHER")
        + write.element(0x00990012, "LO", "ACME ")
        + write.element(0x00991001, "LO", "of other")
        + write.element(0x00991201, "LO", "A\\B")
        + write.element(0x00991202, "SH", "")
        + write.sequence(0x00991203, write.item(item), write.item(b"")),
        syntax,
    )


VALUES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "several": ("(0099,[ACME],01)", ("A", "B")),
    "empty": ("(0099,[ACME],02)", ()),
    "other-creator": ("(0099,[OTHER],01)", ("of other",)),
    "element-is-absent": ("(0099,[ACME],77)", None),
    "creator-is-absent": ("(0099,[NOBODY],01)", None),
    "creator-of-another-group": ("(009B,[ACME],01)", None),
    "case-matters": ("(0099,[acme],01)", None),
    "inside-its-sequence": ("(0099,[ACME],03)[0].(0099,[ACME],01)", ("inner",)),
    "every-item": ("(0099,[ACME],03)[*].(0099,[OTHER],01)", ("inner of other",)),
    "item-without-creators": ("(0099,[ACME],03)[1].(0099,[ACME],01)", None),
    "sequence-of-nobody": ("(0099,[OTHER],03)[0].(0099,[ACME],01)", None),
    "by-block-as-well": ("00991201", ("A", "B")),
}


@SYNTAXES
@pytest.mark.parametrize(("text", "expected"), VALUES.values(), ids=VALUES)
def test_values_by_creator(syntax: str, text: str, expected: tuple[str, ...] | None) -> None:
    path = parse(text)
    together = Wanted([parse(other) for other, _values in VALUES.values()])
    data = memoryview(_object(syntax))
    assert scan(data, syntax, Wanted([path])).values(path) == expected
    assert scan(data, syntax, together).values(path) == expected


def test_vr_of_unknown_comes_from_the_creator() -> None:
    write = Write(EXPLICIT_LITTLE)
    data = write.element(0x20050015, "LO", "Philips MR Imaging DD 001")
    data += write.element(0x20051500, "UN", struct.pack("<f", 1.5))
    path = parse("(2005,[Philips MR Imaging DD 001],00)")
    assert scan(memoryview(data), EXPLICIT, Wanted([path])).values(path) == ("1.5",)


def test_deep_paths_by_creator_cost_nothing() -> None:
    started = time.perf_counter()
    Wanted([parse("(0099,[ACME],03)[*]." * 16 + "(0099,[ACME],01)")])
    assert time.perf_counter() - started < 1


PLACES = {
    "top": ("(0099,[ACME],01)", ["(0099,[ACME],01)"]),
    "absent": ("(0099,[NOBODY],01)", []),
    "items": ("(0099,[ACME],03)[*].(0099,[ACME],01)", ["(0099,[ACME],03)[0].(0099,[ACME],01)"]),
    "item": ("(0099,[ACME],03)[0].(0099,[ACME],01)", ["(0099,[ACME],03)[0].(0099,[ACME],01)"]),
    "item-without-it": ("(0099,[ACME],03)[1].(0099,[ACME],01)", []),
    "no-such-item": ("(0099,[ACME],03)[7].(0099,[ACME],01)", []),
}


@pytest.mark.parametrize(("text", "expected"), PLACES.values(), ids=PLACES)
def test_places(text: str, expected: list[str]) -> None:
    path = parse(text)
    scanned = scan(memoryview(_object(EXPLICIT)), EXPLICIT, Wanted([path]))
    assert scanned.level.places(path) == list(map(parse, expected))

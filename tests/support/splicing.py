"""Changes of encoded data sets, as tests make and read them."""

from __future__ import annotations

import pytest

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.ports.edits import Alteration
from gateway.routing.language.attribute_path import parse
from tests.support.data_set_writer import BIG, DEFLATED, EXPLICIT, IMPLICIT

SYNTAXES = pytest.mark.parametrize(
    "syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED], ids=["explicit", "implicit", "big-endian", "deflated"]
)
SHAPES = pytest.mark.parametrize("is_defined", [True, False], ids=["defined", "undefined"])
"""Length of sequences and items."""


def spliced(data: bytes, syntax: str, *changes: Alteration) -> bytes:
    """The encoded data set after `changes`."""
    return b"".join(splice(memoryview(data), syntax, changes))


def values(data: bytes, syntax: str, path: str) -> tuple[str, ...] | None:
    """Values of one attribute, by its path as rules write it."""
    wanted = parse(path)
    return scan(memoryview(data), syntax, WantedElements([wanted])).values(wanted)

"""Values that only type checkers hold frozen are otherwise as frozen ones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from gateway.common.quick_dataclass import quick_dataclass


@quick_dataclass(frozen=True, slots=True)
class Quick:
    name: str
    size_bytes: int = 0
    note: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    size_bytes: int = 0
    note: str = field(default="", compare=False, repr=False)


def test_they_compare_hash_and_show_as_frozen_ones() -> None:
    one, same, other = Quick("a", 1, "x"), Quick("a", 1, "y"), Quick("a", 2)
    assert one == same != other
    assert {one: 1}[same] == 1
    assert hash(one) == hash(Frozen("a", 1, "z"))
    assert repr(one).removeprefix("Quick") == repr(Frozen("a", 1)).removeprefix("Frozen")
    assert dataclasses.replace(one, size_bytes=2) == other
    assert not hasattr(one, "__dict__")

"""The values that are probably meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.config.spec.likely_values import (
    likely_address,
    likely_bytes,
    likely_duration,
    likely_size,
    why_no_ae_title,
)

UNIT_MISSING = "; the unit is missing: `B`, `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` or `TiB`"


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        (likely_duration, "5 hrs", " (did you mean `5 h`?)"),
        (likely_duration, "5", " (did you mean `5 s`?)"),
        (likely_duration, "5 moons", ""),
        (likely_size, "5 gb", " (did you mean `5 GB`?)"),
        (likely_size, "5", UNIT_MISSING),
        (likely_size, "5 elephants", ""),
        (likely_bytes, "16 KiB", "; it is in bytes, without a unit (did you mean `16384`?)"),
        (likely_bytes, "many", ""),
        (likely_address(104), "pacs", " (did you mean `pacs:104`?)"),
        (likely_address(104), "http://pacs:80/", " (did you mean `pacs:80`?)"),
        (likely_address(104), "fd00::1:104", " (did you mean `[fd00::1]:104`?)"),
        (likely_address(104), "104", ""),
    ],
)
def test_hints(hint: Callable[[str, Callable[[str], str]], str], text: str, expected: str) -> None:
    assert hint(text, lambda _name: "") == expected


def test_an_address_beside_an_ae_title_that_is_one() -> None:
    beside = {"ae_title": "10.1.0.5"}
    assert likely_address(104)("PACS", beside.__getitem__) == "; are `ae_title` and `address` swapped?"


def test_why_a_text_is_no_ae_title() -> None:
    assert why_no_ae_title("") == "an AE title cannot be empty"
    assert why_no_ae_title("PACS  ") == "an AE title has 1 to 16 printable ASCII characters without backslash"

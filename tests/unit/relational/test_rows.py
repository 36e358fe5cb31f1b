"""Rows as JSON for SQLite."""

from __future__ import annotations

import json

import pytest
from pydicom.uid import UID

from gateway.relational.rows import batch, fit

ROWS = {
    "numbers-and-none": ([(1, None, -(2**62), True)], [[1, None, -(2**62), True]]),
    "text": ([('a"\\\n\t/', "Müller 山田")], [['a"\\\n\t/', "Müller 山田"]]),
    "a-class-of-text": ([(UID("1.2.3"),)], [["1.2.3"]]),
    "nul": ([("a\0b", 1)], [["a\ufffdb", 1]]),
    "lone-surrogate": ([("a\ud800b", "\0", UID("1.2"))], [["a?b", "\ufffd", "1.2"]]),
    "what-looks-like-an-escape": (["\\u0000", "\x01"], ["\\u0000", "\x01"]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("rows", "expected"), ROWS.values(), ids=ROWS)
def test_rows_become_text_that_sqlite_can_hold(rows: list[object], expected: list[object]) -> None:
    text = batch(rows)
    assert json.loads(text) == expected
    assert "\\u0000" not in text.replace("\\\\u0000", "")
    text.encode()


VALUES = {
    "plain": ([("a", 1, None, b"\0\\u")], None),
    "a-backslash": ([("C:\\files", '"quoted"')], None),
    "what-looks-like-an-escape": ([("\\u0000",)], [("\\u0000",)]),
    "nul": ([("a\0b", 1), ("c", 2)], [("a\ufffdb", 1), ("c", 2)]),
    "lone-surrogate": ([("a\ud800b", None)], [("a?b", None)]),
}


@pytest.mark.parametrize(("rows", "expected"), VALUES.values(), ids=VALUES)
def test_values_are_replaced_only_where_no_database_could_hold_them(
    rows: list[tuple[object, ...]], expected: list[tuple[object, ...]] | None
) -> None:
    found = fit(rows)
    assert found == (rows if expected is None else expected)
    assert (found is rows) == (expected is None)

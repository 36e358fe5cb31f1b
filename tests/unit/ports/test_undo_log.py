"""Marks of rows tell rows apart."""

from __future__ import annotations

from gateway.ports.undo_log import mark_of


def test_equal_rows_have_equal_marks() -> None:
    rows = ["[1]", "[1] ", "[2]", "", "\udce9"]
    assert len({mark_of(row) for row in rows}) == len(rows)
    assert mark_of("[1]") == mark_of("".join(["[", "1]"]))
    assert len(mark_of("x" * 10_000)) == 32

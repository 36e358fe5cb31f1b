"""The table: each row on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.handler_contract import rows_event, rows_find, rows_retrieve, rows_store
from tests.wire.handler_contract.bench import Destination, Ours, Seen, Stock, tried
from tests.wire.handler_contract.differences import DIFFERENCES
from tests.wire.handler_contract.row import Row

TABLES = (rows_store.ROWS, rows_find.ROWS, rows_retrieve.ROWS, rows_event.ROWS)
ROWS = {row.name: row for table in TABLES for row in table}


@pytest.fixture(scope="module")
def stock() -> Iterator[Stock]:
    side = Stock()
    yield side
    side.close()


@pytest.fixture(scope="module")
def destination() -> Iterator[Destination]:
    there = Destination()
    yield there
    there.close()


def expected(row: Row) -> tuple[str, tuple[str, ...], str]:
    return row.sees, row.notes, row.ends


def said(seen: Seen) -> tuple[str, tuple[str, ...], str]:
    return seen.sees, seen.notes, seen.ends


@pytest.mark.parametrize("name", ROWS)
async def test_ours(name: str, destination: Destination) -> None:
    _, seen = await tried(Ours(), ROWS[name], destination)
    assert said(seen) == expected(ROWS[name])


@pytest.mark.parametrize("name", ROWS)
async def test_stock(name: str, stock: Stock, destination: Destination) -> None:
    _, seen = await tried(stock, ROWS[name], destination)
    difference = DIFFERENCES.get(name)
    if difference is None:
        assert said(seen) == expected(ROWS[name])
    else:
        assert " ".join([seen.sees, *seen.notes, seen.ends]).strip() == difference.stock


def test_row_names_are_unique() -> None:
    assert sum(map(len, TABLES)) == len(ROWS)

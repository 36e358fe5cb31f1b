"""The table: each row on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.dimse.protocol import cancellation
from tests.loopback.handler_contract import document
from tests.loopback.handler_contract.bench import Destination, Ours, Seen, Stock, tried
from tests.loopback.handler_contract.differences import DIFFERENCES
from tests.loopback.handler_contract.row import Image, Row, yielding
from tests.loopback.handler_contract.table import ROWS, TABLES
from tests.support.processes import GUARD_S

IRREGULAR = {name for name, difference in DIFFERENCES.items() if not difference.stock}
"""What stock pynetdicom does otherwise each time."""


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


def said(seen: Seen) -> str:
    return " ".join(filter(None, [seen.sees, *seen.notes, seen.ends]))


def expected(row: Row) -> str:
    return " ".join(filter(None, [row.sees, *row.notes, row.ends]))


@pytest.fixture(autouse=True)
def _long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler sees the C-CANCEL in its thread in time, however busy the machine is."""
    monkeypatch.setattr(cancellation, "CANCEL_GRACE_S", GUARD_S)


@pytest.mark.parametrize("name", ROWS)
async def test_ours(name: str, destination: Destination) -> None:
    row = ROWS[name]
    seen, _ = await tried(Ours(), row, destination)
    assert said(seen) == expected(row)
    if row.stored is not None:
        assert seen.stored == row.stored


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [name for name in ROWS if name not in IRREGULAR])
async def test_stock(name: str, stock: Stock, destination: Destination) -> None:
    """Stock pynetdicom does the same, or what the list of differences says."""
    row, difference = ROWS[name], DIFFERENCES.get(name)
    _, seen = await tried(stock, row, destination)
    if difference is not None:
        assert said(seen) == difference.stock != expected(row)
        return
    assert said(seen) == expected(row)
    ours, _ = await tried(Ours(), row, destination)
    assert (seen.stored, seen.associations) == (ours.stored, ours.associations)


async def test_what_is_in_every_response(stock: Stock, destination: Destination) -> None:
    """The two general differences are there."""
    whole, _ = await tried(stock, ROWS["C-GET: yields one image"], destination)
    assert whole.sees == "FF00 0:1:0:0; 0000 0:1:0:0"
    whole, _ = await tried(stock, ROWS["C-MOVE: yields Cancel at once"], destination)
    assert whole.sees == "FE00 2:0:0:0 []"


async def test_pending_responses_of_many_sub_operations(stock: Stock, destination: Destination) -> None:
    """Stock pynetdicom sends one for each, the gateway one for each of the first 64."""
    row = Row("many", "get", yielding(80, *map(Image, range(10, 90))), "")
    _, theirs = await tried(stock, row, destination)
    _, ours = await tried(Ours(), row, destination)
    assert theirs.sees.count("FF00") == 80
    assert 64 <= ours.sees.count("FF00") <= 80
    assert ours.sees.startswith(theirs.sees[: theirs.sees.index("FF00 16:")])
    assert ours.sees.rpartition("; ")[2] == theirs.sees.rpartition("; ")[2] == "0000 -:80:0:0"
    assert ours.stored == theirs.stored


def test_rows_have_names_of_their_own() -> None:
    assert sum(map(len, TABLES)) == len(ROWS)


def test_every_difference_is_one_of_a_row_and_has_a_section() -> None:
    assert not DIFFERENCES.keys() - ROWS.keys()
    for name, difference in DIFFERENCES.items():
        assert difference.section.startswith(("PS3.4 §", "PS3.7 §", "PS3.8 §")), name
        assert difference.why.endswith("."), name


def test_the_page_lists_every_difference() -> None:
    """`python -m tests.loopback.handler_contract.document` writes the list."""
    assert f"{document.BEGIN}{document.table()}{document.END}" in document.PAGE.read_text()

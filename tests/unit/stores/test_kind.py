"""Each kind of store answers the same questions."""

from __future__ import annotations

import pytest

from gateway.stores.kind import StoreClaim, StoreKind
from gateway.stores.postgresql_kind import ClaimWithConnection, PostgreSQLKind
from gateway.stores.sqlite_kind import SQLiteClaim, SQLiteKind


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [SQLiteKind, PostgreSQLKind])
def test_a_kind_answers_what_is_asked_and_nothing_else(kind: type) -> None:
    made_at_first = {"shown", "local_path"}
    of_nodes = {"open_shared", "open_for_check"}
    assert (public(kind) | made_at_first) - of_nodes == public(StoreKind)


@pytest.mark.parametrize("kind", [SQLiteClaim, ClaimWithConnection])
def test_so_does_a_claim(kind: type) -> None:
    assert public(kind) == public(StoreClaim)

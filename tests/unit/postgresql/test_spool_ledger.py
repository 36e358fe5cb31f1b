"""A database that comes back without what it had."""

from __future__ import annotations

import psycopg
import pytest

from gateway.ports.errors import SpoolFull
from gateway.postgresql.store import PostgreSQLStore
from tests.unit.postgresql.conftest import OpenStore
from tests.unit.postgresql.test_transactions import end_sessions

pytestmark = pytest.mark.postgresql


def move(store: PostgreSQLStore, end_bytes: int) -> None:
    with store.transaction():
        store.spool.set_replayed_position("segments/00000001.seg", end_bytes)


def test_a_database_that_is_behind_takes_nothing_until_a_restart(url: str, open_store: OpenStore) -> None:
    store = open_store(is_committing=True)
    for end_bytes in (100, 200):
        move(store, end_bytes)
    end_sessions(url)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE known SET end_bytes = 100")  # as a standby has it that was behind
    with pytest.raises(SpoolFull):
        move(store, 300)
    with pytest.raises(SpoolFull, match=r"lacks what it had.*restart the gateway"):
        store._transactions._live()
    store.close()
    again = open_store(is_committing=True)
    assert again.spool.replayed_position() == ("segments/00000001.seg", 100), "the next start replays from there"
    move(again, 200)


@pytest.mark.parametrize("end_bytes", [200, 300], ids=["it was not committed", "it was committed, and nobody knew"])
def test_what_was_on_its_way_may_be_there_or_not(url: str, open_store: OpenStore, end_bytes: int) -> None:
    store = open_store(is_committing=True)
    move(store, 200)

    def lose_it_midway() -> None:
        with store.transaction():
            store.spool.set_replayed_position("segments/00000001.seg", 300)
            end_sessions(url)

    with pytest.raises(SpoolFull):
        lose_it_midway()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE known SET end_bytes = %s", (end_bytes,))
    move(store, 400)
    assert store.spool.replayed_position() == ("segments/00000001.seg", 400)


def test_a_reader_has_no_position_to_compare(url: str, open_store: OpenStore) -> None:
    gateway, reader = open_store(is_committing=True), open_store(must_exist=True)
    move(gateway, 100)
    end_sessions(url)
    with pytest.raises(SpoolFull):
        reader.spool.replayed_position()
    assert reader.spool.replayed_position() == ("segments/00000001.seg", 100)

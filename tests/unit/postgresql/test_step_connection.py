"""A connection for single steps: made when it is needed, made anew when it was lost."""

from __future__ import annotations

from contextlib import closing

import pytest

from gateway.ports.errors import SpoolFull
from gateway.postgresql.expected_instances import PostgreSQLExpectedInstances
from gateway.postgresql.store import PostgreSQLStore
from tests.unit.postgresql.test_transactions import end_sessions

pytestmark = pytest.mark.postgresql


def test_one_that_was_lost_fails_a_step_and_is_made_anew(url: str) -> None:
    PostgreSQLStore(url).close()  # makes the tables
    with closing(PostgreSQLExpectedInstances(url)) as steps:
        steps.look("one")
        end_sessions(url)
        with pytest.raises(SpoolFull):
            steps.look("one")
        assert steps.look("one").moves == frozenset()


def test_a_server_that_is_not_there_is_room_that_is_missing() -> None:
    with (
        closing(PostgreSQLExpectedInstances("postgresql:///x?host=/nonexistent")) as steps,
        pytest.raises(SpoolFull, match="cannot be reached"),
    ):
        steps.look("one")


def test_nothing_is_asked_after_the_end(url: str) -> None:
    steps = PostgreSQLExpectedInstances(url)
    steps.close()
    with pytest.raises(SpoolFull, match="was closed"):
        steps.look("one")

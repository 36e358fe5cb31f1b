"""Statements of each acceptance, claim and settlement read no whole table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from gateway.postgresql.connection import SESSION
from gateway.postgresql.statements import SQL
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server

pytestmark = pytest.mark.postgresql

FILL = r"""
INSERT INTO association (facts) SELECT '{}' FROM generate_series(1, 20000);
INSERT INTO instance
SELECT n, '1.2', '1.2.' || n, '1.2', '1.3.' || n / 100, '1.2', n, 'segments/' || n / 1000, n * 1000,
       10, '\x00', 1, CASE WHEN n % 2 = 0 THEN n END, n / 50, '{}', 1, '' FROM generate_series(1, 20000) AS n;
INSERT INTO delivery
SELECT n, n, 'peer' || n % 4, 'r', '[]', CASE WHEN n % 2 = 0 THEN 'delivered' ELSE 'pending' END, n / 100, 0, n, NULL,
       n, 0, '' FROM generate_series(1, 20000) AS n;
INSERT INTO due SELECT delivery_id, destination, likeness, due_at, due_at, NULL, NULL, 0 FROM delivery
WHERE state = 'pending';
INSERT INTO attempt SELECT n, 1, 1, 1, 'pending', 0, '' FROM generate_series(1, 20000) AS n;
ANALYZE association; ANALYZE instance; ANALYZE delivery; ANALYZE due; ANALYZE attempt
"""
CLAIM = {"destination": "peer1", "now": 10, "horizon": 10, "until": 20, "limit": 10, "token": 3}
FROM = {"from_urgent": 0, "from": 0, "from_low": 0, "late": 10}
RUN: dict[str, dict[str, Any]] = {
    "find_duplicates": {"arrivals": '[["1.2.7", "00", "1.2", "1.2"]]', "instances": 1, "deliveries": 1},
    "supersede": {"sop_instance_uids": '["1.2.7"]'},
    "claim": {**CLAIM, **FROM},
    "claim_chosen": {**CLAIM, "ids": "[7]"},
    "set_priority": {"ids": "[7]", "priority": 0, "present": 10},
    "claim_apart": {**CLAIM, "start": 0, "apart": "[[0, 10]]"},
    "read_deliveries": {"ids": "[7, 8]"},
    "read_instances": {"ids": "[7, 8]"},
    "find_leased": {"settlements": "[[7, 1]]", "tokens": '{"peer1": 3}'},
    "find_settled": {"settlements": '[[7, 1, 1, 1, "delivered", 0]]'},
    "note_forgotten": {"ids": "[8, 9]", "senders": '[[1, "CT1"]]', "now": 10, "longest": 64},
    "free_claimed": {"destinations": '["peer1"]'},
    "settle": {"settlements": '[[7, 1, "delivered", 5, "", 1]]', "now": 10},
    "mark_settled": {"ids": "[7]", "now": 10},
    "lock_delivered": {"ids": "[7]"},
    "take_deliveries": {"ids": "[7]", "present": 10},
    "lock_siblings": {"ids": "[7]"},
    "take_forgettable": {"ids": "[8]"},
    "hold_rows": {"sop_instance_uids": '["1.2.7"]', "association": [7], "patient": [1], "study": [1], "series": [1]},
    "insert_attempts": {"attempts": '[[7, 2, 1, 1, "pending", 0, ""]]'},
    "drop_old_attempts": {"drops": "[[7, 1]]"},
    "next_due": {"destination": "peer1", "now": 10},
    "pending_destinations": {},
    "payload_names": {},
    "newest_arrival": {},
    "find_forgettable": {"before": 10, "limit": 10},
    "find_forgettable_indexed": {"before": 10, "limit": 10},
    "forget_attempts": {"ids": "[8]"},
    "forget_deliveries": {"ids": "[8]"},
    "forget_instances": {"ids": "[8]"},
    "find_orphan_associations": {"ids": "[8]"},
    "forget_associations": {"ids": "[8]"},
    "retry": {"ids": "[7]", "now": 10, "present": 10},
    "hold": {"ids": "[7]", "present": 10},
    "release": {"ids": "[7]", "now": 10, "destination": "", "even_if_doubtful": False},
    "retarget": {"ids": "[7]", "now": 10, "present": 10, "destination": "vna", "even_if_doubtful": False},
    "discard": {"ids": "[7]", "present": 10},
}


@pytest.fixture(scope="module")
def filled() -> Iterator[psycopg.Connection[tuple[str]]]:
    """A queue of 20 000 deliveries."""
    url = shared_server().new_schema()
    PostgreSQLStore(url).close()
    with psycopg.connect(url) as connection:
        for name, value in SESSION.items():
            connection.execute(f"SET {name} TO '{value}'".encode())
        for statement in FILL.split(";"):
            connection.execute(statement.encode())
        yield connection


@pytest.mark.parametrize("name", RUN)
def test_rows_are_found_by_an_index(filled: psycopg.Connection[tuple[str]], name: str) -> None:
    plan = "\n".join(row[0] for row in filled.execute(f"EXPLAIN {SQL[name].rstrip(';')}".encode(), RUN[name]))
    assert not re.search(r"Seq Scan on (instance|delivery|due|attempt|association)\b", plan), plan


def test_what_is_forgotten_is_found_by_its_identifiers(filled: psycopg.Connection[tuple[str]]) -> None:
    """By sender first, all that it ever sent would be read: statistics know how much senders send on average."""
    statement = f"EXPLAIN {SQL['note_forgotten'].rstrip(';')}".encode()
    plan = "\n".join(row[0] for row in filled.execute(statement, RUN["note_forgotten"]))
    assert "using instance_pkey on instance" in plan, plan
    assert "instance_by_association" not in plan, plan


def test_a_claim_of_each_priority_reads_the_index_of_priorities_alone(filled: psycopg.Connection[tuple[str]]) -> None:
    plan = "\n".join(row[0] for row in filled.execute(f"EXPLAIN {SQL['claim'].rstrip(';')}".encode(), RUN["claim"]))
    assert len(re.findall(r"using due_by_priority on due\b", plan)) == 5, plan
    assert "due_by_time" not in plan
    assert "Sort Key: due.due_at" not in plan, plan


@pytest.mark.parametrize("which", ["priority = 0", "priority = 0 AND passes_window = 1"], ids=["urgent", "passing"])
def test_urgent_ones_are_found_by_an_index(filled: psycopg.Connection[tuple[str]], which: str) -> None:
    statement = SQL["find_due_urgent"].rstrip(";").replace("{which}", which)
    values = {**CLAIM, **FROM, "apart": "[[0, 10]]", "looked_at": 1000}
    plan = "\n".join(row[0] for row in filled.execute(f"EXPLAIN {statement}".encode(), values))
    assert re.search(r"using (due_by_priority|due_passing) on due\b", plan), plan

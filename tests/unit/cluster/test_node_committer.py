"""Commits of a node: all or nothing, what one request breaks is its own, others' locks are waited for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from gateway.cluster.node_committer import (
    CROWD,
    LARGE,
    LOOK_LIMIT_S,
    MOMENT_S,
    MOST_PATIENCE_S,
    NODE_GROUP_BYTES,
    NodeCommitter,
)
from gateway.common.buffer import Buffer
from gateway.common.completion import Completion
from gateway.model.instance import PayloadRef
from gateway.ports.errors import SpoolFull, Temporary, TransactionConflict
from gateway.ports.retrying import TRIES
from gateway.ports.store import Store
from gateway.postgresql.pipeline import Pipeline
from gateway.spool.commit_requests import Acceptance, Call, ClaimRequest, CommitRequest, Settling
from gateway.spool.committing_thread import CommitterReports
from gateway.spool.digest import digest_of
from tests.support.cluster import Node
from tests.support.overridable_store import without_answer
from tests.support.samples import TO_PACS, Clock, instance, settlement

pytestmark = pytest.mark.postgresql


class Bench:
    """One committer in the test's own thread, with its store. `errors` are raised by the next acceptances."""

    def __init__(self, node: Node) -> None:
        self.store = node.open_store("committing")
        self.errors: list[Exception] = []
        self.answered: list[CommitRequest] = []
        self.recorded: list[CommitRequest] = []
        self.kept: list[tuple[str, bytes]] = []
        self.failures: list[str] = []
        self.can_read: Callable[[float], bool] = lambda limit_s: True
        self.committer = NodeCommitter(
            lambda: self.store,
            CommitterReports(
                started=lambda error: None,
                answer=lambda group: self.answered.extend(group.requests),
                record=self.recorded.extend,
                ended=lambda: None,
            ),
            now=node.clock,
            can_read=lambda payload, payloads, limit_s: self.can_read(limit_s),
            kept=self._keep,
            failed=self.failures.append,
        )
        self.committer._opened()
        self._accept = self.store.deliveries.accept
        setattr(self.store.deliveries, "accept", self._failing)  # noqa: B010

    def _failing(self, *arguments: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self._accept(*arguments)

    def _keep(self, name: str, pieces: Sequence[Buffer], length_bytes: int) -> None:
        data = b"".join(pieces)
        assert len(data) == length_bytes
        self.kept.append((name, data))

    def commit(self, *requests: CommitRequest) -> None:
        acceptances = [each for each in requests if isinstance(each, Acceptance)]
        others = [each for each in requests if not isinstance(each, Acceptance)]
        self.committer._commit(acceptances, others, self.store)

    @property
    def instances(self) -> int:
        return len(self.store.spool.payload_names())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(Node(tmp_path, Clock()))
    yield made
    made.store.close()


def acceptance(number: int, *pieces: bytes) -> Acceptance:
    size_bytes = sum(map(len, pieces))
    return Acceptance(
        Completion(), instance=instance(number), dispatches=[TO_PACS], pieces=pieces, size_bytes=size_bytes
    )


def large(number: int) -> Acceptance:
    payload = PayloadRef(f"{LARGE}{number}", 0, 5, digest_of([b"large"]))
    return Acceptance(Completion(), instance=instance(number), dispatches=[TO_PACS], payload=payload)


def call(function: Any) -> Call:
    return Call(Completion(), function=function)


def test_a_group_takes_two_round_trips(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first group of an association and of an hour takes more."""
    bench.commit(acceptance(1, b"one"))
    waits: list[int] = []
    collect = Pipeline.collect

    def counted(pipeline: Pipeline) -> None:
        waits.append(1)
        collect(pipeline)

    monkeypatch.setattr(Pipeline, "collect", counted)
    monkeypatch.setattr(bench.store._transactions.clock, "keep", lambda: None)  # each ten seconds it asks for the time
    bench.commit(acceptance(2, b"two"), acceptance(3, b"three"))
    assert len(waits) == 2
    assert bench.instances == 2, "two names of payloads: those of a group share one"


def test_a_group_is_one_row_and_each_knows_its_part(bench: Bench) -> None:
    group = [acceptance(1, b"on", b"e"), acceptance(2), acceptance(3, b"three"), large(4)]
    bench.commit(*group)
    assert [each.error for each in group] == [None] * 4
    (name,) = {each.answer.payload.name for each in group[:3]}
    assert [(each.answer.payload.offset_bytes, each.answer.payload.length_bytes) for each in group[:3]] == [
        (0, 3),
        (3, 0),
        (3, 5),
    ]
    assert [each.answer.payload.digest for each in group[:3]] == [digest_of([data]) for data in (b"one", b"", b"three")]
    assert bench.store.payloads.read(name, 0, 8) == b"onethree"
    assert bench.store.payloads.place("large/4") == ("large/4", 0)
    assert bench.kept == [(name, b"onethree")]
    assert bench.answered == group
    assert bench.recorded == group


def waiting(bench: Bench, patience_s: float, *later: CommitRequest) -> tuple[list[float], list[CommitRequest]]:
    """The moments for which a group with one object in it waits, when one of `later` comes in each; and the group."""
    moments: list[float] = []
    coming = deque(later)

    def pause(seconds: float) -> None:
        moments.append(seconds)
        if coming:
            bench.committer.submit(coming.popleft())

    bench.committer._pause = pause
    bench.committer._patience_s = patience_s
    bench.committer.submit(acceptance(1, b"data"))
    acceptances, others = bench.committer._gather()
    return moments, [*acceptances, *others]


def test_a_group_waits_for_others_while_they_come(bench: Bench) -> None:
    later = [acceptance(2, b"data"), ClaimRequest(Completion(), destination="pacs"), acceptance(3, b"data")]
    moments, group = waiting(bench, 10 * MOMENT_S, *later)
    assert moments == [MOMENT_S] * 4, "none came in the last one"
    assert group[1:] == [later[0], later[2], later[1]]


def test_a_group_waits_no_longer_than_its_patience_goes(bench: Bench) -> None:
    later = [acceptance(number, b"data") for number in range(2, 10)]
    moments, group = waiting(bench, 2.5 * MOMENT_S, *later)
    assert moments == [MOMENT_S, MOMENT_S, pytest.approx(MOMENT_S / 2)]
    assert group[1:] == later[:3]


def test_a_group_that_is_full_waits_for_nothing(bench: Bench) -> None:
    full = acceptance(2, b"x" * NODE_GROUP_BYTES)
    bench.committer.submit(full)
    assert waiting(bench, MOST_PATIENCE_S) == ([], [full])


def test_the_last_group_waits_for_nothing(bench: Bench) -> None:
    bench.committer.end()
    moments, group = waiting(bench, MOST_PATIENCE_S)
    assert moments == []
    assert len(group) == 1


@pytest.mark.parametrize(
    ("objects", "others", "is_patient"), [(CROWD, 0, True), (CROWD - 1, 2, False), (0, CROWD, False)]
)
def test_the_group_after_one_of_many_objects_is_patient(
    bench: Bench, objects: int, others: int, *, is_patient: bool
) -> None:
    bench.committer._patience_s = MOST_PATIENCE_S
    calls = [call(lambda store: None) for _ in range(others)]
    bench.commit(*[acceptance(number, b"data") for number in range(1, objects + 1)], *calls)
    assert (0 < bench.committer._patience_s <= MOST_PATIENCE_S) == is_patient
    assert bench.committer._patience_s >= 0


def test_settlements_claims_and_calls_are_in_the_same_transaction(bench: Bench) -> None:
    claim = ClaimRequest(Completion(), destination="pacs", limit=10, lease_s=60.0)
    bench.commit(acceptance(1, b"data"), claim)
    (claimed,) = claim.answer
    settling = Settling(Completion(), settlements=[settlement(claimed)])
    count = call(lambda store: store.deliveries.depths())
    bench.commit(settling, count)
    assert settling.answer == [True]
    assert count.answer == []


@pytest.mark.parametrize(
    "error",
    [SpoolFull("the server is gone"), Temporary("locked for too long"), TransactionConflict("again and again")],
    ids=repr,
)
def test_when_the_database_takes_nothing_all_are_refused(bench: Bench, error: Exception) -> None:
    bench.errors = [error] * TRIES
    group = [acceptance(1, b"one"), large(2), call(lambda store: 1)]
    bench.commit(*group)
    assert [each.error for each in group] == [error] * 3
    assert [each.answer for each in group] == [None] * 3
    assert bench.failures == (["the server is gone"] if isinstance(error, SpoolFull) else [])
    assert bench.answered == group[:2]
    assert bench.recorded == group[2:]
    assert bench.instances == 0
    assert bench.kept == []


def test_others_locks_are_met_again(bench: Bench) -> None:
    bench.errors = [TransactionConflict("deadlock detected")] * (TRIES - 1)
    group = [acceptance(1, b"one"), acceptance(2, b"two")]
    bench.commit(*group)
    assert [each.error for each in group] == [None, None]
    assert bench.store.payloads.read(group[1].answer.payload.name, 3, 3) == b"two"
    assert bench.instances == 1


def test_one_that_breaks_the_transaction_is_refused_alone(bench: Bench) -> None:
    def broken(store: Store) -> None:
        raise ZeroDivisionError("a fault of ours")

    bench.errors = [ValueError("a fault of ours"), ValueError("the same, alone")]
    group = [acceptance(1, b"one"), acceptance(2, b"two"), call(lambda store: 7), call(broken)]
    with capture_logs() as logs:
        bench.commit(*group)
    assert [type(each.error) for each in group] == [ValueError, type(None), type(None), ZeroDivisionError]
    assert group[1].answer is not None
    assert group[2].answer == 7
    assert {each["event"] for each in logs} == {"commit_failed"}


def test_a_claim_whose_commit_had_no_answer_is_made_again_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.commit(acceptance(1, b"data"), acceptance(2, b"other"))
    kept = ClaimRequest(Completion(), destination="pacs", limit=1, lease_s=900.0)
    bench.commit(kept)
    lost = ClaimRequest(Completion(), destination="pacs", limit=10, lease_s=900.0)
    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "transaction", without_answer(bench.store))
        bench.commit(lost)
    assert (lost.answer, type(lost.error)) == (None, SpoolFull)
    again = ClaimRequest(Completion(), destination="pacs", limit=10, lease_s=900.0)
    bench.commit(again)
    assert [each.instance.sop_instance_uid for each in again.answer] == ["1.2.3.4.5.2"], "not what is in hand"
    settling = Settling(Completion(), settlements=[settlement(each) for each in (*kept.answer, *again.answer)])
    bench.commit(settling)
    assert settling.answer == [True, True]


def test_what_was_cancelled_is_left_out(bench: Bench) -> None:
    gone, there = acceptance(1, b"one"), acceptance(2, b"two")
    gone.done = Mock(cancelled=lambda: True)
    bench.commit(gone, there)
    assert gone.answer is None
    assert there.answer.payload.length_bytes == 3
    assert bench.kept == [(there.answer.payload.name, b"two")]


def test_the_hour_goes_by(bench: Bench, tmp_path: Path) -> None:
    clock = bench.committer._now
    assert isinstance(clock, Clock)
    names = []
    for number in range(4):
        group = acceptance(number + 1, b"data")
        bench.commit(group)
        assert group.error is None
        names.append(group.answer.payload.name.split("/")[1])
        clock.advance(3600)
    assert len(set(names)) == 4


def test_the_hour_goes_by_between_the_table_and_the_group(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = bench.committer._now
    assert isinstance(clock, Clock)
    add = bench.store.payloads.add_group

    def late(pieces: Sequence[Buffer]) -> str:
        monkeypatch.undo()
        clock.advance(3600)
        return add(pieces)

    monkeypatch.setattr(bench.store.payloads, "add_group", late)
    group = acceptance(1, b"data")
    bench.commit(group)
    assert group.error is None
    assert bench.store.payloads.read(group.answer.payload.name, 0, 4) == b"data"


def test_all_questions_about_duplicates_of_one_transaction_share_a_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        bench.commit(acceptance(number, b"data"))
    now_s = 0.0
    limits: list[float] = []

    def can_read(limit_s: float) -> bool:
        nonlocal now_s
        limits.append(limit_s)
        now_s += 0.75
        return bool(limit_s)

    bench.can_read = can_read
    monkeypatch.setattr("gateway.cluster.node_committer.time", Mock(wraps=time, monotonic=lambda: now_s))
    again = [acceptance(number, b"data") for number in (1, 2, 3)]
    bench.commit(*again)
    assert limits == [LOOK_LIMIT_S, LOOK_LIMIT_S - 0.75, 0.0]
    assert [each.accepted is not None and each.accepted.deliveries for each in again] == [0, 0, 1]
    limits.clear()
    bench.commit(acceptance(1, b"data"))
    assert limits[0] == LOOK_LIMIT_S


def test_a_group_whose_table_another_node_dropped_gets_a_new_one(bench: Bench) -> None:
    """The clock of the other one is hours ahead."""
    bench.commit(first := acceptance(1, b"one", b""))
    hour = int(first.answer.payload.name.split("/")[1])
    bench.store._transactions.change((f"DROP TABLE journal_{hour}", {}))
    bench.commit(second := acceptance(2, b"two"))
    assert second.error is None
    assert bench.store.payloads.read(second.answer.payload.name, 0, 3) == b"two"

"""Acknowledged instances on their way into the store: when they are recorded, with what, and what a failure changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.common.completion import Completion
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import PayloadRef
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull, Temporary
from gateway.ports.store import Store
from gateway.spool.commit_requests import Acceptance, Call, ClaimRequest, Recorded, Settling
from gateway.spool.recording import MOST_WAITING, RECORDED_AFTER_S, TRIED_AGAIN_S, Recording
from gateway.spool.redo import Position
from gateway.spool.store import SpoolStore
from gateway.spool.writing import WrittenPlace
from tests.support.overridable_store import OverridableStore, without_answer
from tests.support.samples import TO_PACS, Clock, instance, settlement


def type_name(error: Exception) -> str:
    return type(error).__name__


class Payloads(SpoolStore):
    """The part of a spool that recording asks."""

    class Room:
        is_invalid = False

        def invalidate(self) -> None:
            self.is_invalid = True

    class Segments:
        end = Position("segments/00000001.seg", 4096)

    def __init__(self) -> None:
        self.is_needed_by_next_start = False
        self.room: Any = self.Room()
        self.segments: Any = self.Segments()

    def can_read(self, ref: PayloadRef) -> bool:
        return True


class CountedStore(OverridableStore):
    """Counts the sizes of its acceptances; takes none while `is_full`, or as long as it has `errors` to raise."""

    is_full = False

    def __init__(self, *rest: Any, **options: Any) -> None:
        super().__init__(*rest, **options)
        self.sizes: list[int] = []
        self.errors: list[Exception] = []

    def accept(self, arrivals: Any, *rest: Any) -> Any:
        if self.is_full:
            raise SpoolFull("queue: the disk takes no more")
        if self.errors:
            raise self.errors.pop(0)
        self.sizes.append(len(arrivals))
        return super().accept(arrivals, *rest)


class Bench:
    """One `Recording` with its store; time moves as a test says."""

    def __init__(self, store: CountedStore, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.seconds = 0.0
        self.failures: list[WrittenPlace] = []
        self.payloads = Payloads()
        self.recording = Recording(self.payloads, lambda: self.seconds, lambda place, _: self.failures.append(place))

    def acceptances(self, *numbers: int) -> list[Acceptance]:
        made = [
            Acceptance(
                Completion(),
                instance=instance(number, body=b"%d" % number),
                dispatches=[TO_PACS],
                payload=PayloadRef("segments/00000001.seg", number * 128, 4, b"%032d" % number),
            )
            for number in numbers
        ]
        for each in made:
            each.place()
        return made

    def record(self, *others: Any) -> list[Acceptance]:
        return self.recording.record(others, self.store, self.clock())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = Clock()
    with contextlib.closing(CountedStore(tmp_path / "queue.db", now=clock)) as store:
        yield Bench(store, clock)


def claims() -> ClaimRequest:
    return ClaimRequest(Completion(), destination="pacs", limit=10, lease_s=60.0)


def test_when_instances_are_due(bench: Bench) -> None:
    recording = bench.recording
    assert (recording.wait_s(), recording.is_due) == (None, False)
    recording.add(bench.acceptances(1))
    assert (recording.wait_s(), recording.is_due) == (RECORDED_AFTER_S, False)
    bench.seconds = RECORDED_AFTER_S / 2
    recording.add(bench.acceptances(2))
    assert recording.wait_s() == RECORDED_AFTER_S / 2, "the first one counts"
    bench.seconds = RECORDED_AFTER_S
    assert (recording.wait_s(), recording.is_due) == (0.0, True)
    assert len(bench.record()) == 2
    assert (recording.wait_s(), recording.is_due) == (None, False)


def test_many_instances_are_due_at_once(bench: Bench) -> None:
    bench.recording.add(bench.acceptances(*range(MOST_WAITING - 1)))
    assert not bench.recording.is_due
    bench.recording.add(bench.acceptances(MOST_WAITING))
    assert bench.recording.is_due


def test_groups_are_one_transaction_and_claims_come_after_them(bench: Bench) -> None:
    bench.recording.add(bench.acceptances(1, 2))
    bench.recording.add(bench.acceptances(3))
    claim = claims()
    assert len(bench.record(claim)) == 3
    assert bench.store.sizes == [3]
    assert len(claim.answer) == 3
    assert bench.store.spool.replayed_position() == Payloads.Segments.end
    settling = Settling(Completion(), settlements=[settlement(each) for each in claim.answer])
    called = Call(Completion(), function=lambda store: len(store.administration.list(DeliveryFilter(), 10)))
    assert bench.record(settling, called) == []
    assert settling.answer == [True, True, True]
    assert called.answer == 3


def test_a_store_that_takes_nothing_keeps_them_waiting_and_refuses_the_rest(bench: Bench) -> None:
    bench.recording.add(bench.acceptances(1, 2))
    bench.store.is_full = True
    claim = claims()
    assert bench.record(claim) == []
    assert isinstance(claim.error, SpoolFull)
    assert isinstance(bench.recording.problem, SpoolFull)
    assert bench.recording.wait_s() == TRIED_AGAIN_S
    assert bench.failures == ["database"]
    assert bench.payloads.room.is_invalid
    assert bench.store.spool.replayed_position() == ("", 0)
    bench.store.is_full = False
    assert len(bench.record()) == 2
    assert bench.recording.problem is None


def test_a_claim_whose_commit_had_no_answer_is_made_again_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.recording.add(bench.acceptances(1, 2))
    bench.record()
    lost, again = claims(), claims()
    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "transaction", without_answer(bench.store))
        bench.record(lost)
    assert (lost.answer, type(lost.error)) == (None, SpoolFull)
    bench.record(again)
    assert [each.instance.sop_instance_uid for each in again.answer] == ["1.2.3.4.5.1", "1.2.3.4.5.2"]


def test_settlements_whose_commit_had_no_answer_held_when_they_come_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was delivered would be neither counted nor logged."""
    bench.recording.add(bench.acceptances(1, 2))
    claimed = claims()
    bench.record(claimed)
    settled = [settlement(each) for each in claimed.answer]
    lost, again = (Settling(Completion(), settlements=settled) for _ in range(2))
    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "transaction", without_answer(bench.store))
        bench.record(lost)
    assert type(lost.error) is SpoolFull
    bench.record(again)
    assert again.answer == [True, True]
    assert bench.store.connection.execute("SELECT count(*) FROM attempt").fetchone() == (2,)


@pytest.mark.parametrize("dispatches", [[TO_PACS], []], ids=["with a delivery", "that owe nothing"])
@pytest.mark.parametrize("error", [SpoolFull("the connection was lost"), RuntimeError("unlucky")], ids=type_name)
def test_instances_whose_commit_had_no_answer_are_there_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, dispatches: list[Dispatch], error: Exception
) -> None:
    """Taken again they would be duplicates of themselves: their files would be deleted, and no courier woken."""
    waiting, later = bench.acceptances(1, 2), bench.acceptances(3)
    for each in (*waiting, *later):
        each.dispatches = dispatches
    bench.recording.add(waiting)
    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "transaction", without_answer(bench.store, error))
        assert bench.record() == []
    bench.recording.add(later)
    assert bench.record() == [*waiting, *later]
    assert bench.store.connection.execute("SELECT count(*) FROM instance").fetchone() == (3,)
    accepted = [each.accepted for each in (*waiting, *later)]
    assert [(each.payload, each.deliveries) for each in accepted if each] == [(None, len(dispatches))] * 3
    assert bench.store.spool.replayed_position() == Payloads.Segments.end


def test_an_error_of_others_alone_is_no_problem_of_what_was_acknowledged(bench: Bench) -> None:
    def refuse(store: Store) -> None:
        raise SpoolFull("no")

    called = Call(Completion(), function=refuse)
    assert bench.record(called) == []
    assert isinstance(called.error, SpoolFull)
    assert bench.recording.problem is None


def test_a_call_that_breaks_the_transaction_fails_alone(bench: Bench) -> None:
    def fail(store: Store) -> None:
        raise ValueError("unlucky")

    bench.recording.add(bench.acceptances(1, 2))
    called, claim = Call(Completion(), function=fail), claims()
    assert len(bench.record(called, claim)) == 2
    assert isinstance(called.error, ValueError)
    assert len(claim.answer) == 2
    assert bench.store.spool.replayed_position() == Payloads.Segments.end


def test_a_call_that_fails_before_anything_was_written_moves_no_position(bench: Bench) -> None:
    """The segments of former processes would be replayed from the first one on."""

    def fail(store: Store) -> None:
        raise ValueError("unlucky")

    before = ("segments/00000007.seg", 512)
    with bench.store.transaction():
        bench.store.spool.set_replayed_position(*before)
    bench.payloads.segments.end = Position("", 0)
    called = Call(Completion(), function=fail)
    bench.record(called)
    assert isinstance(called.error, ValueError)
    assert bench.store.spool.replayed_position() == before


UNLUCKY, NO_ROOM, HELD_BY_OTHERS = ValueError("unlucky"), SpoolFull("no room"), Temporary("another process holds it")


@pytest.mark.parametrize(
    "steps",
    [(UNLUCKY, NO_ROOM), (UNLUCKY, UNLUCKY, NO_ROOM), (UNLUCKY, UNLUCKY, HELD_BY_OTHERS)],
    ids=["when taken alone", "when held", "when held, by others"],
)
def test_a_store_that_takes_nothing_meanwhile_gets_instances_whole_and_later(
    bench: Bench, steps: tuple[Exception, ...]
) -> None:
    bench.recording.add(bench.acceptances(1, 2))
    bench.store.errors += steps
    known, claim = Recorded(Completion()), claims()
    assert bench.record(known, claim) == []
    stopped = [known.error, claim.error, bench.recording.problem]
    assert stopped == [steps[-1]] * 3, "nothing comes before what waits"
    assert bench.failures == ["database"]
    claim = claims()
    assert len(bench.record(claim)) == 2
    assert [each.state for each in claim.answer] == [DeliveryState.PENDING] * 2
    assert bench.recording.problem is None
    assert bench.store.spool.replayed_position() == Payloads.Segments.end


def test_errors_of_a_store_that_takes_nothing_at_all_are_not_of_its_instances(bench: Bench) -> None:
    """An error that nobody thought of keeps acknowledged instances waiting, and further ones out."""
    bench.recording.add(bench.acceptances(1, 2))
    claim = claims()
    bench.store.connection.execute("BEGIN")  # no transaction can begin, as after a roll-back that failed
    assert bench.record(claim) == []
    assert isinstance(bench.recording.problem, Temporary)
    assert claim.error is bench.recording.problem
    assert bench.failures == ["database"]
    bench.store.connection.execute("ROLLBACK")
    assert len(bench.record()) == 2, "they were kept"


def test_one_instance_that_is_not_taken_even_held_is_left_to_the_next_start(bench: Bench) -> None:
    bench.recording.add(bench.acceptances(1, 2))
    bench.store.errors += [UNLUCKY, UNLUCKY, UNLUCKY]
    claim = claims()
    assert len(bench.record(claim)) == 1
    assert len(claim.answer) == 1
    assert bench.recording.problem is None
    assert bench.store.spool.replayed_position() == ("", 0), "the next start finds its redo record"
    assert bench.payloads.is_needed_by_next_start


@pytest.mark.parametrize("error", [NO_ROOM, HELD_BY_OTHERS])
def test_whatever_keeps_instances_waiting_is_a_failure_of_the_database(bench: Bench, error: Exception) -> None:
    bench.recording.add(bench.acceptances(1))
    bench.store.errors.append(error)
    bench.record()
    assert bench.failures == ["database"]


def test_the_end_leaves_what_is_not_taken_to_the_next_start(bench: Bench) -> None:
    bench.recording.add(bench.acceptances(1))
    bench.store.is_full = True
    assert bench.recording.end(bench.store, bench.clock()) == []
    assert bench.store.spool.replayed_position() == ("", 0)

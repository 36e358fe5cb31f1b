"""What every `Collections` must do; run against each implementation. Objects join when they are accepted."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from gateway.delivery.collection_steps import advance
from gateway.model.collection import (
    Collection,
    CollectionState,
    CollectionTerms,
    CollectionTest,
    End,
    LeftOutObject,
    Membership,
    Wait,
    decide,
    digest_of,
)
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.expectation import Expectation, ExpectedTerms
from gateway.model.instance import Instance
from gateway.ports.collections import CollectionCount, CollectionFilter
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store import Store
from tests.support.samples import NOON, Clock, instance, settlement
from tests.support.store_rig import ANY, accept, claim, settle_all, uids

CHEST = CollectionTerms("chest", quiet_s=60, at_most_s=600, late_for_s=3600)
EVERY = CollectionFilter()
SENT = End("unverified", "send")


def of(uid: str, *, digest: bytes = b"d" * 32, study: str = "1.2.3") -> Instance:
    made = dataclasses.replace(instance(), sop_instance_uid=uid)
    return dataclasses.replace(made, study_instance_uid=study, payload=dataclasses.replace(made.payload, digest=digest))


def waits(
    terms: CollectionTerms = CHEST, to: str = "pacs", *, study: str = "1.2.3", matches: str = "", patient: str = "p"
) -> Dispatch:
    return Dispatch("route", to, collection=Membership(terms, study, patient=patient, matches=matches))


def put(queue: Store, clock: Clock, *uids_: str, terms: CollectionTerms = CHEST, digest: bytes = b"d" * 32) -> None:
    accept(queue, *[(of(uid, digest=digest), [waits(terms)]) for uid in uids_], clock=clock)


def only(queue: Store) -> Collection:
    (found,) = queue.collections.list(EVERY, 10)
    return found


def end(queue: Store, clock: Clock, how: End = SENT, *, limit: int = 100) -> None:
    """The newest one ends, whatever it takes."""
    number = queue.collections.list(EVERY, 100)[-1].collection_id
    with queue.transaction():
        queue.collections.end(number, how)
    is_last = False
    while not is_last:
        with queue.transaction():
            collection = queue.collections.take(number)
            assert collection is not None
            is_last = queue.collections.let_go(collection, limit, clock()).is_last


def states(queue: Store) -> list[tuple[str, str, str]]:
    found = queue.administration.list(ANY, 100)
    return [(each.instance.sop_instance_uid, each.destination, each.state.value) for each in found]


# --- waiting --------------------------------------------------------------------------------------------------------


def test_the_first_object_begins_a_collection(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", "2")
    found = only(queue)
    assert (found.terms, found.study_instance_uid, found.series_instance_uid) == (CHEST, "1.2.3", "")
    assert (found.state, found.generation, found.instances, found.flag) == (CollectionState.OPEN, 1, 2, "")
    assert (found.opened_at, found.last_arrival_at) == (clock(), clock())
    assert found.at_most_at == clock() + timedelta(seconds=600)
    assert found.deadline_at == queue.collections.next_deadline() == clock() + timedelta(seconds=60)


def test_a_delivery_that_waits_is_never_due(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    clock.advance(1_000_000)
    assert claim(queue, clock) == []
    assert queue.deliveries.next_due("pacs") is None
    (waiting,) = queue.administration.list(ANY, 10)
    assert (waiting.state, waiting.is_waiting, waiting.collection_id) == (
        DeliveryState.PENDING,
        True,
        only(queue).collection_id,
    )


def test_another_delivery_of_the_destination_is_due_as_ever(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", "2")
    accept(queue, (of("3"), [Dispatch("route", "pacs")]), clock=clock)
    assert uids(claim(queue, clock)) == ["3"]


def test_the_same_bytes_again_wait_once(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", "1")
    put(queue, clock, "1")
    assert len(queue.administration.list(ANY, 10)) == 1
    assert (only(queue).instances, only(queue).repeated) == (1, 0)


def test_other_bytes_of_the_same_instance_replace_it_and_both_are_sent(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    put(queue, clock, "1", digest=b"e" * 32)
    found = only(queue)
    assert (found.instances, found.replaced) == (1, 1)
    end(queue, clock)
    assert [each.instance.payload.digest[:1] for each in claim(queue, clock)] == [b"d", b"e"], "in order of arrival"


def test_a_direct_route_to_the_same_destination_does_not_wait(queue: Store, clock: Clock) -> None:
    accept(queue, (of("1"), [waits(), Dispatch("direct", "pacs")]), clock=clock)
    assert len(claim(queue, clock)) == 1
    end(queue, clock)
    assert len(claim(queue, clock)) == 1


def test_two_definitions_are_independent(queue: Store, clock: Clock) -> None:
    other = dataclasses.replace(CHEST, name="all", quiet_s=10)
    accept(queue, (of("1"), [waits(), waits(other, "vna")]), clock=clock)
    first, second = queue.collections.list(EVERY, 10)
    assert [one.terms.name for one in (first, second)] == ["chest", "all"]
    end(queue, clock)
    assert (uids(claim(queue, clock, "vna")), uids(claim(queue, clock))) == (["1"], [])


def test_the_last_arrival_is_written_once_a_second(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    clock.advance(0.5)
    put(queue, clock, "2")
    assert only(queue).last_arrival_at == NOON
    clock.advance(0.5)
    put(queue, clock, "3")
    assert only(queue).last_arrival_at == clock()


def test_what_is_held_waits_for_an_operator_alone(queue: Store, clock: Clock) -> None:
    dispatch = dataclasses.replace(waits(), state=DeliveryState.HELD)
    accept(queue, (of("1"), [dispatch]), clock=clock)
    assert queue.collections.list(EVERY, 10) == []
    with queue.transaction():
        queue.administration.release(ANY, clock())
    assert uids(claim(queue, clock)) == ["1"]


def test_verbs_of_the_queue_leave_what_waits(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    administration = queue.administration
    with queue.transaction():
        assert administration.retry(ANY, clock()) == 0
        assert administration.hold(ANY) == 0
        assert administration.retarget(ANY, clock(), "vna") == 0
        assert administration.discard(ANY) == 0
    assert states(queue) == [("1", "pacs", "pending")]
    end(queue, clock)
    assert uids(claim(queue, clock)) == ["1"]


def test_a_group_whose_member_changes_keeps_what_waits(queue: Store, clock: Clock) -> None:
    accept(queue, (of("1"), [dataclasses.replace(waits(), group_name="archives")]), clock=clock)
    with queue.transaction():
        queue.deliveries.move_in_group("archives", "pacs", "vna", 10, clock())
    assert claim(queue, clock, "vna") == []
    end(queue, clock)
    assert uids(claim(queue, clock) + claim(queue, clock, "vna")) == ["1"]


def test_a_rollback_leaves_nothing(queue: Store, clock: Clock) -> None:
    def broken() -> None:
        with queue.transaction():
            queue.deliveries.accept([(of("1"), [waits()])], clock())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert (queue.collections.list(EVERY, 10), states(queue)) == ([], [])
    put(queue, clock, "1")
    assert only(queue).generation == 1


# --- two patients, two institutions ---------------------------------------------------------------------------------


def test_two_patients_with_one_study_are_two_collections_and_both_say_so(queue: Store, clock: Clock) -> None:
    accept(queue, (of("1"), [waits(patient="p")]), clock=clock)
    accept(queue, (of("2"), [waits(patient="q")]), clock=clock)
    found = queue.collections.list(EVERY, 10)
    assert [(one.patient, one.instances, one.flag) for one in found] == [("p", 1, "patients"), ("q", 1, "patients")]


def test_two_patients_in_one_transaction_are_two_collections_too(queue: Store, clock: Clock) -> None:
    accept(queue, (of("1"), [waits(patient="p")]), (of("2"), [waits(patient="q")]), clock=clock)
    found = queue.collections.list(EVERY, 10)
    assert [(one.patient, one.flag) for one in found] == [("p", "patients"), ("q", "patients")]


@pytest.mark.parametrize(
    ("names", "flag"), [(["a", "a"], ""), (["a", ""], ""), (["", "a"], ""), (["a", "", "b"], "institutions")]
)
def test_names_of_institutions_that_differ_are_flagged(queue: Store, clock: Clock, names: list[str], flag: str) -> None:
    for number, name in enumerate(names):
        member = Membership(CHEST, "1.2.3", patient="p", institution=name)
        accept(queue, (of(str(number)), [Dispatch("route", "pacs", collection=member)]), clock=clock)
    assert (only(queue).flag, only(queue).instances) == (flag, len(names))


# --- the end --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_all_deliveries_of_a_collection_that_is_sent_are_due_in_order_of_arrival(
    queue: Store, clock: Clock, limit: int
) -> None:
    put(queue, clock, "1", "2", "3")
    clock.advance(5000)
    end(queue, clock, limit=limit)
    found = only(queue)
    assert (found.state, found.result, found.outcome) == (CollectionState.COMPLETE, "unverified", "send")
    assert (found.completed_at, found.deadline_at) == (clock(), clock() + timedelta(seconds=3600))
    claimed = claim(queue, clock)
    assert uids(claimed) == ["1", "2", "3"]
    assert {each.counted_from for each in claimed} == {clock()}, "the wait is no age"
    assert settle_all(queue, claimed, DeliveryState.DELIVERED) == 3


def test_a_page_at_a_time(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", "2", "3")
    number = only(queue).collection_id
    with queue.transaction():
        queue.collections.end(number, End("forced", "send"))
    assert queue.collections.due(clock(), 10) == [number], "whoever comes next goes on"
    with queue.transaction():
        gone = queue.collections.let_go(only(queue), 2, clock())
    assert (gone.deliveries, gone.destinations, gone.is_last) == (2, frozenset({"pacs"}), False)
    assert only(queue).state is CollectionState.RELEASING
    with queue.transaction():
        gone = queue.collections.let_go(only(queue), 2, clock())
    assert (gone.deliveries, gone.is_last, only(queue).state) == (1, True, CollectionState.COMPLETE)


def test_a_collection_that_is_held_waits_for_an_operator(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", "2")
    end(queue, clock, End("overdue", "hold"))
    assert states(queue) == [("1", "pacs", "held"), ("2", "pacs", "held")]
    assert {each.reason for each in queue.administration.list(ANY, 10)} == {"the collection `chest` is overdue"}
    with queue.transaction():
        assert queue.administration.release(ANY, clock()) == 2
    assert uids(claim(queue, clock)) == ["1", "2"]


def test_a_collection_that_is_dropped_owes_nothing(queue: Store, clock: Clock) -> None:
    accept(queue, (of("1"), [waits(), Dispatch("other", "vna")]), clock=clock)
    put(queue, clock, "2")
    end(queue, clock, End("overdue", "drop"))
    assert states(queue) == [("1", "vna", "pending")]
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(10), 10) == 1, "the one that nothing else wants"


def test_what_nothing_else_wants_of_an_unmatched_collection_is_held_once(queue: Store, clock: Clock) -> None:
    accept(
        queue,
        (of("1"), [waits(), waits(to="vna")]),
        (of("2"), [waits(), Dispatch("other", "vna")]),
        clock=clock,
    )
    end(queue, clock, End("unmatched", "unmatched"), limit=1)
    assert states(queue) == [("1", "", "held"), ("2", "vna", "pending")]
    (held,) = queue.administration.list(DeliveryFilter(state=DeliveryState.HELD), 10)
    assert (held.rule, held.reason) == ("unmatched", "the collection `chest` is unmatched")


def test_unmatched_collections_are_dropped_where_the_rules_say_so(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", terms=dataclasses.replace(CHEST, is_unmatched_held=False))
    end(queue, clock, End("unmatched", "unmatched"))
    assert states(queue) == []


def test_two_definitions_that_do_not_want_an_object_hold_it_once(queue: Store, clock: Clock) -> None:
    other = dataclasses.replace(CHEST, name="all")
    accept(queue, (of("1"), [waits(), waits(other)]), clock=clock)
    first, second = (one.collection_id for one in queue.collections.list(EVERY, 10))
    for number, expected in ((first, [("1", "pacs", "pending")]), (second, [("1", "", "held")])):
        with queue.transaction():
            queue.collections.end(number, End("unmatched", "unmatched"))
            taken = queue.collections.take(number)
            assert taken is not None
            queue.collections.let_go(taken, 10, clock())
        assert states(queue) == expected


# --- stragglers -----------------------------------------------------------------------------------------------------


def test_a_straggler_is_sent_at_once_by_the_same_decision(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    end(queue, clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    clock.advance(100)
    put(queue, clock, "2")
    found = only(queue)
    assert (found.state, found.generation, found.late, found.instances) == (CollectionState.COMPLETE, 1, 1, 2)
    assert uids(claim(queue, clock)) == ["2"]


def test_a_straggler_of_what_is_held_is_held(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    end(queue, clock, End("overdue", "hold"))
    put(queue, clock, "2")
    assert states(queue) == [("1", "pacs", "held"), ("2", "pacs", "held")]


@pytest.mark.parametrize(
    ("late", "outcome", "number"), [("new", "send", 2), ("ignore", "send", 1), ("supplement", "drop", 2)]
)
def test_stragglers_begin_a_generation_or_are_left_out(
    queue: Store, clock: Clock, late: str, outcome: str, number: int
) -> None:
    put(queue, clock, "1", terms=dataclasses.replace(CHEST, late=late))  # type: ignore[arg-type]
    end(queue, clock, End("unverified", outcome))  # type: ignore[arg-type]
    if outcome == "drop":
        with queue.transaction():
            queue.collections.close(only(queue).collection_id, clock.advance(10))
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    put(queue, clock, "2")
    found = queue.collections.list(EVERY, 10)
    assert [one.generation for one in found] == list(range(1, number + 1))
    assert found[0].ignored == (1 if late == "ignore" else 0)
    assert claim(queue, clock) == []


def test_after_late_for_a_straggler_begins_a_generation(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    end(queue, clock)
    clock.advance(3600)
    put(queue, clock, "2")
    first, second = queue.collections.list(EVERY, 10)
    assert (second.generation, second.state, first.late) == (2, CollectionState.OPEN, 0)


@pytest.mark.parametrize(
    ("again", "digest", "generations", "repeated", "replaced", "late"),
    [
        ("never", b"d", 1, 1, 0, 0),
        ("never", b"e", 1, 0, 1, 1),
        ("replaced", b"d", 1, 1, 0, 0),
        ("replaced", b"e", 2, 0, 1, 0),
        ("new", b"d", 2, 0, 0, 0),
        ("new", b"e", 2, 0, 1, 0),
    ],
)
def test_an_object_that_comes_again_after_the_end(
    queue: Store, clock: Clock, again: str, digest: bytes, generations: int, repeated: int, replaced: int, late: int
) -> None:
    terms = dataclasses.replace(CHEST, again=again)  # type: ignore[arg-type]
    put(queue, clock, "1", terms=terms)
    end(queue, clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    put(queue, clock, "1", terms=terms, digest=digest * 32)
    found = queue.collections.list(EVERY, 10)
    newest = found[-1]
    assert newest.generation == generations
    assert (newest.repeated, newest.replaced, newest.late) == (repeated, replaced, late)


def again(queue: Store, clock: Clock, *to: str, uid: str = "1") -> tuple[int, list[str]]:
    """The same bytes come once more: how many deliveries are made, and why what was left out."""
    (answer,) = accept(queue, (of(uid), [waits(to=name) for name in to or ("pacs",)]), clock=clock)
    return answer.deliveries, [each.why for each in answer.left_out]


def test_what_is_on_its_way_or_was_delivered_is_not_sent_again_and_the_answer_says_so(
    queue: Store, clock: Clock
) -> None:
    put(queue, clock, "1")
    assert again(queue, clock) == (0, []), "it waits, once"
    end(queue, clock)
    assert again(queue, clock) == (0, ["again"])
    claimed = claim(queue, clock)
    assert again(queue, clock) == (0, ["again"])
    settle_all(queue, claimed, DeliveryState.DELIVERED)
    assert again(queue, clock) == (0, ["again"])
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(100), 10) > 0
    assert again(queue, clock) == (0, ["again"]), "once the store has forgotten it, too"
    assert (only(queue).repeated, only(queue).late) == (4, 0)


def test_bytes_that_became_a_dead_letter_are_taken_anew_where_they_were_not_delivered(
    queue: Store, clock: Clock
) -> None:
    accept(queue, (of("1"), [waits(), waits(to="vna")]), clock=clock)
    end(queue, clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    settle_all(queue, claim(queue, clock, "vna"), DeliveryState.DEAD)
    assert again(queue, clock, "pacs", "vna") == (1, ["again"])
    assert (uids(claim(queue, clock)), uids(claim(queue, clock, "vna"))) == ([], ["1"])
    assert again(queue, clock, "pacs", "vna") == (0, ["again"]), "it is on its way now"
    assert (only(queue).repeated, only(queue).late, only(queue).instances) == (2, 1, 1)


def test_bytes_that_are_held_are_owed_once(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    end(queue, clock)
    with queue.transaction():
        assert queue.administration.hold(ANY) == 1
    assert again(queue, clock) == (0, []), "the same delivery, which an operator releases"
    assert states(queue) == [("1", "pacs", "held")]


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_bytes_that_an_operator_discarded_are_taken_anew(queue: Store, clock: Clock, is_forgotten: bool) -> None:
    terms = dataclasses.replace(CHEST, late="ignore")
    put(queue, clock, "1", "2", terms=terms)
    end(queue, clock)
    discarded, delivered = claim(queue, clock)
    settle_all(queue, [delivered], DeliveryState.DELIVERED)
    settle_all(queue, [discarded], DeliveryState.DEAD)
    with queue.transaction():
        assert queue.administration.discard(DeliveryFilter(ids=(discarded.delivery_id,))) == 1
    if is_forgotten:
        with queue.transaction():
            assert queue.deliveries.forget(clock.advance(100), 10) == 2
    assert again(queue, clock, uid="2") == (0, ["again"])
    assert again(queue, clock) == (1, []), "it came in time, and its study was not late"
    assert again(queue, clock) == (0, ["again"])


def test_what_comes_late_and_is_left_out_is_said(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", terms=dataclasses.replace(CHEST, late="ignore"))
    end(queue, clock)
    (answer,) = accept(queue, (of("2"), [waits(), Dispatch("direct", "vna")]), clock=clock)
    assert answer.left_out == (LeftOutObject(only(queue).collection_id, "chest", "1.2.3", "late"),)
    assert answer.deliveries == 1


def test_an_object_of_an_earlier_generation_is_known(queue: Store, clock: Clock) -> None:
    terms = dataclasses.replace(CHEST, late="new")
    put(queue, clock, "1", terms=terms)
    end(queue, clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    put(queue, clock, "2", terms=terms)
    end(queue, clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    put(queue, clock, "1", terms=terms)
    assert [one.repeated for one in queue.collections.list(EVERY, 10)] == [0, 1]
    assert claim(queue, clock) == []


def test_while_it_is_let_go_an_object_is_a_straggler(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", "2")
    with queue.transaction():
        queue.collections.end(only(queue).collection_id, End("unverified", "send"))
    put(queue, clock, "3")
    assert (only(queue).late, uids(claim(queue, clock))) == (1, ["3"])


def test_terms_stay_those_of_the_first_object(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    put(queue, clock, "2", terms=dataclasses.replace(CHEST, quiet_s=5, late="ignore"))
    assert only(queue).terms == CHEST
    end(queue, clock)
    put(queue, clock, "3", terms=dataclasses.replace(CHEST, late="ignore"))
    assert only(queue).late == 1


# --- decisions ------------------------------------------------------------------------------------------------------


def test_totals_are_counted_by_what_holds(queue: Store, clock: Clock) -> None:
    terms = dataclasses.replace(CHEST, tests=(CollectionTest("any"), CollectionTest("every")))
    for uid, matches in (("1", "10"), ("2", "01"), ("3", "10")):
        accept(queue, (of(uid), [waits(terms, matches=matches)]), clock=clock)
    totals = queue.collections.totals(only(queue).collection_id)
    assert dict(totals) == {"10": 2, "01": 1}
    assert decide(only(queue), totals, clock.advance(60)) == Wait(only(queue).at_most_at)


def test_an_object_that_comes_when_it_was_quiet_without_what_is_wanted_brings_the_end_nearer(
    queue: Store, clock: Clock
) -> None:
    terms = dataclasses.replace(CHEST, at_most_s=7200, tests=(CollectionTest("any"),))
    accept(queue, (of("1"), [waits(terms, matches="0")]), clock=clock)
    number = only(queue).collection_id
    clock.advance(60)
    with queue.transaction():
        advance(queue, number, lambda _: False)
    assert only(queue).deadline_at == only(queue).at_most_at
    clock.advance(100)
    with queue.transaction():
        queue.collections.arriving(["1.2.3"], clock())
    accept(queue, (of("2"), [waits(terms, matches="1")]), clock=clock)
    assert only(queue).deadline_at == clock() + timedelta(seconds=60)
    clock.advance(60)
    with queue.transaction():
        advance(queue, number, lambda _: False)
    assert (only(queue).result, uids(claim(queue, clock))) == ("unverified", ["1", "2"])


def test_the_deadline_is_what_was_put_off(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    number = only(queue).collection_id
    assert queue.collections.due(clock(), 10) == []
    assert queue.collections.due(clock() + timedelta(seconds=60), 10) == [number]
    with queue.transaction():
        queue.collections.put_off(number, NOON + timedelta(seconds=90))
    assert queue.collections.next_deadline() == NOON + timedelta(seconds=90)
    assert queue.collections.due(NOON + timedelta(seconds=89), 10) == []


def test_an_object_on_its_way_in_makes_it_quiet_later(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    with queue.transaction():
        assert queue.collections.arriving(["1.2.3", "9.9"], clock.advance(0.5)) == 0, "once a second"
        assert queue.collections.arriving(["1.2.3", "9.9"], clock.advance(0.5)) == 1
    assert only(queue).last_arrival_at == clock()


def test_an_extended_one_waits(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    until = clock() + timedelta(seconds=900)
    with queue.transaction():
        queue.collections.extend(only(queue).collection_id, until)
    found = only(queue)
    assert (found.not_before_at, found.at_most_at, found.deadline_at) == (until, until, until)
    assert decide(found, {"": 1}, clock.advance(300)) == Wait(until)
    assert decide(found, {"": 1}, until) == End("unverified", "send")


def test_a_closed_one_knows_its_number_alone_and_is_forgotten(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1", "2")
    end(queue, clock)
    number, forget_at = only(queue).collection_id, clock() + timedelta(days=7)
    with queue.transaction():
        queue.collections.close(number, forget_at)
    assert (only(queue).state, only(queue).instances) == (CollectionState.CLOSED, 2)
    assert (queue.collections.next_deadline(), dict(queue.collections.totals(number))) == (forget_at, {})
    with queue.transaction():
        queue.collections.forget(number)
    assert queue.collections.list(EVERY, 10) == []
    with queue.transaction():
        assert queue.collections.take(number) is None


def test_what_an_operator_means_is_found(queue: Store, clock: Clock) -> None:
    put(queue, clock, "1")
    other = dataclasses.replace(CHEST, name="all")
    accept(queue, (of("2", study="4.5"), [waits(other, study="4.5")]), clock=clock)
    first, second = queue.collections.list(EVERY, 10)

    def found(which: CollectionFilter) -> list[int]:
        return [one.collection_id for one in queue.collections.list(which, 10)]

    assert found(CollectionFilter(ids=(second.collection_id,))) == [second.collection_id]
    assert found(CollectionFilter(name="chest")) == [first.collection_id]
    assert found(CollectionFilter(study_instance_uid="4.5")) == [second.collection_id]
    assert found(CollectionFilter(state=CollectionState.CLOSED)) == []
    assert len(queue.collections.list(EVERY, 1)) == 1


def test_collections_are_counted_by_name_state_and_result(queue: Store, clock: Clock) -> None:
    assert queue.collections.counts(clock()) == []
    ignoring = dataclasses.replace(CHEST, late="ignore")
    put(queue, clock, "1", terms=ignoring)
    end(queue, clock)
    put(queue, clock, "1", "2", "3", terms=ignoring)
    clock.advance(10)
    for study in ("4.5", "4.6"):
        accept(queue, (of("4", study=study), [waits(study=study)]), clock=clock)
    opened_at = clock()
    assert queue.collections.counts(clock.advance(599)) == [
        CollectionCount("chest", CollectionState.COMPLETE, "unverified", 1, NOON, 0, 2, 1),
        CollectionCount("chest", CollectionState.OPEN, "", 2, opened_at),
    ]
    with queue.transaction():
        queue.collections.close(1, clock.advance(1))
    assert queue.collections.counts(clock()) == [
        CollectionCount("chest", CollectionState.CLOSED, "unverified", 1, NOON, 0, 2, 1),
        CollectionCount("chest", CollectionState.OPEN, "", 2, opened_at, overdue=2),
    ]


def test_what_waits_does_not_do_for_what_an_operator_sends_again(queue: Store, clock: Clock) -> None:
    accept(queue, (of("1"), [waits(), Dispatch("direct", "pacs")]), clock=clock)
    (direct,) = claim(queue, clock)
    with queue.transaction():
        queue.deliveries.settle([settlement(direct, DeliveryState.DELIVERED, due_at=clock())])
        assert queue.administration.send_again(DeliveryFilter(ids=(direct.delivery_id,)), clock()) == 1
    end(queue, clock, End("overdue", "drop"))
    assert states(queue) == [("1", "pacs", "delivered"), ("1", "pacs", "pending")]


def test_the_last_arrival_comes_first_and_closed_ones_when_they_are_asked_for(queue: Store, clock: Clock) -> None:
    for study in ("1.2.1", "1.2.2", "1.2.3"):
        accept(queue, (of(study, study=study), [waits(study=study)]), clock=clock)
    clock.advance(5)
    accept(queue, (of("9", study="1.2.1"), [waits(study="1.2.1")]), clock=clock)
    with queue.transaction():
        queue.collections.end(2, SENT)
        queue.collections.close(2, clock() + timedelta(days=7))

    def newest(which: CollectionFilter, limit: int = 10) -> list[tuple[str, int]]:
        found = queue.collections.newest(which, limit)
        assert len(found) == min(limit, queue.collections.count(which))
        return [(one.study_instance_uid, one.instances) for one in found]

    assert newest(EVERY) == [("1.2.1", 2), ("1.2.3", 1)]
    assert newest(EVERY, 1) == [("1.2.1", 2)]
    assert newest(CollectionFilter(state=CollectionState.CLOSED)) == [("1.2.2", 1)]
    assert newest(CollectionFilter(state=CollectionState.RELEASING)) == []
    assert newest(CollectionFilter(study_instance_uid="1.2.3", name="chest")) == [("1.2.3", 1)]
    assert newest(CollectionFilter(name="all")) == []
    assert newest(CollectionFilter(ids=(3, 2))) == [("1.2.3", 1)]


def test_the_deliveries_that_wait_for_an_end_are_counted(queue: Store, clock: Clock) -> None:
    accept(queue, (of("1"), [waits(), waits(to="vna"), Dispatch("other", "disk")]), (of("2"), [waits()]), clock=clock)
    accept(queue, (of("3", study="4.5"), [waits(study="4.5")]), clock=clock)
    first, second = queue.collections.list(EVERY, 10)
    assert [queue.collections.waiting(one.collection_id) for one in (first, second)] == [3, 1]
    assert queue.collections.waiting(99) == 0
    with queue.transaction():
        queue.collections.end(first.collection_id, SENT)
        queue.collections.let_go(first, 2, clock())
    assert queue.collections.waiting(first.collection_id) == 1


# --- what is expected -----------------------------------------------------------------------------------------------


def test_what_is_known_of_the_whole_is_kept(queue: Store, clock: Clock) -> None:
    expect = ExpectedTerms("vna", every_s=5, timeout_s=3)
    put(queue, clock, "1", terms=dataclasses.replace(CHEST, expect=expect))
    assert (only(queue).terms.expect, only(queue).expectation) == (expect, Expectation())
    known = Expectation().querying(expect, clock(), clock()).answered(expect, "digest", 2, ["1.2.ü\0"], clock())
    with queue.transaction():
        queue.collections.expect(only(queue).collection_id, known)
    kept = only(queue).expectation
    assert dataclasses.replace(kept, missing_uids=()) == dataclasses.replace(known, missing_uids=())
    assert kept.missing_uids[0].startswith("1.2.ü")
    with queue.transaction():
        taken = queue.collections.take(only(queue).collection_id)
    assert taken is not None
    assert taken.expectation == kept
    assert queue.collections.newest(EVERY, 1)[0].expectation == kept


def test_the_number_of_an_object_is_among_the_totals(queue: Store, clock: Clock) -> None:
    arrivals = [(of("1"), [waits(matches="1")]), (of("2"), [waits(matches="1=3")]), (of("3"), [waits(matches="1=3")])]
    accept(queue, *arrivals, clock=clock)
    assert dict(queue.collections.totals(only(queue).collection_id)) == {"1": 1, "1=3": 2}


def test_series_are_counted_and_what_is_lacking_is_said(queue: Store, clock: Clock) -> None:
    first, second = (dataclasses.replace(of(uid), series_instance_uid="1.9") for uid in ("1", "2"))
    third = dataclasses.replace(of("3"), series_instance_uid="1.8")
    accept(queue, (first, [waits()]), (second, [waits()]), (third, [waits()]), clock=clock)
    accept(queue, (of("4", study="9"), [waits(study="9")]), clock=clock)
    number, other = (one.collection_id for one in queue.collections.list(EVERY, 10))
    assert (queue.collections.series(number), queue.collections.series(other)) == (2, 1)
    keys = [digest_of(uid) for uid in ("1", "3", "4", "5")]
    assert sorted(queue.collections.lacking(number, keys)) == sorted(keys[2:])
    assert list(queue.collections.lacking(number, [])) == []

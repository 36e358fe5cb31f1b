"""Deliveries of groups, in every `DeliveryQueue`: where they wait, and which of them may go to another member."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import GroupPlace
from gateway.ports.store import Store
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement
from tests.support.store_rig import ANY, LEASE_S, accept, claim, settle_all, uids

PENDING, HELD, DEAD, DELIVERED = DeliveryState.PENDING, DeliveryState.HELD, DeliveryState.DEAD, DeliveryState.DELIVERED


def to_group(destination: str = "a", group: str = "archives", state: DeliveryState = PENDING) -> Dispatch:
    return Dispatch("all", destination, "", state, group)


def uid(*numbers: int) -> list[str]:
    return [f"1.2.3.4.5.{number}" for number in numbers]


def move(queue: Store, clock: Clock, source: str = "a", target: str = "b", limit: int = 10) -> int:
    with queue.transaction():
        return queue.deliveries.move_in_group("archives", source, target, limit, clock())


def settle(
    queue: Store,
    delivery: Delivery,
    state: DeliveryState = PENDING,
    *,
    is_attempt: bool = True,
    is_doubtful: bool = False,
) -> None:
    ended = settlement(delivery, state, is_attempt=is_attempt, is_doubtful=is_doubtful)
    with queue.transaction():
        assert queue.deliveries.settle([ended]) == [True]


def doubts(queue: Store) -> list[bool]:
    return [each.is_doubtful for each in queue.administration.list(ANY, 10)]


def test_the_places_of_groups_are_those_of_what_waits(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group(), TO_PACS]), (instance(2), [to_group("b")]), clock=clock)
    accept(queue, (instance(3), [to_group("b", "readers")]), (instance(4), [to_group(state=HELD)]), clock=clock)
    (delivered,) = claim(queue, clock, "b", limit=1)
    settle_all(queue, [delivered], DELIVERED)
    assert queue.deliveries.group_places() == [
        GroupPlace("archives", "a", True, 0),
        GroupPlace("readers", "b", True, 0),
    ]
    (first,) = claim(queue, clock, "a")
    settle(queue, first, is_doubtful=True)
    assert queue.deliveries.group_places()[0] == GroupPlace("archives", "a", False, 1)


def test_what_moves_keeps_its_order_and_is_due_there(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group()]), (instance(2), [to_group()]), (instance(3), [to_group()]), clock=clock)
    (first,) = claim(queue, clock, "a", limit=1)
    with queue.transaction():
        queue.deliveries.settle([settlement(first, PENDING, due_at=NOON + timedelta(hours=1))])
    accept(queue, (instance(4), [to_group("b")]), clock=clock)
    assert move(queue, clock, limit=2) == 2
    assert move(queue, clock) == 1
    assert move(queue, clock) == 0
    assert queue.deliveries.pending_destinations() == ["b"]
    taken = claim(queue, clock, "b")
    assert uids(taken) == uid(1, 2, 3, 4)
    assert {(each.destination, each.group_name) for each in taken} == {("b", "archives")}
    settle_all(queue, taken, DELIVERED)
    assert [(each.destination, each.state) for each in queue.administration.list(ANY, 10)] == [("b", DELIVERED)] * 4


def test_no_other_group_and_no_peer_that_was_named_itself_is_moved(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group(group="readers")]), (instance(2), [Dispatch("all", "a")]), clock=clock)
    assert move(queue, clock) == 0
    assert uids(claim(queue, clock, "a")) == uid(1, 2)


def test_what_is_under_a_lease_stays_also_when_that_is_over(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    claim(queue, clock, "a")
    assert move(queue, clock) == 0
    clock.at += timedelta(seconds=2 * LEASE_S)
    assert move(queue, clock) == 0
    assert uids(claim(queue, clock, "a")) == uid(1)


def test_a_settlement_of_before_the_move_counts_for_nothing(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    (before,) = claim(queue, clock, "a")
    settle(queue, before, is_attempt=False)
    assert move(queue, clock) == 1
    assert settle_all(queue, [before], DELIVERED) == 0
    (after,) = claim(queue, clock, "b")
    assert settle_all(queue, [before], DELIVERED) == 0
    assert settle_all(queue, [after], DELIVERED) == 1


def test_what_is_doubtful_stays_until_it_is_delivered(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    for is_doubtful in (True, False):
        (delivery,) = claim(queue, clock, "a")
        settle(queue, delivery, is_doubtful=is_doubtful)
        assert doubts(queue) == [True]
        assert move(queue, clock) == 0
    (delivery,) = claim(queue, clock, "a")
    assert delivery.is_doubtful
    settle(queue, delivery, DELIVERED)
    assert doubts(queue) == [False]


@pytest.mark.parametrize("state", [DEAD, PENDING])
def test_a_doubt_outlasts_what_operators_do(queue: Store, clock: Clock, state: DeliveryState) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    (delivery,) = claim(queue, clock, "a")
    settle(queue, delivery, state, is_doubtful=True)
    for verb in ("hold", "release", "retry"):
        with queue.transaction():
            if verb == "hold":
                queue.administration.hold(ANY)
            elif verb == "release":
                queue.administration.release(ANY, clock())
            else:
                queue.administration.retry(ANY, clock())
        assert doubts(queue) == [True], verb
    assert move(queue, clock) == 0


@pytest.mark.parametrize("verb", ["hold", "retry"])
def test_a_lease_that_is_over_leaves_a_doubt(queue: Store, clock: Clock, verb: str) -> None:
    accept(queue, (instance(1), [to_group()]), (instance(2), [to_group()]), clock=clock)
    claim(queue, clock, "a", limit=1)
    clock.at += timedelta(seconds=2 * LEASE_S)
    with queue.transaction():
        changed = queue.administration.hold(ANY) if verb == "hold" else queue.administration.retry(ANY, clock())
    assert changed == 2
    assert doubts(queue) == [True, False]


def test_leases_of_a_process_that_is_gone_leave_doubts(
    queue: Store, clock: Clock, request: pytest.FixtureRequest
) -> None:
    accept(queue, (instance(1), [to_group()]), (instance(2), [to_group()]), clock=clock)
    claim(queue, clock, "a", limit=1)
    with queue.transaction():
        queue.deliveries.expire_leases()
    if "node" in request.node.callspec.params["queue"]:
        assert doubts(queue) == [False, False], "another node may have it"
        return
    assert doubts(queue) == [True, False]
    assert move(queue, clock) == 1
    assert uids(claim(queue, clock, "a")) == uid(1)


def test_a_destination_that_an_operator_names_is_of_no_group(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group(state=HELD)]), (instance(2), [to_group(state=HELD)]), clock=clock)
    first = queue.administration.list(ANY, 1)[0].delivery_id
    with queue.transaction():
        queue.administration.release(DeliveryFilter(ids=(first,)), clock(), "a")
        queue.administration.release(ANY, clock())
    assert [each.group_name for each in queue.administration.list(ANY, 10)] == ["", "archives"]
    assert move(queue, clock) == 1
    assert uids(claim(queue, clock, "a")) == uid(1)


@pytest.mark.parametrize(
    ("again", "number"),
    [
        (to_group("a"), 0),
        (to_group("b"), 0),
        (to_group("b", "readers"), 1),
        (Dispatch("all", "a"), 1),
    ],
    ids=["same member", "another member", "another group", "the peer itself"],
)
def test_what_one_member_is_owed_no_other_member_is(queue: Store, clock: Clock, again: Dispatch, number: int) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    (accepted,) = accept(queue, (instance(1), [again]), clock=clock)
    assert accepted.deliveries == number


def test_what_was_delivered_at_one_member_is_owed_to_the_next_when_it_is_sent_again(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    settle_all(queue, claim(queue, clock, "a"), DELIVERED)
    (accepted,) = accept(queue, (instance(1), [to_group("b")]), clock=clock)
    assert accepted.deliveries == 1


def held_and_doubtful(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    (sent,) = claim(queue, clock, "a")
    settle(queue, sent, is_doubtful=True)
    with queue.transaction():
        assert queue.administration.hold(ANY) == 1


def test_what_is_held_and_a_member_may_have_is_released_elsewhere_on_demand_only(queue: Store, clock: Clock) -> None:
    held_and_doubtful(queue, clock)
    with queue.transaction():
        assert queue.administration.release(ANY, clock(), "elsewhere") == 0
        assert queue.administration.release(ANY, clock(), "elsewhere", even_if_doubtful=True) == 1
    (moved,) = claim(queue, clock, "elsewhere")
    assert (moved.group_name, moved.is_doubtful) == ("", False), "the new one cannot have it"


def test_what_is_held_is_released_to_the_member_that_may_have_it(queue: Store, clock: Clock) -> None:
    held_and_doubtful(queue, clock)
    with queue.transaction():
        assert queue.administration.release(ANY, clock(), "a") == 1
    assert doubts(queue) == [True]


@pytest.mark.parametrize("state", [PENDING, HELD, DEAD])
def test_a_member_that_is_named_again_may_still_have_it(queue: Store, clock: Clock, state: DeliveryState) -> None:
    accept(queue, (instance(1), [to_group()]), clock=clock)
    (sent,) = claim(queue, clock, "a")
    settle(queue, sent, DEAD if state is DEAD else PENDING, is_doubtful=True)
    with queue.transaction():
        if state is HELD:
            queue.administration.hold(ANY)
        assert queue.administration.retarget(ANY, clock(), "a", even_if_doubtful=True) == 1
    assert doubts(queue) == [True]


# --- a destination for each ----------------------------------------------------------------------------------------


def move_each(queue: Store, clock: Clock, *moves: tuple[int, str], source: str = "a") -> int:
    with queue.transaction():
        return queue.deliveries.move_each_in_group("archives", source, moves, clock())


def test_what_may_move_is_told_with_its_study_and_goes_each_where_it_should(queue: Store, clock: Clock) -> None:
    of_studies = [(instance(number, study_instance_uid=f"1.{number % 2}"), [to_group()]) for number in range(1, 5)]
    accept(queue, *of_studies, (instance(5), [Dispatch("all", "a")]), (instance(6), [to_group("b")]), clock=clock)
    found = queue.deliveries.movable_in_group("archives", "a", 10)
    assert [study for _, study in found] == ["1.1", "1.0", "1.1", "1.0"]
    assert queue.deliveries.movable_in_group("archives", "a", 2) == found[:2]
    assert queue.deliveries.movable_in_group("archives", "c", 2) == []
    moves = [(number, "b" if study == "1.0" else "c") for number, study in found]
    assert move_each(queue, clock, *moves) == 4
    assert uids(claim(queue, clock, "b")) == uid(2, 4, 6)
    assert uids(claim(queue, clock, "c")) == uid(1, 3)
    assert uids(claim(queue, clock, "a")) == uid(5)


def test_what_changed_since_it_was_looked_at_is_not_moved(queue: Store, clock: Clock) -> None:
    accept(queue, *((instance(number), [to_group()]) for number in range(1, 6)), clock=clock)
    ids = [number for number, _ in queue.deliveries.movable_in_group("archives", "a", 10)]
    taken = claim(queue, clock, "a", limit=3)
    settle(queue, taken[1], is_doubtful=True)
    settle(queue, taken[2], DELIVERED)
    with queue.transaction():
        queue.administration.hold(DeliveryFilter(ids=(ids[3],)))
    assert move_each(queue, clock, *((number, "b") for number in ids)) == 1
    assert uids(claim(queue, clock, "b")) == uid(5)
    assert move_each(queue, clock, (ids[4], "c")) == 0, "it is elsewhere"
    assert move_each(queue, clock, (999, "c")) == 0


def test_what_waits_at_a_destination_is_counted_up_to_a_limit(queue: Store, clock: Clock) -> None:
    accept(queue, *((instance(number), [to_group(), TO_PACS]) for number in range(1, 6)), clock=clock)
    settle_all(queue, claim(queue, clock, "a", limit=1), DELIVERED)
    claim(queue, clock, "pacs", limit=2)
    with queue.transaction():
        queue.administration.hold(DeliveryFilter(destination="a", ids=(queue.administration.last() - 1,)))
    assert queue.deliveries.pending_at(["a", "pacs", "elsewhere"], 100) == {"a": 3, "pacs": 5, "elsewhere": 0}
    assert queue.deliveries.pending_at(["a", "pacs"], 4) == {"a": 3, "pacs": 4}


def test_what_is_doubtful_is_moved_on_demand_alone_and_is_in_no_doubt_there(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [to_group()]), (instance(2), [to_group()]), clock=clock)
    (first,) = claim(queue, clock, "a", limit=1)
    settle(queue, first, is_doubtful=True)
    with queue.transaction():
        moved = queue.deliveries.move_in_group("archives", "a", "b", 10, clock(), are_doubtful=True)
    assert moved == 1
    (there,) = claim(queue, clock, "b")
    assert (uids([there]), there.is_doubtful) == (uid(1), False)
    assert uids(claim(queue, clock, "a")) == uid(2)
    assert queue.deliveries.group_places() == [
        GroupPlace("archives", "a", True, 0),
        GroupPlace("archives", "b", True, 0),
    ]

"""What every `DeliveryAdministration` must do; run against each implementation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.model.delivery import RULE_PAUSED, DeliveryState, Dispatch
from gateway.ports.delivery_administration import DeliveryFilter, DeliveryOrder, DeliveryTotal
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.store import Store
from gateway.relational import delivery_administration
from tests.support.samples import HELD, NOON, TO_PACS, TO_VNA, Clock, instance, settlement
from tests.support.store_rig import ANY, LEASE_S, accept, claim, settle_all, uids


@pytest.fixture
def site(queue: Store, clock: Clock) -> Store:
    """1 pending at pacs · 2 dead at pacs · 3 held without a destination · 4 delivered · 5 under a lease, at vna."""
    accept(queue, (instance(2), [Dispatch("second", "pacs")]), clock=clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DEAD, "0xC000")
    accept(queue, (instance(4), [TO_PACS]), clock=clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    accept(queue, (instance(5, study_instance_uid="9.9"), [TO_VNA]), clock=clock)
    clock.advance(60)
    claim(queue, clock, "vna")
    accept(queue, (instance(1), [TO_PACS]), (instance(3), [HELD]), clock=clock)
    clock.advance(1)
    return queue


FILTERS = {
    "all": (ANY, "24513"),
    "identifiers": (DeliveryFilter(ids=(1, 4, 99)), "21"),
    "instances": (DeliveryFilter(instance_ids=(2, 3, 99)), "45"),
    "destination": (DeliveryFilter(destination="vna"), "5"),
    "no destination": (DeliveryFilter(destination=""), "3"),
    "state": (DeliveryFilter(state=DeliveryState.DEAD), "2"),
    "SOP instance": (DeliveryFilter(sop_instance_uid="1.2.3.4.5.4"), "4"),
    "study": (DeliveryFilter(study_instance_uid="9.9"), "5"),
    "rule": (DeliveryFilter(rule="second"), "2"),
    "reason": (DeliveryFilter(reason="0xC000"), "2"),
    "older": (DeliveryFilter(created_before=NOON + timedelta(seconds=1)), "245"),
    "newer": (DeliveryFilter(created_after=NOON + timedelta(seconds=1)), "13"),
    "several": (DeliveryFilter(destination="pacs", state=DeliveryState.PENDING), "1"),
    "nothing fits": (DeliveryFilter(destination="vna", state=DeliveryState.DEAD), ""),
}


@pytest.mark.parametrize(("which", "numbers"), FILTERS.values(), ids=FILTERS)
def test_filters(site: Store, which: DeliveryFilter, numbers: str) -> None:
    assert "".join(uid[-1] for uid in uids(site.administration.list(which, 10))) == numbers


def test_a_list_ends_at_its_limit(site: Store) -> None:
    assert len(site.administration.list(ANY, 2)) == 2


@pytest.fixture
def sized(queue: Store, clock: Clock) -> Store:
    """Deliveries 1 to 5 of two studies; 4 was tried twice and 2 once; 3 has the largest object and 5 the smallest."""
    for number, size_bytes, study in ((1, 50, "1.1"), (2, 50, "1.2"), (3, 90, "1.1"), (4, 50, "1.1"), (5, 10, "1.2")):
        arriving = instance(number, study_instance_uid=study)
        payload = replace(arriving.payload, length_bytes=size_bytes)
        at = NOON + timedelta(minutes=number)
        accept(queue, (replace(arriving, payload=payload, received_at=at), [TO_PACS]), clock=clock)
    for tried in ({2, 4}, {4}):
        claimed = claim(queue, clock)
        done = [settlement(each, DeliveryState.PENDING, is_attempt=each.delivery_id in tried) for each in claimed]
        with queue.transaction():
            queue.deliveries.settle(done)
        clock.advance(60)
    return queue


ORDERS: dict[DeliveryOrder, list[int]] = {
    "oldest": [1, 2, 3, 4, 5],
    "newest": [5, 4, 3, 2, 1],
    "size": [3, 1, 2, 4, 5],
    "attempts": [4, 2, 1, 3, 5],
}


@pytest.mark.parametrize(("order", "ids"), ORDERS.items(), ids=ORDERS)
@pytest.mark.parametrize("which", [ANY, DeliveryFilter(destination="pacs", ids=(1, 2, 3, 4, 5))], ids=["all", "some"])
def test_orders(sized: Store, which: DeliveryFilter, order: DeliveryOrder, ids: list[int]) -> None:
    assert [each.delivery_id for each in sized.administration.list(which, 9, order=order)] == ids
    assert [each.delivery_id for each in sized.administration.list(which, 2, order=order)] == ids[:2]
    of_study = DeliveryFilter(study_instance_uid="1.1")
    some = [each.delivery_id for each in sized.administration.list(of_study, 9, order=order)]
    assert some == [number for number in ids if number in {1, 3, 4}]


def test_deliveries_by_study_and_destination(site: Store) -> None:
    ours, other = "1.2.3.4", "9.9"
    found = site.administration.studies(ANY, 10)
    assert [(row.study_instance_uid, row.destination, dict(row.numbers)) for row in found] == [
        (ours, "", {DeliveryState.HELD: 1}),
        (ours, "pacs", {DeliveryState.PENDING: 1, DeliveryState.DEAD: 1, DeliveryState.DELIVERED: 1}),
        (other, "vna", {DeliveryState.PENDING: 1}),
    ]
    assert [row.most_attempts for row in found] == [0, 1, 0]
    some = site.administration.studies(DeliveryFilter(state=DeliveryState.DEAD), 10)
    assert [(row.destination, dict(row.numbers)) for row in some] == [("pacs", {DeliveryState.DEAD: 1})]
    assert site.administration.studies(DeliveryFilter(rule="none"), 10) == []


@pytest.mark.parametrize(("is_newest_first", "studies"), [(False, ["1.1", "1.2"]), (True, ["1.2", "1.1"])])
def test_studies_are_in_the_order_of_arrival(sized: Store, is_newest_first: bool, studies: list[str]) -> None:
    for limit in (1, 2, 9):
        found = sized.administration.studies(ANY, limit, is_newest_first=is_newest_first)
        assert [row.study_instance_uid for row in found] == studies[:limit]
    first = {row.study_instance_uid: row for row in found}["1.1"]
    assert (first.size_bytes, first.most_attempts) == (190, 2)
    assert (first.first_received_at, first.last_received_at) == (
        NOON + timedelta(minutes=1),
        NOON + timedelta(minutes=4),
    )


def test_studies_are_found_behind_many_deliveries_of_another(
    queue: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_administration, "FIRST_LOOKED_AT", 2)
    monkeypatch.setattr(delivery_administration, "MOST_LOOKED_AT", 3)
    for number in range(14):
        study = "1.1" if number < 9 else f"1.{number}"
        accept(queue, (instance(number, study_instance_uid=study), [TO_PACS]), clock=clock)
    expected = ["1.1", *(f"1.{number}" for number in range(9, 14))]
    assert [row.study_instance_uid for row in queue.administration.studies(ANY, 10)] == expected
    newest = queue.administration.studies(ANY, 3, is_newest_first=True)
    assert [row.study_instance_uid for row in newest] == ["1.13", "1.12", "1.11"]


def states(queue: Store) -> dict[str, str]:
    return {each.instance.sop_instance_uid[-1]: each.state.value for each in queue.administration.list(ANY, 100)}


def test_retry_makes_dead_and_pending_ones_due_and_young(site: Store, clock: Clock) -> None:
    with site.transaction():
        assert site.administration.retry(ANY, clock()) == 2
    assert states(site) == {"1": "pending", "2": "pending", "3": "held", "4": "delivered", "5": "pending"}
    again = claim(site, clock)
    assert uids(again) == ["1.2.3.4.5.2", "1.2.3.4.5.1"]
    assert {each.counted_from for each in again} == {clock()}
    assert max(each.created_at for each in again) < clock(), "arrival stays what it was"


def test_age_alerts_do_not_forget_what_was_retried_or_released(site: Store, clock: Clock) -> None:
    before = {(row.destination, row.state.value): row.oldest_at for row in site.deliveries.depths()}
    clock.advance(3600)
    with site.transaction():
        site.administration.retry(DeliveryFilter(state=DeliveryState.DEAD), clock())
        site.administration.release(DeliveryFilter(state=DeliveryState.HELD), clock(), "pacs")
    after = [row.oldest_at for row in site.deliveries.depths() if row.state is DeliveryState.PENDING]
    assert min(each for each in after if each) == min(each for each in before.values() if each) == NOON


def test_what_an_operator_filters_by_age_counts_from_arrival(site: Store, clock: Clock) -> None:
    clock.advance(3600)
    with site.transaction():
        retried = site.administration.retry(ANY, clock())
    assert retried
    young = DeliveryFilter(created_after=clock() - timedelta(seconds=60))
    assert site.administration.list(young, 100) == []


def test_hold_keeps_from_claims(site: Store, clock: Clock) -> None:
    with site.transaction():
        assert site.administration.hold(ANY) == 2
    assert states(site) == {"1": "held", "2": "held", "3": "held", "4": "delivered", "5": "pending"}
    assert claim(site, clock) == []


def test_why_it_is_held_stands_in_its_row_until_it_is_released(queue: Store, clock: Clock) -> None:
    reason = "held by night (rules.yaml:7): nobody is here"
    accept(queue, (instance(1), [Dispatch("all", "pacs", state=DeliveryState.HELD, reason=reason)]), clock=clock)
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DEAD, "0xC000")
    with queue.transaction():
        queue.administration.hold(DeliveryFilter(state=DeliveryState.DEAD))
    assert [each.reason for each in queue.administration.list(ANY, 2)] == [reason, "0xC000"]
    with queue.transaction():
        queue.administration.release(ANY, clock())
    assert [each.reason for each in queue.administration.list(ANY, 2)] == ["", "0xC000"]


@pytest.mark.parametrize(
    ("destination", "released"), [(None, 0), ("vna", 1)], ids=["without a destination: stays", "with one: goes there"]
)
def test_release_of_what_was_held_without_a_destination(
    site: Store, clock: Clock, destination: str | None, released: int
) -> None:
    with site.transaction():
        assert site.administration.release(ANY, clock(), destination) == released
    assert uids(claim(site, clock, "vna")) == ["1.2.3.4.5.3"] * released


@pytest.mark.parametrize(("to", "destination"), [(None, "pacs"), ("vna", "vna")], ids=["its own", "another"])
def test_release_of_what_was_held_for_a_destination(
    site: Store, clock: Clock, to: str | None, destination: str
) -> None:
    with site.transaction():
        site.administration.hold(DeliveryFilter(destination="pacs"))
        assert site.administration.release(DeliveryFilter(destination="pacs"), clock(), to) == 2
    assert len(claim(site, clock, destination)) == 2
    assert claim(site, clock, "vna" if destination == "pacs" else "pacs") == []


def test_discard_spares_what_is_delivered_or_under_a_lease(site: Store) -> None:
    with site.transaction():
        assert site.administration.discard(ANY) == 3
    assert states(site) == {"4": "delivered", "5": "pending"}


@pytest.mark.parametrize("operation", ["retry", "hold", "discard"])
def test_a_lease_that_has_ended_does_not_keep_the_operator_out(queue: Store, clock: Clock, operation: str) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    (claimed,) = claim(queue, clock)
    operations = {
        "retry": lambda: queue.administration.retry(ANY, clock()),
        "hold": lambda: queue.administration.hold(ANY),
        "discard": lambda: queue.administration.discard(ANY),
    }
    clock.advance(LEASE_S - 1)
    with queue.transaction():
        assert operations[operation]() == 0
    clock.advance(1)
    with queue.transaction():
        assert operations[operation]() == 1
    assert settle_all(queue, [claimed], DeliveryState.DELIVERED) == 0


def test_a_discarded_payload_is_freed_by_forget(site: Store, clock: Clock) -> None:
    with site.transaction():
        site.administration.discard(ANY)
        assert site.deliveries.forget(clock.advance(1), 100) == 4  # 1, 2, 3 and the delivered one
    assert list(site.spool.payload_names().values()) == [5128 + len(b"data set 5")]


def test_depths_count_what_is_kept(site: Store) -> None:
    later = NOON + timedelta(seconds=60)
    assert sorted(site.deliveries.depths(), key=lambda depth: (depth.destination, depth.state)) == [
        QueueDepth("", DeliveryState.HELD, 1, 10, later),
        QueueDepth("pacs", DeliveryState.DEAD, 1, 10, NOON),
        QueueDepth("pacs", DeliveryState.PENDING, 1, 10, later),
        QueueDepth("vna", DeliveryState.PENDING, 1, 10, NOON),
    ]


def test_pending_destinations(site: Store) -> None:
    assert sorted(site.deliveries.pending_destinations()) == ["pacs", "vna"]


# --- a page at a time -----------------------------------------------------------------------------------------------

STATES = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.HELD)


def test_pages_follow_identifiers_and_end_at_their_limit(site: Store) -> None:
    last = site.administration.last()
    every = site.administration.page(ANY, STATES, after=0, last=last, limit=100)
    assert every == sorted(every)
    assert len(every) == site.administration.count(ANY, STATES) == 4, "what is delivered is in none of these states"
    first = site.administration.page(ANY, STATES, after=0, last=last, limit=3)
    assert first == every[:3]
    assert site.administration.page(ANY, STATES, after=first[-1], last=last, limit=3) == every[3:]
    assert site.administration.page(ANY, STATES, after=0, last=every[1], limit=100) == every[:2]


@pytest.mark.parametrize(("which", "numbers"), FILTERS.values(), ids=FILTERS)
def test_pages_and_counts_fit_the_filter(site: Store, which: DeliveryFilter, numbers: str) -> None:
    last = site.administration.last()
    found = site.administration.page(which, tuple(DeliveryState), after=0, last=last, limit=100)
    assert site.administration.count(which, tuple(DeliveryState)) == len(found) == len(numbers)
    if found:
        listed = site.administration.list(DeliveryFilter(ids=tuple(found)), 100)
        assert sorted(uids(listed)) == sorted(uids(site.administration.list(which, 100)))


@pytest.mark.parametrize(("which", "numbers"), FILTERS.values(), ids=FILTERS)
def test_a_total_that_looks_at_all_is_exact(site: Store, which: DeliveryFilter, numbers: str) -> None:
    assert site.administration.total(which, 6) == DeliveryTotal(len(numbers), is_exact=True)


BOUNDED = {
    "what is owed is counted anyway": (DeliveryFilter(destination="pacs", state=DeliveryState.PENDING), 0, 1, True),
    "the delivered ones are looked at": (ANY, 1, 4, False),
    "as far as the second one, which is delivered": (ANY, 2, 5, False),
    "of one destination": (DeliveryFilter(destination="pacs"), 2, 3, False),
    "delivered ones only": (DeliveryFilter(state=DeliveryState.DELIVERED), 2, 1, False),
    "a rule": (DeliveryFilter(rule="second"), 1, 1, False),
    "a rule and a state": (DeliveryFilter(rule="second", state=DeliveryState.DEAD), 4, 1, False),
    "an age": (DeliveryFilter(created_before=NOON + timedelta(seconds=1)), 2, 2, False),
    "one object": (DeliveryFilter(sop_instance_uid="1.2.3.4.5.4"), 2, 1, True),
    "objects": (DeliveryFilter(instance_ids=(1, 2, 3)), 2, 2, False),
    "one identifier": (DeliveryFilter(ids=(5,), rule="second"), 2, 0, True),
}


@pytest.mark.parametrize(("which", "looked_at", "number", "is_exact"), BOUNDED.values(), ids=BOUNDED)
def test_a_total_says_when_counting_stopped(
    site: Store, which: DeliveryFilter, looked_at: int, number: int, is_exact: bool
) -> None:
    assert site.administration.total(which, looked_at) == DeliveryTotal(number, is_exact)


def test_a_total_follows_what_verbs_and_settlements_change(site: Store, clock: Clock) -> None:
    with site.transaction():
        site.administration.hold(DeliveryFilter(destination="pacs"))
        site.administration.release(DeliveryFilter(destination="pacs"), clock(), "vna")
        site.administration.discard(DeliveryFilter(destination=""))
    settle_all(site, claim(site, clock, "vna", limit=1), DeliveryState.DELIVERED)
    numbers = {state: site.administration.total(DeliveryFilter(state=state), 5).number for state in DeliveryState}
    assert numbers == {
        DeliveryState.PENDING: 2,
        DeliveryState.DELIVERED: 2,
        DeliveryState.DEAD: 0,
        DeliveryState.HELD: 0,
    }
    assert site.administration.count(DeliveryFilter(destination="vna"), STATES) == 2


def test_identifiers_that_no_delivery_has(site: Store, queue: Store) -> None:
    last = site.administration.last()
    assert site.administration.missing([last + 1, last, 999]) == [last + 1, 999]


def test_nothing_is_last_in_an_empty_queue(queue: Store) -> None:
    assert queue.administration.last() == 0


def test_destinations_of_what_is_held(site: Store, clock: Clock) -> None:
    with site.transaction():
        site.administration.hold(DeliveryFilter(destination="pacs", state=DeliveryState.DEAD))
    last = site.administration.last()
    every = site.administration.page(ANY, STATES, after=0, last=last, limit=100)
    assert site.administration.held_for(every) == {"": 1, "pacs": 1}


def test_destinations_that_are_named(site: Store) -> None:
    names = ("pacs", "vna", "", "nowhere")
    assert [site.administration.has_destination(name) for name in names] == [True, True, True, False]


def test_the_queue_s_time_is_the_clock_s(queue: Store, clock: Clock) -> None:
    clock.advance(77)
    assert queue.administration.now() == clock()
    assert queue.administration.on_the_wall(clock()) == clock()


def everything(queue: Store) -> list[tuple[str, str, str]]:
    """Number of the object, destination and state of each delivery, by identifier."""
    found = sorted(queue.administration.list(ANY, 100), key=lambda each: each.delivery_id)
    return [(each.instance.sop_instance_uid[-1], each.destination, each.state.value) for each in found]


def test_retarget_moves_what_nobody_works_on(site: Store, clock: Clock) -> None:
    with site.transaction():
        assert site.administration.retarget(ANY, clock(), "vna") == 3
    assert everything(site) == [
        ("2", "vna", "pending"),
        ("4", "pacs", "delivered"),
        ("5", "vna", "pending"),
        ("1", "vna", "pending"),
        ("3", "vna", "held"),
    ]
    moved = claim(site, clock, "vna")
    assert uids(moved) == ["1.2.3.4.5.2", "1.2.3.4.5.1"]
    assert claim(site, clock) == []
    assert {each.counted_from for each in moved} == {clock()}
    assert settle_all(site, moved, DeliveryState.DELIVERED) == 2
    depths = {(row.destination, row.state.value, row.count) for row in site.deliveries.depths()}
    assert depths == {("vna", "held", 1), ("vna", "pending", 1)}


def test_what_a_paused_rule_holds_is_moved_as_what_waits(queue: Store, clock: Clock) -> None:
    accept(queue, *((instance(number), [TO_PACS]) for number in (1, 2, 3)), clock=clock)
    with queue.transaction():
        of_rule, of_operator, of_both = queue.deliveries.claim("pacs", 3, LEASE_S, clock())
        held = DeliveryState.HELD
        of_rules = [settlement(each, held, reason=RULE_PAUSED, is_attempt=False) for each in (of_rule, of_both)]
        queue.deliveries.settle([*of_rules, settlement(of_operator, held, reason="", is_attempt=False)])
    clock.advance(1)
    with queue.transaction():
        assert queue.administration.retarget(ANY, clock(), "vna") == 3
        assert queue.administration.hold(DeliveryFilter(ids=(of_both.delivery_id,))) == 1
    found = {each.delivery_id: (each.state.value, each.reason) for each in queue.administration.list(ANY, 9)}
    expected = {of_rule: ("pending", ""), of_operator: ("held", ""), of_both: ("held", "")}
    assert found == {each.delivery_id: words for each, words in expected.items()}
    moved = claim(queue, clock, "vna")
    assert [each.delivery_id for each in moved] == [of_rule.delivery_id]
    assert settle_all(queue, moved, DeliveryState.DELIVERED) == 1


def test_what_was_moved_is_settled_by_no_former_lease(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    former = claim(queue, clock)
    clock.advance(LEASE_S)
    with queue.transaction():
        assert queue.administration.retarget(ANY, clock(), "vna", even_if_doubtful=True) == 1
    assert settle_all(queue, former, DeliveryState.DELIVERED) == 0
    assert len(claim(queue, clock, "vna")) == 1


def test_what_the_former_destination_may_have_is_moved_only_on_demand(queue: Store, clock: Clock) -> None:
    accept(queue, *((instance(number), [TO_PACS]) for number in (1, 2, 3, 4)), clock=clock)
    with queue.transaction():
        first, second, third = queue.deliveries.claim("pacs", 3, LEASE_S, clock())
        doubtful = settlement(first, DeliveryState.PENDING, due_at=clock(), is_doubtful=True)
        dead = settlement(second, DeliveryState.DEAD, is_doubtful=True)
        assert queue.deliveries.settle([doubtful, dead]) == [True, True]
    clock.advance(LEASE_S)  # the third one's is over, and nobody settled it
    with queue.transaction():
        assert queue.administration.retarget(ANY, clock(), "vna") == 1
    assert [each.delivery_id for each in claim(queue, clock, "vna")] == [third.delivery_id + 1]
    with queue.transaction():
        assert (
            queue.administration.retarget(DeliveryFilter(destination="pacs"), clock(), "vna", even_if_doubtful=True)
            == 3
        )
    moved = queue.administration.list(DeliveryFilter(destination="vna"), 9)
    assert [each.is_doubtful for each in moved] == [False] * 4, "the new one has none of them"
    assert len(claim(queue, clock, "vna")) == 3


def test_what_an_operator_moves_belongs_to_no_group(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [replace(TO_PACS, group_name="archives")]), clock=clock)
    with queue.transaction():
        assert queue.administration.retarget(ANY, clock(), "vna") == 1
    assert [each.group_name for each in queue.administration.list(ANY, 9)] == [""]
    with queue.transaction():
        assert queue.deliveries.move_in_group("archives", "vna", "pacs", 9, clock()) == 0
    assert len(claim(queue, clock, "vna")) == 1


def test_send_again_makes_new_deliveries(site: Store, clock: Clock) -> None:
    arrived = {each.created_at for each in site.administration.list(DeliveryFilter(state=DeliveryState.DELIVERED), 9)}
    with site.transaction():
        assert site.administration.send_again(ANY, clock()) == 1
    with site.transaction():
        assert site.administration.send_again(ANY, clock()) == 0, "the first one is still owed"
    assert everything(site)[-1] == ("4", "pacs", "pending")
    again = [each for each in claim(site, clock) if uids([each]) == ["1.2.3.4.5.4"]]
    assert ({each.created_at for each in again}, {each.counted_from for each in again}) == (arrived, {clock()})
    assert settle_all(site, again, DeliveryState.DELIVERED) == 1
    with site.transaction():
        assert site.administration.send_again(ANY, clock(), "vna") == 1, "both were to one destination"
    assert uids(claim(site, clock, "vna")) == ["1.2.3.4.5.4"]


def test_what_is_sent_again_is_not_forgotten_before_it_is_delivered(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    clock.advance(1)
    with queue.transaction():
        assert queue.administration.send_again(ANY, clock()) == 1
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(3600), 10) == 0
    again = claim(queue, clock)
    assert len(again) == 1
    settle_all(queue, again, DeliveryState.DELIVERED)
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(3600), 10) == 1
    with queue.transaction():
        assert queue.administration.send_again(ANY, clock()) == 0
    assert everything(queue) == []

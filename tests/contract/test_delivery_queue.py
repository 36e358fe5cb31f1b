"""What every `DeliveryQueue` must do; run against each implementation."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.instance import Instance
from gateway.model.likeness import ExcludedLikenesses, alone, likeness_of, of_its_kind
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import AcceptedInstance
from gateway.ports.store import Store
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import FACTS, HELD, NOON, TO_PACS, TO_VNA, Clock, instance, settlement
from tests.support.store_rig import ANY, LEASE_S, accept, claim, settle_all, uids

# --- accepting ----------------------------------------------------------------------------------------------------


def test_what_is_accepted_comes_back_whole(queue: Store, clock: Clock) -> None:
    facts = AssociationFacts(
        calling_ae_title="MR\\é ",
        called_ae_title="GW",
        remote_host="::1",
        remote_port=1,
        listener="tls",
        is_tls=True,
        tls_subject="CN=x",
        tls_names=("DNS:x", "IP:::1"),
        tls_fingerprint="ab" * 32,
        user_identity="bob",
        claimed_user_identity="alice",
        implementation_class_uid="1.2",
        implementation_version_name="V",
        peer="mr",
        association_id="a77",
    )
    given = instance(7, association=facts)
    dispatch = Dispatch("brain to research", "pacs", '[{"remove":"PatientName"}]')
    (accepted,) = accept(queue, (given, [dispatch]), clock=clock)
    (claimed,) = claim(queue, clock)
    assert claimed == Delivery(
        delivery_id=claimed.delivery_id,
        instance=dataclasses.replace(given, instance_id=accepted.instance_id),
        destination="pacs",
        rule="brain to research",
        actions_json='[{"remove":"PatientName"}]',
        state=DeliveryState.PENDING,
        attempts=0,
        created_at=NOON,
        due_at=NOON,
        lease=claimed.lease,
        reason="",
    )
    assert accepted == AcceptedInstance(accepted.instance_id, 1)


KEPT = '{"scanned":[[1048592,"PN","M\\u00fcller \\u0000"]],"given":[[8,null]]}'
"""With escapes: NUL itself would not pass."""


def test_what_was_read_at_arrival_comes_back_with_every_delivery(queue: Store, clock: Clock) -> None:
    arrivals = [(instance(1), [TO_PACS]), (dataclasses.replace(instance(2), kept_facts=KEPT), [TO_PACS, TO_VNA])]
    accepted = accept(queue, *arrivals, (instance(3), [TO_PACS]), clock=clock)
    assert [each.instance.kept_facts for each in queue.administration.list(ANY, 10)] == ["", KEPT, KEPT, ""]
    assert [each.instance.kept_facts for each in claim(queue, clock)] == ["", KEPT, ""]
    assert [each.instance.kept_facts for each in claim(queue, clock, "vna")] == [KEPT]
    assert [each.kept_facts for each in queue.index.instances([each.instance_id for each in accepted])] == [
        "",
        KEPT,
        "",
    ]


def test_what_arrives_again_is_no_duplicate_of_bytes_that_are_lost(queue: Store, clock: Clock) -> None:
    first = instance(1)
    again = dataclasses.replace(first, payload=dataclasses.replace(first.payload, offset_bytes=9000))
    lost = [first.payload]
    accept(queue, (first, [TO_PACS, TO_VNA]), clock=clock)
    for deliveries in (2, 0):  # what came again is readable: the third one is its duplicate
        with queue.transaction():
            (accepted,) = queue.deliveries.accept([(again, [TO_PACS, TO_VNA])], clock(), lambda ref: ref not in lost)
        assert accepted.deliveries == deliveries
    assert accepted.payload == again.payload


def test_the_same_again_is_no_new_row(queue: Store, clock: Clock) -> None:
    with queue.transaction():
        assert queue.deliveries.accept([(instance(1), [TO_PACS, TO_VNA])], NOON)[0].deliveries == 2
        assert queue.deliveries.accept([(instance(1), [TO_PACS, TO_VNA])], NOON)[0].deliveries == 0


def test_an_exception_rolls_everything_back(queue: Store, clock: Clock) -> None:
    def fail_midway() -> None:
        with queue.transaction():
            queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert queue.administration.list(ANY, 10) == []
    assert queue.spool.payload_names() == {}
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.2"]


def _sent(**facts: Any) -> Instance:
    """The first instance, over another association."""
    first = instance(1)
    return dataclasses.replace(first, association=dataclasses.replace(first.association, **facts))


DUPLICATES = {
    "same again": (instance(1), [TO_PACS], 0),
    "same bytes, another rule": (instance(1), [Dispatch("other", "pacs")], 0),
    "two routes with one duty": (instance(1), [TO_PACS, Dispatch("other", "pacs")], 0),
    "another destination": (instance(1), [TO_VNA], 1),
    "one of two is new": (instance(1), [TO_PACS, TO_VNA], 1),
    "other actions": (instance(1), [Dispatch("everything", "pacs", '[{"remove":"PatientName"}]')], 1),
    "same UID, other bytes": (instance(1, body=b"corrected"), [TO_PACS], 1),
    "same bytes, another transfer syntax": (
        dataclasses.replace(instance(1), transfer_syntax_uid="1.2.840.10008.1.2"),
        [TO_PACS],
        1,
    ),
    "same bytes, another SOP class": (
        dataclasses.replace(instance(1), sop_class_uid="1.2.840.10008.5.1.4.1.1.4"),
        [TO_PACS],
        1,
    ),
    "same bytes, another sender": (_sent(calling_ae_title="MR1"), [TO_PACS], 1),
    "same bytes, another called AE title": (_sent(called_ae_title="OTHER"), [TO_PACS], 1),
    "same bytes, another user": (_sent(user_identity="bob"), [TO_PACS], 1),
    "same again over another association": (
        _sent(association_id="b77", remote_port=40_000, implementation_version_name="NEW"),
        [TO_PACS],
        0,
    ),
    "same bytes, another UID": (instance(2, body=b"data set 1"), [TO_PACS], 1),
}


@pytest.mark.parametrize(("arrival", "dispatches", "new"), DUPLICATES.values(), ids=DUPLICATES)
@pytest.mark.parametrize("is_same_batch", [True, False], ids=["one batch", "two batches"])
def test_duplicates_of_what_is_owed_collapse(
    queue: Store, clock: Clock, arrival: Instance, dispatches: list[Dispatch], new: int, is_same_batch: bool
) -> None:
    first = (instance(1), [TO_PACS])
    if is_same_batch:
        before, after = accept(queue, first, (arrival, dispatches), clock=clock)
    else:
        (before,) = accept(queue, first, clock=clock)
        (after,) = accept(queue, (arrival, dispatches), clock=clock)
    assert after.deliveries == new
    assert len(queue.administration.list(ANY, 10)) == 1 + new
    if new:
        assert after.instance_id != before.instance_id
        return
    assert after == AcceptedInstance(before.instance_id, 0, instance(1).payload)


@pytest.mark.parametrize(
    ("state", "new"),
    [(DeliveryState.DELIVERED, 1), (DeliveryState.DEAD, 1), (DeliveryState.PENDING, 0)],
    ids=["delivered: sent again", "dead: sent again", "put back: still owed"],
)
def test_only_what_is_still_owed_counts_as_duplicate(
    queue: Store, clock: Clock, state: DeliveryState, new: int
) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    settle_all(queue, claim(queue, clock), state)
    (again,) = accept(queue, (instance(1), [TO_PACS]), clock=clock)
    assert again.deliveries == new


def test_two_routes_of_one_arrival_with_one_duty_are_one_delivery(queue: Store, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), [TO_PACS, Dispatch("other", "pacs"), TO_VNA]), clock=clock)
    assert accepted.deliveries == 2
    assert [(each.rule, each.destination) for each in queue.administration.list(ANY, 10)] == [
        ("everything", "pacs"),
        ("everything", "vna"),
    ]


def test_a_held_arrival_waits_without_a_destination(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [HELD]), clock=clock)
    assert claim(queue, clock, "") == []
    assert [each.state for each in queue.administration.list(ANY, 10)] == [DeliveryState.HELD]
    (again,) = accept(queue, (instance(1), [HELD]), clock=clock)
    assert again.deliveries == 0


def test_what_two_rules_hold_for_nobody_is_owed_twice(queue: Store, clock: Clock) -> None:
    """Each of them would send it to a destination of its own."""
    other = dataclasses.replace(HELD, rule="other", reason="held by other: its `to` gives an empty text")
    for deliveries in (2, 0):
        (accepted,) = accept(queue, (instance(1), [HELD, other]), clock=clock)
        assert accepted.deliveries == deliveries
    (accepted,) = accept(queue, (instance(2), [other, TO_PACS]), clock=clock)
    assert accepted.deliveries == 2
    held = queue.administration.list(DeliveryFilter(state=DeliveryState.HELD), 10)
    assert [(each.rule, each.destination, each.reason) for each in held] == [
        (HELD.rule, "", HELD.reason),
        ("other", "", other.reason),
        ("other", "", other.reason),
    ]


def test_an_instance_without_routes_is_kept_until_it_is_forgotten(queue: Store, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), []), clock=clock)
    assert accepted.deliveries == 0
    assert queue.spool.payload_names()
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(1), 10) == 1
    assert queue.spool.payload_names() == {}


# --- working ------------------------------------------------------------------------------------------------------


def test_claims_follow_arrival_and_stop_at_the_limit(queue: Store, clock: Clock) -> None:
    for number in (3, 1, 2):
        accept(queue, (instance(number), [TO_PACS]), clock=clock)
    assert uids(claim(queue, clock, limit=2)) == ["1.2.3.4.5.3", "1.2.3.4.5.1"]
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.2"]
    assert claim(queue, clock) == []


def test_what_is_due_longest_comes_first(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    with queue.transaction():
        late = settlement(*claim_inside(queue, clock), DeliveryState.PENDING, due_at=NOON + timedelta(seconds=5))
        queue.deliveries.settle([late])
    clock.advance(10)
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.1", "1.2.3.4.5.2"]


def claim_inside(queue: Store, clock: Clock) -> tuple[Delivery]:
    (claimed,) = queue.deliveries.claim("pacs", 1, LEASE_S, clock())
    return (claimed,)


def test_a_clock_that_is_set_back_neither_delays_nor_reorders_arrivals(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    clock.advance(-1800)
    if isinstance(queue, MemoryStore):
        pytest.skip("the model takes the clock as it is")
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    due_at = queue.deliveries.next_due("pacs")
    assert due_at is not None
    assert due_at <= clock()
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.1", "1.2.3.4.5.2"]


def test_destinations_do_not_see_each_other(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    assert len(claim(queue, clock, "pacs")) == 1
    assert len(claim(queue, clock, "vna")) == 1
    assert claim(queue, clock, "elsewhere") == []


def test_a_deferred_delivery_comes_back_when_it_is_due(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    (claimed,) = claim(queue, clock)
    with queue.transaction():
        due_at = NOON + timedelta(seconds=30)
        queue.deliveries.settle(
            [settlement(claimed, DeliveryState.PENDING, due_at=due_at, reason="0xA700", status=0xA700)]
        )
    assert queue.deliveries.next_due("pacs") == due_at
    clock.advance(29)
    assert claim(queue, clock) == []
    clock.advance(1)
    (again,) = claim(queue, clock)
    assert (again.attempts, again.reason, again.created_at) == (1, "0xA700", NOON)
    assert again.lease > claimed.lease


@pytest.mark.parametrize(
    ("due_in_s", "order"),
    [(0.0, ["1.2.3.4.5.1", "1.2.3.4.5.2"]), (5.0, ["1.2.3.4.5.2"])],
    ids=["due now: its old place", "due later: waits"],
)
def test_given_back_without_an_attempt(queue: Store, clock: Clock, due_in_s: float, order: list[str]) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    (claimed,) = claim(queue, clock)
    clock.advance(1)
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    clock.advance(1)
    with queue.transaction():
        due_at = clock() + timedelta(seconds=due_in_s)
        given_back = settlement(claimed, DeliveryState.PENDING, due_at=due_at, is_attempt=False)
        assert queue.deliveries.settle([given_back]) == [True]
    back = claim(queue, clock)
    assert uids(back) == order
    assert [each.attempts for each in back] == [0] * len(order)
    assert queue.administration.attempts(claimed.delivery_id) == []


def test_attempts_are_kept_in_order_and_bounded(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    for number in range(1, 31):
        (claimed,) = claim(queue, clock)
        with queue.transaction():
            queue.deliveries.settle([settlement(claimed, DeliveryState.PENDING, reason=f"try {number}", status=0xA700)])
    kept = queue.administration.attempts(claimed.delivery_id)
    assert [attempt.number for attempt in kept] == list(range(11, 31))
    last = kept[-1]
    assert (last.reason, last.status, last.state) == ("try 30", 0xA700, DeliveryState.PENDING)
    assert (last.started_at, last.duration_s) == (NOON, 0.25)


def test_settling_says_of_each_whether_it_held_its_lease(queue: Store, clock: Clock) -> None:
    accept(queue, *((instance(number), [TO_PACS]) for number in (1, 2, 3)), clock=clock)
    one, two, three = claim(queue, clock)
    stale = dataclasses.replace(two, lease=two.lease + 1)
    unknown = dataclasses.replace(three, delivery_id=999)
    with queue.transaction():
        held = queue.deliveries.settle([settlement(each) for each in (one, stale, unknown, three, three)])
    assert held == [True, False, False, True, False]
    assert queue.deliveries.settle([]) == []


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING])
def test_an_attempt_that_is_settled_again_since_its_answer_was_lost_held_its_lease(
    queue: Store, clock: Clock, state: DeliveryState
) -> None:
    accept(queue, *((instance(number), [TO_PACS]) for number in (1, 2)), clock=clock)
    one, two = claim(queue, clock)
    written = settlement(one, state, status=0x0000, due_at=clock() + timedelta(hours=1))
    with queue.transaction():
        assert queue.deliveries.settle([written]) == [True]
    before = queue.administration.list(ANY, 10)
    others = (
        dataclasses.replace(written, started_at=NOON + timedelta(seconds=1)),
        dataclasses.replace(written, status=0xA700),
        dataclasses.replace(written, lease=written.lease + 1),
        dataclasses.replace(written, is_attempt=False),
        settlement(dataclasses.replace(two, lease=two.lease + 1)),
    )
    with queue.transaction():
        assert queue.deliveries.settle([*others, written]) == [*(False for _ in others), True]
    assert queue.administration.list(ANY, 10) == before
    assert [each.number for each in queue.administration.attempts(one.delivery_id)] == [1]
    with queue.transaction():
        assert queue.deliveries.settle([written, settlement(two)]) == [True, True]


# --- claiming what is unlike something else -----------------------------------------------------------------------


MR = "1.2.840.10008.5.1.4.1.1.4"


def apart_from(*instances: Instance, start: int = 0) -> ExcludedLikenesses:
    return ExcludedLikenesses(tuple(alone(likeness_of(each)) for each in instances), start)


def claim_apart(queue: Store, clock: Clock, apart: ExcludedLikenesses, limit: int = 10) -> list[Delivery]:
    with queue.transaction(is_durable=False):
        return queue.deliveries.claim("pacs", limit, LEASE_S, clock(), apart)


@pytest.mark.campaign
def test_what_is_left_out_hides_nothing_however_much_it_is(queue: Store, clock: Clock) -> None:
    bad = [instance(number) for number in range(20_000)]
    accept(queue, *((each, [TO_PACS]) for each in bad), clock=clock)
    good = [instance(20_000 + number, study_instance_uid=f"1.2.9.{number}") for number in range(3)]
    accept(queue, *((each, [TO_PACS]) for each in good), clock=clock)
    apart = apart_from(bad[0])
    with queue.transaction(is_durable=False):
        claims = [queue.deliveries.claim("pacs", 10, LEASE_S, clock(), which) for which in (apart, apart, None)]
    assert sorted(uids(claims[0])) == [each.sop_instance_uid for each in good]
    assert claims[1] == [], "those are under a lease, and the others are left out"
    assert uids(claims[2]) == [each.sop_instance_uid for each in bad[:10]]


def test_a_whole_kind_is_left_out(queue: Store, clock: Clock) -> None:
    reports = [instance(number, study_instance_uid=f"1.2.{number}") for number in range(50)]
    others = [
        dataclasses.replace(each, sop_class_uid=MR, sop_instance_uid=f"1.9.{each.study_instance_uid}")
        for each in reports
    ]
    accept(queue, *((each, [TO_PACS]) for each in (*reports, *others)), clock=clock)
    apart = ExcludedLikenesses((of_its_kind(likeness_of(reports[0])),))
    claimed = claim_apart(queue, clock, apart, limit=100)
    assert {each.instance.sop_class_uid for each in claimed} == {MR}
    assert len(claimed) == 50


def test_likenesses_are_looked_at_in_a_circle(queue: Store, clock: Clock) -> None:
    each_of = [instance(number, study_instance_uid=f"1.2.{number}") for number in range(5)]
    accept(queue, *((each, [TO_PACS]) for each in each_of), clock=clock)
    in_order = sorted(each_of, key=likeness_of)
    start = likeness_of(in_order[3])
    claimed = [uids(claim_apart(queue, clock, ExcludedLikenesses((), start), limit=1))[0] for _ in range(5)]
    assert claimed == [each.sop_instance_uid for each in (in_order[3], in_order[4], *in_order[:3])]


def test_what_waits_for_its_time_is_passed_over(queue: Store, clock: Clock) -> None:
    waiting, due = (instance(number, study_instance_uid=f"1.2.{number}") for number in (1, 2))
    accept(queue, (waiting, [TO_PACS]), clock=clock)
    with queue.transaction():
        queue.deliveries.settle(
            [
                settlement(each, DeliveryState.PENDING, due_at=NOON + timedelta(hours=1))
                for each in queue.deliveries.claim("pacs", 1, LEASE_S, NOON)
            ]
        )
    accept(queue, (due, [TO_PACS]), (instance(3), [TO_VNA]), clock=clock)
    assert uids(claim_apart(queue, clock, ExcludedLikenesses())) == [due.sop_instance_uid]
    clock.advance(3600)
    assert set(uids(claim_apart(queue, clock, ExcludedLikenesses()))) == {
        waiting.sop_instance_uid,
        due.sop_instance_uid,
    }


def test_next_due(queue: Store, clock: Clock) -> None:
    assert queue.deliveries.next_due("pacs") is None
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    assert queue.deliveries.next_due("pacs") == NOON
    claim(queue, clock)
    assert queue.deliveries.next_due("pacs") == NOON + timedelta(seconds=LEASE_S)


def test_leases_of_a_process_that_is_gone_end(queue: Store, clock: Clock, request: pytest.FixtureRequest) -> None:
    accept(queue, (instance(1), [TO_PACS]), (instance(2), [TO_PACS]), clock=clock)
    (gone,) = claim(queue, clock, limit=1)
    if "node" in request.node.callspec.params["queue"]:
        with queue.transaction():
            assert queue.deliveries.expire_leases() == 0, "another node may have it"
        assert settle_all(queue, [gone], DeliveryState.DELIVERED) == 1
        return
    with queue.transaction():
        assert queue.deliveries.expire_leases() == 1
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.1", "1.2.3.4.5.2"]
    assert settle_all(queue, [gone], DeliveryState.DELIVERED) == 0


# --- forgetting ---------------------------------------------------------------------------------------------------


def test_an_instance_is_forgotten_when_its_last_delivery_settled_long_enough_ago(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    settle_all(queue, claim(queue, clock, "pacs"), DeliveryState.DELIVERED)
    settled_at = clock.advance(10)
    with queue.transaction():
        assert queue.deliveries.forget(settled_at + timedelta(days=1), 10) == 0, "vna still waits"
    settle_all(queue, claim(queue, clock, "vna"), DeliveryState.DELIVERED)
    with queue.transaction():
        assert queue.deliveries.forget(settled_at, 10) == 0, "retention runs"
        assert queue.deliveries.forget(settled_at + timedelta(microseconds=1), 10) == 1
    assert queue.administration.list(ANY, 10) == []
    assert queue.administration.attempts(1) == []


@pytest.mark.parametrize("state", [DeliveryState.DEAD, DeliveryState.HELD, DeliveryState.PENDING])
def test_what_is_kept_for_somebody_is_not_forgotten(queue: Store, clock: Clock, state: DeliveryState) -> None:
    accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    settle_all(queue, claim(queue, clock, "pacs"), DeliveryState.DELIVERED)
    settle_all(queue, claim(queue, clock, "vna"), state)
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(86400), 10) == 0


def test_forget_stops_at_its_limit_oldest_first(queue: Store, clock: Clock) -> None:
    for number in (1, 2, 3):
        accept(queue, (instance(number), [TO_PACS]), clock=clock)
        settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
        clock.advance(1)
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(1), 2) == 2
    assert uids(queue.administration.list(ANY, 10)) == ["1.2.3.4.5.3"]


def test_facts_of_many_associations_stay_apart(queue: Store, clock: Clock) -> None:
    facts = [dataclasses.replace(FACTS, association_id=f"a{number}") for number in range(5)]
    accept(queue, *((instance(number, association=each), [TO_PACS]) for number, each in enumerate(facts)), clock=clock)
    settle_all(queue, claim(queue, clock, limit=3), DeliveryState.DELIVERED)
    with queue.transaction():
        queue.deliveries.forget(clock.advance(1), 10)
    accept(queue, (instance(8, association=facts[0]), [TO_PACS]), clock=clock)
    kept = [each.instance.association.association_id for each in queue.administration.list(ANY, 10)]
    assert kept == ["a3", "a4", "a0"]

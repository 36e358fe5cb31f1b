"""What every `Queue` must do; run against each implementation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import Apart, alone, of_its_kind
from gateway.ports.delivery_queue import AcceptedInstance, DeliveryFilter, Queue, QueueDepth
from gateway.sqlite.delivery_queue import SQLiteQueue
from gateway.sqlite.rows import likeness_of
from tests.support.fakes.memory_queue import MemoryQueue
from tests.support.samples import FACTS, HELD, NOON, TO_PACS, TO_VNA, Clock, instance, settlement

IMPLEMENTATIONS: dict[str, Callable[[Path, Clock], Queue]] = {
    "sqlite": lambda folder, clock: SQLiteQueue(folder / "queue.db", now=clock),
    "memory": lambda folder, clock: MemoryQueue(clock),
}
ANY = DeliveryFilter()
LEASE_S = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=IMPLEMENTATIONS)
def queue(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Queue]:
    opened = IMPLEMENTATIONS[request.param](tmp_path, clock)
    yield opened
    opened.close()


def accept(queue: Queue, *arrivals: tuple[Instance, list[Dispatch]], clock: Clock) -> list[AcceptedInstance]:
    with queue.transaction():
        return queue.accept_all(arrivals, clock())


def claim(queue: Queue, clock: Clock, destination: str = "pacs", limit: int = 10) -> list[Delivery]:
    with queue.transaction(is_durable=False):
        return queue.claim(destination, limit, LEASE_S, clock())


def uids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.instance.sop_instance_uid for delivery in deliveries]


def settle_all(queue: Queue, deliveries: list[Delivery], state: DeliveryState, reason: str = "") -> int:
    with queue.transaction():
        return queue.settle([settlement(delivery, state, reason=reason) for delivery in deliveries])


# --- accepting --------------------------------------------------------------------------------------------------


def test_what_is_accepted_comes_back_whole(queue: Queue, clock: Clock) -> None:
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


def test_what_was_read_at_arrival_comes_back_with_every_delivery(queue: Queue, clock: Clock) -> None:
    arrivals = [(instance(1), [TO_PACS]), (dataclasses.replace(instance(2), kept_facts=KEPT), [TO_PACS, TO_VNA])]
    accepted = accept(queue, *arrivals, (instance(3), [TO_PACS]), clock=clock)
    assert [each.instance.kept_facts for each in queue.list(ANY, 10)] == ["", KEPT, KEPT, ""]
    assert [each.instance.kept_facts for each in claim(queue, clock)] == ["", KEPT, ""]
    assert [each.instance.kept_facts for each in claim(queue, clock, "vna")] == [KEPT]
    assert [each.kept_facts for each in queue.instances([each.instance_id for each in accepted])] == ["", KEPT, ""]


def test_what_arrives_again_is_no_duplicate_of_bytes_that_are_lost(queue: Queue, clock: Clock) -> None:
    first = instance(1)
    again = dataclasses.replace(first, payload=dataclasses.replace(first.payload, offset_bytes=9000))
    lost = [first.payload]
    accept(queue, (first, [TO_PACS, TO_VNA]), clock=clock)
    for deliveries in (2, 0):  # what came again is readable: the third one is its duplicate
        with queue.transaction():
            (accepted,) = queue.accept_all([(again, [TO_PACS, TO_VNA])], clock(), lambda ref: ref not in lost)
        assert accepted.deliveries == deliveries
    assert accepted.payload == again.payload


def test_accept_alone_is_accept_all_of_one(queue: Queue, clock: Clock) -> None:
    with queue.transaction():
        assert queue.accept(instance(1), [TO_PACS, TO_VNA], NOON).deliveries == 2
        assert queue.accept(instance(1), [TO_PACS, TO_VNA], NOON).deliveries == 0


def test_an_exception_rolls_everything_back(queue: Queue, clock: Clock) -> None:
    def fail_midway() -> None:
        with queue.transaction():
            queue.accept(instance(1), [TO_PACS], NOON)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert queue.list(ANY, 10) == []
    assert queue.payload_names() == {}
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
    queue: Queue, clock: Clock, arrival: Instance, dispatches: list[Dispatch], new: int, is_same_batch: bool
) -> None:
    first = (instance(1), [TO_PACS])
    if is_same_batch:
        before, after = accept(queue, first, (arrival, dispatches), clock=clock)
    else:
        (before,) = accept(queue, first, clock=clock)
        (after,) = accept(queue, (arrival, dispatches), clock=clock)
    assert after.deliveries == new
    assert len(queue.list(ANY, 10)) == 1 + new
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
    queue: Queue, clock: Clock, state: DeliveryState, new: int
) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    settle_all(queue, claim(queue, clock), state)
    (again,) = accept(queue, (instance(1), [TO_PACS]), clock=clock)
    assert again.deliveries == new


def test_two_routes_of_one_arrival_with_one_duty_are_one_delivery(queue: Queue, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), [TO_PACS, Dispatch("other", "pacs"), TO_VNA]), clock=clock)
    assert accepted.deliveries == 2
    assert [(each.rule, each.destination) for each in queue.list(ANY, 10)] == [
        ("everything", "pacs"),
        ("everything", "vna"),
    ]


def test_a_held_arrival_waits_without_a_destination(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [HELD]), clock=clock)
    assert claim(queue, clock, "") == []
    assert [each.state for each in queue.list(ANY, 10)] == [DeliveryState.HELD]
    (again,) = accept(queue, (instance(1), [HELD]), clock=clock)
    assert again.deliveries == 0


def test_an_instance_without_routes_is_kept_until_it_is_forgotten(queue: Queue, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), []), clock=clock)
    assert accepted.deliveries == 0
    assert queue.payload_names()
    with queue.transaction():
        assert queue.forget(clock.advance(1), 10) == 1
    assert queue.payload_names() == {}


# --- working ----------------------------------------------------------------------------------------------------


def test_claims_follow_arrival_and_stop_at_the_limit(queue: Queue, clock: Clock) -> None:
    for number in (3, 1, 2):
        accept(queue, (instance(number), [TO_PACS]), clock=clock)
    assert uids(claim(queue, clock, limit=2)) == ["1.2.3.4.5.3", "1.2.3.4.5.1"]
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.2"]
    assert claim(queue, clock) == []


def test_what_is_due_longest_comes_first(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    with queue.transaction():
        late = settlement(*claim_inside(queue, clock), DeliveryState.PENDING, due_at=NOON + timedelta(seconds=5))
        queue.settle([late])
    clock.advance(10)
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.1", "1.2.3.4.5.2"]


def claim_inside(queue: Queue, clock: Clock) -> tuple[Delivery]:
    (claimed,) = queue.claim("pacs", 1, LEASE_S, clock())
    return (claimed,)


def test_a_clock_that_is_set_back_neither_delays_nor_reorders_arrivals(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    clock.advance(-1800)
    if isinstance(queue, MemoryQueue):
        pytest.skip("the model takes the clock as it is")
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    due_at = queue.next_due("pacs")
    assert due_at is not None
    assert due_at <= clock()
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.1", "1.2.3.4.5.2"]


def test_destinations_do_not_see_each_other(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    assert len(claim(queue, clock, "pacs")) == 1
    assert len(claim(queue, clock, "vna")) == 1
    assert claim(queue, clock, "elsewhere") == []


def test_a_deferred_delivery_comes_back_when_it_is_due(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    (claimed,) = claim(queue, clock)
    with queue.transaction():
        due_at = NOON + timedelta(seconds=30)
        queue.settle([settlement(claimed, DeliveryState.PENDING, due_at=due_at, reason="0xA700", status=0xA700)])
    assert queue.next_due("pacs") == due_at
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
def test_given_back_without_an_attempt(queue: Queue, clock: Clock, due_in_s: float, order: list[str]) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    (claimed,) = claim(queue, clock)
    clock.advance(1)
    accept(queue, (instance(2), [TO_PACS]), clock=clock)
    clock.advance(1)
    with queue.transaction():
        due_at = clock() + timedelta(seconds=due_in_s)
        given_back = settlement(claimed, DeliveryState.PENDING, due_at=due_at, is_attempt=False)
        assert queue.settle([given_back]) == 1
    back = claim(queue, clock)
    assert uids(back) == order
    assert [each.attempts for each in back] == [0] * len(order)
    assert queue.attempts(claimed.delivery_id) == []


def test_attempts_are_kept_in_order_and_bounded(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    for number in range(1, 31):
        (claimed,) = claim(queue, clock)
        with queue.transaction():
            queue.settle([settlement(claimed, DeliveryState.PENDING, reason=f"try {number}", status=0xA700)])
    kept = queue.attempts(claimed.delivery_id)
    assert [attempt.number for attempt in kept] == list(range(11, 31))
    last = kept[-1]
    assert (last.reason, last.status, last.state) == ("try 30", 0xA700, DeliveryState.PENDING)
    assert (last.started_at, last.duration_s) == (NOON, 0.25)


def test_settling_says_of_each_whether_it_held_its_lease(queue: Queue, clock: Clock) -> None:
    accept(queue, *((instance(number), [TO_PACS]) for number in (1, 2, 3)), clock=clock)
    one, two, three = claim(queue, clock)
    stale = dataclasses.replace(two, lease=two.lease + 1)
    unknown = dataclasses.replace(three, delivery_id=999)
    with queue.transaction():
        held = queue.settle_each([settlement(each) for each in (one, stale, unknown, three, three)])
    assert held == [True, False, False, True, False]
    assert queue.settle_each([]) == []


# --- claiming what is unlike something else -----------------------------------------------------------------------

MR = "1.2.840.10008.5.1.4.1.1.4"


def apart_from(*instances: Instance, start: int = 0) -> Apart:
    return Apart(tuple(alone(likeness_of(each)) for each in instances), start)


def claim_apart(queue: Queue, clock: Clock, apart: Apart, limit: int = 10) -> list[Delivery]:
    with queue.transaction(is_durable=False):
        return queue.claim("pacs", limit, LEASE_S, clock(), apart)


def test_what_is_left_out_hides_nothing_however_much_it_is(queue: Queue, clock: Clock) -> None:
    bad = [instance(number) for number in range(20_000)]
    accept(queue, *((each, [TO_PACS]) for each in bad), clock=clock)
    good = [instance(20_000 + number, study_instance_uid=f"1.2.9.{number}") for number in range(3)]
    accept(queue, *((each, [TO_PACS]) for each in good), clock=clock)
    apart = apart_from(bad[0])
    with queue.transaction(is_durable=False):
        claims = [queue.claim("pacs", 10, LEASE_S, clock(), which) for which in (apart, apart, None)]
    assert sorted(uids(claims[0])) == [each.sop_instance_uid for each in good]
    assert claims[1] == [], "those are under a lease, and the others are left out"
    assert uids(claims[2]) == [each.sop_instance_uid for each in bad[:10]]


def test_a_whole_kind_is_left_out(queue: Queue, clock: Clock) -> None:
    reports = [instance(number, study_instance_uid=f"1.2.{number}") for number in range(50)]
    others = [
        dataclasses.replace(each, sop_class_uid=MR, sop_instance_uid=f"1.9.{each.study_instance_uid}")
        for each in reports
    ]
    accept(queue, *((each, [TO_PACS]) for each in (*reports, *others)), clock=clock)
    apart = Apart((of_its_kind(likeness_of(reports[0])),))
    claimed = claim_apart(queue, clock, apart, limit=100)
    assert {each.instance.sop_class_uid for each in claimed} == {MR}
    assert len(claimed) == 50


def test_likenesses_are_looked_at_in_a_circle(queue: Queue, clock: Clock) -> None:
    each_of = [instance(number, study_instance_uid=f"1.2.{number}") for number in range(5)]
    accept(queue, *((each, [TO_PACS]) for each in each_of), clock=clock)
    in_order = sorted(each_of, key=likeness_of)
    start = likeness_of(in_order[3])
    claimed = [uids(claim_apart(queue, clock, Apart((), start), limit=1))[0] for _ in range(5)]
    assert claimed == [each.sop_instance_uid for each in (in_order[3], in_order[4], *in_order[:3])]


def test_what_waits_for_its_time_is_passed_over(queue: Queue, clock: Clock) -> None:
    waiting, due = (instance(number, study_instance_uid=f"1.2.{number}") for number in (1, 2))
    accept(queue, (waiting, [TO_PACS]), clock=clock)
    with queue.transaction():
        queue.settle(
            [
                settlement(each, DeliveryState.PENDING, due_at=NOON + timedelta(hours=1))
                for each in queue.claim("pacs", 1, LEASE_S, NOON)
            ]
        )
    accept(queue, (due, [TO_PACS]), (instance(3), [TO_VNA]), clock=clock)
    assert uids(claim_apart(queue, clock, Apart())) == [due.sop_instance_uid]
    clock.advance(3600)
    assert set(uids(claim_apart(queue, clock, Apart()))) == {waiting.sop_instance_uid, due.sop_instance_uid}


def test_next_due(queue: Queue, clock: Clock) -> None:
    assert queue.next_due("pacs") is None
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    assert queue.next_due("pacs") == NOON
    claim(queue, clock)
    assert queue.next_due("pacs") == NOON + timedelta(seconds=LEASE_S)


def test_leases_of_a_process_that_is_gone_end(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), (instance(2), [TO_PACS]), clock=clock)
    (gone,) = claim(queue, clock, limit=1)
    with queue.transaction():
        assert queue.expire_leases() == 1
    assert uids(claim(queue, clock)) == ["1.2.3.4.5.1", "1.2.3.4.5.2"]
    assert settle_all(queue, [gone], DeliveryState.DELIVERED) == 0


# --- operating --------------------------------------------------------------------------------------------------


@pytest.fixture
def site(queue: Queue, clock: Clock) -> Queue:
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
    "older": (DeliveryFilter(created_before=NOON + timedelta(seconds=1)), "245"),
    "newer": (DeliveryFilter(created_after=NOON + timedelta(seconds=1)), "13"),
    "several": (DeliveryFilter(destination="pacs", state=DeliveryState.PENDING), "1"),
    "nothing fits": (DeliveryFilter(destination="vna", state=DeliveryState.DEAD), ""),
}


@pytest.mark.parametrize(("which", "numbers"), FILTERS.values(), ids=FILTERS)
def test_filters(site: Queue, which: DeliveryFilter, numbers: str) -> None:
    assert "".join(uid[-1] for uid in uids(site.list(which, 10))) == numbers


def test_a_list_ends_at_its_limit(site: Queue) -> None:
    assert len(site.list(ANY, 2)) == 2
    assert [each.delivery_id for each in site.list(ANY, 2, is_newest_first=True)] == [5, 4]


def states(queue: Queue) -> dict[str, str]:
    return {each.instance.sop_instance_uid[-1]: each.state.value for each in queue.list(ANY, 100)}


def test_retry_makes_dead_and_pending_ones_due_and_young(site: Queue, clock: Clock) -> None:
    with site.transaction():
        assert site.retry(ANY, clock()) == 2
    assert states(site) == {"1": "pending", "2": "pending", "3": "held", "4": "delivered", "5": "pending"}
    again = claim(site, clock)
    assert uids(again) == ["1.2.3.4.5.2", "1.2.3.4.5.1"]
    assert {each.counted_from for each in again} == {clock()}
    assert max(each.created_at for each in again) < clock(), "arrival stays what it was"


def test_age_alerts_do_not_forget_what_was_retried_or_released(site: Queue, clock: Clock) -> None:
    before = {(row.destination, row.state.value): row.oldest_at for row in site.depths()}
    clock.advance(3600)
    with site.transaction():
        site.retry(DeliveryFilter(state=DeliveryState.DEAD), clock())
        site.release(DeliveryFilter(state=DeliveryState.HELD), clock(), "pacs")
    after = [row.oldest_at for row in site.depths() if row.state is DeliveryState.PENDING]
    assert min(each for each in after if each) == min(each for each in before.values() if each) == NOON


def test_what_an_operator_filters_by_age_counts_from_arrival(site: Queue, clock: Clock) -> None:
    clock.advance(3600)
    with site.transaction():
        retried = site.retry(ANY, clock())
    assert retried
    young = DeliveryFilter(created_after=clock() - timedelta(seconds=60))
    assert site.list(young, 100) == []


def test_hold_keeps_from_claims(site: Queue, clock: Clock) -> None:
    with site.transaction():
        assert site.hold(ANY) == 2
    assert states(site) == {"1": "held", "2": "held", "3": "held", "4": "delivered", "5": "pending"}
    assert claim(site, clock) == []


@pytest.mark.parametrize(
    ("destination", "released"), [(None, 0), ("vna", 1)], ids=["without a destination: stays", "with one: goes there"]
)
def test_release_of_what_was_held_without_a_destination(
    site: Queue, clock: Clock, destination: str | None, released: int
) -> None:
    with site.transaction():
        assert site.release(ANY, clock(), destination) == released
    assert uids(claim(site, clock, "vna")) == ["1.2.3.4.5.3"] * released


@pytest.mark.parametrize(("to", "destination"), [(None, "pacs"), ("vna", "vna")], ids=["its own", "another"])
def test_release_of_what_was_held_for_a_destination(
    site: Queue, clock: Clock, to: str | None, destination: str
) -> None:
    with site.transaction():
        site.hold(DeliveryFilter(destination="pacs"))
        assert site.release(DeliveryFilter(destination="pacs"), clock(), to) == 2
    assert len(claim(site, clock, destination)) == 2
    assert claim(site, clock, "vna" if destination == "pacs" else "pacs") == []


def test_discard_spares_what_is_delivered_or_under_a_lease(site: Queue) -> None:
    with site.transaction():
        assert site.discard(ANY) == 3
    assert states(site) == {"4": "delivered", "5": "pending"}


@pytest.mark.parametrize("operation", ["retry", "hold", "discard"])
def test_a_lease_that_has_ended_does_not_keep_the_operator_out(queue: Queue, clock: Clock, operation: str) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    (claimed,) = claim(queue, clock)
    operations = {
        "retry": lambda: queue.retry(ANY, clock()),
        "hold": lambda: queue.hold(ANY),
        "discard": lambda: queue.discard(ANY),
    }
    clock.advance(LEASE_S - 1)
    with queue.transaction():
        assert operations[operation]() == 0
    clock.advance(1)
    with queue.transaction():
        assert operations[operation]() == 1
    assert settle_all(queue, [claimed], DeliveryState.DELIVERED) == 0


def test_a_discarded_payload_is_freed_by_forget(site: Queue, clock: Clock) -> None:
    with site.transaction():
        site.discard(ANY)
        assert site.forget(clock.advance(1), 100) == 4  # 1, 2, 3 and the delivered one
    assert list(site.payload_names().values()) == [5128 + len(b"data set 5")]


def test_depths_count_what_is_kept(site: Queue) -> None:
    later = NOON + timedelta(seconds=60)
    assert sorted(site.depths(), key=lambda depth: (depth.destination, depth.state)) == [
        QueueDepth("", DeliveryState.HELD, 1, 10, later),
        QueueDepth("pacs", DeliveryState.DEAD, 1, 10, NOON),
        QueueDepth("pacs", DeliveryState.PENDING, 1, 10, later),
        QueueDepth("vna", DeliveryState.PENDING, 1, 10, NOON),
    ]


def test_pending_destinations(site: Queue) -> None:
    assert sorted(site.pending_destinations()) == ["pacs", "vna"]


# --- forgetting -------------------------------------------------------------------------------------------------


def test_an_instance_is_forgotten_when_its_last_delivery_settled_long_enough_ago(queue: Queue, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    settle_all(queue, claim(queue, clock, "pacs"), DeliveryState.DELIVERED)
    settled_at = clock.advance(10)
    with queue.transaction():
        assert queue.forget(settled_at + timedelta(days=1), 10) == 0, "vna still waits"
    settle_all(queue, claim(queue, clock, "vna"), DeliveryState.DELIVERED)
    with queue.transaction():
        assert queue.forget(settled_at, 10) == 0, "retention runs"
        assert queue.forget(settled_at + timedelta(microseconds=1), 10) == 1
    assert queue.list(ANY, 10) == []
    assert queue.attempts(1) == []


@pytest.mark.parametrize("state", [DeliveryState.DEAD, DeliveryState.HELD, DeliveryState.PENDING])
def test_what_is_kept_for_somebody_is_not_forgotten(queue: Queue, clock: Clock, state: DeliveryState) -> None:
    accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    settle_all(queue, claim(queue, clock, "pacs"), DeliveryState.DELIVERED)
    settle_all(queue, claim(queue, clock, "vna"), state)
    with queue.transaction():
        assert queue.forget(clock.advance(86400), 10) == 0


def test_forget_stops_at_its_limit_oldest_first(queue: Queue, clock: Clock) -> None:
    for number in (1, 2, 3):
        accept(queue, (instance(number), [TO_PACS]), clock=clock)
        settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
        clock.advance(1)
    with queue.transaction():
        assert queue.forget(clock.advance(1), 2) == 2
    assert uids(queue.list(ANY, 10)) == ["1.2.3.4.5.3"]


def test_payload_names_tell_the_end_of_each_file(queue: Queue, clock: Clock) -> None:
    large = dataclasses.replace(instance(9), payload=PayloadRef("large/0000000000000001.obj", 128, 5000, b"x" * 32))
    accept(queue, *((each, [TO_PACS]) for each in (instance(2), instance(1), large)), clock=clock)
    other = instance(3, payload_name="segments/00000002.seg")
    accept(queue, (other, [TO_PACS]), clock=clock)
    assert queue.payload_names() == {
        "segments/00000001.seg": 2128 + 10,
        "segments/00000002.seg": 3128 + 10,
        "large/0000000000000001.obj": 5128,
    }


def test_a_queue_is_bound_to_one_spool(queue: Queue) -> None:
    assert queue.spool_id() == ""
    with queue.transaction():
        queue.bind_spool("first")
        queue.bind_spool("second")
    assert queue.spool_id() == "second"


def test_facts_of_many_associations_stay_apart(queue: Queue, clock: Clock) -> None:
    facts = [dataclasses.replace(FACTS, association_id=f"a{number}") for number in range(5)]
    accept(queue, *((instance(number, association=each), [TO_PACS]) for number, each in enumerate(facts)), clock=clock)
    settle_all(queue, claim(queue, clock, limit=3), DeliveryState.DELIVERED)
    with queue.transaction():
        queue.forget(clock.advance(1), 10)
    accept(queue, (instance(8, association=facts[0]), [TO_PACS]), clock=clock)
    kept = [each.instance.association.association_id for each in queue.list(ANY, 10)]
    assert kept == ["a3", "a4", "a0"]

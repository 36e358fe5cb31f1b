"""How one destination is served."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.delivery.feeder import FIRST_CLAIM
from gateway.delivery.settling import MAX_UNSETTLED
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome, Refused
from gateway.model.peer import Peer, Retry
from gateway.ports.destination import Outbound
from gateway.ports.errors import (
    ConfigurationError,
    DestinationDown,
    DestinationRefuses,
    PayloadMissing,
    PayloadUnreadable,
    SpoolFull,
    Temporary,
)
from gateway.sending.store_outcome import outcome_of
from tests.support.fakes.delivery import QUICK, ScriptedDestination, peer, reload, table
from tests.support.fakes.memory_journal import CT, EXPLICIT, MR, MemoryJournal
from tests.support.samples import Clock
from tests.unit.delivery.conftest import Bench

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
SLOW_RETRY = Retry(first_delay_s=60.0, jitter=0.0)


async def test_everything_is_delivered_in_order_and_counted(bench: Bench) -> None:
    bench.journal.add_many(300, data=b"12345678")
    await bench.start(peer())
    attempts = ("gateway_delivery_attempts_total", "pacs", "delivered")
    await bench.journal.until(lambda: bench.meter.counted[attempts] >= 300)  # counted after the settling
    assert set(bench.journal.states()) == {DELIVERED}
    assert bench.to().sent == [f"1.2.3.{number}" for number in range(1, 301)]
    assert bench.to().opened == 1
    assert bench.meter.counted["gateway_deliveries_total", "pacs", "delivered"] == 300
    assert bench.meter.counted[attempts] == 300
    assert bench.meter.counted["gateway_delivery_bytes_total", "pacs"] == 2400
    assert bench.meter.values["gateway_destination_up", "pacs"] == 1
    assert bench.meter.observed == ["gateway_delivery_seconds"] * 300
    assert all(body.is_closed for body in bench.journal.opened)


async def test_work_that_comes_later_is_begun_when_the_journal_says_so(bench: Bench) -> None:
    await bench.start(peer())
    for _ in range(5):
        bench.journal.add()
        await bench.journal.until_all(DELIVERED)
    assert bench.to().opened == 1  # the channel was kept open between


async def test_several_associations_are_opened_one_by_one_and_never_more(bench: Bench) -> None:
    async def slowly(outbound: Outbound) -> Outcome:
        await asyncio.sleep(0.002)
        return Delivered()

    bench.to().behave = slowly
    bench.journal.add_many(200)
    await bench.start(peer(associations=4))
    await bench.journal.until_all(DELIVERED)
    assert bench.to().most_open == 4


async def test_one_object_opens_one_association(bench: Bench) -> None:
    bench.journal.add()
    await bench.start(peer(associations=4))
    await bench.journal.until_all(DELIVERED)
    assert bench.to().opened == 1


async def test_the_channel_is_closed_when_there_is_no_work() -> None:
    journal = MemoryJournal()
    bench = Bench(journal, journal.now, idle_s=0.02)
    journal.add()
    await bench.start(peer())
    await journal.until_all(DELIVERED)
    await journal.until(lambda: bench.to().open_now == 0)
    journal.add()
    await journal.until_all(DELIVERED)
    assert bench.to().opened == 2
    assert await bench.service.drain(1.0)


async def test_batches_grow_at_speed_and_the_next_is_claimed_before_the_last_is_sent(bench: Bench) -> None:
    bench.journal.add_many(2000)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    full = [size for size in bench.journal.claims if size]
    assert full[0] == FIRST_CLAIM
    assert max(full) > 4 * FIRST_CLAIM
    assert len(full) < 20


async def test_sending_goes_on_while_settlements_wait_but_not_for_ever(bench: Bench) -> None:
    bench.journal.settle_gate.clear()
    bench.journal.add_many(MAX_UNSETTLED + 300)
    await bench.start(peer())
    await bench.journal.until(lambda: len(bench.to().sent) >= MAX_UNSETTLED)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(bench.to().sent) == MAX_UNSETTLED
    bench.journal.settle_gate.set()
    await bench.journal.until_all(DELIVERED)


async def test_kinds_ahead_are_prepared_before_they_are_sent_the_next_one_first(bench: Bench) -> None:
    bench.journal.add(sop_class_uid=MR)
    bench.journal.add(sop_class_uid=CT)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    assert bench.to().prepared == [((MR, EXPLICIT), (CT, EXPLICIT)), ((CT, EXPLICIT), (MR, EXPLICIT))]


async def test_a_refused_object_is_a_dead_letter_and_the_others_go_on(bench: Bench) -> None:
    async def picky(outbound: Outbound) -> Outcome:
        is_bad = outbound.sop_instance_uid == "1.2.3.2"
        return Refused("0xA900 Error", dimse_status=0xA900) if is_bad else Delivered(warning=0xB007)

    bench.to().behave = picky
    bench.journal.add_many(3)
    await bench.start(peer())
    await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states() == [DELIVERED, DEAD, DELIVERED]
    assert bench.journal.rows[2].reason == "0xA900 Error"
    assert {entry.delivery_id: entry.status for entry in bench.journal.settlements} == {1: 0xB007, 2: 0xA900, 3: 0xB007}
    assert bench.meter.counted["gateway_deliveries_total", "pacs", "refused"] == 1


async def test_a_deferred_object_is_tried_again_while_the_others_pass(bench: Bench) -> None:
    async def once(outbound: Outbound) -> Outcome:
        is_first = bench.to().sent.count("1.2.3.1") == 1
        return Deferred("0xA700 Refused") if outbound.sop_instance_uid == "1.2.3.1" and is_first else Delivered()

    bench.to().behave = once
    bench.journal.add_many(10)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    assert bench.to().sent == [*(f"1.2.3.{number}" for number in range(1, 11)), "1.2.3.1"]
    assert [bench.journal.rows[number].attempts for number in (1, 2)] == [2, 1]


async def test_a_payload_that_cannot_be_read_now_is_tried_again(bench: Bench) -> None:
    bench.journal.open_trouble = [Temporary("too many open files")]
    bench.journal.add_many(2)
    await bench.start(peer(retry=QUICK))
    await bench.journal.until_all(DELIVERED)
    assert [row.attempts for row in bench.journal.rows.values()] == [2, 1]
    assert "too many open files" in bench.journal.settlements[0].reason


@pytest.mark.parametrize("error", [PayloadUnreadable, PayloadMissing])
async def test_a_disk_that_gives_errors_is_held_against_no_destination(bench: Bench, error: type[Temporary]) -> None:
    """Ninety objects in a row: none dies, none waits for more than its own retry, and the destination stays up."""
    bench.journal.open_trouble = [error("payload segments/00000001.seg: cannot be read now") for _ in range(90)]
    bench.journal.add_many(100)
    await bench.start(peer(retry=QUICK))
    await bench.journal.until_all(DELIVERED)
    assert sum(row.attempts for row in bench.journal.rows.values()) == 190
    assert bench.meter.values["gateway_destination_up", "pacs"] == 1
    assert "cannot be read now" in bench.journal.settlements[0].reason


async def test_what_cannot_be_read_for_too_long_dies_of_its_age() -> None:
    clock = Clock()
    journal = MemoryJournal(clock)
    bench = Bench(journal, clock)
    journal.open_trouble = [PayloadMissing("payload large/1.obj: the file is not there") for _ in range(10)]
    journal.add()
    await bench.start(peer(retry=Retry(first_delay_s=0.001, max_delay_s=0.01, jitter=0.0, give_up_after_s=2.5)))
    for attempts in (1, 2, 3):
        await journal.until(lambda made=attempts: journal.rows[1].attempts == made)  # type: ignore[misc]
        assert journal.states() == [PENDING]
        clock.advance(1.0)
    await journal.until_all(DEAD)
    assert journal.rows[1].attempts == 4
    assert "is not there" in journal.rows[1].reason
    assert await bench.service.drain(1.0)


async def test_lost_payloads_and_broken_actions_are_dead_letters(bench: Bench) -> None:
    lost, broken, good = bench.journal.add(), bench.journal.add(actions_json='[{"shred":{}}]'), bench.journal.add()
    bench.journal.lost.add(bench.journal.rows[lost].instance.payload.name)
    await bench.start(peer())
    await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states() == [DEAD, DEAD, DELIVERED]
    assert "is not what it was" in bench.journal.rows[lost].reason
    assert "not understood" in bench.journal.rows[broken].reason
    assert bench.to().sent == [bench.journal.rows[good].instance.sop_instance_uid]


async def test_a_fault_of_ours_defers_the_object_and_keeps_its_text_to_itself(bench: Bench) -> None:
    async def faulty(outbound: Outbound) -> Outcome:
        if bench.to().sent.count(outbound.sop_instance_uid) == 1:
            raise KeyError("DOE^JANE")
        return Delivered()

    bench.to().behave = faulty
    bench.journal.add()
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    assert bench.journal.settlements[0].reason == "internal error: KeyError; see the log"


# --- the destination is down ----------------------------------------------------------------------------------------


async def test_when_it_is_down_only_the_object_in_hand_counts_an_attempt(bench: Bench) -> None:
    is_up = asyncio.Event()

    async def reach(channel: int) -> None:
        if not is_up.is_set():
            raise DestinationDown("connection refused")

    bench.to().reach = reach
    bench.journal.add_many(FIRST_CLAIM)
    await bench.start(peer())
    await bench.journal.until(lambda: bench.journal.rows[1].attempts >= 3)
    assert [row.attempts for row in bench.journal.rows.values()][1:] == [0] * (FIRST_CLAIM - 1)
    assert bench.journal.rows[1].reason == "connection refused"
    assert bench.meter.values["gateway_destination_up", "pacs"] == 0
    is_up.set()
    await bench.journal.until_all(DELIVERED)
    assert bench.to().sent == [f"1.2.3.{number}" for number in range(1, FIRST_CLAIM + 1)]  # in their old order
    assert bench.meter.values["gateway_destination_up", "pacs"] == 1


async def test_the_next_probe_waits_for_the_settlement_of_the_last_one(bench: Bench) -> None:
    """However short the wait between two probes is: else the probe is an object that came later."""
    contacts = 0

    async def reach(channel: int) -> None:
        nonlocal contacts
        contacts += 1
        if contacts == 1:
            raise DestinationDown("connection refused")

    bench.to().reach = reach
    bench.journal.settle_gate.clear()
    bench.journal.add()
    await bench.start(peer(retry=Retry(first_delay_s=0.0, jitter=0.0)))
    await bench.journal.until(lambda: contacts == 1)
    bench.journal.add_many(2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert contacts == 1
    bench.journal.settle_gate.set()
    await bench.journal.until_all(DELIVERED)
    assert bench.to().sent == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
    assert [row.attempts for row in bench.journal.rows.values()] == [2, 1, 1]


async def test_while_it_is_down_one_object_probes_and_new_work_does_not_hurry_it(bench: Bench) -> None:
    reached: list[int] = []

    async def reach(channel: int) -> None:
        reached.append(channel)
        raise DestinationDown("connection refused")

    bench.to().reach = reach
    bench.journal.add_many(5)
    await bench.start(peer(retry=SLOW_RETRY, associations=4))
    await bench.journal.until(lambda: bool(bench.journal.settlements))
    bench.journal.add_many(100)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(reached) == 1
    assert bench.journal.leased() == []
    (status,) = bench.service.status()
    assert (status.is_up, status.reason) == (False, "connection refused")
    assert 0 < status.wait_s <= 60


async def test_silence_to_one_object_stops_the_queue_but_the_next_probe_is_another_object(bench: Bench) -> None:
    async def silent_to_first(outbound: Outbound) -> Outcome:
        if outbound.sop_instance_uid == "1.2.3.1":
            return Deferred("no response", is_destination_down=True)
        return Delivered()

    bench.to().behave = silent_to_first
    bench.journal.add_many(20)
    await bench.start(peer())
    await bench.journal.until(lambda: bench.journal.states()[1:] == [DELIVERED] * 19)
    assert bench.journal.states()[0] is PENDING
    assert [row.attempts for row in bench.journal.rows.values()][1:] == [1] * 19


async def test_too_many_single_deferrals_in_a_row_stop_the_queue(bench: Bench) -> None:
    async def full(outbound: Outbound) -> Outcome:
        return Deferred("0xA700 Refused: Out of Resources")

    bench.to().behave = full
    bench.journal.add_many(100)
    await bench.start(peer(retry=SLOW_RETRY))
    await bench.journal.until(lambda: bench.journal.leased() == [] and bool(bench.journal.settlements))
    assert len(bench.to().sent) == 3
    assert sum(row.attempts for row in bench.journal.rows.values()) == 3


@pytest.mark.parametrize(
    "outcome",
    [
        outcome_of(0x0110, "DOE^JOHN is unknown"),
        Deferred("cannot write DOE^JOHN/1.dcm", is_destination_down=True, log_reason="cannot write"),
    ],
    ids=["Error Comment", "path of a file"],
)
async def test_what_a_peer_or_a_path_says_of_the_patient_is_kept_and_not_logged(bench: Bench, outcome: Outcome) -> None:
    async def complain(outbound: Outbound) -> Outcome:
        return outcome

    bench.to().behave = complain
    bench.journal.add_many(3)
    with capture_logs() as logs:
        await bench.start(peer(retry=QUICK))
        await bench.journal.until(lambda: all(row.attempts for row in bench.journal.rows.values()))
    assert "destination_failed" in [line["event"] for line in logs]
    assert "DOE" not in repr(logs)
    assert "DOE" not in repr(bench.service.status())
    assert all("DOE" in row.reason for row in bench.journal.rows.values())


async def test_a_peer_that_takes_fewer_associations_is_served_with_those(bench: Bench) -> None:
    async def reach(channel: int) -> None:
        if bench.to().open_now:
            raise DestinationDown("rejected: local limit exceeded")

    async def slowly(outbound: Outbound) -> Outcome:
        await asyncio.sleep(0.001)
        return Delivered()

    bench.to().reach, bench.to().behave = reach, slowly
    bench.journal.add_many(100)
    await bench.start(peer(associations=4, retry=SLOW_RETRY))
    await bench.journal.until_all(DELIVERED)
    assert bench.to().opened == 2  # one was refused, and nobody asked again and again
    assert {row.attempts for row in bench.journal.rows.values()} == {1}


async def test_a_permanent_rejection_kills_no_object(bench: Bench) -> None:
    is_mended = asyncio.Event()

    async def reach(channel: int) -> None:
        if not is_mended.is_set():
            raise DestinationRefuses("called AE title not recognized")

    bench.to().reach = reach
    bench.journal.add_many(3)
    await bench.start(peer(retry=SLOW_RETRY))
    await bench.journal.until(lambda: bool(bench.journal.settlements))
    assert "called AE title" in bench.journal.rows[1].reason
    assert bench.journal.states() == [PENDING] * 3
    is_mended.set()
    await reload(bench.service, table(peer(retry=SLOW_RETRY, ae_title="OTHER")))
    await bench.journal.until_all(DELIVERED)


# --- age ------------------------------------------------------------------------------------------------------------


async def test_too_old_and_deferred_is_a_dead_letter_with_the_last_reason() -> None:
    clock = Clock()
    journal = MemoryJournal(clock)
    bench = Bench(journal, clock)

    async def never(outbound: Outbound) -> Outcome:
        clock.advance(300)
        return Deferred("0xA700 Refused: Out of Resources")

    bench.to().behave = never
    journal.add(age_s=86400.0 - 500.0)
    await bench.start(peer(retry=Retry(first_delay_s=0.05, give_up_after_s=86400.0, jitter=0.0)))
    await journal.until(lambda: journal.rows[1].attempts == 1)
    assert journal.states() == [PENDING]
    clock.advance(1)
    await journal.until_all(DEAD)
    assert journal.rows[1].attempts == 2
    assert journal.rows[1].reason == "given up after 86501 s: 0xA700 Refused: Out of Resources"
    assert bench.meter.counted["gateway_deliveries_total", "pacs", "expired"] == 1
    await bench.service.drain(1.0)


async def test_an_old_delivery_is_tried_before_it_is_given_up(bench: Bench) -> None:
    bench.journal.add(age_s=30 * 86400.0)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)


async def test_while_it_is_down_the_old_ones_are_given_up_after_a_try_each_and_the_young_stay(bench: Bench) -> None:
    """The first failed contact is the try of all of them but for the first, the second one ends them."""
    contacts = 0
    there = peer(retry=SLOW_RETRY)

    async def reach(channel: int) -> None:
        nonlocal contacts
        contacts += 1
        raise DestinationDown("connection refused")

    bench.to().reach = reach
    old = bench.journal.add_many(1200, age_s=8 * 86400.0)
    young = bench.journal.add_many(20)
    rows = bench.journal.rows
    await bench.start(there)
    await bench.journal.until(lambda: sum(rows[number].attempts for number in old) == 1200)
    assert contacts == 1
    assert [number for number in old if rows[number].state is DEAD] == old[:1]
    await reload(bench.service, table(there))  # probes at once
    await bench.journal.until(lambda: all(rows[number].state is DEAD for number in old))
    assert all(rows[number].attempts >= 1 and rows[number].reason.endswith("connection refused") for number in old)
    assert {rows[number].state for number in young} == {PENDING}
    assert bench.meter.counted["gateway_deliveries_total", "pacs", "expired"] == 1200


async def test_work_that_comes_when_the_last_one_was_given_up_is_tried_though_nothing_was_left_to_probe(
    bench: Bench,
) -> None:
    is_up = asyncio.Event()

    async def reach(channel: int) -> None:
        if not is_up.is_set():
            raise DestinationDown("connection refused")

    bench.to().reach = reach
    bench.journal.add(age_s=8 * 86400.0)
    await bench.start(peer(retry=Retry(first_delay_s=0.02, jitter=0.0)))
    await bench.journal.until_all(DEAD)
    await bench.journal.until(lambda: bench.service.status()[0].wait_s == 0)
    for _ in range(50):
        await asyncio.sleep(0)  # the wait is over, and the queue was asked and had nothing
    is_up.set()
    young = bench.journal.add()
    await bench.journal.until(lambda: bench.journal.rows[young].state is DELIVERED)


async def test_the_log_counts_what_was_delivered_and_nothing_else(bench: Bench) -> None:
    async def some(outbound: Outbound) -> Outcome:
        statuses = {"1.2.3.1": 0x0000, "1.2.3.2": 0xB000, "1.2.3.3": 0xA900}
        return outcome_of(statuses[outbound.sop_instance_uid])

    bench.to().behave = some
    bench.journal.add_many(3, data=b"1234", age_s=5.0)
    with capture_logs() as written:
        await bench.start(peer())
        await bench.journal.until(lambda: bench.journal.states() == [DELIVERED, DELIVERED, DEAD])
        await bench.service.drain(60.0)
        bench.objects.close()
    (line,) = [line for line in written if line["event"] == "objects_delivered"]
    assert (line["study_instance_uid"], line["count"], line["bytes"], line["with_warning"]) == ("1.2", 2, 8, 1)
    assert line["first_waited_s"] >= 5.0


async def test_a_destination_is_idle_when_its_last_association_is_given_up(bench: Bench) -> None:
    """Then its line is written, without waiting for the next look."""
    bench.idle_s = 0.01
    bench.__post_init__()
    bench.journal.add()
    with capture_logs() as written:
        await bench.start(peer())
        await bench.journal.until(lambda: any(line["event"] == "objects_delivered" for line in written))
    assert bench.to().open_now == 0


# --- leases and the journal -----------------------------------------------------------------------------------------


async def test_a_lease_that_somebody_else_took_changes_and_counts_nothing(bench: Bench) -> None:
    async def overtaken(outbound: Outbound) -> Outcome:
        if outbound.sop_instance_uid == "1.2.3.1":
            bench.journal.take_over(1)
        return Delivered()

    bench.to().behave = overtaken
    bench.journal.add_many(2, data=b"1234")
    await bench.start(peer())
    with capture_logs() as written:
        await bench.journal.until(lambda: bench.journal.states() == [PENDING, DELIVERED])
        await bench.service.drain(60.0)
        bench.objects.close()
    assert bench.meter.counted["gateway_deliveries_total", "pacs", "delivered"] == 1
    assert bench.meter.counted["gateway_delivery_bytes_total", "pacs"] == 4
    told = [line for line in written if line["event"] == "objects_delivered"]
    assert [(line["destination"], line["count"], line["bytes"]) for line in told] == [("pacs", 1, 4)]
    assert [entry.delivery_id for entry in bench.journal.settlements] == [2]


async def test_an_object_slower_than_its_lease_is_sent_once_and_settled_with_the_new_lease() -> None:
    clock = Clock()
    journal = MemoryJournal(clock)
    bench = Bench(journal, clock)
    is_sent = asyncio.Event()

    async def slow_first(outbound: Outbound) -> Outcome:
        if outbound.sop_instance_uid == "1.2.3.1":
            await is_sent.wait()
        return Delivered()

    bench.to().behave = slow_first
    journal.add()
    await bench.start(peer(associations=2))
    await journal.until(lambda: bench.to().sent == ["1.2.3.1"])
    first_lease = journal.rows[1].lease
    clock.advance(10_000.0)
    journal.add()
    await journal.until(lambda: journal.states() == [PENDING, DELIVERED])
    assert journal.rows[1].lease != first_lease
    is_sent.set()
    await journal.until_all(DELIVERED)
    assert bench.to().sent == ["1.2.3.1", "1.2.3.2"]
    assert journal.rows[1].attempts == 1
    assert await bench.service.drain(1.0)


async def test_a_journal_without_room_is_asked_again(bench: Bench) -> None:
    bench.journal.claim_trouble.append(SpoolFull("no space"))
    bench.journal.add()
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)


async def test_a_journal_that_fails_takes_the_service_down_with_its_error(bench: Bench) -> None:
    await bench.start(peer("healthy"), peer())
    bench.journal.claim_trouble.append(OSError("disk gone"))
    bench.journal.add()
    with pytest.raises(OSError, match="disk gone"):
        await asyncio.wait_for(bench.service.run(), 60.0)


# --- neighbours, reload, drain --------------------------------------------------------------------------------------


async def test_a_silent_destination_delays_nobody_else(bench: Bench) -> None:
    never = asyncio.Event()

    async def silent(channel: int) -> None:
        await never.wait()

    bench.to("silent").reach = silent
    bench.journal.add_many(50, "silent")
    bench.journal.add_many(500, "pacs")
    await bench.start(peer("silent"), peer("pacs"))
    await bench.journal.until_all(DELIVERED, "pacs")
    assert set(bench.journal.states("silent")) == {PENDING}


async def test_reload_adds_changes_keeps_and_removes_destinations(bench: Bench) -> None:
    old = {name: peer(name) for name in ("kept", "changed", "removed")}
    for name in (*old, "added"):
        bench.journal.add_many(3, name)
    await bench.start(*old.values())
    for name in old:
        await bench.journal.until_all(DELIVERED, name)
    assert set(bench.journal.states("added")) == {PENDING}
    assert bench.meter.values["gateway_destination_up", "added"] == 0

    kept, changed = bench.to("kept"), bench.to("changed")
    bench.destinations["changed"] = ScriptedDestination()
    await reload(bench.service, table(old["kept"], replace(old["changed"], port=105), peer("added")))
    for name in (*old, "added"):
        bench.journal.add(name)
    for name in ("kept", "changed", "added"):
        await bench.journal.until_all(DELIVERED, name)
    assert bench.journal.states("removed") == [DELIVERED] * 3 + [PENDING]
    assert kept.opened == 1
    assert (changed.opened, changed.open_now) == (1, 0)
    assert len(bench.to("changed").sent) == 1
    assert [status.destination for status in bench.service.status()] == ["added", "changed", "kept"]


async def test_a_queue_that_cannot_be_counted_stops_no_reload(bench: Bench) -> None:
    await bench.start(peer())
    bench.journal.depths_trouble = [SpoolFull("the disk failed")]
    await reload(bench.service, table(peer(), peer("vna")))
    bench.journal.add("vna")
    await bench.journal.until_all(DELIVERED, "vna")


@pytest.mark.parametrize("failing", ["added", "changed"])
async def test_a_destination_that_cannot_be_made_leaves_everything_as_it_was(bench: Bench, failing: str) -> None:
    old = peer("changed")
    await bench.start(old, peer("removed"))
    before = bench.to("changed")
    bench.refusing.add(failing)
    with pytest.raises(ConfigurationError, match=failing):
        bench.service.prepare(table(replace(old, port=105), peer("added")))
    for name in ("changed", "removed"):
        bench.journal.add(name)
        await bench.journal.until_all(DELIVERED, name)
    assert bench.to("changed") is before
    assert [status.destination for status in bench.service.status()] == ["changed", "removed"]


async def test_reload_while_sending_loses_and_doubles_nothing(bench: Bench) -> None:
    sent: list[str] = []

    async def slowly(outbound: Outbound) -> Outcome:
        await asyncio.sleep(0)
        sent.append(outbound.sop_instance_uid)
        return Delivered()

    bench.to().behave = slowly
    bench.journal.add_many(1000)
    await bench.start(peer(associations=2))
    for port in range(200, 240):
        await reload(bench.service, table(peer(associations=1 + port % 3, port=port)))
        for _ in range(10):
            await asyncio.sleep(0)
    await bench.journal.until_all(DELIVERED)
    assert len(sent) == len(set(sent)) == 1000


async def test_a_peer_that_comes_back_after_its_removal_gets_what_waited(bench: Bench) -> None:
    await bench.start(peer())
    await reload(bench.service, table())
    bench.journal.add_many(3)
    await reload(bench.service, table(peer()))
    await bench.journal.until_all(DELIVERED)


async def test_a_peer_without_an_address_is_no_destination(bench: Bench) -> None:
    bench.journal.add()
    await bench.start(peer(host="", port=0))
    assert bench.opened == []
    assert bench.journal.states() == [PENDING]


async def _reload(bench: Bench) -> None:
    await reload(bench.service, table(peer(retry=SLOW_RETRY)))


async def _operate(bench: Bench) -> None:
    bench.journal.operate(lambda _: 0)


@pytest.mark.parametrize("act", [_reload, _operate], ids=["reload", "an operator changed the queue"])
async def test_a_destination_that_is_down_is_probed_at_once_after(
    bench: Bench, act: Callable[[Bench], Awaitable[None]]
) -> None:
    is_up = asyncio.Event()

    async def reach(channel: int) -> None:
        if not is_up.is_set():
            raise DestinationDown("connection refused")

    bench.to().reach = reach
    bench.journal.add_many(3)
    await bench.start(peer(retry=SLOW_RETRY))
    await bench.journal.until(lambda: bool(bench.journal.settlements))
    is_up.set()
    await act(bench)
    await bench.journal.until_all(DELIVERED)


async def test_drain_finishes_what_is_in_flight_and_gives_back_the_rest(bench: Bench) -> None:
    may_end = asyncio.Event()

    async def held(outbound: Outbound) -> Outcome:
        await may_end.wait()
        return Delivered()

    bench.to().behave = held
    bench.journal.add_many(30)
    await bench.start(peer(associations=2))
    await bench.journal.until(lambda: len(bench.to().sent) == 2)
    draining = asyncio.create_task(bench.service.drain(60.0))
    await asyncio.sleep(0)
    may_end.set()
    assert await draining
    assert bench.journal.states() == [DELIVERED] * 2 + [PENDING] * 28
    assert bench.journal.leased() == []
    assert [row.attempts for row in bench.journal.rows.values()][2:] == [0] * 28
    assert bench.to().open_now == 0
    await asyncio.wait_for(bench.service.run(), 60.0)


async def test_drain_aborts_what_takes_longer_and_gives_it_back(bench: Bench) -> None:
    never = asyncio.Event()

    async def silent(outbound: Outbound) -> Outcome:
        await never.wait()
        return Delivered()

    bench.to().behave = silent
    bench.journal.add_many(10)
    await bench.start(peer(associations=2))
    await bench.journal.until(lambda: len(bench.to().sent) == 2)
    assert not await bench.service.drain(0.05)
    assert bench.journal.states() == [PENDING] * 10
    assert bench.journal.leased() == []
    assert {row.attempts for row in bench.journal.rows.values()} == {0}
    assert bench.to().open_now == 0
    assert all(body.is_closed for body in bench.journal.opened)


@pytest.mark.campaign
async def test_drain_ends_while_the_store_takes_nothing(bench: Bench) -> None:
    bench.journal.add()
    bench.journal.settle_gate.clear()
    await bench.start(peer())
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    with capture_logs() as logs:
        async with asyncio.timeout(60.0):
            assert not await bench.service.drain(0.05)
    (told,) = [each for each in logs if each["event"] == "deliveries_not_settled"]
    assert told["destination"] == "pacs"
    assert bench.journal.states() == [PENDING], "it is sent again after the next start"


async def test_draining_twice_and_without_work_is_harmless(bench: Bench) -> None:
    await bench.start(peer())
    assert await bench.service.drain(1.0)
    assert await bench.service.drain(1.0)


async def test_those_that_came_through_as_many_gateways_are_sent_together(bench: Bench) -> None:
    """Each number has an association of its own, and one is open at a time."""
    for number in range(9):
        name = ["VENDOR_1", "GATEWAY_0.1.0+2", "GATEWAY_0.1.0+1"][number % 3]
        bench.journal.add(implementation_version_name=name)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    assert bench.to().sent == [f"1.2.3.{number}" for number in (1, 4, 7, 3, 6, 9, 2, 5, 8)]


async def test_the_watch_for_rings_is_called_before_an_object_goes() -> None:
    goes: list[tuple[str, str, str, int]] = []

    def watch(peer: Peer, arrived_as: str, sent_as: str, size_bytes: int) -> None:
        goes.append((peer.name, arrived_as, sent_as, size_bytes))

    async def behave(outbound: Outbound) -> Outcome:
        assert len(goes) == len(bench.to().sent)
        return Delivered()

    journal = MemoryJournal()
    bench = Bench(journal, journal.now, on_sending=watch)
    bench.to().behave = behave
    journal.add(data=b"12345")
    await bench.start(peer())
    await journal.until_all(DELIVERED)
    assert goes == [("pacs", "1.2.3.1", "1.2.3.1", 5)]
    assert await bench.service.drain(1.0)

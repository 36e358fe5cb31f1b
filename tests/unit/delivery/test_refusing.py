"""A destination that refuses one object after the other is left alone; single refusals are those objects' own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random

import pytest
from structlog.testing import capture_logs

from gateway.delivery.refusals import RefusalCount
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome, Refused
from gateway.model.peer import Retry
from gateway.ports.destination import Outbound
from gateway.sending.store_outcome import HAS_IT_ALREADY, outcome_of
from tests.support.fakes.delivery import peer, reload, table
from tests.support.fakes.handed_leases import HandedLeases
from tests.support.fakes.memory_journal import CT, MR, MemoryJournal, real_clock
from tests.support.samples import Clock
from tests.unit.delivery.conftest import Bench

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
SLOW_RETRY = Retry(first_delay_s=600.0, jitter=0.0)
REFUSED = outcome_of(0xC000, "DOE^JOHN is unknown")


def add_study(journal: MemoryJournal, study: str, count: int) -> list[int]:
    """Deliveries of objects of one study."""
    return journal.add_many(count, study_instance_uid=study)


def has_sent_more_than(bench: Bench, number: int) -> bool:
    """And has nothing in hand."""
    return len(bench.to().sent) > number and not bench.journal.leased()


async def test_it_is_down_with_the_reason_reported_once_and_nothing_more_dies(bench: Bench) -> None:
    async def refuse(outbound: Outbound) -> Outcome:
        return REFUSED

    bench.to().behave = refuse
    bench.journal.add_many(100)
    there = peer(retry=SLOW_RETRY)
    with capture_logs() as logs:
        await bench.start(there)
        await bench.journal.until(lambda: len(bench.to().sent) >= 10 and not bench.journal.leased())
        for _ in range(3):  # an operator reloads: one try each time
            sent = len(bench.to().sent)
            await reload(bench.service, table(there))
            await bench.journal.until(partial(has_sent_more_than, bench, sent))
    states = bench.journal.states()
    assert (states.count(DEAD), states.count(PENDING)) == (9, 91)
    assert len(bench.to().sent) == 13
    assert [line["event"] for line in logs].count("delivery_dead_lettered") == 9
    told = [line for line in logs if line["event"] == "destination_refused"]
    assert [line["log_level"] for line in told] == ["error", "info", "info", "info"]
    (status,) = bench.service.status()
    assert status.is_up is False
    assert "objects in a row: 0xC000 Error: Cannot Understand" in status.reason
    assert bench.meter.values["gateway_destination_up", "pacs"] == 0
    assert "DOE" not in repr(logs) + repr(status)


async def test_what_waited_is_delivered_when_it_is_mended(bench: Bench) -> None:
    is_mended = False

    async def refuse(outbound: Outbound) -> Outcome:
        return Delivered() if is_mended else REFUSED

    bench.to().behave = refuse
    bench.journal.add_many(50)
    there = peer(retry=Retry(first_delay_s=0.01, max_delay_s=0.01, jitter=0.0))
    await bench.start(there)
    await bench.journal.until(lambda: len(bench.to().sent) >= 15)
    is_mended = True
    await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states().count(DEAD) == 9
    assert bench.meter.values["gateway_destination_up", "pacs"] == 1


@pytest.mark.parametrize("number", [40, 6000])
async def test_another_study_is_tried_first(bench: Bench, number: int) -> None:
    """The objects may be at fault: they do not stop what others sent."""
    bad: set[str] = set()

    async def refuse_bad(outbound: Outbound) -> Outcome:
        return REFUSED if outbound.sop_instance_uid in bad else Delivered()

    bench.to().behave = refuse_bad
    bad.update(f"1.2.3.{number}" for number in add_study(bench.journal, "1.9", number))
    good = add_study(bench.journal, "1.8", 5)
    there = peer(retry=SLOW_RETRY)
    await bench.start(there)
    await bench.journal.until(lambda: len(bench.to().sent) >= 10 and not bench.journal.leased())
    await reload(bench.service, table(there))
    await bench.journal.until(lambda: len(bench.to().sent) > 10)
    assert bench.to().sent[10] == f"1.2.3.{good[0]}"


async def test_what_it_refuses_waits_while_it_takes_others(bench: Bench) -> None:
    """No further object of the study becomes a dead letter, and no other waits for it."""
    bad: set[str] = set()
    is_mended = False

    async def refuse_bad(outbound: Outbound) -> Outcome:
        return REFUSED if outbound.sop_instance_uid in bad and not is_mended else Delivered()

    bench.to().behave = refuse_bad
    bad.update(f"1.2.3.{number}" for number in add_study(bench.journal, "1.9", 100))
    good = add_study(bench.journal, "1.8", 200)
    with capture_logs() as logs:
        await bench.start(peer(retry=Retry(first_delay_s=0.05, max_delay_s=0.05, jitter=0.0)))
        await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == len(good))
        later = add_study(bench.journal, "1.7", 3)
        await bench.journal.until(lambda: all(bench.journal.rows[each].state is DELIVERED for each in later))
        states = [bench.journal.rows[number].state for number in range(1, 101)]
        assert (states.count(DEAD), states.count(PENDING)) == (9, 91)
        (status,) = bench.service.status()
        assert status.is_up is True
        assert "1 studies or kinds that it refuses waits: 0xC000 Error: Cannot Understand" in status.reason
        assert bench.meter.values["gateway_destination_left_out", "pacs"] == 1
        is_mended = True
        await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states().count(DEAD) == 9
    (status,) = bench.service.status()
    assert status.reason == ""
    assert bench.meter.values["gateway_destination_left_out", "pacs"] == 0
    events = [line["event"] for line in logs]
    assert events.count("destination_refused") == events.count("deliveries_left_out") == 1
    assert events.count("deliveries_resumed") == 1
    assert "DOE" not in repr(logs) + repr(status)


@pytest.mark.campaign
async def test_every_study_gets_its_turn_however_many_are_refused(bench: Bench) -> None:
    """A destination that was mended but for most of what waits first: the one study that it takes is found."""
    good: set[str] = set()

    async def refuse_all_but_good(outbound: Outbound) -> Outcome:
        return Delivered() if outbound.sop_instance_uid in good else REFUSED

    bench.to().behave = refuse_all_but_good
    for study in range(300):
        add_study(bench.journal, f"1.9.{study}", 2)
    (last,) = add_study(bench.journal, "1.8", 1)
    good.add(f"1.2.3.{last}")
    await bench.start(peer(retry=Retry(first_delay_s=0.001, max_delay_s=0.001, jitter=0.0)))
    await bench.journal.until(lambda: bench.journal.rows[last].state is DELIVERED)
    assert len(bench.to().sent) <= 2 * 301


async def test_what_is_left_out_is_given_up_for_its_age_at_last() -> None:
    clock = Clock()
    bench, bad = Bench(MemoryJournal(clock), clock), set[str]()

    async def refuse_bad(outbound: Outbound) -> Outcome:
        return REFUSED if outbound.sop_instance_uid in bad else Delivered()

    bench.to().behave = refuse_bad
    bad.update(f"1.2.3.{number}" for number in add_study(bench.journal, "1.9", 40))
    add_study(bench.journal, "1.8", 5)
    await bench.start(peer(retry=Retry(first_delay_s=0.05, max_delay_s=0.05, jitter=0.0, give_up_after_s=3600.0)))
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 5)
    clock.advance(3600.0)
    await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states().count(DEAD) == 40
    assert bench.journal.states().count(DELIVERED) == 5
    assert await bench.service.drain(1.0)


# --- no presentation context ----------------------------------------------------------------------------------------

OWN = Refused("pacs accepted no presentation context for MR", is_about_form=True, is_without_context=True)
NOTHING = replace(OWN, is_nothing_accepted=True)


async def test_one_that_accepts_nothing_is_down_at_last_and_reported_once(bench: Bench) -> None:
    async def refuse(outbound: Outbound) -> Outcome:
        return NOTHING

    bench.to().behave = refuse
    bench.journal.add_many(100)
    there = peer(retry=SLOW_RETRY)
    with capture_logs() as logs:
        await bench.start(there)
        await bench.journal.until(lambda: len(bench.to().sent) >= 10 and not bench.journal.leased())
        await reload(bench.service, table(there))
        await bench.journal.until(partial(has_sent_more_than, bench, 10))
    states = bench.journal.states()
    assert (states.count(DEAD), states.count(PENDING)) == (9, 91)
    told = [line["log_level"] for line in logs if line["event"] == "destination_refused"]
    assert told == ["error", "info"]
    (status,) = bench.service.status()
    assert (status.is_up, "objects in a row: pacs accepted no presentation context" in status.reason) == (
        False,
        True,
    )


async def test_a_kind_that_it_never_took_beside_others_is_that_objects_fault(bench: Bench) -> None:
    async def take_ct(outbound: Outbound) -> Outcome:
        return Delivered() if outbound.sop_class_uid == CT else OWN

    bench.to().behave = take_ct
    bench.journal.add()
    bench.journal.add_many(30, sop_class_uid=MR)
    await bench.start(peer(retry=SLOW_RETRY))
    await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states().count(DEAD) == 30
    (status,) = bench.service.status()
    assert status.is_up is True


@pytest.mark.parametrize("refused", [OWN, NOTHING], ids=["beside others", "nothing at all"])
async def test_a_kind_that_it_took_before_is_never_a_dead_letter(bench: Bench, refused: Refused) -> None:
    takes = True

    async def behave(outbound: Outbound) -> Outcome:
        return Delivered() if takes else refused

    bench.to().behave = behave
    bench.journal.add()
    there = peer(retry=SLOW_RETRY)
    await bench.start(there)
    await bench.journal.until_all(DELIVERED)
    takes = False
    bench.journal.add_many(40)
    await bench.journal.until(lambda: len(bench.to().sent) == 11 and not bench.journal.leased())
    assert bench.journal.states().count(PENDING) == 40
    (status,) = bench.service.status()
    assert status.is_up is False
    takes = True
    for row in bench.journal.store.rows.values():
        row.change(due_at=row.delivery.created_at)
    await reload(bench.service, table(there))
    await bench.journal.until_all(DELIVERED)


async def test_another_kind_is_tried_of_one_that_takes_no_context(bench: Bench) -> None:
    """However many studies of the first kind there are."""

    async def take_ct(outbound: Outbound) -> Outcome:
        return Delivered() if outbound.sop_class_uid == CT else NOTHING

    bench.to().behave = take_ct
    for study in range(300):
        bench.journal.add(sop_class_uid=MR, study_instance_uid=f"1.9.{study}")
    good = bench.journal.add_many(50)
    there = peer(retry=SLOW_RETRY)
    await bench.start(there)
    await bench.journal.until(lambda: len(bench.to().sent) == 10 and not bench.journal.leased())
    await reload(bench.service, table(there))
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == len(good))
    assert bench.journal.states().count(DEAD) == 9
    assert len(bench.to().sent) == 10 + len(good)


@pytest.mark.parametrize(
    ("between", "most", "dead"),
    [
        (Delivered(), 10, 36),
        (outcome_of(0xA900), 10, 40),
        (REFUSED, 0, 40),
        (REFUSED, 40, 39),
    ],
    ids=["a success", "another refusal", "any number", "one too few"],
)
async def test_what_is_no_row_of_refusals(bench: Bench, between: Outcome, most: int, dead: int) -> None:
    async def behave(outbound: Outbound) -> Outcome:
        return REFUSED if len(bench.to().sent) % 9 else between

    bench.to().behave = behave
    bench.journal.add_many(40)
    await bench.start(peer(retry=SLOW_RETRY, most_refusals=most))
    await bench.journal.until(lambda: len(bench.to().sent) == 40 and not bench.journal.leased())
    assert bench.journal.states().count(DEAD) == dead


async def test_a_deferral_does_not_end_the_row(bench: Bench) -> None:
    async def behave(outbound: Outbound) -> Outcome:
        return Deferred("0xA700 Refused: Out of Resources") if len(bench.to().sent) == 5 else REFUSED

    bench.to().behave = behave
    bench.journal.add_many(40)
    await bench.start(peer(retry=SLOW_RETRY))
    await bench.journal.until(lambda: len(bench.to().sent) == 11 and not bench.journal.leased())
    assert bench.journal.states().count(DEAD) == 9


async def test_what_the_destination_has_already_is_delivered_with_a_note(bench: Bench) -> None:
    async def answer(outbound: Outbound) -> Outcome:
        return HAS_IT_ALREADY

    bench.to().behave = answer
    bench.journal.add()
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    (settlement,) = bench.journal.settlements
    assert (settlement.status, settlement.reason) == (
        0x0111,
        "0x0111 Duplicate SOP Instance: the destination has it already",
    )


# --- going on at another node ----------------------------------------------------------------------------------------


async def test_another_node_goes_on_with_the_refusals_of_a_destination_that_is_left_alone(bench: Bench) -> None:
    async def refuse(outbound: Outbound) -> Outcome:
        return REFUSED

    bench.to().behave = refuse
    bench.journal.add_many(20)
    await bench.start(peer(retry=SLOW_RETRY))
    await bench.journal.until(lambda: len(bench.to().sent) >= 10 and not bench.journal.leased())
    standing = bench.service._standings()["pacs"]
    leases = HandedLeases("pacs")
    leases.standings["pacs"] = standing
    other = Bench(bench.journal, real_clock, leases=leases)
    other.to().behave = refuse
    await bench.service.drain(1.0)
    await other.start(peer(retry=SLOW_RETRY))
    await bench.journal.until(lambda: len(other.to().sent) == 1 and not bench.journal.leased())
    assert bench.journal.states().count(DEAD) == 9, "what it refuses still is no dead letter"
    await other.service.drain(1.0)


async def test_refusals_as_text_are_the_same_refusals() -> None:
    there = RefusalCount(Random(1))
    assert there.as_text() == ""
    journal = MemoryJournal(real_clock)
    for number in range(3):
        add_study(journal, f"1.{number}", 1)
    deliveries = await journal.claim("pacs", 3, 60.0)
    for each in deliveries[:2]:
        there.add(each, 0xC000, 2, "no")
    there.refused_again("no", SLOW_RETRY, 0.0)
    here = RefusalCount(Random(1))
    here.go_on(there.as_text())
    assert here.as_text() == there.as_text()
    assert (here.is_held, here.row()) == (True, there.row())
    here.taken(deliveries[2], SLOW_RETRY, lambda: 0.0)
    assert (here.number_left_out, here.why_left_out.rpartition(": ")[2]) == (2, "no")
    assert [here.is_left_out(each) for each in deliveries] == [True, True, False]
    here.go_on("")
    assert here.number_left_out == 2


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "7",
        "{}",
        "[]",
        '[1, 2, "no", true, [], [], 0, "more"]',
        '[[1], 2, "no", true, [], [], 0]',
        '[1, 2, "no", 1, [], [], 0]',
        '[1, 2, "no", true, [7], [], 0]',
        '[1, 2, "no", true, [], [[1, 2, 3]], 0]',
        '[1, 2, "no", true, [], [["1", 2]], 0]',
        '[1, 2, "no", true, [], [], null]',
    ],
)
async def test_refusals_that_another_version_wrote_are_refused_and_change_nothing(text: str) -> None:
    here = RefusalCount(Random(1))
    with pytest.raises(ValueError, match=r"."):
        here.go_on(text)
    assert here.as_text() == ""

"""The log says why a delivery is a dead letter, and quotes neither the object nor the peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.delivery.outcome_handler import NOT_MADE
from gateway.destinations.folder import NO_FILE
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome, Refused
from gateway.model.peer import Retry
from gateway.ports.destination import Outbound
from gateway.ports.errors import ConfigurationError, PayloadLost, Refusal, Unreadable
from gateway.sending.store_outcome import outcome_of
from tests.support.fakes.delivery import peer
from tests.support.fakes.memory_journal import MemoryJournal
from tests.support.samples import Clock
from tests.unit.delivery.conftest import Bench

DOE = "DOE^JANE"
DEAD = DeliveryState.DEAD


async def dead_letter(bench: Bench, behave: Callable[[], Outcome]) -> dict[str, Any]:
    async def answer(outbound: Outbound) -> Outcome:
        return behave()

    bench.to().behave = answer
    bench.journal.add()
    with capture_logs() as written:
        await bench.start(peer())
        await bench.journal.until_all(DEAD)
        await bench.service.drain(60.0)
    assert DOE not in repr(written)
    (line,) = [line for line in written if line["event"] == "delivery_dead_lettered"]
    assert (line["sop_instance_uid"], line["study_instance_uid"], line["destination"]) == ("1.2.3.1", "1.2", "pacs")
    return dict(line)


def raising(error: Exception) -> Callable[[], Outcome]:
    def behave() -> Outcome:
        raise error

    return behave


@pytest.mark.parametrize(
    ("behave", "kind", "status", "reason"),
    [
        pytest.param(
            lambda: outcome_of(0xA900, f"what {DOE} has is no CT"),
            "status",
            "0xA900",
            "0xA900 Error: Data Set Does Not Match SOP Class",
            id="a status with a comment",
        ),
        pytest.param(
            lambda: outcome_of(0x0124), "status", "0x0124", "0x0124 Refused: Not Authorized", id="a status alone"
        ),
        pytest.param(
            lambda: Refused("pacs accepted no presentation context for CT", kind="presentation_context"),
            "presentation_context",
            None,
            "pacs accepted no presentation context for CT",
            id="no presentation context",
        ),
        pytest.param(raising(Refusal(f"{DOE!r} is no number")), "action", None, NOT_MADE, id="an action"),
        pytest.param(
            raising(Unreadable("the data set ends at byte 7")),
            "action",
            None,
            "the data set ends at byte 7",
            id="cannot be read",
        ),
        pytest.param(
            raising(ConfigurationError("no key north")), "configuration", None, "no key north", id="a key is gone"
        ),
        pytest.param(raising(PayloadLost("changed")), "payload_lost", None, "changed", id="lost"),
        pytest.param(
            lambda: Refused(f"/{DOE}/1.dcm is there", log_reason=NO_FILE, kind="file"),
            "file",
            None,
            NO_FILE,
            id="a file",
        ),
    ],
)
async def test_the_reason_stands_in_the_log(
    bench: Bench, behave: Callable[[], Outcome], kind: str, status: str | None, reason: str
) -> None:
    line = await dead_letter(bench, behave)
    assert (line["result"], line["kind"], line["status"], line["reason"]) == ("refused", kind, status, reason)
    assert line["tries"] == 1


async def test_what_was_given_up_says_why_it_was_not_taken_and_nothing_that_the_peer_said() -> None:
    clock = Clock()
    journal = MemoryJournal(clock)
    bench = Bench(journal, clock)

    async def never(outbound: Outbound) -> Outcome:
        clock.advance(300)
        return outcome_of(0xA700, f"no room for {DOE}")

    bench.to().behave = never
    journal.add(age_s=86400.0 - 200.0)
    with capture_logs() as written:
        await bench.start(peer(retry=Retry(first_delay_s=0.05, give_up_after_s=86400.0, jitter=0.0)))
        await journal.until_all(DEAD)
        await bench.service.drain(60.0)
    assert DOE not in repr(written)
    assert DOE in journal.rows[1].reason  # `--show-values` shows it
    (line,) = [line for line in written if line["event"] == "delivery_dead_lettered"]
    assert (line["result"], line["kind"]) == ("expired", "expired")
    assert line["reason"] == "given up after 86500 s: 0xA700 Refused: Out of Resources"


async def test_refusals_in_a_row_that_became_too_old_quote_nothing() -> None:
    """They wait like what was deferred, and are given up like it."""
    clock = Clock()
    journal = MemoryJournal(clock)
    bench = Bench(journal, clock)

    async def never(outbound: Outbound) -> Outcome:
        clock.advance(300)
        return outcome_of(0xA900, f"not {DOE}")

    bench.to().behave = never
    journal.add(age_s=86400.0 - 200.0)
    with capture_logs() as written:
        await bench.start(peer(retry=Retry(first_delay_s=0.05, give_up_after_s=86400.0, jitter=0.0), most_refusals=1))
        await journal.until_all(DEAD)
        await bench.service.drain(60.0)
    assert DOE not in repr(written)
    (line,) = [line for line in written if line["event"] == "delivery_dead_lettered"]
    assert line["reason"] == "given up after 86500 s: 0xA900 Error: Data Set Does Not Match SOP Class"


async def test_what_is_set_aside_says_what_happened(bench: Bench) -> None:
    async def over_one(outbound: Outbound) -> Outcome:
        if outbound.sop_instance_uid != "1.2.3.1":
            return Delivered()
        return Deferred(f"aborted: {DOE}", is_over_object=True, log_reason="aborted")

    bench.to().behave = over_one
    bench.journal.add_many(2)
    with capture_logs() as written:
        await bench.start(peer())
        await bench.journal.until(lambda: bench.journal.rows[1].attempts > 0)
        while bench.journal.rows[1].state is not DEAD:
            attempts = bench.journal.rows[1].attempts
            bench.journal.add()
            await bench.journal.until(
                lambda seen=attempts: (  # type: ignore[misc]
                    bench.journal.rows[1].attempts > seen or bench.journal.rows[1].state is DEAD
                )
            )
        await bench.service.drain(60.0)
    assert DOE not in repr(written)
    (line,) = [line for line in written if line["event"] == "delivery_dead_lettered"]
    assert line["kind"] == "set_aside"
    assert line["reason"].startswith("set aside after ")
    assert line["reason"].endswith("took others: aborted")

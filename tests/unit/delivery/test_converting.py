"""Objects that are changed as a whole on their way out: by an action, or because the peer refuses them as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random

import pytest
from structlog.testing import capture_logs

from gateway.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from gateway.dataset.reencode import reencode
from gateway.delivery.service import DeliveryService
from gateway.delivery.transform import outbound_for
from gateway.model.delivery import Deferred, Delivered, Delivery, DeliveryState, Outcome, Refused
from gateway.ports.converter import Converted
from gateway.ports.destination import Outbound
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import Refusal, Temporary
from gateway.ports.kinds import Conversion
from gateway.ports.meter import NoMeter
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.stored_actions import canonical_json
from gateway.sending.store_outcome import outcome_of
from tests.support.data_set_writer import Write
from tests.support.fakes.delivery import Behaviour, ScriptedDestination, peer, table
from tests.support.fakes.memory_journal import CT, EXPLICIT, IMPLICIT, Body, MemoryJournal, real_clock

RLE, JPEG_LS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"
WRITE = Write(IMPLICIT_LITTLE)
DATA = (
    WRITE.element("SOPClassUID", "UI", CT)
    + WRITE.element("SOPInstanceUID", "UI", "1.2.3.1")
    + WRITE.element("InstitutionName", "LO", "North")
    + WRITE.element("StudyInstanceUID", "UI", "1.2")
)


@dataclass
class Workshop:
    """Re-encodes to explicit, pretends for the rest; refuses and fails on demand."""

    refuses: dict[str, Exception] = field(default_factory=dict)
    new_uid: str = ""
    asked: list[tuple[str, Conversion]] = field(default_factory=list)
    made: list[Body] = field(default_factory=list)

    async def convert(self, body: EncodedDataSet, transfer_syntax_uid: str, conversion: Conversion) -> Converted:
        self.asked.append((transfer_syntax_uid, conversion))
        to = conversion.settings["to"]
        assert isinstance(to, list)
        await asyncio.sleep(0)
        if to[0] in self.refuses:
            raise self.refuses[to[0]]
        encodings = {IMPLICIT: IMPLICIT_LITTLE}
        source = encodings.get(transfer_syntax_uid, EXPLICIT_LITTLE)
        data = b"".join(reencode(body.view(), source, encodings.get(to[0], EXPLICIT_LITTLE)))
        self.made.append(Body(data))
        return Converted(self.made[-1], to[0], self.new_uid)


def delivery(*actions: dict[str, object], transfer_syntax_uid: str = IMPLICIT) -> Delivery:
    journal = MemoryJournal()
    number = journal.add(
        data=DATA,
        transfer_syntax_uid=transfer_syntax_uid,
        actions_json=canonical_json(list(actions)) if actions else "",
    )
    return journal.rows[number]


def transcode(*to: str) -> dict[str, object]:
    return {"transcode": {"to": list(to)}}


# --- actions ---


async def test_an_object_in_one_of_the_syntaxes_is_left_alone() -> None:
    body, workshop = Body(DATA), Workshop()
    outbound = await outbound_for(delivery(transcode(EXPLICIT, IMPLICIT)), body, converter=workshop)
    assert outbound.body is body
    assert workshop.asked == []


async def test_a_converted_object_says_what_it_is_and_lets_go_of_the_stored_one() -> None:
    body, workshop = Body(DATA), Workshop(new_uid="2.25.1")
    outbound = await outbound_for(delivery(transcode(EXPLICIT)), body, converter=workshop)
    assert workshop.asked == [(IMPLICIT, Conversion("transcode", {"to": [EXPLICIT]}))]
    assert (outbound.transfer_syntax_uid, outbound.sop_instance_uid) == (EXPLICIT, "2.25.1")
    assert bytes(outbound.body.view()) == b"".join(reencode(memoryview(DATA), IMPLICIT_LITTLE, EXPLICIT_LITTLE))
    assert outbound.facts.values(parse("InstitutionName")) == ("North",)
    assert (outbound.facts.transfer_syntax_uid, outbound.facts.sop_instance_uid) == (EXPLICIT, "2.25.1")
    assert body.is_closed
    assert not workshop.made[0].is_closed
    outbound.body.close()
    assert workshop.made[0].is_closed


async def test_actions_are_done_in_order() -> None:
    """Edits before a conversion are in what is converted, those behind it see and change what came of it."""
    workshop = Workshop(new_uid="2.25.1")
    actions: list[dict[str, object]] = [
        {"set": {"InstitutionName": "South"}},
        {"set": {"StationName": "{{ InstitutionName }}"}},
        transcode(EXPLICIT),
        {"set": {"StudyID": "{{ SOPInstanceUID }}", "StationName": "{{ StationName }} 2"}},
        transcode(RLE),
    ]
    outbound = await outbound_for(delivery(*actions), Body(DATA), converter=workshop)
    assert [source for source, _ in workshop.asked] == [IMPLICIT, EXPLICIT]
    assert b"South" in workshop.made[0].data
    assert outbound.transfer_syntax_uid == RLE
    for keyword, value in (("StationName", "South 2"), ("InstitutionName", "South"), ("StudyID", "1.2.3.1")):
        assert outbound.facts.values(parse(keyword)) == (value,)


async def test_edits_before_an_action_that_does_nothing_are_kept() -> None:
    actions: list[dict[str, object]] = [{"set": {"StudyID": "1"}}, transcode(IMPLICIT), {"set": {"StationName": "2"}}]
    outbound = await outbound_for(delivery(*actions), Body(DATA), converter=Workshop())
    assert (outbound.facts.values(parse("StudyID")), outbound.facts.values(parse("StationName"))) == (("1",), ("2",))


@pytest.mark.parametrize("error", [Refusal("no codec"), Temporary("later")])
async def test_what_cannot_be_converted_does_not_go_out(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        await outbound_for(delivery(transcode(RLE)), Body(DATA), converter=Workshop(refuses={RLE: error}))


async def test_what_may_stay_as_it_is_goes_on_as_it_is() -> None:
    body, workshop = Body(DATA), Workshop(refuses={RLE: Refusal("no codec"), JPEG_LS: Temporary("later")})
    keep: list[dict[str, object]] = [{"transcode": {"to": [syntax], "otherwise": "keep"}} for syntax in (RLE, JPEG_LS)]
    outbound = await outbound_for(delivery(keep[0]), body, converter=workshop)
    assert (outbound.body, outbound.transfer_syntax_uid, body.is_closed) == (body, IMPLICIT, False)
    with pytest.raises(Temporary):
        await outbound_for(delivery(keep[1]), body, converter=workshop)


async def test_without_worker_processes_it_waits() -> None:
    with pytest.raises(Temporary, match="no worker processes"):
        await outbound_for(delivery(transcode(RLE)), Body(DATA))


# --- fallback ---


@dataclass
class Bench:
    """One peer with a fallback, and what became of one object."""

    workshop: Workshop = field(default_factory=Workshop)
    to: ScriptedDestination = field(default_factory=ScriptedDestination)
    journal: MemoryJournal = field(default_factory=lambda: MemoryJournal(real_clock))
    service: DeliveryService = field(init=False)

    def __post_init__(self) -> None:
        self.service = DeliveryService(
            journal=self.journal,
            open_destination=lambda _: self.to,
            meter=NoMeter(),
            now=real_clock,
            random=Random(1),
            converter=self.workshop,
        )

    async def deliver(self, *fallback: str, until: DeliveryState, transfer_syntax_uid: str = IMPLICIT) -> Delivery:
        number = self.journal.add(data=DATA, transfer_syntax_uid=transfer_syntax_uid)
        await self.service.start(table(peer(fallback=fallback)))
        await self.journal.until_all(until)
        return self.journal.rows[number]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await asyncio.wait_for(made.service.drain(1.0), 60.0)
    assert all(body.is_closed for body in [*made.workshop.made, *made.journal.opened])


DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING


def refusing(*syntaxes: str, outcome: Outcome) -> Behaviour:
    async def behave(outbound: Outbound) -> Outcome:
        return outcome if outbound.transfer_syntax_uid in syntaxes else Delivered()

    return behave


@pytest.mark.parametrize(
    "outcome",
    [
        outcome_of(0x0122),
        outcome_of(0xA900),
        outcome_of(0xC001),
        Refused("no presentation context", is_about_form=True),
    ],
    ids=["0x0122", "0xA900", "0xC001", "no context"],
)
async def test_what_the_peer_refuses_is_sent_in_the_fallback(bench: Bench, outcome: Outcome) -> None:
    bench.to.behave = refusing(IMPLICIT, outcome=outcome)
    await bench.deliver(EXPLICIT, until=DELIVERED)
    assert bench.to.bodies == [DATA, bench.workshop.made[0].data]
    assert bench.workshop.asked == [(IMPLICIT, Conversion("transcode", {"to": [EXPLICIT]}))]


@pytest.mark.parametrize("status", [0x0124, 0x0111, 0x0117])
async def test_a_refusal_of_another_kind_is_final(bench: Bench, status: int) -> None:
    bench.to.behave = refusing(IMPLICIT, outcome=outcome_of(status))
    await bench.deliver(EXPLICIT, until=DEAD)
    assert bench.workshop.asked == []


async def test_without_fallback_it_stays_refused(bench: Bench) -> None:
    bench.to.behave = refusing(IMPLICIT, outcome=outcome_of(0x0122))
    await bench.deliver(until=DEAD)
    assert bench.workshop.asked == []


async def test_what_the_peer_does_not_take_is_not_even_converted(bench: Bench) -> None:
    bench.to.behave = refusing(IMPLICIT, outcome=outcome_of(0x0122))
    bench.to.not_taken = {(CT, RLE)}
    await bench.deliver(RLE, EXPLICIT, until=DELIVERED)
    assert [conversion.settings["to"] for _, conversion in bench.workshop.asked] == [[EXPLICIT]]


async def test_the_next_fallback_is_tried_when_the_codec_cannot_or_the_peer_will_not(bench: Bench) -> None:
    bench.to.behave = refusing(IMPLICIT, JPEG_LS, outcome=outcome_of(0xC000))
    bench.workshop.refuses = {RLE: Refusal("RLELossless: 32 bits")}
    await bench.deliver(RLE, JPEG_LS, EXPLICIT, until=DELIVERED)
    assert len(bench.to.sent) == 3


async def test_when_nothing_works_every_reason_is_reported(bench: Bench) -> None:
    bench.to.behave = refusing(IMPLICIT, EXPLICIT, outcome=outcome_of(0x0122))
    bench.to.not_taken = {(CT, JPEG_LS)}
    bench.workshop.refuses = {RLE: Refusal("RLELossless: 32 bits")}
    dead = await bench.deliver(RLE, JPEG_LS, EXPLICIT, IMPLICIT, until=DEAD)
    status = "0x0122 Refused: SOP Class Not Supported"
    assert dead.reason == f"{status}; RLELossless: 32 bits; JPEGLSLossless is not accepted either; {status}"


async def test_the_log_has_every_reason_and_no_word_of_the_peer_or_of_an_action(bench: Bench) -> None:
    answers = {
        IMPLICIT: Refused("no presentation context", is_about_form=True, kind="presentation_context"),
        EXPLICIT: outcome_of(0xC000, "cannot read DOE^JANE"),
    }

    async def behave(outbound: Outbound) -> Outcome:
        return answers[outbound.transfer_syntax_uid]

    bench.to.behave = behave
    bench.to.not_taken = {(CT, JPEG_LS)}
    bench.workshop.refuses = {RLE: Refusal("DOE^JANE has 32 bits")}
    with capture_logs() as written:
        dead = await bench.deliver(RLE, JPEG_LS, EXPLICIT, until=DEAD)
    assert dead.reason.count("DOE^JANE") == 2
    (line,) = [line for line in written if line["event"] == "delivery_dead_lettered"]
    assert (line["kind"], line["reason"]) == (
        "presentation_context",
        "no presentation context; it cannot be converted to RLELossless; JPEGLSLossless is not accepted either; "
        "0xC000 Error: Cannot Understand",
    )


async def test_conversions_that_cannot_be_made_now_are_made_later(bench: Bench) -> None:
    bench.to.behave = refusing(IMPLICIT, outcome=outcome_of(0x0122))
    bench.workshop.refuses = {EXPLICIT: Temporary("no room for a conversion")}
    delivering = asyncio.create_task(bench.deliver(EXPLICIT, until=DELIVERED))
    while len(bench.workshop.asked) < 2:
        await asyncio.sleep(0.005)
    bench.workshop.refuses = {}
    await asyncio.wait_for(delivering, 60.0)


async def test_a_peer_that_goes_away_meanwhile_gets_the_object_later(bench: Bench) -> None:
    outcomes: list[Outcome] = [outcome_of(0x0122), Deferred("lost"), outcome_of(0x0122), Delivered()]

    async def behave(outbound: Outbound) -> Outcome:
        return outcomes.pop(0)

    bench.to.behave = behave
    await asyncio.wait_for(bench.deliver(EXPLICIT, until=DELIVERED), 60.0)
    assert outcomes == []


async def test_objects_that_are_taken_as_they_are_cost_nothing(bench: Bench) -> None:
    row = await bench.deliver(EXPLICIT, until=DELIVERED)
    assert (row.state, bench.workshop.asked, bench.to.bodies) == (DELIVERED, [], [DATA])

"""C-STORE: what is promised rests on what is on disk; each refusal has its status."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import structlog
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite
from pynetdicom import evt
from structlog.testing import capture_logs

from gateway.common.completion import Completion
from gateway.common.turns import HEAVY_AT_ONCE, aside
from gateway.dataset.encoding import deflate
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import Association
from gateway.dimse.protocol.context import AcceptedContext, as_uid
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.handlers.store import StoreHandler, incoming_of
from gateway.handlers.table import bindings
from gateway.intake.intake import LARGE_BYTES, Intake
from gateway.intake.intake_log import IntakeLog
from gateway.intake.loops import LoopWatch
from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.listener import Listener
from gateway.model.peer import Peer, PeerGroup
from gateway.model.settings import Settings, Spool
from gateway.object_log import EachStudy, ObjectLog
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import (
    ClassMismatch,
    GatewayError,
    NotAllowed,
    Refusal,
    SenderPaused,
    SpoolFull,
    Temporary,
    Unreadable,
)
from gateway.ports.meter import Meter
from gateway.ports.pauses import Pause, PausedNames
from gateway.query.attributes import indexed_paths
from gateway.retrieve.move_rendezvous import IncomingInstance, MoveRendezvous
from gateway.retrieve.retrieve_backends import RetrieveBackends
from gateway.routing.language.kinds import build_actions, build_predicate
from gateway.routing.table import Coercion, Route, RoutingTable
from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.fakes.memory_journal import UNLIMITED_BYTES, MemoryJournal
from tests.support.fakes.meter import MemoryMeter

NOW = datetime(2026, 1, 2, tzinfo=UTC)
UID = "1.2.3.4.5"
STUDY = "1.2.3.1"
FACTS = AssociationFacts("CT1", "GATEWAY", "10.0.0.7", peer="ct1", association_id="a1")
SETTINGS = Settings("GATEWAY", (Listener("a", 1),), Spool("/spool"), "/queue.db")
PACS = Peer("pacs", "PACS", "127.0.0.1", 104)


def nothing_wrong(path: tuple[str | int, ...], code: str, message: str) -> None:
    raise AssertionError((path, code, message))


def route(name: str, when: object, *to: str) -> Route:
    condition = build_predicate(when, nothing_wrong)
    assert condition is not None
    return Route(name, condition, to)


def coercion(when: object, then: list[object]) -> Coercion:
    condition = build_predicate(when, nothing_wrong)
    assert condition is not None
    return Coercion("tag", condition, build_actions(then, nothing_wrong))


def table(**changes: Any) -> RoutingTable:
    made = RoutingTable("1", SETTINGS, (), (route("mr", {"modality": ["MR"]}, "pacs"),), {"pacs": PACS}, {}, "hold")
    return replace(made, **changes)


@dataclass
class FakeAssociation:
    table: RoutingTable
    facts: AssociationFacts = FACTS
    is_over: bool = False


@dataclass
class FakeEvent:
    """The attributes of `gateway.dimse.pynetdicom_contract.event.Event` that the handler reads."""

    association: FakeAssociation
    body: EncodedDataSet
    sop_class_uid: str = MR
    sop_instance_uid: str = UID
    transfer_syntax_uid: str = EXPLICIT
    facts: AssociationFacts = FACTS
    command: Mapping[str, object] = field(default_factory=dict)


@pytest.fixture(autouse=True, params=["in-a-task", "by-completion", "too-large-for-completion", "fails-later"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """How an object is taken in, and what the journal offers."""
    WAY.append(request.param)
    yield request.param
    WAY.pop()


WAY = ["by-completion"]
"""The last one counts; other modules have this one."""


def journal_in_memory(error: GatewayError | None = None) -> MemoryJournal:
    """A journal that offers what `WAY` says; each commit raises `error` when it is given."""
    is_too_large = WAY[-1] == "too-large-for-completion"
    journal = MemoryJournal(lambda: NOW, large_object_bytes=-1 if is_too_large else UNLIMITED_BYTES)
    journal.fails_later = WAY[-1] != "by-completion"
    journal.commit_error = error
    return journal


def store_handler(
    journal: Any, meter: Meter, *, loops: LoopWatch | None = None, objects: ObjectLog | None = None
) -> StoreHandler:
    return StoreHandler(Intake(journal, IntakeLog(meter), lambda: NOW, loops=loops, objects=objects))


async def answer_of(handler: StoreHandler, event: Any) -> int:
    """The status, whichever way it comes: as `WAY` says, also that of large objects. Raises what the handler raises."""
    if WAY[-1] == "in-a-task":
        return await handler._intake.accept(incoming_of(event), event.association.table)
    result = handler(event)
    if not isinstance(result, Completion):
        return result if isinstance(result, int) else await result
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    result.then(lambda status, error: answer.set_exception(error) if error else answer.set_result(status or 0))
    return await answer


class Bench:
    def __init__(
        self,
        table: RoutingTable,
        data: bytes,
        error: GatewayError | None = None,
        objects: ObjectLog | None = None,
        **event: Any,
    ) -> None:
        self.journal = journal_in_memory(error)
        self.meter = MemoryMeter()
        self.handler = store_handler(self.journal, self.meter, objects=objects)
        self.event: Any = FakeEvent(FakeAssociation(table), MemoryDataSet(data), **event)

    async def handle(self) -> int:
        return await answer_of(self.handler, self.event)


async def test_heavy_edits_are_made_aside_and_others_do_not_wait() -> None:
    """Two threads for heavy work are busy; what is light goes on."""
    edits = table(coercions=(coercion({"modality": ["MR"]}, [{"set": {"StationName": "S1"}}]),))
    pixels = b"\xe0\x7f\x10\x00OW\0\0" + LARGE_BYTES.to_bytes(4, "little") + bytes(LARGE_BYTES)
    go_on = threading.Event()
    try:
        busy = [asyncio.create_task(aside(go_on.wait)) for _ in range(HEAVY_AT_ONCE)]
        bench = Bench(edits, data_set(UID) + pixels)
        handling = asyncio.create_task(bench.handle())
        assert await Bench(edits, data_set(UID)).handle() == 0x0000
        assert await Bench(table(), data_set(UID) + pixels).handle() == 0x0000
        assert not handling.done()
    finally:
        go_on.set()
    await asyncio.gather(*busy)
    assert await handling == 0x0000
    ((_instance, payload, _dispatches),) = bench.journal.committed
    assert b"S1" in payload
    assert payload.endswith(pixels)


async def test_others_go_on_while_a_very_fine_grained_object_is_read() -> None:
    """It gives way some hundred times; what comes later is done before it."""
    fine = data_set(UID) + b"\x29\x00\x10\x10LO\0\0" * 300_000
    bench, order = Bench(table(), fine), []

    async def handle(name: str, one: Bench) -> None:
        assert await one.handle() == 0x0000
        order.append(name)

    await asyncio.gather(handle("fine", bench), *(handle("small", Bench(table(), data_set(UID))) for _ in range(20)))
    assert order == ["small"] * 20 + ["fine"]
    assert bench.journal.committed[0][1] == fine


class Over(Association):
    """An association that ended while its object was being read."""

    is_over = True

    def __init__(self, table: RoutingTable) -> None:
        self.facts = AssociationFacts("CALLING", "GATEWAY", "127.0.0.1")
        self.table = table


async def test_an_object_that_nobody_waits_for_is_not_read_on() -> None:
    fine = data_set(UID) + b"\x29\x00\x10\x10LO\0\0" * 300_000
    bench = Bench(table(), fine)
    context = AcceptedContext(1, as_uid(bench.event.sop_class_uid), as_uid(bench.event.transfer_syntax_uid), "store")
    command = {"CommandField": 1, "AffectedSOPClassUID": bench.event.sop_class_uid, "AffectedSOPInstanceUID": UID}
    message = Message(context, command)
    message.body = MemoryDataSet(fine)
    association: Any = Over(bench.event.association.table)
    bench.event = Event(association, evt.EVT_C_STORE, message)
    with pytest.raises(Temporary, match="ended before"):
        await bench.handle()
    assert not bench.journal.committed


async def test_deflated_objects_are_read_side_by_side() -> None:
    """While threads for heavy work are busy, deflated objects are read all the same, and their bytes stay."""
    deflated = "1.2.840.10008.1.2.1.99"
    pixels = b"\xe0\x7f\x10\x00OW\0\0" + (20 << 20).to_bytes(4, "little") + bytes(20 << 20)
    data = deflate([data_set(UID), pixels])
    go_on = threading.Event()
    try:
        busy = [asyncio.create_task(aside(go_on.wait)) for _ in range(HEAVY_AT_ONCE)]
        benches = [Bench(table(), data, transfer_syntax_uid=deflated) for _ in range(4)]
        assert await asyncio.gather(*(bench.handle() for bench in benches)) == [0x0000] * 4
    finally:
        go_on.set()
    await asyncio.gather(*busy)
    assert {bench.journal.committed[0][1] for bench in benches} == {data}


async def test_success_means_committed_with_its_routes() -> None:
    data = data_set(UID)
    bench = Bench(table(), data)
    assert await bench.handle() == 0x0000
    ((instance, payload, dispatches),) = bench.journal.committed
    assert payload == data
    assert dispatches == (Dispatch("mr", "pacs"),)
    assert (instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid) == (MR, UID, EXPLICIT)
    assert (instance.study_instance_uid, instance.series_instance_uid) == ("1.2.3.1", "1.2.3.2")
    assert (instance.association, instance.received_at) == (FACTS, NOW)
    assert not bench.meter.counted


@pytest.mark.parametrize(
    ("rules", "data", "error", "counted"),
    [
        pytest.param({}, data_set(UID), None, {"count": 1, "modality": "MR"}, id="stored"),
        pytest.param({"unmatched": "hold", "routes": ()}, data_set(UID), None, {"count": 1}, id="held"),
        pytest.param({"unmatched": "discard", "routes": ()}, data_set(UID), None, {"dropped": 1}, id="discarded"),
        pytest.param({"unmatched": "reject", "routes": ()}, data_set(UID), None, None, id="no rule wants it"),
        pytest.param({}, data_set("1.1.1"), None, None, id="refused"),
        pytest.param({}, data_set(UID), SpoolFull("no room"), None, id="no room"),
        pytest.param({"unreadable": "hold"}, data_set(UID)[:-5], None, {"count": 1}, id="unreadable and held"),
    ],
)
async def test_what_is_acknowledged_is_counted_for_the_log(
    rules: dict[str, Any], data: bytes, error: GatewayError | None, counted: dict[str, Any] | None
) -> None:
    objects = EachStudy()
    bench = Bench(table(**rules), data, error, objects)
    with contextlib.suppress(GatewayError):
        assert await bench.handle() == 0x0000
    with structlog.testing.capture_logs() as told:
        objects.association_ended(FACTS)
    lines = [{name: line[name] for name in ("count", "dropped", "modality") if line.get(name)} for line in told]
    assert lines == ([] if counted is None else [counted])
    if counted is not None:
        assert told[0]["association"] == "a1"
        assert told[0]["bytes"] == len(data) * counted.get("count", 0)


async def test_an_object_whose_association_ended_before_its_answer_is_counted_as_unanswered() -> None:
    objects = EachStudy()
    bench = Bench(table(), data_set(UID), objects=objects)
    bench.event.association = Over(bench.event.association.table)
    assert await bench.handle() == 0x0000
    with structlog.testing.capture_logs() as told:
        objects.close()
    assert [(line["count"], line["unanswered"]) for line in told] == [(1, 1)]


async def test_coercions_edit_what_is_kept() -> None:
    tagged = coercion({"calling_ae_title": ["CT1"]}, [{"set": {"SOPInstanceUID": "9.8.7", "InstitutionName": "North"}}])
    data = data_set(UID)
    bench = Bench(table(coercions=(tagged,)), data)
    assert await bench.handle() == 0x0000
    ((instance, payload, _),) = bench.journal.committed
    assert instance.sop_instance_uid == "9.8.7"
    assert b"North" in payload
    assert payload.endswith(data[-1000:])
    assert len(payload) != len(data)


async def test_without_a_local_index_nothing_is_read_for_one() -> None:
    bench = Bench(table(), data_set(UID))
    assert await bench.handle() == 0x0000
    assert bench.journal.committed[0][0].index is None


async def test_the_local_index_gets_what_is_kept() -> None:
    tagged = coercion({"calling_ae_title": ["CT1"]}, [{"set": {"PatientID": "NORTH-1"}}])
    for coercions, patient_id in (((), None), ((tagged,), "NORTH-1")):
        bench = Bench(table(indexed=indexed_paths(), coercions=coercions), data_set(UID))
        assert await bench.handle() == 0x0000
        index = bench.journal.committed[0][0].index
        assert index is not None
        patient = json.loads(index.patient)
        assert (patient["00100010"], patient.get("00100020")) == ("Nobody^At^All", patient_id)
        assert json.loads(index.series) == {"00080060": "MR", "0020000E": "1.2.3.2"}


@pytest.mark.parametrize("unmatched", ["hold", "reject", "discard"])
async def test_unmatched(unmatched: Any) -> None:
    bench = Bench(table(unmatched=unmatched), data_set(UID, modality="CT"))
    if unmatched == "reject":
        with pytest.raises(NotAllowed) as raised:
            await bench.handle()
        assert raised.value.dimse_status == 0x0124
    else:
        assert await bench.handle() == 0x0000
    held = [dispatches for _, _, dispatches in bench.journal.committed]
    assert held == (
        [(Dispatch("unmatched", "", "", DeliveryState.HELD, reason="no route wants it"),)]
        if unmatched == "hold"
        else []
    )
    assert bench.meter.counted == {("gateway_unmatched_instances_total", "ct1", unmatched): 1}


@pytest.mark.parametrize(("unmatched", "lines"), [("hold", 1), ("discard", 3)])
async def test_lines_of_three_unmatched_instances_of_one_association(unmatched: Any, lines: int) -> None:
    bench = Bench(table(unmatched=unmatched), data_set(UID, modality="CT"))
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            await bench.handle()
    assert [line["event"] for line in told] == ["instance_unmatched"] * lines
    assert {(line["reason"], line["study_instance_uid"], line["sop_instance_uid"]) for line in told} == {
        ("no rule wants this instance", "1.2.3.1", UID)
    }
    assert bench.meter.counted.total() == 3


BROKEN = data_set(UID)[:-5]


def without(keyword: str, value: str | list[str] | None = None) -> bytes:
    """The object without this UID, or with another value of it."""
    image = read_dataset(io.BytesIO(data_set(UID)), is_implicit_VR=False, is_little_endian=True)
    if value is None:
        del image[keyword]
    else:
        setattr(image, keyword, value)
    buffer = io.BytesIO()
    dcmwrite(buffer, image, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("bench", "expected", "status"),
    [
        pytest.param(lambda: Bench(table(), BROKEN), Unreadable, 0xC000, id="ends inside an element"),
        pytest.param(
            lambda: Bench(table(), data_set(UID), sop_class_uid="1.2.840.10008.5.1.4.1.1.2"),
            ClassMismatch,
            0xA900,
            id="another SOP class",
        ),
        pytest.param(lambda: Bench(table(), data_set("1.1.1")), ClassMismatch, 0xA900, id="another SOP instance"),
        pytest.param(
            lambda: Bench(table(), without("SOPInstanceUID", [UID, "1.1.1"])),
            ClassMismatch,
            0xA900,
            id="two SOP instances",
        ),
        pytest.param(lambda: Bench(table(), b""), Unreadable, 0xC000, id="no bytes"),
        pytest.param(lambda: Bench(table(), without("SOPClassUID")), ClassMismatch, 0xA900, id="no SOP class"),
        pytest.param(lambda: Bench(table(), without("SOPInstanceUID")), ClassMismatch, 0xA900, id="no SOP instance"),
        pytest.param(lambda: Bench(table(), without("SOPClassUID", "")), ClassMismatch, 0xA900, id="empty SOP class"),
        pytest.param(
            lambda: Bench(table(), without("SOPInstanceUID", "")), ClassMismatch, 0xA900, id="empty SOP instance"
        ),
        pytest.param(
            lambda: Bench(
                table(coercions=(coercion({"modality": ["MR"]}, [{"set": {"SOPInstanceUID": UID}}]),)),
                without("SOPInstanceUID"),
            ),
            ClassMismatch,
            0xA900,
            id="no SOP instance, but a rule that sets one",
        ),
        pytest.param(
            lambda: Bench(table(unmatched="discard", routes=()), without("SOPInstanceUID")),
            ClassMismatch,
            0xA900,
            id="no SOP instance, and no rule that wants it",
        ),
        pytest.param(lambda: Bench(table(), data_set(UID), SpoolFull("no room")), SpoolFull, 0xA700, id="no room"),
    ],
)
async def test_refusals_have_the_status_of_their_error(bench: Any, expected: type[GatewayError], status: int) -> None:
    made = bench()
    with pytest.raises(expected) as raised:
        await made.handle()
    assert raised.value.dimse_status == status
    assert made.journal.committed == []


async def test_the_log_names_the_object_but_quotes_nothing_of_it() -> None:
    bench = Bench(table(), data_set(UID), Refusal("value 'Nobody^At^All' is not allowed"))
    with structlog.testing.capture_logs() as events, pytest.raises(Refusal):
        await bench.handle()
    (event,) = events
    assert event["event"] == "instance_refused"
    assert (event["sop_instance_uid"], event["status"], event["error"]) == (UID, "0xC000", "Refusal")
    assert "Nobody" not in repr(event)


async def test_the_table_of_the_association_decides() -> None:
    bench = Bench(table(routes=(), unmatched="discard"), data_set(UID))
    assert await bench.handle() == 0x0000
    assert bench.journal.committed == []


def test_every_offered_event_has_one_handler() -> None:
    nobody: Any = None
    bound = bindings(nobody, RetrieveBackends(nobody, nobody, nobody, nobody, nobody, nobody))
    names = [event.name for event, *_ in bound]
    assert names == ["EVT_C_ECHO", "EVT_C_STORE", "EVT_C_FIND", "EVT_C_GET", "EVT_C_MOVE"]


PAUSED = {
    "by its name": ("ct1", True),
    "by its AE title": ("CT1", True),
    "another one": ("pacs", False),
}


@pytest.mark.parametrize("name", PAUSED)
async def test_a_paused_sender_is_refused_until_it_is_resumed(name: str) -> None:
    paused, is_refused = PAUSED[name]
    names, journal = PausedNames(), journal_in_memory()
    handler = StoreHandler(Intake(journal, IntakeLog(MemoryMeter()), lambda: NOW, paused=names))
    pause = Pause("sender", paused, "anna", "it floods", NOW)
    names.follow([pause])
    if is_refused:
        with capture_logs() as lines, pytest.raises(SenderPaused) as refused:
            await answer_of(handler, FakeEvent(FakeAssociation(table()), MemoryDataSet(data_set(UID))))
        assert (refused.value.dimse_status, journal.committed) == (0xA700, [])
        assert [(line["event"], line["error"]) for line in lines] == [("instance_refused", "SenderPaused")]
        names.follow([replace(pause, resumed_at=NOW)])
    assert await answer_of(handler, FakeEvent(FakeAssociation(table()), MemoryDataSet(data_set(UID)))) == 0
    assert len(journal.committed) == 1


async def test_what_is_fetched_from_a_paused_sender_is_kept() -> None:
    """It does not send that: a retrieve asked for it."""
    names, journal = PausedNames(), journal_in_memory()
    names.follow([Pause("sender", "ct1", "anna", "", NOW)])
    intake = Intake(journal, IntakeLog(MemoryMeter()), lambda: NOW, paused=names)
    event: Any = FakeEvent(FakeAssociation(table()), MemoryDataSet(data_set(UID)))
    assert await intake.accept(incoming_of(event)._replace(is_retrieved=True), table()) == 0


class Expecting:
    """A rendezvous whose retrieve takes all."""

    def __init__(self) -> None:
        self.delivered: list[IncomingInstance] = []

    def is_expected(self, sop_instance_uid: str) -> bool:
        return True

    async def deliver(self, incoming: IncomingInstance, take_body: object) -> int | None:
        self.delivered.append(incoming)
        return 0x0000


async def test_a_retrieve_gets_its_instances_also_where_the_rules_have_no_sources() -> None:
    """They were reloaded, or those of this node are not yet."""
    rendezvous, journal = Expecting(), journal_in_memory()
    handler = StoreHandler(Intake(journal, IntakeLog(MemoryMeter()), lambda: NOW), cast(MoveRendezvous, rendezvous))
    event: Any = FakeEvent(FakeAssociation(table()), MemoryDataSet(data_set(UID)))
    event.command, event.take_body = {}, lambda: event.body
    answer = handler(event)
    assert not isinstance(answer, int | Completion)
    assert await answer == 0x0000
    assert journal.committed == []
    (incoming,) = rendezvous.delivered
    assert (incoming.peer, {*incoming.known_peers}) == ("ct1", {"pacs"})


class SecondMembers:
    """Chooses the second member. The store has to be asked for the studies in `unknown`."""

    def __init__(self, *unknown: str, error: Exception | None = None) -> None:
        self.unknown = {*unknown}
        self.error = error
        self.asked: list[str] = []

    def at_once(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...] | None:
        if study_instance_uid in self.unknown:
            return None
        return tuple(
            replace(each, destination=groups[each.group_name].members[1]) for each in dispatches if each.group_name
        )

    async def chosen(
        self, dispatches: Sequence[Dispatch], groups: Mapping[str, PeerGroup], study_instance_uid: str
    ) -> tuple[Dispatch, ...]:
        self.asked.append(study_instance_uid)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.unknown.discard(study_instance_uid)
        return self.at_once(dispatches, groups, study_instance_uid) or ()


BY_GROUP = replace(route("all", {"modality": ["MR"]}, "pacs"), groups=(PeerGroup("readers", ("a", "b"), "balance"),))


async def stored_for(members: SecondMembers, *, is_choosing: bool = True) -> tuple[int, list[tuple[Dispatch, ...]]]:
    """The status of an object, and what it is dispatched to."""
    journal = journal_in_memory()
    intake = Intake(journal, IntakeLog(MemoryMeter()), lambda: NOW, members=members)
    by_name = replace(BY_GROUP, groups=())
    rules = table(routes=(BY_GROUP if is_choosing else by_name,), groups={"readers": BY_GROUP.groups[0]})
    event: Any = FakeEvent(FakeAssociation(rules), MemoryDataSet(data_set(UID)))
    status = await answer_of(StoreHandler(intake), event)
    return status, [dispatches for _, _, dispatches in journal.committed]


async def test_a_dispatch_to_a_group_gets_the_member_that_is_chosen() -> None:
    """The routes name the first one; the delivery service knows better."""
    members = SecondMembers()
    assert await stored_for(members) == (0, [(Dispatch("all", "b", group_name="readers"),)])
    assert await stored_for(members, is_choosing=False) == (0, [(Dispatch("all", "pacs"),)])
    assert members.asked == ([STUDY] if WAY[-1] == "in-a-task" else [])


async def test_an_object_whose_study_has_no_known_member_waits_for_the_store() -> None:
    members = SecondMembers(STUDY)
    assert await stored_for(members) == (0, [(Dispatch("all", "b", group_name="readers"),)])
    assert members.asked == [STUDY]


async def test_an_object_is_refused_while_nobody_knows_where_its_study_is() -> None:
    """Its sender sends it again."""
    with pytest.raises(Temporary):
        await stored_for(SecondMembers(STUDY, error=Temporary("busy")))

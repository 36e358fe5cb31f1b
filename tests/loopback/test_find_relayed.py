"""Queries of other services: passed on to the peers that serve them, answered once a thing, re-encoded where needed."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt

from gateway.dataset.dictionary import tag_of
from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.requestor.query_contexts import query_contexts
from gateway.dimse.requestor.requestor_association import associate
from gateway.dimse.server import Server
from gateway.model.associate import AssociateKeywords
from gateway.model.listener import Limits, Listener
from gateway.model.peer import Peer
from gateway.model.query import Attributes
from gateway.query.identifier import IdentifierEncoder, all_texts, first_text, read_identifier
from gateway.sources.relayed_services import SERVICES
from gateway.sources.sources import MOST_HOPS
from tests.support.dimse.rig import TIMERS
from tests.support.federation import LOOPBACK, Running, Told, answering
from tests.support.identifiers import EXPLICIT, attributes
from tests.support.peers import GatewayProcess, run
from tests.support.processes import Daemon, free_port, is_listening, program

IMPLICIT = "1.2.840.10008.1.2"
WORKLIST = "1.2.840.10008.5.1.4.31"


@dataclass
class Servant:
    """Answers every C-FIND with the same."""

    name: str
    answers: Sequence[Mapping[str, Any]]
    status: int = 0
    syntaxes: tuple[str, ...] = ()
    character_set: str = ""
    asked: list[Attributes] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def peer(self) -> Peer:
        return Peer(self.name, self.name.upper(), LOOPBACK, self.port, timers=TIMERS)

    async def answer(self, event: Event) -> AsyncIterator[Any]:
        self.asked.append(read_identifier(event.encoded_identifier, event.transfer_syntax_uid))
        self.raw.append(event.encoded_identifier)
        encode = IdentifierEncoder(event.transfer_syntax_uid, (self.character_set,) if self.character_set else ())
        for each in self.answers:
            yield 0xFF00, encode(attributes(**each))
        if self.status:
            yield self.status, None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Servant]:
        asker = Peer("gateway", may=frozenset({"find"}), accept_transfer_syntaxes=self.syntaxes)
        server = Server(
            handlers=[(evt.EVT_C_FIND, self.answer)],
            admission=lambda facts: Admitted(asker),
            ae_title=self.name.upper(),
            timers=TIMERS,
            limits=Limits(),
        )
        self.port = await server.listen(Listener("main", 0, LOOPBACK))
        try:
            yield self
        finally:
            server.abort_all()
            await server.drain(5.0)


async def before(
    stack: AsyncExitStack, folder: Path, service: str, *servers: Servant | Peer, **settings: Any
) -> Running:
    for server in servers:
        if isinstance(server, Servant):
            await stack.enter_async_context(server.running())
    peers = [server.peer if isinstance(server, Servant) else server for server in servers]
    relay = {service: tuple(peer.name for peer in peers)}
    gateway = answering(folder, *peers, sources=(), relay=relay, **settings)
    return await stack.enter_async_context(gateway)


async def asking(
    port: int, sop_class_uid: str, *, syntax: str = EXPLICIT, hops: int = 0, charset: str = "", **keywords: Any
) -> Told:
    associated = AssociateKeywords(hops=hops)
    gateway = Peer("gateway", "GATEWAY", LOOPBACK, port, timers=TIMERS, associate=associated)
    (context,) = query_contexts(gateway, [sop_class_uid])
    contexts = [dataclasses.replace(context, transfer_syntaxes=(syntax,))]
    association = await associate(gateway, own_ae_title="VIEWER", contexts=contexts)
    encode = IdentifierEncoder(syntax, (charset,) if charset else (), is_always_declared=True)
    try:
        sent = encode(attributes(**keywords))
        async with association.c_find(sent, sop_class_uid=sop_class_uid) as responses:
            *pending, final = [response async for response in responses]
    finally:
        await association.release()
    read = tuple(read_identifier(each.identifier, each.transfer_syntax_uid) for each in pending)
    statuses = frozenset(each.status for each in pending)
    return Told(read, final, statuses, tuple(each.identifier for each in pending))


SOP_CLASSES = [(name, uid) for name, service in SERVICES.items() for uid in service.sop_class_uids]


def thing(number: int) -> dict[str, Any]:
    """A thing that every service has an identity for."""
    return {
        "SOPInstanceUID": f"1.2.{number}",
        "StudyInstanceUID": f"1.2.{number}",
        "PatientName": f"Name^{number}",
        "ScheduledProcedureStepSequence": [{"ScheduledProcedureStepID": f"S{number}"}],
    }


@pytest.mark.parametrize(("service", "uid"), SOP_CLASSES, ids=lambda value: str(value).removeprefix("1.2.840.10008."))
async def test_every_service_is_passed_on(tmp_path: Path, service: str, uid: str) -> None:
    async with AsyncExitStack() as stack:
        one, two = Servant("one", [thing(1), thing(2)]), Servant("two", [thing(2), thing(3)])
        gateway = await before(stack, tmp_path, service, one, two)
        told = await asking(gateway.port, uid, PatientName="Name*", SOPInstanceUID="")
    if SERVICES[service].is_at_most_one:
        assert (told.status, told.answers) == (0xC100, ())
        assert told.final.error_comment == "more than one match found, at one, two"
        return
    assert told.status == 0x0000
    expected = [1, 2, 3] if SERVICES[service].unique else [1, 2, 2, 3]
    assert told.texts("PatientName") == [f"Name^{number}" for number in expected]
    assert one.raw == two.raw


PATIENT_INFORMATION = "1.2.840.10008.5.1.4.37.1"
ONE: dict[str, tuple[list[Sequence[Mapping[str, Any]]], int, list[str]]] = {
    "one has it": ([[thing(1)], []], 0x0000, ["Name^1"]),
    "both say the same": ([[thing(1)], [thing(1)]], 0x0000, ["Name^1"]),
    "they differ": ([[thing(1)], [thing(2)]], 0xC100, []),
    "nobody has it": ([[], []], 0x0000, []),
}


@pytest.mark.parametrize("name", ONE)
async def test_at_most_one_match(tmp_path: Path, name: str) -> None:
    answers, status, names = ONE[name]
    async with AsyncExitStack() as stack:
        servers = [Servant(f"place{number}", said) for number, said in enumerate(answers)]
        gateway = await before(stack, tmp_path, "relevant_patient_information", *servers)
        told = await asking(gateway.port, PATIENT_INFORMATION, PatientID="1")
    assert (told.status, told.texts("PatientName")) == (status, names)


@pytest.mark.parametrize(("partial", "status", "names"), [("fail", 0xC001, []), ("accept", 0x0000, ["Name^1"])])
async def test_at_most_one_match_and_a_server_that_fails(
    tmp_path: Path, partial: str, status: int, names: list[str]
) -> None:
    """It might have had another one."""
    async with AsyncExitStack() as stack:
        gone = Peer("gone", "GONE", LOOPBACK, free_port(), timers=TIMERS)
        servers = (Servant("ris", [thing(1)]), gone)
        gateway = await before(stack, tmp_path, "relevant_patient_information", *servers, partial=partial)
        told = await asking(gateway.port, PATIENT_INFORMATION, PatientID="1")
    assert (told.status, told.texts("PatientName")) == (status, names)
    assert gateway.metric("gateway_find_partial_total") == (partial == "accept")


SHARED: dict[str, tuple[list[Sequence[Mapping[str, Any]]], int]] = {
    "one place, the same twice": ([[thing(1), thing(1)]], 1),
    "one place, two patients": ([[thing(1) | {"PatientID": "A"}, thing(1) | {"PatientID": "B"}]], 2),
    "one place, two records": ([[thing(1), thing(1) | {"AccessionNumber": "2"}]], 2),
    "two places, the same thing": ([[thing(1)], [thing(1) | {"AccessionNumber": "2"}]], 1),
    "two places, two patients": ([[thing(1) | {"PatientID": "A"}], [thing(1) | {"PatientID": "B"}]], 2),
}


@pytest.mark.parametrize("name", SHARED)
async def test_what_has_one_name_is_one_thing_unless_patients_differ(tmp_path: Path, name: str) -> None:
    answers, expected = SHARED[name]
    async with AsyncExitStack() as stack:
        servers = [Servant(f"place{number}", said) for number, said in enumerate(answers)]
        gateway = await before(stack, tmp_path, "worklist", *servers)
        told = await asking(gateway.port, WORKLIST, PatientName="")
    assert (told.status, len(told.answers)) == (0x0000, expected)


async def test_an_answer_that_is_larger_than_is_taken_is_not_left_out_in_silence(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = Servant("ris", [thing(1), thing(2) | {"TextValue": "x" * 5_000_000}])
        gateway = await before(stack, tmp_path, "worklist", server)
        told = await asking(gateway.port, WORKLIST, PatientName="")
    assert (told.status, len(told.answers)) == (0xC001, 1)


async def test_values_that_another_transfer_syntax_cannot_have_are_counted(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = Servant("ris", [thing(1) | {"PatientComments": "x" * 70_000}], syntaxes=(IMPLICIT,))
        gateway = await before(stack, tmp_path, "worklist", server)
        told = await asking(gateway.port, WORKLIST, PatientName="")
        replaced = gateway.metric("gateway_find_values_replaced_total")
    assert (told.status, len(told.answers), replaced) == (0x0000, 1, 1.0)


async def test_what_is_asked_and_answered_goes_on_byte_for_byte(tmp_path: Path) -> None:
    private = {"PatientName": "Name^1", "StudyInstanceUID": "1.2.1"}
    async with AsyncExitStack() as stack:
        server = Servant("ris", [private], character_set="ISO_IR 192")
        gateway = await before(stack, tmp_path, "worklist", server)
        keys: dict[str, Any] = {"PatientName": "Na*", "ScheduledProcedureStepSequence": [{}]}
        told = await asking(gateway.port, WORKLIST, charset="ISO_IR 192", **keys)
    sent = IdentifierEncoder(EXPLICIT, ("ISO_IR 192",), is_always_declared=True)
    assert server.raw == [sent(attributes(**keys))]
    assert told.raw == (IdentifierEncoder(EXPLICIT)(attributes(**private)),)


@pytest.mark.parametrize("text", ["Müller^Jörg", "山田^太郎"])
async def test_another_transfer_syntax_is_translated(tmp_path: Path, text: str) -> None:
    async with AsyncExitStack() as stack:
        server = Servant("ris", [{"PatientName": text}], syntaxes=(IMPLICIT,), character_set="ISO_IR 192")
        gateway = await before(stack, tmp_path, "worklist", server)
        told = await asking(gateway.port, WORKLIST, charset="ISO_IR 100", PatientName="M*")
    assert told.only()[tag_of("PatientName")] == (text,)
    assert all_texts(server.asked[0], tag_of("SpecificCharacterSet")) == ("ISO_IR 100",)
    assert first_text(server.asked[0], tag_of("PatientName")) == "M*"


@pytest.mark.parametrize("partial", ["fail", "accept"])
async def test_a_server_that_fails(tmp_path: Path, partial: str) -> None:
    async with AsyncExitStack() as stack:
        gone = Peer("gone", "GONE", LOOPBACK, free_port(), timers=TIMERS)
        gateway = await before(stack, tmp_path, "worklist", Servant("ris", [thing(1)]), gone, partial=partial)
        told = await asking(gateway.port, WORKLIST, PatientName="")
    assert told.texts("PatientName") == ["Name^1"]
    assert told.status == (0x0000 if partial == "accept" else 0xC001)
    assert gateway.metric("gateway_source_queries_total", source="gone", outcome="failed") == 1


async def test_a_failure_status_is_named(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        gateway = await before(stack, tmp_path, "worklist", Servant("ris", [], status=0xA700))
        told = await asking(gateway.port, WORKLIST, PatientName="")
    assert (told.status, told.final.error_comment) == (0xC001, "incomplete: ris: it answered 0xA700")


REFUSED: dict[str, tuple[str, int, str]] = {
    "nobody serves it": ("1.2.840.10008.5.1.4.38.2", 0, "nobody is asked for this SOP class"),
    "too many gateways": (WORKLIST, MOST_HOPS, "the question came through too many gateways"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_no_source_is_queried(tmp_path: Path, name: str) -> None:
    uid, hops, comment = REFUSED[name]
    async with AsyncExitStack() as stack:
        server = Servant("ris", [thing(1)])
        gateway = await before(stack, tmp_path, "worklist", server)
        told = await asking(gateway.port, uid, PatientName="", hops=hops)
    assert (told.status, told.final.error_comment) == (0x0122, comment)
    assert server.asked == []


async def test_limit_of_relayed_answers(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = Servant("ris", [thing(number) for number in range(10)])
        gateway = await before(stack, tmp_path, "worklist", server, limit=3)
        told = await asking(gateway.port, WORKLIST, PatientName="")
    assert (len(told.answers), told.status) == (3, 0xA700)


async def test_an_identifier_that_cannot_be_read_goes_to_nobody(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = Servant("ris", [thing(1)])
        gateway = await before(stack, tmp_path, "worklist", server)
        peer = Peer("gateway", "GATEWAY", LOOPBACK, gateway.port, timers=TIMERS)
        association = await associate(peer, own_ae_title="VIEWER", contexts=query_contexts(peer, [WORKLIST]))
        async with association.c_find(b"\xff" * 32, sop_class_uid=WORKLIST) as responses:
            final = await responses.final()
        await association.release()
    assert final.status == 0xC000
    assert server.asked == []


async def test_gateway_find_shows_a_worklist(tmp_path: Path) -> None:
    step = {"Modality": "MR", "ScheduledProcedureStepID": "S1", "ScheduledProcedureStepStartDate": "20260102"}
    async with Servant(
        "ris", [{"PatientName": "Roe^Jane", "ScheduledProcedureStepSequence": [step]}]
    ).running() as server:
        place = [f"127.0.0.1:{server.port}", "--called-ae", "RIS", "--model", "worklist"]
        command = [sys.executable, "-m", "gateway", "find", *place]
        finished = await run([*command, "ScheduledProcedureStepSequence[0].Modality=MR", "PatientName=Roe*"])
    assert finished.returncode == 0, finished.output
    heads, row = finished.output.splitlines()[:2]
    assert heads.split()[:2] == ["Modality", "PatientName"]
    assert row.split()[:2] == ["MR", "Roe^Jane"]
    assert {"S1", "20260102"} <= set(row.split())
    asked = server.asked[0]
    assert asked[tag_of("PatientName")] == ("Roe*",)
    (item,) = asked[tag_of("ScheduledProcedureStepSequence")]
    assert item[tag_of("Modality")] == ("MR",)


# --- dcmtk's worklist server and findscu -----------------------------------------------------------------------------

STEP = """\
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [A{number}]
(0010,0010) PN [{name}]
(0010,0020) LO [P{number}]
(0010,0030) DA [19700101]
(0010,0040) CS [F]
(0020,000d) UI [1.2.826.{number}]
(0032,1060) LO [MR KNEE]
(0040,0100) SQ
(fffe,e000) na
(0008,0060) CS [MR]
(0040,0001) AE [MR1]
(0040,0002) DA [20260102]
(0040,0003) TM [1200]
(0040,0009) SH [S{number}]
(fffe,e00d) na
(fffe,e0dd) na
(0040,1001) SH [R{number}]
"""


class WorklistSCP(Daemon):
    """dcmtk's `wlmscpfs` with steps in files."""

    name = "wlmscpfs"

    def __init__(self, folder: Path, steps: Mapping[int, str]) -> None:
        super().__init__(folder / "wlmscpfs.log")
        self.folder = folder
        self.port = free_port()
        place = folder / "RIS"
        place.mkdir(parents=True)
        (place / "lockfile").touch()
        for number, name in steps.items():
            dump = place / f"{number}.dump"
            dump.write_bytes(STEP.format(number=number, name=name).encode("iso8859_1"))
            subprocess.run([program("dump2dcm"), "-g", dump, place / f"{number}.wl"], check=True, timeout=120)

    def command(self) -> list[str]:
        return [program("wlmscpfs"), "-dfr", "-dfp", str(self.folder), str(self.port)]

    def environment(self) -> dict[str, str]:
        return {"TCP_NODELAY": "1"}

    async def is_ready(self) -> bool:
        return is_listening(self.port)


@pytest.mark.peers
async def test_worklists_of_two_real_servers_for_findscu(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(WorklistSCP(tmp_path / "first", {1: "Müller^Jörg", 2: "Roe^Jane"}))
        second = await stack.enter_async_context(WorklistSCP(tmp_path / "second", {2: "Roe^Jane", 3: "Doe^John"}))
        peers = {
            name: {"ae_title": "RIS", "address": f"127.0.0.1:{server.port}"}
            for name, server in (("first", first), ("second", second))
        }
        rules = {
            "peers": {"mr": {"ae_title": "MR1", "may": ["find"]}, **peers},
            "routes": [],
            "unmatched": "hold",
            "query_retrieve": {"sources": [], "relay": {"worklist": ["first", "second"]}},
        }
        gateway = await stack.enter_async_context(GatewayProcess(tmp_path / "gateway", rules))
        keys = ["PatientName=", "ScheduledProcedureStepSequence[0].Modality=MR", "StudyInstanceUID="]
        keys += ["ScheduledProcedureStepSequence[0].ScheduledProcedureStepID="]
        command = [program("findscu"), "-v", "-W", "-aet", "MR1", "-aec", "GATEWAY", "127.0.0.1", str(gateway.port)]
        finished = await run([*command, *(word for key in keys for word in ("-k", key))])
    assert finished.returncode == 0, finished.output
    assert finished.output.count("Pending") == 3, finished.output + gateway.log
    assert [finished.output.count(name) for name in ("Roe^Jane", "Doe^John")] == [1, 1]
    assert "Success" in finished.output


REPOSITORY_QUERY = "1.2.840.10008.5.1.4.1.1.201.6"
ENDS: dict[str, tuple[int, dict[str, Any], int, int]] = {
    "all": (0x0000, {}, 3, 0x0000),
    "the repository's limit": (0xB001, {}, 3, 0xB001),
    "a Prior Record Key that means nothing": (0xA710, {}, 3, 0xA710),
    "out of resources": (0xA700, {}, 3, 0xC001),
    "our limit": (0x0000, {"limit": 2}, 2, 0xB001),
    "our limit is its number": (0xB001, {"limit": 3}, 3, 0xB001),
}
"""Final status of the repository, settings, how many answers arrive, and the status behind them (PS3.4 §C.6.4.5)."""


@pytest.mark.parametrize("name", ENDS)
async def test_a_repository_query_says_whether_there_is_more(tmp_path: Path, name: str) -> None:
    status, settings, number, expected = ENDS[name]
    records = [{"StudyInstanceUID": f"1.2.{each}", "RecordKey": f"K{each}"} for each in (1, 2, 2)]
    async with AsyncExitStack() as stack:
        repository = Servant("vna", records, status=status)
        gateway = await before(stack, tmp_path, "repository_query", repository, **settings)
        told = await asking(gateway.port, REPOSITORY_QUERY, QueryRetrieveLevel="STUDY", RecordKey="")
    assert (told.status, len(told.answers)) == (expected, number)
    assert all(first_text(answer, tag_of("RecordKey")) for answer in told.answers)

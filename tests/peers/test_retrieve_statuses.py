"""What the gateway itself answers to C-MOVE and C-GET: every status where it belongs, with the exact elements."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom import evt

from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.requestor.incoming_stores import IncomingStore
from gateway.dimse.server import Server
from gateway.model.associate import ProposedContext
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.model.query import Value
from gateway.query.attributes import (
    ACCESSION_NUMBER,
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from tests.support.peers import GatewayProcess, StockSCP, StoreSCP, free_port, storescu
from tests.support.processes import until
from tests.support.retrieving import STUDY_GET, STUDY_MOVE, Moving, counters, elements
from tests.support.spread import PATIENT_ID as PATIENT
from tests.support.spread import STUDY_UID, all_uids, instance_uid, series_uid, write_study

PATIENT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.3.2"
COMPOSITE_MOVE, COMPOSITE_GET = "1.2.840.10008.5.1.4.1.2.4.2", "1.2.840.10008.5.1.4.1.2.4.3"
WITHOUT_BULK_DATA = "1.2.840.10008.5.1.4.1.2.5.3"
HANGING_PROTOCOL_MOVE = "1.2.840.10008.5.1.4.38.3"
MOVE_OF_GET = {STUDY_MOVE: STUDY_GET, COMPOSITE_MOVE: COMPOSITE_GET}

CT = (ProposedContext(str(CTImageStorage), (str(ExplicitVRLittleEndian),)),)
ONE = instance_uid(1, 1)


@dataclass(frozen=True, slots=True)
class Site:
    gateway: GatewayProcess
    good: StoreSCP
    refusing: StockSCP
    warning: StockSCP
    recorder_port: int
    """Where the destination RECORDER is, when a test makes one."""

    def requestor(self, calling: str = "VIEWER") -> Moving:
        return Moving(self.gateway.port, calling=calling)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The spread study, all of it here; destinations that take, refuse and warn."""
    folder = tmp_path_factory.mktemp("statuses")
    good = StoreSCP(folder / "good", ae_title="GOOD")
    refusing = StockSCP(folder / "refusing", ae_title="REFUSING", status=0xA700)
    warning = StockSCP(folder / "warning", ae_title="WARNING", status=0xB000)
    peers: dict[str, Any] = {
        peer.ae_title.lower(): {"ae_title": peer.ae_title, "address": f"127.0.0.1:{peer.port}"}
        for peer in (good, refusing, warning)
    }
    recorder_port = free_port()
    peers["recorder"] = {"ae_title": "RECORDER", "address": f"127.0.0.1:{recorder_port}"}
    peers["gone"] = {"ae_title": "GONE", "address": "127.0.0.1:9"}
    peers["nowhere"] = {"ae_title": "NOWHERE", "may": ["store"]}
    peers["sender"] = {"ae_title": "STORESCU", "may": ["store"]}
    peers["viewer"] = {"ae_title": "VIEWER", "may": ["find", "move", "get"]}
    peers["limited"] = {"ae_title": "LIMITED", "may": ["move"], "may_move_to": ["GONE"]}
    peers["exact"] = {"ae_title": "EXACT", "may": ["move", "get"], "strict": True}
    peers["blind"] = {"ae_title": "BLIND", "may": ["move", "get"]}
    rules = {
        "peers": peers,
        "groups": {"PAIR": {"all": ["good", "gone"]}},
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {
            "sources": ["local"],
            "move_destinations": {"EVERYONE": ["good", "refusing", "warning"]},
            "hide": [{"when": {"attribute": {"select": "StudyID", "equals": "1"}}, "from": ["blind"]}],
        },
    }
    gateway = GatewayProcess(folder / "gateway", rules)

    async def begin() -> None:
        for each in (good, refusing, warning, gateway):
            await each.start()
        files = [path for paths in write_study(folder / "files").values() for path in paths]
        sent = await storescu(gateway.port, files)
        assert sent.returncode == 0, sent.output

    with contextlib.ExitStack() as stack:
        for each in (good, refusing, warning, gateway):
            stack.callback(each.stop)
        asyncio.run(begin())
        yield Site(gateway, good, refusing, warning, recorder_port)


def named(level: str, **uids: Any) -> dict[int, Value]:
    """An identifier."""
    tags = {
        "patient": PATIENT_ID,
        "study": STUDY_INSTANCE_UID,
        "series": SERIES_INSTANCE_UID,
        "image": SOP_INSTANCE_UID,
        "frames": 0x00081161,
        "calculated": 0x00081162,
    }
    return {
        QUERY_RETRIEVE_LEVEL: (level,) if level else (),
        **{tags[name]: value if isinstance(value, tuple) else (value,) for name, value in uids.items()},
    }


STUDY = named("STUDY", study=STUDY_UID)
IMAGES = tuple(sorted(all_uids([1]))[:2])


@dataclass(frozen=True, slots=True)
class Row:
    identifier: Any
    expected: dict[str, Any]
    destination: str = "GOOD"
    sop_class_uid: str = STUDY_MOVE
    calling: str = "VIEWER"
    failed: frozenset[str] = frozenset()


def bad(status: int, comment: str, *offending: int) -> dict[str, Any]:
    elements: dict[str, Any] = {"Status": status, "ErrorComment": comment}
    return {**elements, "OffendingElement": offending} if offending else elements


def done(completed: int, failed: int = 0, warning: int = 0, status: int = 0x0000) -> dict[str, Any]:
    return {"Status": status, **counters(completed, failed, warning)}


EVERY = frozenset(all_uids())
LEVEL = QUERY_RETRIEVE_LEVEL
MOVES: dict[str, Row] = {
    "a study": Row(STUDY, done(20)),
    "a patient": Row(named("PATIENT", patient=PATIENT), done(20), sop_class_uid=PATIENT_MOVE),
    "a study of a patient": Row(
        named("STUDY", patient=PATIENT, study=STUDY_UID), done(20), sop_class_uid=PATIENT_STUDY_MOVE
    ),
    "two series": Row(named("SERIES", study=STUDY_UID, series=(series_uid(1), series_uid(3))), done(10)),
    "two images": Row(named("IMAGE", study=STUDY_UID, series=series_uid(1), image=IMAGES), done(2)),
    "nothing of that": Row(named("STUDY", study="1.2.3"), done(0)),
    "hidden": Row(STUDY, done(0), calling="BLIND"),
    "a group": Row(STUDY, done(20, 20, status=0xB000), "PAIR", failed=EVERY),
    "several destinations": Row(STUDY, done(20, 20, 20, status=0xB000), "EVERYONE", failed=EVERY),
    "warnings": Row(STUDY, done(0, 0, 20, status=0xB000), "WARNING"),
    "refusals": Row(STUDY, done(0, 20, status=0xA702), "REFUSING", failed=EVERY),
    "a destination that is gone": Row(STUDY, done(0, 20, status=0xA702), "GONE", failed=EVERY),
    "an unknown destination": Row(STUDY, bad(0xA801, "no peer here is the Move Destination 'NOBODY'"), "NOBODY"),
    "a destination without address": Row(
        STUDY, bad(0xA801, "no peer here is the Move Destination 'NOWHERE'"), "NOWHERE"
    ),
    "spaces": Row(STUDY, bad(0xA801, "the Move Destination is empty"), "  "),
    "not there": Row(STUDY, bad(0x0124, "limited may not move to GOOD"), calling="LIMITED"),
    "not at all": Row(STUDY, bad(0x0124, "C-MOVE is not allowed for STORESCU"), calling="STORESCU"),
    "no level": Row({STUDY_INSTANCE_UID: (STUDY_UID,)}, done(20)),
    "no level, to the letter": Row(
        {STUDY_INSTANCE_UID: (STUDY_UID,)},
        bad(0xA900, "Query/Retrieve Level (0008,0052) is missing", LEVEL),
        calling="EXACT",
    ),
    "no level and no key": Row(
        named("", patient=PATIENT), bad(0xA900, "Query/Retrieve Level (0008,0052) is missing", LEVEL)
    ),
    "level IMAGES": Row(named("IMAGES", study=STUDY_UID, image=IMAGES), done(2)),
    "level IMAGES, to the letter": Row(
        named("IMAGES", study=STUDY_UID, image=IMAGES),
        bad(0xA900, "Query/Retrieve Level is not one of STUDY, SERIES, IMAGE", LEVEL),
        calling="EXACT",
    ),
    "by Accession Number": Row({LEVEL: ("STUDY",), ACCESSION_NUMBER: ("A1",)}, done(20)),
    "by another Accession Number": Row({LEVEL: ("STUDY",), ACCESSION_NUMBER: ("OTHER",)}, done(0)),
    "by Accession Number, to the letter": Row(
        {LEVEL: ("STUDY",), ACCESSION_NUMBER: ("A1",)},
        bad(0xA900, "StudyInstanceUID has no value: nothing is named", STUDY_INSTANCE_UID),
        calling="EXACT",
    ),
    "a level of another model": Row(
        named("PATIENT", patient=PATIENT), bad(0xA900, "Query/Retrieve Level is not one of STUDY, SERIES, IMAGE", LEVEL)
    ),
    "no unique key": Row(
        named("STUDY", patient=PATIENT),
        bad(0xA900, "StudyInstanceUID has no value: nothing is named", STUDY_INSTANCE_UID),
    ),
    "wild cards": Row(
        named("STUDY", study="1.2.*"),
        bad(0xA900, "StudyInstanceUID has wild cards: a retrieve names values", STUDY_INSTANCE_UID),
    ),
    "another service": Row(
        STUDY, bad(0x0122, "nobody is asked for this SOP class"), sop_class_uid=HANGING_PROTOCOL_MOVE
    ),
    "composite: two images": Row(named("IMAGE", image=IMAGES), done(2), sop_class_uid=COMPOSITE_MOVE),
    "composite: nothing named": Row(
        named("IMAGE"),
        bad(0xA900, "SOP Instance UID has no value: nothing is named", SOP_INSTANCE_UID),
        sop_class_uid=COMPOSITE_MOVE,
    ),
    "composite: wild cards": Row(
        named("IMAGE", image="1.2.*"),
        bad(0xA900, "SOP Instance UID has wild cards: a retrieve names values", SOP_INSTANCE_UID),
        sop_class_uid=COMPOSITE_MOVE,
    ),
    "composite: a study": Row(
        STUDY, bad(0xA900, "Query/Retrieve Level is not IMAGE or FRAME", LEVEL), sop_class_uid=COMPOSITE_MOVE
    ),
    "composite: frames": Row(
        named("FRAME", image=ONE, frames=("1",)),
        bad(0xAA02, "single frames are not extracted here; retrieve the instance"),
        sop_class_uid=COMPOSITE_MOVE,
    ),
    "composite: frames of two": Row(
        named("FRAME", image=IMAGES, frames=("1",)),
        bad(0xAA04, "the FRAME level needs one SOP Instance UID", SOP_INSTANCE_UID),
        sop_class_uid=COMPOSITE_MOVE,
    ),
    "composite: two lists": Row(
        named("FRAME", image=ONE, frames=("1",), calculated=("1", "2", "1")),
        bad(0xAA04, "the FRAME level needs one frame list or time range", 0x00081161, 0x00081162),
        sop_class_uid=COMPOSITE_MOVE,
    ),
}


@pytest.mark.parametrize("name", MOVES)
async def test_move(site: Site, name: str) -> None:
    row = MOVES[name]

    final = await site.requestor(row.calling).move(row.destination, row.identifier, row.sop_class_uid)

    assert elements(final) == row.expected
    assert frozenset(final.failed_sop_instance_uids) == row.failed


GETS = {name: row for name, row in MOVES.items() if row.sop_class_uid in MOVE_OF_GET and row.destination == "GOOD"}


@pytest.mark.parametrize("name", sorted(GETS.keys() - {"not there", "not at all"}))
async def test_get(site: Site, name: str) -> None:
    row = GETS[name]
    stored = []

    async def on_store(store: IncomingStore) -> int:
        stored.append(store.sop_instance_uid)
        return 0x0000

    model = MOVE_OF_GET[row.sop_class_uid]
    final = await site.requestor(row.calling).get(row.identifier, on_store, model, CT)

    assert elements(final) == row.expected
    assert len(set(stored)) == len(stored) == row.expected.get("NumberOfCompletedSuboperations", 0)
    assert not final.failed_sop_instance_uids


STORED: dict[str, tuple[tuple[ProposedContext, ...], dict[int, int], dict[str, Any], int]] = {
    "no storage context": ((), {}, done(0, 20, status=0xA702), 20),
    "no context for this class": (
        (ProposedContext("1.2.840.10008.5.1.4.1.1.4", (str(ExplicitVRLittleEndian),)),),
        {},
        done(0, 20, status=0xA702),
        20,
    ),
    "compressed only": (
        (ProposedContext(str(CTImageStorage), (str(JPEGBaseline8Bit),)),),
        {},
        done(0, 20, status=0xA702),
        20,
    ),
    "another uncompressed one": (
        (ProposedContext(str(CTImageStorage), (str(ImplicitVRLittleEndian),)),),
        {},
        done(20),
        0,
    ),
    "refused and warned": (CT, {0: 0xA900, 1: 0xB000}, done(18, 1, 1, status=0xB000), 1),
}


@pytest.mark.parametrize("name", STORED)
async def test_sub_operations_of_a_get(site: Site, name: str) -> None:
    contexts, answers, expected, failed = STORED[name]
    seen: list[str] = []

    async def on_store(store: IncomingStore) -> int:
        seen.append(store.transfer_syntax_uid)
        return answers.get(len(seen) - 1, 0x0000)

    final = await site.requestor().get(STUDY, on_store, STUDY_GET, contexts)

    assert elements(final) == expected
    assert len(final.failed_sop_instance_uids) == failed
    assert set(seen) <= {uid for context in contexts for uid in context.transfer_syntaxes}


async def test_without_bulk_data(site: Site) -> None:
    stored = []

    async def on_store(store: IncomingStore) -> int:
        stored.append((store.sop_instance_uid, store.body.length_bytes))
        return 0x0000

    final = await site.requestor().get(named("IMAGE", image=IMAGES), on_store, WITHOUT_BULK_DATA, CT)

    assert elements(final) == done(2)
    assert sorted(uid for uid, _ in stored) == sorted(IMAGES)
    assert all(size_bytes < 2000 for _, size_bytes in stored)  # pixel data has 2000


@pytest.mark.parametrize(
    ("identifier", "comment"),
    [
        pytest.param(b"\x08\x00\x52\x00\xff\xff\x00\x00STUDY ", None, id="ends in the middle"),
        pytest.param(b"\x01", None, id="one byte"),
    ],
)
async def test_an_identifier_that_cannot_be_read(site: Site, identifier: bytes, comment: None) -> None:
    final = await site.requestor().move("GOOD", identifier)

    assert final.status == 0xC000
    assert set(elements(final)) == {"Status", "ErrorComment"}


async def test_an_identifier_that_is_too_large(site: Site) -> None:
    many = named("STUDY", study=tuple(f"1.2.3.{number}" for number in range(5 * 1024 * 1024 // 10)))

    final = await site.requestor().move("GOOD", many)

    assert elements(final) == bad(0xA701, "the identifier is over the limit of 4194304 bytes")


async def test_pending_responses_count_down(site: Site) -> None:
    async with site.requestor().begun("EVERYONE", named("SERIES", study=STUDY_UID, series=series_uid(2))) as responses:
        found = [elements(response) async for response in responses]

    pending = found[:-1]
    assert pending
    for response in pending:
        assert response.pop("Status") == 0xFF00
        assert sum(response.values()) == 15
    assert found[-1] == done(5, 5, 5, status=0xB000)


@pytest.mark.parametrize("priority", [0, 1, 2])
async def test_what_a_destination_is_reported(site: Site, priority: int) -> None:
    told = []

    def store(event: Any) -> int:
        request = event.request
        told.append(
            (
                request.MoveOriginatorApplicationEntityTitle,
                request.MoveOriginatorMessageID,
                request.Priority,
                event.facts.calling_ae_title,
                event.facts.called_ae_title,
            )
        )
        return 0x0000

    admitted = Admitted(Peer("gateway", may=frozenset({"store"})))
    server = Server(handlers=[(evt.EVT_C_STORE, store)], admission=lambda _: admitted, ae_title="RECORDER")
    await server.listen(Listener("main", site.recorder_port, "127.0.0.1"))
    try:
        async with site.requestor().begun("RECORDER", STUDY, priority=priority) as responses:
            final = await responses.final()
    finally:
        await server.drain(2.0)

    assert elements(final) == done(20)
    assert set(told) == {("VIEWER", 1, priority, "GATEWAY", "RECORDER")}


async def test_metrics(site: Site) -> None:
    async def requests() -> float:
        """They are counted after the answer."""
        return await site.gateway.metric(
            "gateway_retrieve_requests_total", service="move", peer="viewer", status="0x0000"
        )

    before = await requests()
    await site.requestor().move("GOOD", STUDY)

    async def is_counted() -> bool:
        return await requests() > before

    await until(is_counted)
    found = await requests()
    assert found == before + 1
    sent = await site.gateway.metric(
        "gateway_retrieve_suboperations_total", service="move", destination="good", result="completed"
    )
    assert sent >= 20
    assert await site.gateway.metric("gateway_retrieve_seconds_count", service="move") >= found

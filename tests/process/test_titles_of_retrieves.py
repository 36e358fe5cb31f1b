"""AE titles of requestors on associations that queries and retrieves need: with several requestors at once, over kept
associations too, none stands on what is done for another. The peers are stock pynetdicom."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from gateway.dimse.requestor.incoming_stores import IncomingStore
from gateway.dimse.requestor.query_contexts import as_store_scp
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from gateway.model.query import Value
from gateway.query.attributes import PATIENT_ID, QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID
from gateway.query.identifier import IdentifierEncoder
from tests.support.peers import GatewayProcess, free_port
from tests.support.stock import no_delay

"""Sockets that stock pynetdicom leaves behind."""

CALLING, CALLED = "{{ association.calling_ae_title }}", "{{ association.called_ae_title }}"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", str(ExplicitVRLittleEndian)
NUMBERS = range(1, 6)
"""The numbers of the requestors: VIEW1 calls FOR1, and requests the patient, study and worklist entry of that
number.
"""
ROUNDS = 3
IMAGES = 3
MOVE, GET = str(StudyRootQueryRetrieveInformationModelMove), str(StudyRootQueryRetrieveInformationModelGet)
STUDY_FIND, WORKLIST = str(StudyRootQueryRetrieveInformationModelFind), str(ModalityWorklistInformationFind)


def study(number: int) -> str:
    return f"1.2.826.0.1.77.{number}"


def image(number: int, which: int) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, f"{study(number)}.1.{which}"
    made.StudyInstanceUID, made.SeriesInstanceUID = study(number), f"{study(number)}.1"
    made.PatientID, made.PatientName, made.Modality = f"P{number}", f"Name^{number}", "CT"
    made.StudyDate, made.AccessionNumber = "20260102", f"A{number}"
    made.ensure_file_meta()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


@dataclass(frozen=True)
class Operation:
    """One request at a peer."""

    kind: str
    calling: str
    called: str
    number: int
    """The number of the patient that it is about."""
    association: int


class Recorder:
    """What a stock peer was asked, over which association."""

    def __init__(self, title: str, port: int, gateway_port: int, services: tuple[str, ...]) -> None:
        self.operations: list[Operation] = []
        self._lock = threading.Lock()
        self._associations: dict[Any, int] = {}
        self._gateway_port = gateway_port
        ae = AE(title)
        ae.maximum_associations = 100
        for uid in services:
            ae.add_supported_context(uid)
        ae.add_supported_context(CTImageStorage, EXPLICIT, scu_role=True, scp_role=True)
        handlers: Any = [
            (evt.EVT_CONN_OPEN, no_delay),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_C_STORE, self._store),
        ]
        self._server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def stop(self) -> None:
        self._server.shutdown()

    def of(self, kind: str) -> list[Operation]:
        return [each for each in self.operations if each.kind == kind]

    def _noted(self, kind: str, event: Any, patient: str) -> None:
        requestor = event.assoc.requestor
        number = int(patient.removeprefix("P"))
        with self._lock:
            place = self._associations.setdefault(event.assoc, len(self._associations))
            called = requestor.primitive.called_ae_title
            self.operations.append(Operation(kind, requestor.ae_title, called, number, place))

    def _find(self, event: Any) -> Iterator[Any]:
        identifier = event.identifier
        if event.context.abstract_syntax == WORKLIST:
            self._noted("worklist", event, identifier.PatientID)
            yield 0xFF00, identifier
            return
        found = {}
        level = identifier.QueryRetrieveLevel
        for each in self._images(identifier):
            key = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}
            found[each[key.get(level, "SOPInstanceUID")].value] = each
        self._noted("find", event, next(iter(found.values())).PatientID)
        for each in found.values():
            answer = Dataset()
            answer.QueryRetrieveLevel = level
            for element in identifier:
                if element.keyword in each and element.keyword != "QueryRetrieveLevel":
                    answer[element.tag] = each[element.tag]
            yield 0xFF00, answer

    def _get(self, event: Any) -> Iterator[Any]:
        yield from self._given("get", event)

    def _move(self, event: Any) -> Iterator[Any]:
        assert event.move_destination == "GATEWAY"
        contexts = [build_context(CTImageStorage, EXPLICIT)]
        yield "127.0.0.1", self._gateway_port, {"contexts": contexts, "ae_title": "GATEWAY"}
        yield from self._given("move", event)

    def _given(self, kind: str, event: Any) -> Iterator[Any]:
        found = list(self._images(event.identifier))
        self._noted(kind, event, found[0].PatientID)
        yield len(found)
        for each in found:
            yield 0xFF00, each

    def _store(self, event: Any) -> int:
        self._noted("store", event, event.dataset.PatientID)
        return 0x0000

    @staticmethod
    def _images(identifier: Dataset) -> Iterator[Dataset]:
        for number in NUMBERS:
            for which in range(IMAGES):
                made = image(number, which)
                if all(_fits(made, element) for element in identifier):
                    yield made


def _fits(made: Dataset, element: Any) -> bool:
    unique = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    if element.keyword not in unique or not element.value:
        return True
    wanted = [element.value] if isinstance(element.value, str) else list(element.value)
    return made[element.tag].value in wanted


@dataclass
class Site:
    gateway: GatewayProcess
    source: Recorder
    station: Recorder
    service: str

    @contextlib.asynccontextmanager
    async def associated(self, number: int, *contexts: ProposedContext) -> Any:
        """As the requestor of that number."""
        storage = [each.abstract_syntax for each in contexts if each.abstract_syntax == CTImageStorage]
        gateway = Peer(
            "gateway",
            "GATEWAY",
            "127.0.0.1",
            self.gateway.port,
            calling_ae_title=f"VIEW{number}",
            associate=AssociateKeywords(called_ae_title=f"FOR{number}"),
            timers=Timers(dimse_s=300.0),
        )
        association = await associate(as_store_scp(gateway, storage), own_ae_title="NOBODY", contexts=list(contexts))
        try:
            yield association
        finally:
            await association.release()

    async def find(self, number: int) -> None:
        async with self.associated(number, ProposedContext(STUDY_FIND, (IMPLICIT,))) as association:
            wanted: Mapping[int, Value] = {
                QUERY_RETRIEVE_LEVEL: ("STUDY",),
                PATIENT_ID: (f"P{number}",),
                STUDY_INSTANCE_UID: (),
            }
            assert await _found(association, STUDY_FIND, wanted) == 1

    async def worklist(self, number: int) -> None:
        async with self.associated(number, ProposedContext(WORKLIST, (IMPLICIT,))) as association:
            assert await _found(association, WORKLIST, {PATIENT_ID: (f"P{number}",)}) == 1

    async def move(self, number: int) -> None:
        async with self.associated(number, ProposedContext(MOVE, (IMPLICIT,))) as association:
            moving = association.c_move(_of(number), sop_class_uid=MOVE, destination="STATION")
            async with moving as responses:
                final = await responses.final()
        assert (final.status, final.completed) == (0x0000, IMAGES)

    async def get(self, number: int) -> None:
        stored: list[str] = []

        async def on_store(store: IncomingStore) -> int:
            stored.append(store.sop_instance_uid)
            return 0x0000

        contexts = [ProposedContext(GET, (IMPLICIT,)), ProposedContext(str(CTImageStorage), (EXPLICIT,))]
        async with (
            self.associated(number, *contexts) as association,
            association.c_get(_of(number), sop_class_uid=GET, on_store=on_store) as responses,
        ):
            final = await responses.final()
        assert (final.status, final.completed) == (0x0000, IMAGES)
        assert {uid.rpartition(".1.")[0] for uid in stored} == {study(number)}


def _of(number: int) -> bytes:
    return IdentifierEncoder(IMPLICIT)({QUERY_RETRIEVE_LEVEL: ("STUDY",), STUDY_INSTANCE_UID: (study(number),)})


async def _found(association: RequestorAssociation, sop_class_uid: str, wanted: Mapping[int, Value]) -> int:
    encoded = IdentifierEncoder(IMPLICIT)(wanted)
    async with association.c_find(encoded, sop_class_uid=sop_class_uid) as responses:
        *pending, final = [response async for response in responses]
    assert final.status == 0x0000
    return len(pending)


@pytest.fixture(scope="module", params=["get", "move"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The source is asked by C-GET, or by C-MOVE to the gateway."""
    folder = tmp_path_factory.mktemp("titles")
    at_source, at_station, own = free_port(), free_port(), free_port()
    models = (PatientRootQueryRetrieveInformationModelFind, STUDY_FIND, WORKLIST, MOVE, GET)
    source = Recorder("PACS", at_source, own, models)
    station = Recorder("STATION", at_station, own, ())
    titles = {"calling_ae_title": CALLING, "associate": {"ae_title": CALLED}}
    rules = {
        "peers": {
            "pacs": {
                "ae_title": "PACS",
                "address": f"127.0.0.1:{at_source}",
                "may": ["store"],
                "retrieve": request.param,
                **titles,
            },
            "station": {"ae_title": "STATION", "address": f"127.0.0.1:{at_station}", **titles},
            **{f"view{n}": {"ae_title": f"VIEW{n}", "may": ["find", "move", "get"]} for n in NUMBERS},
        },
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {"sources": ["pacs"], "relay": {"worklist": ["pacs"]}},
    }
    settings = {"called_ae_titles": ["*"]}
    gateway = GatewayProcess(folder / "gateway", rules, port=own, settings=settings)
    with contextlib.ExitStack() as stack:
        for each in (source, station, gateway):
            stack.callback(each.stop)
        asyncio.run(gateway.start())
        yield Site(gateway, source, station, request.param)


def check(operations: list[Operation], at_least: int) -> None:
    """Each stands under the titles of its requestor; associations are kept, and each is of one requestor."""
    assert len(operations) >= at_least
    wrong = [each for each in operations if (each.calling, each.called) != (f"VIEW{each.number}", f"FOR{each.number}")]
    assert wrong == []
    assert {each.number for each in operations} == set(NUMBERS)
    assert max(Counter(each.association for each in operations).values()) > 1, "nothing was kept"


@pytest.mark.parametrize("kind", ["find", "worklist", "move", "get"])
async def test_each_requestor_has_its_own_titles(site: Site, kind: str) -> None:
    site.source.operations.clear()
    site.station.operations.clear()
    for _ in range(ROUNDS):
        await asyncio.gather(*(getattr(site, kind)(number) for number in NUMBERS))
    for _ in range(2):  # so soon that what is kept for some seconds is there, however long a round took
        await getattr(site, kind)(NUMBERS[0])
    asked = ROUNDS * len(NUMBERS)
    if kind in ("find", "worklist"):
        check(site.source.of(kind), asked)
        return
    check(site.source.of("find"), asked)
    check(site.source.of(site.service), asked)
    if kind == "move":
        check(site.station.of("store"), asked * IMAGES)


async def test_requestors_in_turn_get_no_association_of_each_other(site: Site) -> None:
    """One after the other, so that what the one before left is there when the next one comes."""
    site.source.operations.clear()
    site.station.operations.clear()
    for _ in range(ROUNDS):
        for number in NUMBERS:
            await site.find(number)
            await site.move(number)
    check(site.source.operations, ROUNDS * len(NUMBERS) * 3)
    check(site.station.operations, ROUNDS * len(NUMBERS) * IMAGES)

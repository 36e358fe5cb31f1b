"""C-MOVE and C-GET of objects that have no patient: passed on to the peers that serve them (PS3.4 Annexes U, X, BB, HH,
II and JJ), by C-GET and by C-MOVE to the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt, sop_class

from gateway.dimse.requestor.incoming_stores import IncomingStore
from gateway.model.associate import ProposedContext
from gateway.query.attributes import SOP_INSTANCE_UID
from gateway.sources.relayed_services import BY_SOP_CLASS, RETRIEVED, RETRIEVING, RelayedRetrieveService
from tests.support.peers import GatewayProcess, free_port
from tests.support.retrieving import Moving, counters, elements
from tests.support.stock import no_delay

ROWS = {f"{each.service}-{each.get}": each for each in RETRIEVING}
"""Sockets that stock pynetdicom leaves behind."""

EXPLICIT = str(ExplicitVRLittleEndian)


def uid(row: RelayedRetrieveService, number: int) -> str:
    return f"1.2.826.0.1.{row.get.replace('.', '')[-5:]}.{number}"


class Library:
    """Stock pynetdicom with two objects of each kind; it serves C-GET, C-MOVE or both.

    Args:
        gateway_port: where it knows the gateway's AE title to be.
    """

    def __init__(self, port: int, gateway_port: int, services: frozenset[str]) -> None:
        self.asked: list[tuple[str, Dataset]] = []
        self.destinations: list[str] = []
        self.requestors: list[str] = []
        self._gateway_port = gateway_port
        ae = AE("LIBRARY")
        for row in RETRIEVING:
            for service in services:
                ae.add_supported_context(getattr(row, service))
            for storage in row.storage:
                ae.add_supported_context(storage, EXPLICIT, scu_role=True, scp_role=True)
        handlers: Any = [
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_CONN_OPEN, no_delay),
        ]
        self._server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _get(self, event: Any) -> Iterator[Any]:
        yield from self._objects(event)

    def _move(self, event: Any) -> Iterator[Any]:
        self.destinations.append(event.move_destination)
        if event.move_destination != "GATEWAY":
            yield None, None
            return
        row = RETRIEVED[event.request.AffectedSOPClassUID]
        contexts = [build_context(storage, EXPLICIT) for storage in row.storage]
        yield "127.0.0.1", self._gateway_port, {"contexts": contexts, "ae_title": event.move_destination}
        yield from self._objects(event)

    def _objects(self, event: Any) -> Iterator[Any]:
        sop_class_uid = str(event.request.AffectedSOPClassUID)
        row = RETRIEVED[sop_class_uid]
        self.asked.append((sop_class_uid, event.identifier))
        self.requestors.append(event.assoc.requestor.ae_title)
        wanted = event.identifier.SOPInstanceUID
        uids = [wanted] if isinstance(wanted, str) else list(wanted)
        held = [each for each in uids if each in (uid(row, 1), uid(row, 2))]
        yield len(held)
        for each in held:
            made = Dataset()
            made.SOPClassUID, made.SOPInstanceUID = row.storage[-1], each
            made.ensure_file_meta()
            made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            yield 0xFF00, made

    def stop(self) -> None:
        self._server.shutdown()


class Workstation:
    """Takes all of them."""

    def __init__(self, port: int) -> None:
        self.got: list[str] = []
        ae = AE("STATION")
        for row in RETRIEVING:
            for storage in row.storage:
                ae.add_supported_context(storage, EXPLICIT)
        handlers: Any = [(evt.EVT_C_STORE, self._store), (evt.EVT_CONN_OPEN, no_delay)]
        self._server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _store(self, event: Any) -> int:
        self.got.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    def stop(self) -> None:
        self._server.shutdown()


@dataclass
class Site:
    gateway: GatewayProcess
    library: Library
    station: Workstation
    service: str
    """By which the library is asked."""

    def requestor(self, calling: str = "VIEWER") -> Moving:
        return Moving(self.gateway.port, calling=calling)


WAYS: dict[str, tuple[frozenset[str], dict[str, Any], str]] = {
    "C-GET, which it serves alone": (frozenset({"get"}), {}, "get"),
    "C-GET, since nothing says otherwise": (frozenset({"get", "move"}), {"may": ["store"]}, "get"),
    "C-MOVE, since the settings say so": (frozenset({"get", "move"}), {"may": ["store"], "retrieve": "move"}, "move"),
    "C-MOVE, which it serves alone": (frozenset({"move"}), {"may": ["store"]}, "move"),
}
"""What the library serves, its settings at the gateway, and by which of both it is asked."""


@pytest.fixture(scope="module", params=WAYS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("relayed")
    services, settings, service = WAYS[request.param]
    there, here, own = free_port(), free_port(), free_port()
    library, station = Library(there, own, services), Workstation(here)
    rules = {
        "peers": {
            "library": {"ae_title": "LIBRARY", "address": f"127.0.0.1:{there}", **settings},
            "gone": {"ae_title": "GONE", "address": "127.0.0.1:9"},
            "station": {"ae_title": "STATION", "address": f"127.0.0.1:{here}"},
            "viewer": {"ae_title": "VIEWER", "may": ["move", "get"]},
        },
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {
            "sources": ["local"],
            "relay": {row.service: ["gone", "library"] for row in RETRIEVING if row.service != "color_palette"}
            | {"color_palette": ["library"]},
        },
    }
    gateway = GatewayProcess(folder / "gateway", rules, port=own)
    with contextlib.ExitStack() as stack:
        for each in (library, station, gateway):
            stack.callback(each.stop)
        asyncio.run(gateway.start())
        yield Site(gateway, library, station, service)


@pytest.mark.parametrize("name", ROWS)
async def test_move(site: Site, name: str) -> None:
    row = ROWS[name]
    site.station.got.clear()
    uids = (uid(row, 1), uid(row, 2))
    final = await site.requestor().move("STATION", {SOP_INSTANCE_UID: uids}, row.move)
    assert elements(final) == {"Status": 0x0000, **counters(2, 0, 0)}
    assert sorted(site.station.got) == sorted(uids)
    check_question(site, row)


@pytest.mark.parametrize("name", ROWS)
async def test_get(site: Site, name: str) -> None:
    row = ROWS[name]
    stored = []

    async def on_store(store: IncomingStore) -> int:
        stored.append((store.sop_class_uid, store.sop_instance_uid))
        return 0x0000

    storage = [ProposedContext(each, (EXPLICIT,)) for each in row.storage]
    final = await site.requestor().get({SOP_INSTANCE_UID: (uid(row, 1),)}, on_store, row.get, storage)
    assert elements(final) == {"Status": 0x0000, **counters(1, 0, 0)}
    assert stored == [(row.storage[-1], uid(row, 1))]
    check_question(site, row)


def check_question(site: Site, row: RelayedRetrieveService) -> None:
    """The library was asked in the model of the objects, by SOP Instance UID and nothing else (PS3.4 §U.4.2, §X.4.2,
    §BB.4.2, §HH.4.2, §II.4.2, §JJ.3.2), and sent to the gateway alone."""
    asked_in, identifier = site.library.asked[-1]
    assert asked_in == getattr(row, site.service)
    assert {element.keyword for element in identifier} - {"SpecificCharacterSet"} == {"SOPInstanceUID"}
    assert site.library.requestors[-1] == "GATEWAY"
    assert set(site.library.destinations) == ({"GATEWAY"} if site.service == "move" else set())


async def test_what_nobody_has_has_failed(site: Site) -> None:
    row = RETRIEVING[0]
    wanted = {SOP_INSTANCE_UID: (uid(row, 1), uid(row, 9))}
    final = await site.requestor().move("STATION", wanted, row.move)
    assert elements(final) == {"Status": 0xB000, **counters(1, 1, 0)}


async def test_nothing_named(site: Site) -> None:
    final = await site.requestor().move("STATION", {SOP_INSTANCE_UID: ()}, RETRIEVING[0].move)
    assert elements(final)["Status"] == 0xA900


@pytest.mark.quick
def test_each_query_of_objects_without_patient_has_its_retrieves() -> None:
    """Every information model with a C-MOVE in pynetdicom's dictionary has its place in the table."""
    models = {
        name.removesuffix("Move"): str(value)
        for name, value in vars(sop_class).items()
        if name.endswith("Move") and "Retrieve" not in name
    }
    assert set(models.values()) == {row.move for row in RETRIEVING}
    for name, move in models.items():
        assert RETRIEVED[move].get == getattr(sop_class, f"{name}Get")
        assert BY_SOP_CLASS[getattr(sop_class, f"{name}Find")] == RETRIEVED[move].service

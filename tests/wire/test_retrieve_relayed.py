"""C-MOVE and C-GET of objects that have no patient: passed on to the peers that serve them (PS3.4 Annexes U, X, BB, HH
and II)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt, sop_class

from gateway.dimse.responses import IncomingStore
from gateway.federation.services import BY_SOP_CLASS, RETRIEVED, RETRIEVING, Retrieving
from gateway.model import ProposedContext
from gateway.query.attributes import SOP_INSTANCE_UID
from tests.support.peers import GatewayProcess, free_port
from tests.support.retrieving import Moving, counters, elements
from tests.support.stock import no_delay

ROWS = {f"{each.service}-{each.get}": each for each in RETRIEVING}
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Sockets that stock pynetdicom leaves behind."""

EXPLICIT = str(ExplicitVRLittleEndian)


def uid(row: Retrieving, number: int) -> str:
    return f"1.2.826.0.1.{row.get.replace('.', '')[-5:]}.{number}"


class Library:
    """Stock pynetdicom with two objects of each kind; it serves C-GET."""

    def __init__(self, port: int) -> None:
        self.asked: list[tuple[str, Dataset]] = []
        ae = AE("LIBRARY")
        for row in RETRIEVING:
            ae.add_supported_context(row.get)
            for storage in row.storage:
                ae.add_supported_context(storage, EXPLICIT, scu_role=True, scp_role=True)
        handlers: Any = [(evt.EVT_C_GET, self._get), (evt.EVT_CONN_OPEN, no_delay)]
        self._server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _get(self, event: Any) -> Iterator[Any]:
        row = RETRIEVED[event.request.AffectedSOPClassUID]
        self.asked.append((row.get, event.identifier))
        wanted = event.identifier.SOPInstanceUID
        uids = [wanted] if isinstance(wanted, str) else list(wanted)
        held = [each for each in uids if each in (uid(row, 1), uid(row, 2))]
        yield len(held)
        for each in held:
            made = Dataset()
            made.SOPClassUID, made.SOPInstanceUID = row.storage[0], each
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

    def requestor(self, calling: str = "VIEWER") -> Moving:
        return Moving(self.gateway.port, calling=calling)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("relayed")
    library, station = Library(there := free_port()), Workstation(here := free_port())
    rules = {
        "peers": {
            "library": {"ae_title": "LIBRARY", "address": f"127.0.0.1:{there}"},
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
    gateway = GatewayProcess(folder / "gateway", rules)
    with contextlib.ExitStack() as stack:
        for each in (library, station, gateway):
            stack.callback(each.stop)
        asyncio.run(gateway.start())
        yield Site(gateway, library, station)


@pytest.mark.parametrize("name", ROWS)
async def test_move(site: Site, name: str) -> None:
    row = ROWS[name]
    site.station.got.clear()
    uids = (uid(row, 1), uid(row, 2))
    final = await site.requestor().move("STATION", {SOP_INSTANCE_UID: uids}, row.move)
    assert elements(final) == {"Status": 0x0000, **counters(2, 0, 0)}
    assert sorted(site.station.got) == sorted(uids)


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
    assert stored == [(row.storage[0], uid(row, 1))]
    asked_in, identifier = site.library.asked[-1]
    assert asked_in == row.get
    assert [element.keyword for element in identifier if element.keyword != "SpecificCharacterSet"] == [
        "SOPInstanceUID"
    ]


async def test_what_nobody_has_has_failed(site: Site) -> None:
    row = RETRIEVING[0]
    wanted = {SOP_INSTANCE_UID: (uid(row, 1), uid(row, 9))}
    final = await site.requestor().move("STATION", wanted, row.move)
    assert elements(final) == {"Status": 0xB000, **counters(1, 1, 0)}


async def test_nothing_named(site: Site) -> None:
    final = await site.requestor().move("STATION", {SOP_INSTANCE_UID: ()}, RETRIEVING[0].move)
    assert elements(final)["Status"] == 0xA900


def test_each_query_of_objects_without_patient_has_its_retrieves() -> None:
    """Of the dictionary of pynetdicom: every information model with a C-MOVE has its place in the table."""
    models = {
        name.removesuffix("InformationModelMove"): str(value)
        for name, value in vars(sop_class).items()
        if name.endswith("InformationModelMove") and "QueryRetrieve" not in name
    }
    assert set(models.values()) == {row.move for row in RETRIEVING}
    for name, move in models.items():
        assert RETRIEVED[move].get == getattr(sop_class, f"{name}InformationModelGet")
        assert BY_SOP_CLASS[getattr(sop_class, f"{name}InformationModelFind")] == RETRIEVED[move].service

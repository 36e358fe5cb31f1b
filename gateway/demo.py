"""`gateway demo`: the gateway, two archives and a few modalities on loopback, with objects that pydicom ships."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom.data import get_testdata_file
from pynetdicom import evt

from gateway.app.gateway import Gateway
from gateway.config import load
from gateway.dataset.part10 import DicomFile, read_dicom_file
from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.server import Server
from gateway.lifecycle.loading import Loading
from gateway.lifecycle.signals import Stop, handled
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState
from gateway.model.dimse_status import SUCCESS
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store import Store
from gateway.rehearsal import explain
from gateway.rehearsal import stage as rehearsal
from gateway.routing.table import RoutingTable
from gateway.scu import echo_store
from gateway.stores.opening import open_store

LOOPBACK = "127.0.0.1"
SETTLED_S = 60.0
POLL_S = 0.05

SAMPLES = (
    ("CT1", "CT_small.dcm"),
    ("MR1", "MR_small.dcm"),
    ("CT2", "693_J2KI.dcm"),
    ("PLANNING", "rtdose.dcm"),
    ("SOMEBODY", "test-SR.dcm"),
)
"""(calling AE title, file that pydicom ships)."""

RULES = """\
gateway:
  ae_title: GATEWAY
  listeners: [{port: 0, address: 127.0.0.1}]
  spool: {path: "${DEMO}/spool", min_free: 16 MiB}
  queue: {sqlite: "${DEMO}/gateway.db"}
  admit: any

peers:
  ct1: {ae_title: CT1, may: [store], hosts: [127.0.0.1]}
  archive: {ae_title: ARCHIVE, address: "127.0.0.1:${ARCHIVE_PORT}"}
  research: {ae_title: RESEARCH, address: "127.0.0.1:${ARCHIVE_PORT}"}
  files: {folder: {path: "${DEMO}/files/{{ Modality }}/{{ SOPInstanceUID }}.dcm"}}

coercions:
  - name: name the institution
    when: {calling_ae_title: [CT1]}
    then: [{set: {InstitutionName: "North Hospital, {{ association.calling_ae_title }}"}}]

routes:
  - name: images to the archive
    when: {modality: [CT, MR]}
    to: [archive]
  - name: MR to research, without the name
    when: {modality: [MR]}
    then: [{set: {PatientName: "RESEARCH^SUBJECT"}}, {remove: [PatientBirthDate]}]
    to: [research]
  - name: radiotherapy as files
    when: {sop_class: [RTDoseStorage, RTPlanStorage]}
    to: [files]

unmatched: hold
"""


@dataclass(frozen=True, slots=True)
class ArchivedObject:
    """One object as an archive received it."""

    called_ae_title: str
    sop_instance_uid: str
    data_set: bytes


@dataclass(frozen=True, slots=True)
class ObjectTrace:
    """One object: what it is, what the sender was told, and where it went."""

    file: DicomFile
    calling_ae_title: str
    answer: explain.InstanceExplanation
    status: int | None
    deliveries: tuple[tuple[Delivery, str], ...]
    """Each delivery with its arrival: "unchanged", "edited", or why it did not arrive."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """Everything that happened."""

    folder: Path
    port: int
    """The port of the gateway."""
    table: RoutingTable
    traces: tuple[ObjectTrace, ...]

    @property
    def is_as_promised(self) -> bool:
        """True when every object was accepted, and arrived wherever a rule sends it."""
        return all(
            trace.status == 0
            and all(delivery.state in (DeliveryState.DELIVERED, DeliveryState.HELD) for delivery, _ in trace.deliveries)
            for trace in self.traces
        )


async def demonstrate(folder: Path, show: Callable[[Demonstration], None], *, keep: bool) -> bool:
    """Run the demonstration in `folder` and hand the result to `show`; with `keep` go on until a signal.

    True when all went as promised.
    """
    rules = folder / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    (rules / "demo.yaml").write_text(RULES)
    stop, ready, reload_requested = Stop(), asyncio.Event(), asyncio.Event()
    async with archives() as (arrivals, archive_port):
        variables = {"DEMO": str(folder), "ARCHIVE_PORT": str(archive_port)}
        loaded = load(rules, variables)
        assert loaded.table is not None, loaded.problems
        gateway = Gateway(loaded.table, Loading(lambda: load(rules, variables)), reload_requested)
        with handled(stop, reload_requested.set):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(gateway.run(stop, lambda _: ready.set()))
                await ready.wait()
                done = await _send_all(gateway, folder, arrivals)
                show(done)
                if keep:
                    await stop.requested.wait()
                elif not stop.requested.is_set():
                    stop.request("end of the demonstration")
    return done.is_as_promised


@asynccontextmanager
async def archives() -> AsyncIterator[tuple[list[ArchivedObject], int]]:
    """(what arrives, port) of an archive that answers to every AE title."""
    arrivals: list[ArchivedObject] = []

    def keep(event: Event) -> int:
        arrivals.append(ArchivedObject(event.facts.called_ae_title, event.sop_instance_uid, bytes(event.body.view())))
        return SUCCESS

    def admission(facts: AssociationFacts) -> Admitted:
        return Admitted(None)

    server = Server(handlers=[(evt.EVT_C_STORE, keep)], admission=admission, ae_title="ARCHIVE")
    port = await server.listen(Listener("archive", 0, LOOPBACK))
    try:
        yield arrivals, port
    finally:
        await server.drain(1.0)


async def _send_all(gateway: Gateway, folder: Path, arrivals: list[ArchivedObject]) -> Demonstration:
    port = next(iter(gateway.parts.listening.ports.values()))
    table = gateway.parts.common.live.current
    sent: list[tuple[str, DicomFile, int | None]] = []
    for title, name in SAMPLES:
        file = read_dicom_file(Path(str(get_testdata_file(name, download=False))))
        results: list[echo_store.SentFile] = []
        place = Peer(name="gateway", ae_title="GATEWAY", host=LOOPBACK, port=port)
        await echo_store.FileSender(place, title, results.append).send([file])
        sent.append((title, file, results[0].status))
    await _settled(gateway)
    found = open_store(gateway.settings, must_exist=True)
    try:
        traces = [await _trace(table, *one, found, arrivals, folder) for one in sent]
    finally:
        found.close()
    return Demonstration(folder, port, table, tuple(traces))


async def _settled(gateway: Gateway) -> None:
    """Wait until no delivery is pending. Raises TimeoutError."""
    async with asyncio.timeout(SETTLED_S):
        while any(row.state is DeliveryState.PENDING for row in await gateway.parts.storage.journal.depths()):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)


async def _trace(
    table: RoutingTable,
    title: str,
    file: DicomFile,
    status: int | None,
    found: Store,
    arrivals: list[ArchivedObject],
    folder: Path,
) -> ObjectTrace:
    subjects = explain.of_files([file.path], AssociationFacts(title, "GATEWAY", LOOPBACK), datetime.now(UTC))
    async with rehearsal.staged(table) as stage:
        answers = [
            await explain.explain(stage, subject, with_values=True)
            for subject in subjects
            if isinstance(subject, explain.ExplainedObject)
        ]
    rows = found.administration.list(DeliveryFilter(sop_instance_uid=file.sop_instance_uid), 100)
    return ObjectTrace(
        file, title, answers[0], status, tuple((row, _arrived(table, row, file, arrivals, folder)) for row in rows)
    )


def _arrived(table: RoutingTable, row: Delivery, file: DicomFile, arrivals: list[ArchivedObject], folder: Path) -> str:
    """Compare the object that reached the destination with the one that was sent."""
    if row.state is not DeliveryState.DELIVERED:
        return row.reason or row.state.value
    peer = table.peers[row.destination]
    if not peer.host:
        paths = list((folder / "files").rglob(f"{file.sop_instance_uid}.dcm"))
        bodies = [path.read_bytes()[read_dicom_file(path).offset_bytes :] for path in paths]
    else:
        key = (peer.ae_title, file.sop_instance_uid)
        bodies = [one.data_set for one in arrivals if (one.called_ae_title, one.sop_instance_uid) == key]
    if not bodies:
        return "nothing arrived"
    body = file.open()
    try:
        return "byte for byte" if bodies[-1] == bytes(body.view()) else "edited"
    finally:
        body.close()

"""The gateway finds what dcmqrscp of dcmtk finds, over the same objects; each difference has its reason in the table.

Asked of the index alone, and of a gateway in a process of its own, with findscu and stock pynetdicom over the wire.
"""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pynetdicom import AE, build_context
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from gateway.dataset.dictionary import tag_of
from gateway.query.compile import BadIdentifier, Options, compile_find
from gateway.query.identifier import UTF_8, IdentifierEncoder, first_text
from gateway.query.sop_classes import FIND_OF_ROOT
from gateway.sqlite.store import SQLiteStore
from tests.support.archive import QRSCP, findscu
from tests.support.gateway_process import GatewayProcess
from tests.support.identifiers import EXPLICIT, attributes, entry
from tests.support.processes import program
from tests.support.query_table import OBJECTS, ROWS, Row, write_objects
from tests.support.samples import NOON, TO_PACS, instance

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QRSCP]:
    folder = tmp_path_factory.mktemp("qrscp")
    paths = write_objects(folder / "objects")
    peer = QRSCP(folder)
    peer.begin()
    try:
        storescu = [program("storescu"), "-aec", peer.ae_title, "127.0.0.1", str(peer.port)]
        subprocess.run([*storescu, *map(str, paths)], check=True, timeout=120, env={"TCP_NODELAY": "1"})
        yield peer
    finally:
        peer.stop()


@pytest.fixture(scope="module")
def index() -> Iterator[SQLiteStore]:
    queue = SQLiteStore(Path(":memory:"))
    with queue.transaction():
        for number, keywords in enumerate(OBJECTS, 1):
            uids = {"sop_instance_uid": keywords["SOPInstanceUID"], "sop_class_uid": keywords["SOPClassUID"]}
            held = dataclasses.replace(instance(number), index=entry(attributes(**keywords)), **uids)
            queue.deliveries.accept([(held, [TO_PACS])], NOON)
    yield queue
    queue.close()


def started(folder: Path, sources: list[str], **peers: Any) -> GatewayProcess:
    """A gateway that findscu may ask."""
    rules = {
        "peers": {"findscu": {"ae_title": "FINDSCU", "may": ["find"]}, **peers},
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {"sources": sources},
    }
    process = GatewayProcess(folder, rules)
    asyncio.run(process.start())
    return process


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    paths = write_objects(folder / "objects")
    process = started(folder, ["local"])
    try:
        storescu = [program("storescu"), "-aec", process.ae_title, "127.0.0.1", str(process.port)]
        subprocess.run([*storescu, *map(str, paths)], check=True, timeout=120, env={"TCP_NODELAY": "1"})
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module")
def in_front(tmp_path_factory: pytest.TempPathFactory, archive: QRSCP) -> Iterator[GatewayProcess]:
    """A gateway that holds nothing and asks dcmqrscp."""
    peer = {"ae_title": archive.ae_title, "address": f"127.0.0.1:{archive.port}"}
    process = started(tmp_path_factory.mktemp("in-front"), ["archive"], archive=peer)
    try:
        yield process
    finally:
        process.stop()


def in_gateway(gateway: GatewayProcess, row: Row) -> list[str]:
    """Unique keys, as findscu is told; it cannot ask relationally, so stock pynetdicom does."""
    if row.is_relational:
        return relationally(gateway, row)
    found = findscu(gateway.port, row.root, row.words, called=gateway.ae_title)
    return sorted(str(answer.get(row.unique, "")) for answer in found.answers)


def relationally(gateway: GatewayProcess, row: Row) -> list[str]:
    model = FIND_OF_ROOT[row.root]
    relational = SOPClassExtendedNegotiation()
    relational.sop_class_uid, relational.service_class_application_information = model, b"\x01"
    association = AE("FINDSCU").associate(
        "127.0.0.1", gateway.port, [build_context(model, EXPLICIT)], ae_title="GATEWAY", ext_neg=[relational]
    )
    assert association.is_established
    assert association.acceptor.sop_class_extended == {model: b"\x01"}
    *matches, (final, _) = association.send_c_find(read(row), model)
    association.release()
    assert final.Status == 0x0000
    return sorted(str(answer.get(row.unique, "")) for _, answer in matches if answer is not None)


def read(row: Row) -> Dataset:
    return read_dataset(BytesIO(IdentifierEncoder(EXPLICIT, UTF_8)(row.identifier)), False, True)


def in_index(index: SQLiteStore, row: Row) -> list[str]:
    """Unique keys; [] of what is refused."""
    try:
        query = compile_find(row.identifier, row.root, Options(is_relational=row.is_relational))
    except BadIdentifier:
        return []
    return sorted(
        first_text(match, tag_of(row.unique)) for match in index.index.matches(query, index.index.find(query))
    )


def in_archive(archive: QRSCP, row: Row) -> list[str]:
    found = findscu(archive.port, row.root, row.words)
    return sorted(str(answer.get(row.unique, "")) for answer in found.answers)


def test_there_are_enough_rows_and_no_name_twice() -> None:
    assert len(ROWS) >= 80
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.reason for row in ROWS if row.found is not None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_index_finds_what_dcmqrscp_finds(archive: QRSCP, index: SQLiteStore, row: Row) -> None:
    ours, theirs = in_index(index, row), in_archive(archive, row)
    if row.found is None:
        assert ours == theirs
        return
    assert ours == sorted(row.found)
    assert theirs != ours, "no difference any more: take the reason away"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_gateway_answers_so_on_the_wire(archive: QRSCP, gateway: GatewayProcess, row: Row) -> None:
    expected = in_archive(archive, row) if row.found is None else sorted(row.found)

    assert in_gateway(gateway, row) == expected


@pytest.mark.parametrize("row", [row for row in ROWS if row.found is None], ids=lambda row: row.name)
def test_what_dcmqrscp_answers_comes_through_the_gateway(archive: QRSCP, in_front: GatewayProcess, row: Row) -> None:
    assert in_gateway(in_front, row) == in_archive(archive, row)

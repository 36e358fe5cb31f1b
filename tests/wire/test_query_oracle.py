"""The index finds what dcmqrscp of dcmtk finds, over the same objects; each difference has its reason in the table."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.dataset.dictionary import tag_of
from gateway.query.compile import BadIdentifier, Options, compile_find
from gateway.query.identifier import first_text
from gateway.queue.sqlite import SQLiteQueue
from tests.contract.samples import NOON, TO_PACS, instance
from tests.support.archive import QRSCP, findscu
from tests.support.identifiers import attributes, entry
from tests.support.processes import program
from tests.support.query_table import OBJECTS, ROWS, Row, write_objects

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QRSCP]:
    folder = tmp_path_factory.mktemp("qrscp")
    paths = write_objects(folder / "objects")
    peer = QRSCP(folder)
    peer.begin()
    try:
        storescu = [program("storescu"), "-aec", peer.ae_title, "127.0.0.1", str(peer.port)]
        subprocess.run([*storescu, *map(str, paths)], check=True, timeout=60, env={"TCP_NODELAY": "1"})
        yield peer
    finally:
        peer.stop()


@pytest.fixture(scope="module")
def index() -> Iterator[SQLiteQueue]:
    queue = SQLiteQueue(Path(":memory:"))
    with queue.transaction():
        for number, keywords in enumerate(OBJECTS, 1):
            uids = {"sop_instance_uid": keywords["SOPInstanceUID"], "sop_class_uid": keywords["SOPClassUID"]}
            held = dataclasses.replace(instance(number), index=entry(attributes(**keywords)), **uids)
            queue.accept(held, [TO_PACS], NOON)
    yield queue
    queue.close()


def in_index(index: SQLiteQueue, row: Row) -> list[str]:
    """Unique keys; [] of what is refused."""
    try:
        query = compile_find(row.identifier, row.root, Options(is_relational=row.is_relational))
    except BadIdentifier:
        return []
    return sorted(first_text(match, tag_of(row.unique)) for match in index.matches(query, index.find(query)))


def in_archive(archive: QRSCP, row: Row) -> list[str]:
    found = findscu(archive.port, row.root, row.words)
    return sorted(str(answer.get(row.unique, "")) for answer in found.answers)


def test_there_are_enough_rows_and_no_name_twice() -> None:
    assert len(ROWS) >= 80
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.reason for row in ROWS if row.found is not None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_index_finds_what_dcmqrscp_finds(archive: QRSCP, index: SQLiteQueue, row: Row) -> None:
    ours, theirs = in_index(index, row), in_archive(archive, row)
    if row.found is None:
        assert ours == theirs
        return
    assert ours == sorted(row.found)
    assert theirs != ours, "no difference any more: take the reason away"

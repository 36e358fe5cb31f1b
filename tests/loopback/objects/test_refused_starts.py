"""Bad input of a cluster: each is refused at the start, in words that say what to do, and nothing is made anywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from gateway.model.settings import S3Settings
from gateway.objects.s3 import S3Limits, S3ObjectStore
from gateway.ports.errors import ConfigurationError, GatewayError, SpoolFull
from gateway.postgresql.store import PostgreSQLStore
from tests.support.cluster import Node, kept
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.fakes.s3_server import FakeS3, Fault
from tests.support.object_stores import PATIENT
from tests.support.postgresql_server import shared_server
from tests.support.samples import Clock

pytestmark = pytest.mark.postgresql

QUICK = S3Limits(answer_s=60.0, retry_s=0.0, retries=0)


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


def denies(method: str, name: str) -> Fault:
    return Fault("status", method, name, status=403, code="AccessDenied")


STORES: dict[str, tuple[list[Fault], type[GatewayError], str]] = {
    "no such bucket": (
        [Fault("status", status=404, code="NoSuchBucket")],
        ConfigurationError,
        "there is no such bucket; make it, or correct `bucket` (404 NoSuchBucket)",
    ),
    "wrong keys": (
        [Fault("status", status=403, code="SignatureDoesNotMatch")],
        ConfigurationError,
        "it does not take the keys; correct `access_key_id` and `secret_access_key` (403 SignatureDoesNotMatch)",
    ),
    "no right to write": (
        [denies("PUT", "probe")],
        ConfigurationError,
        "it denies that (403 AccessDenied); grant s3:PutObject and s3:AbortMultipartUpload on the bucket and what lies "
        "below the prefix",
    ),
    "no right to read": (
        [denies("GET", "probe/")],
        ConfigurationError,
        "it denies that (403 AccessDenied); grant s3:GetObject on the bucket and what lies below the prefix",
    ),
    "no right to list": (
        [denies("GET", "list-type")],
        ConfigurationError,
        "it denies that (403 AccessDenied); grant s3:ListBucket on the bucket and what lies below the prefix",
    ),
    "no right to delete": (
        [denies("DELETE", "")],
        ConfigurationError,
        "it denies that (403 AccessDenied); grant s3:DeleteObject on the bucket and what lies below the prefix",
    ),
    "a clock that is far off": (
        [Fault("status", status=403, code="RequestTimeTooSkewed")],
        ConfigurationError,
        "its clock and this machine's differ by many minutes; run an NTP client on both (403 RequestTimeTooSkewed)",
    ),
    "no conditional create, ignored": (
        [Fault("ignore_condition", "PUT")],
        ConfigurationError,
        "it lets a second object take the place of one with the same name, though it was asked not to; take a server "
        "that knows conditional writes (S3: If-None-Match: * on PUT)",
    ),
    "no conditional create, refused": (
        [Fault("status", "PUT", status=501, code="NotImplemented")],
        ConfigurationError,
        "it does not know how to do that; take a server that knows conditional writes (If-None-Match: *) and multipart "
        "uploads (501 NotImplemented)",
    ),
    "no server of S3": (
        [Fault("status", status=404, code="")],
        ConfigurationError,
        "it does not know that address (404); is it an S3 server? Correct `endpoint` or `bucket`",
    ),
    "a server that is busy": ([Fault("status", status=503)], SpoolFull, "it answers 503 SlowDown; see its log"),
}


@pytest.mark.parametrize("case", STORES)
async def test_an_object_store_that_cannot_be_used(tmp_path: Path, server: FakeS3, case: str) -> None:
    faults, kind, words = STORES[case]
    server.faults += faults
    node = Node(tmp_path, Clock(), objects=S3ObjectStore(server.place(), QUICK))
    with pytest.raises(kind) as raised:
        await node.start()
    assert str(raised.value).endswith(words)
    assert "hush" not in str(raised.value)
    server.faults.clear()
    assert [key for key in server.objects if not key.startswith("north/ct/probe/")] == []
    async with node as journal:
        await kept(journal, b"taken once it is right")


async def test_a_bucket_that_another_cluster_uses(tmp_path: Path, server: FakeS3) -> None:
    first = Node(tmp_path / "first", Clock(), objects=S3ObjectStore(server.place(), PATIENT))
    async with first as journal:
        stored = await kept(journal, b"data")
        other = Node(tmp_path / "other", Clock(), objects=S3ObjectStore(server.place(), PATIENT))
        with pytest.raises(ConfigurationError) as raised:
            await other.start()
        assert f"it belongs to another cluster (gateway.json: {journal.spool_id}; this one is cluster-" in str(
            raised.value
        )
        assert str(raised.value).endswith("; name another bucket, prefix or folder, or the database")
        journal._folder.cache.drop(stored.payload.name)
        assert bytes((await journal.fetch(stored.payload)).view()) == b"data"


def wrong_host(url: str) -> str:
    return "postgresql://gateway:hush-hush@/gateway?host=/nonexistent"


def wrong_database(url: str) -> str:
    return shared_server().address("nobody-made-it")


def wrong_role(url: str) -> str:
    return url.replace("postgres@", "nobody:hush-hush@", 1)


def newer_tables(url: str) -> str:
    PostgreSQLStore(url).close()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE gateway_schema SET version = 99, oldest = 99")
    return url


def one_that_is_alone(url: str) -> str:
    store = PostgreSQLStore(url)
    with store.transaction():
        store.spool.bind_spool("5f0c")
    store.close()
    return url


DATABASES: dict[Callable[[str], str], tuple[type[GatewayError], str]] = {
    wrong_host: (SpoolFull, "it cannot be reached now: "),
    wrong_database: (
        ConfigurationError,
        'database "nobody-made-it" does not exist; correct `gateway.store.postgresql`, or what the server permits',
    ),
    wrong_role: (ConfigurationError, "; correct `gateway.store.postgresql`, or what the server permits"),
    newer_tables: (ConfigurationError, "made by a newer gateway (schema 99, this one knows "),
    one_that_is_alone: (
        ConfigurationError,
        "the database belongs to a gateway without `store.objects`, and its payloads lie in a spool; name another "
        "database or schema",
    ),
}


@pytest.mark.parametrize("wrong", DATABASES, ids=lambda wrong: wrong.__name__)
async def test_a_database_that_cannot_be_used(tmp_path: Path, wrong: Callable[[str], str]) -> None:
    kind, words = DATABASES[wrong]
    objects = MemoryObjectStore(Clock())
    node = Node(tmp_path, Clock(), url=wrong(shared_server().new_schema()), objects=objects)
    with pytest.raises(kind) as raised:
        await node.start()
    assert words in str(raised.value)
    assert "hush" not in str(raised.value)
    assert objects.objects == {}


async def test_an_endpoint_at_which_nobody_listens(tmp_path: Path) -> None:
    with FakeS3() as server:
        place = server.place()
    node = Node(tmp_path, Clock(), objects=S3ObjectStore(place, QUICK))
    with pytest.raises(SpoolFull, match="nobody listens there; start the server, or correct `endpoint`"):
        await node.start()


async def test_an_endpoint_that_is_no_name(tmp_path: Path) -> None:
    place = S3Settings("cluster", "http://nobody.invalid:9000", access_key_id="a", secret_access_key="b")
    node = Node(tmp_path, Clock(), objects=S3ObjectStore(place, dataclasses.replace(QUICK, answer_s=20.0)))
    with pytest.raises(SpoolFull, match="its host name is not known; correct `endpoint`, or the name server"):
        await node.start()


async def test_an_object_store_whose_clock_is_five_minutes_off_loses_nothing(tmp_path: Path) -> None:
    """Times of objects only matter to what two searches found unknown and a day old."""
    for minutes in (-5, 5):
        clock, its_clock = Clock(), Clock()
        its_clock.advance(timedelta(minutes=minutes).total_seconds())
        node = Node(tmp_path / str(minutes), clock, objects=MemoryObjectStore(its_clock))
        async with node as journal:
            stored = await kept(journal, b"x" * 200_000)
            store, seals = node.open_store("keeping"), node.sealer()
            for _ in range(3):
                clock.advance(12 * 3600)
                assert seals.delete_orphans(store) == 0
            store.close()
            journal._folder.cache.drop(stored.payload.name)
            body = await journal.fetch(stored.payload)
            assert body.length_bytes == 200_000
            body.close()

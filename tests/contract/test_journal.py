"""The contract of the `Journal` port, run against each implementation."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from gateway.model.delivery import RULE_PAUSED, DeliveryState, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.model.listener import Limits
from gateway.model.settings import Spool
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, ObjectTooLarge, PayloadMissing, SpoolFull
from gateway.ports.journal import Journal
from gateway.ports.store import Store
from gateway.postgresql.store import PostgreSQLStore
from gateway.spool.digest import digest_of
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore
from tests.support import object_stores
from tests.support.cluster import Node
from tests.support.fakes.memory_journal import MemoryJournal
from tests.support.postgresql_server import shared_server
from tests.support.samples import HELD, NOON, TO_PACS, TO_VNA, Clock, instance, settlement

LARGE_BYTES = 100_000
LIMIT_BYTES = 10_000_000
FRAGMENT_BYTES = 16_000


class Site(Protocol):
    """A journal, with what a test needs to look behind it."""

    clock: Clock

    @property
    def journal(self) -> Journal: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def files(self, folder: str) -> Sequence[str]:
        """Names of what is kept in this folder of the spool."""
        ...

    def retry(self, destination: str) -> int:
        """Another process retries the deliveries to `destination`; how many."""
        ...


class SpoolSite:
    """A journal on a folder and SQLite."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.spool = Spool(
            str(folder / "spool"), min_free_bytes=0, large_object_bytes=LARGE_BYTES, segment_bytes=1_000_000
        )

    async def start(self) -> None:
        self.journal = GroupCommitJournal(
            self.spool,
            self.open_store,
            limits=Limits(object_bytes=LIMIT_BYTES),
            now=self.clock,
            poll_s=0.02,
            sweep_s=3600.0,
        )
        await self.journal.start()

    def open_store(self) -> Store:
        return SQLiteStore(self.folder / "queue.db", now=self.clock)

    def open_beside(self) -> Store:
        """The store as another process opens it."""
        return SQLiteStore(self.folder / "queue.db", now=self.clock, must_exist=True)

    async def close(self) -> None:
        await self.journal.close()

    def files(self, folder: str) -> Sequence[str]:
        return [path.name for path in (self.folder / "spool" / folder).glob("0*")]

    def retry(self, destination: str) -> int:
        operator = self.open_beside()
        with operator.transaction():
            retried = operator.administration.retry(DeliveryFilter(destination=destination), self.clock())
        operator.close()
        return retried


class PostgreSQLSite(SpoolSite):
    """A journal on a folder and PostgreSQL."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, clock)
        self.url = shared_server().new_schema()
        self.opened = 0

    def open_store(self) -> Store:
        """The one to commit to first, then that for reading."""
        self.opened += 1
        return PostgreSQLStore(self.url, now=self.clock, is_committing=self.opened % 2 == 1)

    def open_beside(self) -> Store:
        return PostgreSQLStore(self.url, now=self.clock, must_exist=True)


class MemorySite:
    """A journal in memory; a restart is one of the same journal."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self.journal = MemoryJournal(clock, large_object_bytes=LARGE_BYTES, limit_bytes=LIMIT_BYTES)

    async def start(self) -> None:
        await self.journal.start()

    async def close(self) -> None:
        await self.journal.close()

    def files(self, folder: str) -> Sequence[str]:
        return [Path(name).name for name in self.journal.payloads if Path(name).parent == Path(folder)]

    def retry(self, destination: str) -> int:
        return self.journal.operate(lambda store: store.retry(DeliveryFilter(destination=destination), self.clock()))


def node(folder: Path, clock: Clock, place: Callable[[Path], AbstractContextManager[object_stores.Place]]) -> Node:
    with place(folder) as open_place:
        return Node(folder, clock, large_object_bytes=LARGE_BYTES, object_bytes=LIMIT_BYTES, objects=open_place())


def marks(name: str) -> list[pytest.MarkDecorator]:
    words = {"PostgreSQL": pytest.mark.postgresql, "S3": pytest.mark.s3}
    return [mark for word, mark in words.items() if word in name]


IMPLEMENTATIONS: dict[str, Callable[[Path, Clock], Site]] = {
    "group commit on SQLite": SpoolSite,
    "group commit on PostgreSQL": PostgreSQLSite,
    "a node on PostgreSQL and a folder": lambda folder, clock: node(folder, clock, object_stores.shared_folder),
    "a node on PostgreSQL and S3": lambda folder, clock: node(folder, clock, object_stores.seaweedfs),
    "memory": MemorySite,
}


@pytest.fixture(params=[pytest.param(name, marks=marks(name)) for name in IMPLEMENTATIONS])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    made = IMPLEMENTATIONS[request.param](tmp_path, Clock())
    await made.start()
    yield made
    await made.close()


async def restart(site: Site) -> Journal:
    await site.close()
    await site.start()
    return site.journal


@pytest.fixture
def journal(site: Site) -> Journal:
    return site.journal


def content(length_bytes: int, seed: int = 1) -> bytes:
    block = hashlib.sha256(seed.to_bytes(8, "big")).digest()
    return (block * (length_bytes // len(block) + 1))[:length_bytes]


async def receive(journal: Journal, data: bytes, fragment_bytes: int = FRAGMENT_BYTES) -> EncodedDataSet:
    """As an association does: fragments in a buffer that is used again."""
    receiver = journal.receiver()
    buffer = bytearray(fragment_bytes)
    for start in range(0, len(data), fragment_bytes):
        fragment = data[start : start + fragment_bytes]
        buffer[: len(fragment)] = fragment
        full = receiver.write(memoryview(buffer)[: len(fragment)])
        if full is not None:
            await full
    buffer[:] = b"\xee" * fragment_bytes
    return receiver.finish()


async def commit(
    journal: Journal, data: bytes, dispatches: Sequence[Dispatch] = (TO_PACS,), number: int = 1
) -> tuple[Instance, EncodedDataSet]:
    body = await receive(journal, data)
    return await journal.commit(instance(number), body, None, dispatches), body


def without_id(made: Instance) -> Instance:
    """An answer has no identifier: the store may give it later."""
    return dataclasses.replace(made, instance_id=0)


def stored(journal: Journal, payload: PayloadRef) -> bytes:
    body = journal.open(payload)
    try:
        assert body.length_bytes == payload.length_bytes
        data = bytes(body.view())
        assert b"".join(body.chunks(7000)) == data
    finally:
        body.close()
    return data


SIZES = {
    "empty": 0,
    "one byte": 1,
    "a fragment": FRAGMENT_BYTES,
    "as large as a small one gets": LARGE_BYTES,
    "as small as a large one gets": LARGE_BYTES + 1,
    "several batches": 3_000_000,
}


@pytest.mark.parametrize("length_bytes", SIZES.values(), ids=SIZES)
async def test_what_was_committed_comes_back_and_survives(site: Site, length_bytes: int) -> None:
    data = content(length_bytes)
    answer, body = await commit(site.journal, data)
    assert bytes(body.view()) == data, "the body is still the caller's"
    body.close()
    assert answer.payload.digest == digest_of([data])
    assert answer.payload.length_bytes == length_bytes
    assert stored(site.journal, answer.payload) == data
    again = await restart(site)
    assert stored(again, answer.payload) == data
    (claimed,) = await again.claim("pacs", 10, 60.0)
    assert claimed.instance.instance_id > 0
    assert without_id(claimed.instance) == without_id(answer)


@pytest.mark.parametrize("fragment_bytes", [1, 100, 4096, 70_000], ids="fragments of {}".format)
async def test_any_fragmentation(journal: Journal, fragment_bytes: int) -> None:
    data = content(LARGE_BYTES + 50_000)
    body = await receive(journal, data, fragment_bytes)
    assert body.length_bytes == len(data)
    assert bytes(body.view()) == data
    assert b"".join(body.chunks(1000)) == data
    assert max(map(len, body.chunks(1000))) <= 1000
    body.close()


EDITS = {
    "small to small": (1000, [b"new", b"", b"er"]),
    "large to small": (LARGE_BYTES * 2, [b"tiny"]),
    "large to large": (LARGE_BYTES * 30, None),
    "small to large": (1000, [b"x" * LARGE_BYTES, b"y" * LARGE_BYTES]),
    "to nothing": (1000, []),
}


@pytest.mark.parametrize(("length_bytes", "pieces"), EDITS.values(), ids=EDITS)
async def test_edited_pieces_are_kept_instead_of_the_body(
    journal: Journal, length_bytes: int, pieces: list[bytes | memoryview] | None
) -> None:
    body = await receive(journal, content(length_bytes))
    view = body.view()
    edited: list[bytes | memoryview] = pieces if pieces is not None else [view[:1000], b"edit", view[2000:]]
    answer = await journal.commit(instance(), body, edited, [TO_PACS])
    expected = b"".join(edited)
    assert answer.payload.digest == digest_of([expected])
    assert stored(journal, answer.payload) == expected
    view.release()
    del edited
    body.close()


async def test_a_body_of_any_kind_can_be_committed(journal: Journal) -> None:
    answer, body = await commit(journal, content(LARGE_BYTES * 2))
    body.close()
    read_back = journal.open(answer.payload)
    copied = await journal.commit(instance(2), read_back, None, [TO_PACS])
    read_back.close()
    assert copied.payload.name != answer.payload.name
    assert copied.payload.digest == answer.payload.digest


async def test_an_object_over_the_limit_is_refused_and_leaves_nothing(site: Site) -> None:
    receiver = site.journal.receiver()
    fragment = memoryview(content(1_000_000))

    async def write_too_much() -> None:
        for _ in range(11):
            full = receiver.write(fragment)
            if full is not None:
                await full

    with pytest.raises(ObjectTooLarge):
        await write_too_much()
    receiver.discard()
    receiver.discard()
    await restart(site)
    assert site.files("large") == []


@pytest.mark.parametrize("length_bytes", [1000, LARGE_BYTES * 20], ids=["small", "large"])
async def test_what_is_discarded_leaves_nothing(site: Site, length_bytes: int) -> None:
    receiver = site.journal.receiver()
    receiver.write(memoryview(content(length_bytes)))  # the write may be under way
    receiver.discard()
    receiver.discard()
    body = await receive(site.journal, content(length_bytes))
    body.close()
    body.close()
    await restart(site)
    assert site.files("large") == []


async def test_many_commits_at_once_are_each_kept(journal: Journal) -> None:
    sizes = [10, 5000, LARGE_BYTES + 10, 0, 70_000] * 12
    datas = [content(size, seed) for seed, size in enumerate(sizes)]
    done = await asyncio.gather(*(commit(journal, data, number=number) for number, data in enumerate(datas, start=1)))
    for (answer, body), data in zip(done, datas, strict=True):
        body.close()
        assert stored(journal, answer.payload) == data
    claimed = await journal.claim("pacs", 100, 60.0)
    assert len(claimed) == len(datas)


@pytest.mark.parametrize("length_bytes", [1000, LARGE_BYTES * 2], ids=["small", "large"])
async def test_a_duplicate_is_one_delivery_and_one_payload(site: Site, length_bytes: int) -> None:
    data = content(length_bytes)
    first, body = await commit(site.journal, data)
    body.close()
    second, body = await commit(site.journal, data)
    assert second.payload.digest == first.payload.digest
    assert bytes(body.view()) == data
    body.close()
    again = await restart(site)
    assert stored(again, first.payload) == data
    (claimed,) = await again.claim("pacs", 10, 60.0)
    assert claimed.instance.payload == first.payload
    assert len(site.files(str(Path(first.payload.name).parent))) == 1


async def test_settling_counts_those_that_held_their_lease(site: Site) -> None:
    journal = site.journal
    for number in (1, 2):
        _, body = await commit(journal, b"data", number=number)
        body.close()
    one, two = await journal.claim("pacs", 10, 60.0)
    late = dataclasses.replace(two, lease=two.lease + 1)
    counts = await asyncio.gather(
        journal.settle([settlement(one)]), journal.settle([settlement(late), settlement(two)]), journal.settle([])
    )
    assert list(counts) == [[True], [False, True], []]
    assert await journal.next_due("pacs") is None


async def test_next_due_and_depths(site: Site) -> None:
    journal = site.journal
    assert await journal.next_due("pacs") is None
    _, body = await commit(journal, b"1234", [TO_PACS, TO_VNA])
    body.close()
    await journal.until_recorded()
    assert await journal.next_due("pacs") == NOON
    await journal.claim("pacs", 1, 60.0)
    assert await journal.next_due("pacs") == NOON + timedelta(seconds=60)
    depths = {(depth.destination, depth.state, depth.count, depth.size_bytes) for depth in await journal.depths()}
    assert depths == {("pacs", DeliveryState.PENDING, 1, 4), ("vna", DeliveryState.PENDING, 1, 4)}


async def test_listeners_hear_of_new_due_deliveries_only(site: Site) -> None:
    heard: list[str] = []
    site.journal.subscribe(heard.append)
    _, body = await commit(site.journal, b"data", [TO_PACS, HELD])
    body.close()
    await site.journal.until_recorded()
    assert heard == ["pacs"]
    _, body = await commit(site.journal, b"data", [TO_PACS])
    body.close()
    await site.journal.until_recorded()
    assert heard == ["pacs"], "a duplicate is nothing new"


async def test_listeners_to_operators_hear_of_what_another_process_changed(site: Site) -> None:
    journal = site.journal
    _, body = await commit(journal, b"data")
    body.close()
    (claimed,) = await journal.claim("pacs", 1, 60.0)
    await journal.settle([settlement(claimed, DeliveryState.DEAD)])
    heard = asyncio.Event()
    journal.subscribe_to_operators(lambda destination: heard.set() if destination == "pacs" else None)
    _, body = await commit(journal, b"ours", [TO_VNA])
    body.close()
    await asyncio.sleep(0.05)
    assert not heard.is_set(), "what we commit ourselves is no operator's doing"

    assert await asyncio.to_thread(site.retry, "pacs") == 1
    async with asyncio.timeout(60):
        await heard.wait()
    assert len(await journal.claim("pacs", 1, 60.0)) == 1


MISSING = {
    "no such file": PayloadRef("segments/00000099.seg", 128, 10, bytes(32)),
    "no such large file": PayloadRef("large/0000000000000099.obj", 128, LARGE_BYTES * 2, bytes(32)),
}


@pytest.mark.parametrize("payload", MISSING.values(), ids=MISSING)
async def test_a_payload_that_is_not_there_may_come_back(journal: Journal, payload: PayloadRef) -> None:
    with pytest.raises(PayloadMissing, match=payload.name):
        journal.open(payload)


async def test_a_cancelled_commit_harms_nobody(site: Site) -> None:
    journal = site.journal
    for length_bytes in (1000, LARGE_BYTES * 5):
        bodies = [await receive(journal, content(length_bytes, seed)) for seed in range(6)]
        tasks = [
            asyncio.create_task(journal.commit(instance(number), body, None, [TO_PACS]))
            for number, body in enumerate(bodies, start=1)
        ]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for body in bodies:
            body.close()
        for seed in (1, 3, 5):
            answer = answers[seed]
            assert isinstance(answer, Instance)
            assert stored(journal, answer.payload) == content(length_bytes, seed)
    again = await restart(site)
    for claimed in await again.claim("pacs", 100, 60.0):
        assert len(stored(again, claimed.instance.payload)) == claimed.instance.payload.length_bytes


async def completed(journal: Journal, *arrivals: tuple[int, EncodedDataSet]) -> list[Instance | BaseException]:
    """What `commit_soon` gives of each, in order of completion."""
    ends: asyncio.Queue[Instance | BaseException | None] = asyncio.Queue()
    for number, body in arrivals:
        completion = journal.commit_soon(instance(number), body, None, [TO_PACS])
        assert completion is not None
        completion.then(lambda stored, error: ends.put_nowait(error or stored))
    found = [await ends.get() for _ in arrivals]
    return [each for each in found if each is not None]


async def test_what_is_committed_by_completion_is_kept_as_what_is_awaited(site: Site) -> None:
    journal = site.journal
    lengths = (0, 1, 70_000, LARGE_BYTES)
    bodies = [await receive(journal, content(length_bytes)) for length_bytes in lengths]
    answers = await completed(journal, *enumerate(bodies, start=1))
    assert len(answers) == len(lengths)
    for answer, length_bytes in zip(answers, lengths, strict=True):
        assert isinstance(answer, Instance)
        assert stored(journal, answer.payload) == content(length_bytes)
    again = await restart(site)
    claimed = await again.claim("pacs", 10, 60.0)
    assert [without_id(each.instance) for each in claimed] == [
        without_id(each) for each in answers if isinstance(each, Instance)
    ]


async def test_what_goes_into_a_file_is_not_committed_by_completion(journal: Journal) -> None:
    body = await receive(journal, content(LARGE_BYTES + 1))
    assert journal.commit_soon(instance(), body, None, [TO_PACS]) is None
    small = await receive(journal, content(10))
    assert journal.commit_soon(instance(), small, [bytes(LARGE_BYTES), b"more"], [TO_PACS]) is None
    assert await journal.claim("pacs", 10, 60.0) == []


async def test_what_was_held_for_a_paused_rule_is_released_in_pages(journal: Journal) -> None:
    """Of one destination and rule, in order; what is held for another reason stays. A reason of that kind is gone."""
    for number in range(1, 7):
        _, body = await commit(journal, b"data", number=number)
        body.close()
    claimed = await journal.claim("pacs", 10, 60.0)
    await journal.settle(
        [
            settlement(
                each, DeliveryState.HELD, reason=RULE_PAUSED if number < 5 else "another", is_attempt=number == 0
            )
            for number, each in enumerate(claimed)
        ]
    )
    which = DeliveryFilter(destination="pacs", rule=TO_PACS.rule, reason=RULE_PAUSED)
    assert await journal.claim("pacs", 10, 60.0) == []
    assert await journal.release_held(dataclasses.replace(which, rule="other"), 0, 3) == (0, 0)
    assert await journal.release_held(dataclasses.replace(which, destination="vna"), 0, 3) == (0, 0)
    ids = [each.delivery_id for each in claimed]
    assert await journal.release_held(which, 0, 3) == (3, ids[2])
    assert await journal.release_held(which, ids[2], 3) == (2, ids[4])
    assert await journal.release_held(which, ids[4], 3) == (0, 0)
    again = await journal.claim("pacs", 10, 60.0)
    assert [(each.delivery_id, each.attempts, each.reason) for each in again] == [
        (number, int(number == ids[0]), "") for number in ids[:5]
    ]


async def test_after_close_nothing_is_begun(site: Site) -> None:
    body = await receive(site.journal, content(10))
    await site.close()
    with pytest.raises(GatewayError, match="send again"):
        site.journal.commit_soon(instance(), body, None, [TO_PACS])


async def test_after_close_everything_is_refused_and_can_be_sent_again(site: Site) -> None:
    await site.close()
    with pytest.raises(GatewayError, match="send again"):
        site.journal.receiver()
    with pytest.raises(GatewayError, match="send again") as caught:
        await site.journal.claim("pacs", 1, 60.0)
    assert caught.value.dimse_status == SpoolFull.dimse_status

"""The journal when things go wrong: full disks, failed syncs, a committer that dies, peers that overrun memory."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs

from gateway.model.collection import CollectionTerms, End, Membership
from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.instance import IndexEntry, Instance
from gateway.model.query import Query, QueryLevel
from gateway.model.settings import Spool
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError, PayloadMissing, SpoolFull
from gateway.ports.kept_copies import NOTHING_KEPT
from gateway.ports.meter import Meter, NoMeter
from gateway.ports.store import Store
from gateway.spool import housekeeping
from gateway.spool.body import InMemoryDataSet
from gateway.spool.commit_requests import Acceptance, CommitRequest
from gateway.spool.commits import LONE_GROUPS
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.journal_state import JournalClosed
from gateway.spool.large import ReceivedFile
from gateway.spool.replay import Identify, identify_nothing
from gateway.sqlite.store import SQLiteStore
from tests.support.fakes.meter import MemoryMeter
from tests.support.overridable_store import OverridableStore
from tests.support.samples import TO_PACS, Clock, instance, settlement
from tests.unit.spool.faulty import FaultyDisk, error

LARGE_BYTES = 100_000


class Site:
    """Folder, clock and disk of one journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.disk = FaultyDisk()
        self.queue_factory: Callable[[], Store] = lambda: SQLiteStore(folder / "queue.db", now=self.clock)
        self.seconds = 0.0
        self.identify: Identify = identify_nothing
        self.meter: Meter = NoMeter()

    @asynccontextmanager
    async def journal(
        self, *, min_free_bytes: int = 0, memory_bytes: int = 10**9, retention_s: float = 3600.0, keep_s: float = 0.0
    ) -> AsyncIterator[GroupCommitJournal]:
        spool = Spool(
            str(self.folder / "spool"),
            min_free_bytes,
            retention_s,
            segment_bytes=1_000_000,
            large_object_bytes=LARGE_BYTES,
        )
        journal = GroupCommitJournal(
            spool,
            lambda: self.queue_factory(),
            now=self.clock,
            monotonic=lambda: self.seconds,
            disk=self.disk,
            memory_bytes=memory_bytes,
            poll_s=0.01,
            sweep_s=0.0,
            keep_s=lambda: keep_s,
            identify=self.identify,
            meter=self.meter,
        )
        await journal.start()
        try:
            yield journal
        finally:
            await journal.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def acknowledge(journal: GroupCommitJournal, data: bytes = b"data", number: int = 1) -> Instance:
    """Commit; the store may not know the instance yet."""
    body = InMemoryDataSet([data])
    try:
        return await journal.commit(instance(number), body, None, [TO_PACS])
    finally:
        body.close()


async def commit(journal: GroupCommitJournal, data: bytes = b"data", number: int = 1) -> Instance:
    """The same, until the store knows the instance."""
    stored = await acknowledge(journal, data, number)
    await journal.until_recorded()
    return stored


def without_id(made: Instance) -> Instance:
    """An answer has no identifier: the store may give it later."""
    return dataclasses.replace(made, instance_id=0)


async def commit_soon(journal: GroupCommitJournal, data: bytes = b"data", number: int = 1) -> Instance:
    """The same by completion."""
    end: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
    body = InMemoryDataSet([data])
    try:
        completion = journal.commit_soon(instance(number), body, None, [TO_PACS])
        assert completion is not None
        completion.then(lambda stored, error: end.set_exception(error) if error else end.set_result(stored))  # type: ignore[arg-type]
        return await end
    finally:
        body.close()


async def write(journal: GroupCommitJournal, length_bytes: int) -> object:
    """Receive so much; the body, or the receiver's error."""
    receiver = journal.receiver()
    try:
        for start in range(0, length_bytes, 50_000):
            full = receiver.write(memoryview(b"x" * min(50_000, length_bytes - start)))
            if full is not None:
                await full
        return receiver.finish()
    except SpoolFull as caught:
        receiver.discard()
        return caught


async def until(condition: Callable[[], object]) -> None:
    """Wait for what housekeeping does soon."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


# --- grouping ---------------------------------------------------------------------------------------------------


class SlowSync(FaultyDisk):
    """A sync that lasts until it is allowed to end."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.may_end = threading.Event()

    def fdatasync(self, descriptor: int) -> None:
        self.entered.set()
        assert self.may_end.wait(60)
        super().fdatasync(descriptor)


async def test_no_row_is_committed_before_its_bytes_are_on_disk(site: Site) -> None:
    site.disk = slow = SlowSync()
    async with site.journal() as journal:
        waiting = asyncio.create_task(commit(journal))
        await until(slow.entered.is_set)
        reader = SQLiteStore(site.folder / "queue.db", must_exist=True)
        assert reader.administration.list(DeliveryFilter(), 10) == []
        assert not waiting.done()
        slow.may_end.set()
        stored = await waiting
        assert [without_id(each.instance) for each in reader.administration.list(DeliveryFilter(), 10)] == [stored]
        reader.close()


async def test_what_arrives_during_a_sync_is_the_next_group(site: Site) -> None:
    site.disk = disk = SlowSync()
    async with site.journal() as journal:
        first = asyncio.create_task(commit(journal, number=1))
        assert await asyncio.to_thread(disk.entered.wait, 60)
        rest = [asyncio.create_task(commit(journal, number=number)) for number in range(2, 30)]
        await asyncio.sleep(0)
        assert not first.done(), "nothing is acknowledged before its sync"
        disk.may_end.set()
        await asyncio.gather(first, *rest)
    assert disk.calls.count("fdatasync") == 2


async def test_claims_alone_sync_no_payload(site: Site) -> None:
    async with site.journal() as journal:
        await commit(journal)
        before = site.disk.calls.count("fdatasync")
        (claimed,) = await journal.claim("pacs", 10, 60.0)
        await journal.settle([settlement(claimed)])
        assert site.disk.calls.count("fdatasync") == before


class Breakable(OverridableStore):
    """Takes no transaction with instance 13 in it; held, and without index entry, it takes that too."""

    takes_held = True

    def accept(self, arrivals: Any, *rest: Any) -> Any:
        for each, dispatches in arrivals:
            is_held = self.takes_held and [dispatch.state for dispatch in dispatches] == [DeliveryState.HELD]
            if each.sop_instance_uid.endswith(".13") and not is_held:
                raise ValueError("unlucky")
        return super().accept(arrivals, *rest)


class Unbearable(Breakable):
    """Takes instance 13 in no form."""

    takes_held = False


async def commit_in_one_group(site: Site, journal: GroupCommitJournal, numbers: Sequence[int]) -> None:
    """Instance 1 alone, then these."""
    assert isinstance(site.disk, SlowSync)
    first = asyncio.create_task(acknowledge(journal, number=1))
    assert await asyncio.to_thread(site.disk.entered.wait, 60)
    group = [asyncio.create_task(acknowledge(journal, b"%d" % number, number)) for number in numbers]
    await asyncio.sleep(0)
    site.disk.may_end.set()
    await asyncio.gather(first, *group)


def numbers_of(deliveries: Sequence[Delivery]) -> set[int]:
    return {int(each.instance.sop_instance_uid.rpartition(".")[2]) for each in deliveries}


@pytest.mark.parametrize("kind", [Breakable, Unbearable], ids=["held", "left out until the next start"])
async def test_an_instance_that_breaks_the_transaction_does_not_fail_the_others(
    site: Site, kind: type[Breakable]
) -> None:
    site.queue_factory = lambda: kind(site.folder / "queue.db", now=site.clock)
    site.disk = SlowSync()
    with capture_logs() as logs:
        async with site.journal() as journal:
            await commit_in_one_group(site, journal, range(10, 16))
            assert numbers_of(await journal.claim("pacs", 100, 60.0)) == {1, 10, 11, 12, 14, 15}
            assert journal.health() == ""
            held = await journal.read(
                lambda store: store.administration.list(DeliveryFilter(state=DeliveryState.HELD), 10)
            )
            assert [each.instance.sop_instance_uid.rpartition(".")[2] for each in held] == ["13"] * kind.takes_held
    (reported,) = [each for each in logs if each["event"] == "instance_not_recorded"]
    assert reported["log_level"] == "critical"
    assert reported["sop_instance_uid"].endswith(".13")
    site.queue_factory = lambda: SQLiteStore(site.folder / "queue.db", now=site.clock)
    async with site.journal() as journal:
        again = numbers_of(await journal.claim("pacs", 100, 60.0))
        assert (13 in again) is not kind.takes_held, "what was acknowledged is held, or comes back"


async def test_what_only_the_next_start_can_take_is_not_swept(site: Site) -> None:
    """All others of its segment are delivered and forgotten."""
    site.queue_factory = lambda: Unbearable(site.folder / "queue.db", now=site.clock)
    async with site.journal(retention_s=0.0) as journal:
        await commit(journal, b"13", 13)
        for number in range(20, 34):
            await commit(journal, b"s" * 90_000, number)
        await deliver(journal)
        site.clock.advance(1)
        async with asyncio.timeout(60):
            while await journal.read(lambda store: len(store.spool.payload_names())) > 0:
                await asyncio.sleep(0.001)
        await journal.sweep()
        assert len(spool_files(site)) == 2
    site.queue_factory = lambda: SQLiteStore(site.folder / "queue.db", now=site.clock)
    async with site.journal() as journal:
        assert 13 in numbers_of(await journal.claim("pacs", 100, 60.0))


# --- no room ----------------------------------------------------------------------------------------------------


async def test_below_min_free_nothing_is_taken_and_it_recovers(site: Site) -> None:
    async with site.journal(min_free_bytes=1000) as journal:
        body = await write(journal, 500)
        assert isinstance(body, InMemoryDataSet)
        site.disk.free = 999
        site.seconds += 1
        with pytest.raises(SpoolFull, match="min_free"):
            journal.receiver()
        with pytest.raises(SpoolFull):
            await journal.commit(instance(), body, None, [TO_PACS])
        await journal.claim("pacs", 1, 60.0)  # delivering goes on: it makes room
        site.disk.free = 1000
        site.seconds += 1
        await journal.commit(instance(), body, None, [TO_PACS])
        body.close()


async def test_a_file_system_that_does_not_answer_is_no_room(site: Site) -> None:
    async with site.journal() as journal:
        site.disk.fail["free_bytes"] = error(errno.EIO)
        site.seconds += 10.0
        with pytest.raises(SpoolFull, match="does not answer"):
            journal.receiver()
        with pytest.raises(SpoolFull, match="does not answer"):
            await commit(journal)
        site.disk.fail.clear()
        await commit(journal)


async def test_room_that_ends_while_a_large_object_arrives(site: Site) -> None:
    async with site.journal(min_free_bytes=1000) as journal:
        receiver = journal.receiver()
        with pytest.raises(SpoolFull):
            await write_until_full(receiver.write, site)
        receiver.discard()
        site.disk.free = None
        site.seconds += 1
        await commit(journal)
    assert list((site.folder / "spool" / "large").iterdir()) == []


async def write_until_full(write: Callable[[memoryview], Awaitable[None] | None], site: Site) -> None:
    for number in range(100):
        full = write(memoryview(b"x" * LARGE_BYTES))
        if full is not None:
            await full
        if number == 20:
            site.disk.free = 0
            site.seconds += 1


@pytest.mark.parametrize("length_bytes", [1000, 3_000_000], ids=["small", "large"])
@pytest.mark.parametrize("call", ["pwritev", "fdatasync", "create"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
async def test_a_failing_disk_is_no_room_and_nothing_is_half_committed(
    site: Site, length_bytes: int, call: str, number: int
) -> None:
    async with site.journal() as journal:
        site.disk.fail[call] = error(number)
        body = await write(journal, length_bytes)
        if isinstance(body, InMemoryDataSet | ReceivedFile):
            with pytest.raises(SpoolFull):
                await journal.commit(instance(7), body, None, [TO_PACS])
            body.close()
        assert length_bytes > LARGE_BYTES or isinstance(body, InMemoryDataSet)
        assert await journal.depths() == []
        site.disk.fail.clear()
        kept = await commit(journal, b"after", number=8)
        assert journal.health() == ""
    async with site.journal() as journal:
        (claimed,) = await journal.claim("pacs", 10, 60.0)
        assert without_id(claimed.instance) == kept
        assert bytes(journal.open(kept.payload).view()) == b"after"


class FullQueue(OverridableStore):
    """A queue whose disk is full while `is_full`."""

    is_full = False

    def accept(self, arrivals: Any, *rest: Any) -> Any:
        answer = super().accept(arrivals, *rest)
        if FullQueue.is_full:
            raise SpoolFull("queue: the disk takes no more")
        return answer


async def test_a_store_without_room_gets_what_was_acknowledged_later_and_nothing_more_is(site: Site) -> None:
    site.queue_factory = lambda: FullQueue(site.folder / "queue.db", now=site.clock)
    async with site.journal() as journal:
        FullQueue.is_full = True
        first = await acknowledge(journal)
        with pytest.raises(SpoolFull):
            await journal.until_recorded()
        for number in (2, 3):
            with pytest.raises(SpoolFull):
                await acknowledge(journal, b"refused", number)
        assert await journal.depths() == [], "queries of the state go on"
        assert "no more" in journal.write_problems()["database"]
        FullQueue.is_full = False
        second = await commit(journal, b"other", number=4)
        for stored, data in ((first, b"data"), (second, b"other")):
            assert bytes(journal.open(stored.payload).view()) == data
        claimed = await journal.claim("pacs", 10, 60.0)
        assert [without_id(each.instance) for each in claimed] == [first, second]


async def test_figures_do_not_wait_for_a_process_that_holds_the_database(site: Site) -> None:
    site.queue_factory = lambda: SQLiteStore(site.folder / "queue.db", now=site.clock, busy_timeout_s=600.0)
    async with site.journal() as journal:
        await commit(journal, number=1)
        other = apsw.Connection(str(site.folder / "queue.db"))
        try:
            other.set_busy_timeout(60_000)
            other.execute("BEGIN IMMEDIATE")
            await acknowledge(journal, b"other", number=2)
            async with asyncio.timeout(60):
                (depth,) = await journal.depths()
            assert depth.count == 1, "what the store knows"
        finally:
            other.close()
        await journal.until_recorded()
        (depth,) = await journal.depths()
        assert depth.count == 2


@pytest.mark.parametrize("length_bytes", [1000, 3_000_000], ids=["small", "large"])
async def test_what_the_store_never_took_is_taken_by_the_next_start(site: Site, length_bytes: int) -> None:
    site.queue_factory = lambda: FullQueue(site.folder / "queue.db", now=site.clock)
    with capture_logs() as logs:
        async with site.journal() as journal:
            FullQueue.is_full = True
            body = await write(journal, length_bytes)
            assert isinstance(body, InMemoryDataSet | ReceivedFile)
            stored = await journal.commit(instance(), body, None, [TO_PACS])
            body.close()
    FullQueue.is_full = False
    (told,) = [each for each in logs if each["event"] == "instances_not_recorded"]
    assert told["instances"] == 1
    async with site.journal() as journal:
        (claimed,) = await journal.claim("pacs", 10, 60.0)
        assert without_id(claimed.instance) == stored
        assert bytes(journal.open(stored.payload).view()) == b"x" * length_bytes


class Unanswered(OverridableStore):
    """Commits its next transaction without an answer when `is_lost`."""

    is_lost = False

    @contextmanager
    def transaction(self, **options: Any) -> Generator[None]:
        with super().transaction(**options):
            yield
        if Unanswered.is_lost:
            Unanswered.is_lost = False
            raise SpoolFull("the connection was lost")


@pytest.mark.parametrize("length_bytes", [1000, 3_000_000], ids=["small", "large"])
async def test_what_the_store_took_without_an_answer_is_whole_and_sent_at_once(site: Site, length_bytes: int) -> None:
    site.queue_factory = lambda: Unanswered(site.folder / "queue.db", now=site.clock)
    woken: list[str] = []
    async with site.journal() as journal:
        journal.subscribe(woken.append)
        body = await write(journal, length_bytes)
        assert isinstance(body, InMemoryDataSet | ReceivedFile)
        Unanswered.is_lost = True
        stored = await journal.commit(instance(), body, None, [TO_PACS])
        body.close()
        with suppress(SpoolFull):
            await journal.until_recorded()
        assert not Unanswered.is_lost
        await journal.until_recorded()
        assert woken == ["pacs"]
        (claimed,) = await journal.claim("pacs", 10, 60.0)
        assert without_id(claimed.instance) == stored
        assert bytes(journal.open(stored.payload).view()) == b"x" * length_bytes
    async with site.journal() as journal:
        assert bytes(journal.open(stored.payload).view()) == b"x" * length_bytes


# --- memory -----------------------------------------------------------------------------------------------------


async def test_small_objects_go_to_files_when_memory_is_short(site: Site) -> None:
    async with site.journal(memory_bytes=150_000) as journal:
        bodies = [await write(journal, 60_000) for _ in range(5)]
        kinds = [type(body) for body in bodies]
        assert kinds == [InMemoryDataSet] * 2 + [ReceivedFile] * 3
        for number, body in enumerate(bodies):
            assert isinstance(body, InMemoryDataSet | ReceivedFile)
            stored = await journal.commit(instance(number, body=b"%d" % number), body, None, [TO_PACS])
            body.close()
            assert bytes(journal.open(stored.payload).view()) == b"x" * 60_000
        assert type(await write(journal, 60_000)) is InMemoryDataSet, "closed bodies gave their memory back"


async def test_a_large_object_passes_in_flat_memory(site: Site) -> None:
    async with site.journal() as journal:
        before_bytes = most_bytes = resident_bytes()
        fragment = memoryview(bytes(128 * 1024))
        receiver = journal.receiver()
        for _ in range(2000):
            full = receiver.write(fragment)
            if full is not None:
                await full
            most_bytes = max(most_bytes, resident_bytes())
        body = receiver.finish()
        stored = await journal.commit(instance(), body, None, [TO_PACS])
        body.close()
        opened = journal.open(stored.payload)
        for _ in opened.chunks(256 * 1024):
            most_bytes = max(most_bytes, resident_bytes())
        assert opened.length_bytes == 2000 * 128 * 1024
        opened.close()
        assert most_bytes - before_bytes < 32 * 1024**2


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- life -------------------------------------------------------------------------------------------------------


async def test_a_second_gateway_on_the_same_spool_is_refused(site: Site) -> None:
    async with site.journal() as journal:
        with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"):
            async with site.journal():
                pass
        await commit(journal)
    async with site.journal() as journal:
        assert len(await journal.claim("pacs", 10, 60.0)) == 1


@pytest.mark.parametrize("opened", [1, 2], ids=["for committing", "for reading"])
async def test_a_queue_that_cannot_be_opened_stops_the_start_and_frees_the_spool(site: Site, opened: int) -> None:
    real, calls = site.queue_factory, []

    def open_queue() -> Store:
        calls.append(1)
        if len(calls) == opened:
            raise ConfigurationError("no queue today")
        return real()

    site.queue_factory = open_queue
    with pytest.raises(ConfigurationError, match="no queue today"):
        async with site.journal():
            pass
    site.queue_factory = real
    async with site.journal() as journal:
        await commit(journal)


class Unclosable(SQLiteStore):
    """Fails when it is closed."""

    def close(self) -> None:
        super().close()
        raise OSError(errno.EIO, os.strerror(errno.EIO))


async def test_a_queue_that_cannot_be_closed_keeps_nobody_waiting(site: Site) -> None:
    real = site.queue_factory
    opened = 0

    def open_queue() -> Store:
        nonlocal opened
        opened += 1
        return Unclosable(site.folder / "queue.db", now=site.clock) if opened == 1 else real()

    site.queue_factory = open_queue
    async with asyncio.timeout(60), site.journal() as journal:
        await commit(journal)
    assert journal.health() == "closed"


class Deadly(OverridableStore):
    """Kills the thread that asks it to accept instance 13."""

    def accept(self, arrivals: Any, *rest: Any) -> Any:
        if any(each.sop_instance_uid.endswith(".13") for each, _ in arrivals):
            raise SystemExit("the committer is gone")
        return super().accept(arrivals, *rest)


def begin(journal: GroupCommitJournal, number: int) -> asyncio.Queue[Instance | BaseException | None]:
    """Begin to commit a small object without a task; what becomes of it."""
    ends: asyncio.Queue[Instance | BaseException | None] = asyncio.Queue()
    completion = journal.commit_soon(instance(number), InMemoryDataSet([b"data"]), None, [TO_PACS])
    assert completion is not None
    completion.then(lambda stored, error: ends.put_nowait(error or stored))
    return ends


async def test_objects_of_one_step_are_submitted_together_and_lone_ones_at_once(site: Site) -> None:
    async with site.journal() as journal:
        committer = journal._commits._committer
        submitted: list[CommitRequest] = []
        submit = committer.submit

        def noted(request: CommitRequest) -> None:
            if isinstance(request, Acceptance):
                submitted.append(request)
            submit(request)

        committer.submit = noted  # type: ignore[method-assign]
        together = [begin(journal, number) for number in (1, 2, 3)]
        assert submitted == []
        await asyncio.sleep(0)
        assert len(submitted) == 3
        for ends in together:
            assert isinstance(await ends.get(), Instance)
        for number in range(LONE_GROUPS):
            assert isinstance(await begin(journal, 10 + number).get(), Instance)
        submitted.clear()
        alone = begin(journal, 100)
        assert len(submitted) == 1
        assert isinstance(await alone.get(), Instance)


async def test_what_was_begun_in_the_step_of_the_end_is_committed(site: Site) -> None:
    async with site.journal() as journal:
        begun = [begin(journal, number) for number in range(1, 4)]
        await journal.close()
        for ends in begun:
            assert isinstance(await ends.get(), Instance)


@pytest.mark.parametrize("commit", [acknowledge, commit_soon], ids=["awaited", "by-completion"])
@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
async def test_a_failing_disk_is_reported_to_all_that_wait(site: Site, call: str, commit: Any) -> None:
    async with site.journal() as journal:
        site.disk.fail[call] = error(errno.EIO)
        with pytest.raises(SpoolFull):
            await commit(journal)
        site.disk.fail.clear()
        await commit(journal, number=2)


@pytest.mark.parametrize("commit", [acknowledge, commit_soon], ids=["awaited", "by-completion"])
async def test_when_the_committer_dies_everybody_is_reported(site: Site, commit: Any) -> None:
    site.queue_factory = lambda: Deadly(site.folder / "queue.db", now=site.clock)
    site.disk = disk = SlowSync()
    async with site.journal() as journal:
        told = asyncio.create_task(journal.failed())
        first = asyncio.create_task(commit(journal, number=1))
        assert await asyncio.to_thread(disk.entered.wait, 60)
        waiting = [asyncio.create_task(commit(journal, number=number)) for number in range(10, 16)]
        await asyncio.sleep(0)
        disk.may_end.set()
        await first
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Instance] * 6, "they are durable"
        with pytest.raises(JournalClosed, match="the committer is gone") as caught:
            await told
        assert isinstance(caught.value.__cause__, SystemExit)
        assert "the committer is gone" in journal.health()
        with pytest.raises(JournalClosed):
            await commit(journal, number=20)
        with pytest.raises(JournalClosed):
            journal.receiver()
    site.queue_factory = lambda: SQLiteStore(site.folder / "queue.db", now=site.clock)
    async with site.journal() as journal:
        assert len(await journal.claim("pacs", 10, 60.0)) == 7, "the next start has all that were acknowledged"


class DeadlySync(SlowSync):
    """The second sync kills its thread."""

    def fdatasync(self, descriptor: int) -> None:
        if self.calls.count("fdatasync"):
            raise SystemExit("the committer is gone")
        super().fdatasync(descriptor)


async def test_what_is_not_durable_when_the_committer_dies_is_refused(site: Site) -> None:
    site.disk = disk = DeadlySync()
    async with site.journal() as journal:
        first = asyncio.create_task(acknowledge(journal, number=1))
        assert await asyncio.to_thread(disk.entered.wait, 60)
        waiting = [asyncio.create_task(acknowledge(journal, number=number)) for number in range(10, 16)]
        await asyncio.sleep(0)
        disk.may_end.set()
        await first
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [JournalClosed] * 6
    site.disk = FaultyDisk()
    async with site.journal() as journal:
        uids = {each.instance.sop_instance_uid for each in await journal.claim("pacs", 10, 60.0)}
        assert instance(1).sop_instance_uid in uids


async def test_an_orderly_end_is_no_failure(site: Site) -> None:
    async with site.journal() as journal:
        told = asyncio.create_task(journal.failed())
        commits = [asyncio.create_task(acknowledge(journal, number=number)) for number in range(20)]
        await asyncio.sleep(0)
    await told
    assert journal.health() == "closed"
    assert len(await asyncio.gather(*commits)) == 20, "what waited was committed"


# --- keeping house ----------------------------------------------------------------------------------------------


def spool_files(site: Site) -> list[str]:
    return sorted(path.name for path in (site.folder / "spool").glob("*/0*"))


async def deliver(journal: GroupCommitJournal) -> None:
    claimed = await journal.claim("pacs", 100, 60.0)
    await journal.settle([settlement(each) for each in claimed])


async def test_a_delivered_payload_goes_when_retention_is_over(site: Site) -> None:
    async with site.journal(retention_s=100.0) as journal:
        await commit(journal, b"l" * LARGE_BYTES * 2, number=1)
        for number in range(2, 16):
            await commit(journal, b"s" * 90_000, number=number)
        assert spool_files(site) == ["0000000000000001.obj", "00000001.seg", "00000002.seg"]
        await deliver(journal)
        site.clock.advance(100)
        await journal.sweep()
        assert len(spool_files(site)) == 3, "retention runs"
        site.clock.advance(1)
        await until(lambda: spool_files(site) == ["00000002.seg"])  # the active one stays


async def test_what_became_of_a_study_is_known_for_keep_trace(site: Site) -> None:
    async with site.journal(retention_s=0.0) as journal, asyncio.timeout(60):
        stored = await commit(journal, number=1)

        async def entries() -> int:
            return await journal.read(lambda store: len(store.traces.entries([stored.study_instance_uid])))

        await deliver(journal)
        site.clock.advance(1)
        while await entries() != 2:  # of its sender and of its destination
            await asyncio.sleep(0.01)
        site.clock.advance(31 * 86400)
        while await entries():
            await asyncio.sleep(0.01)


async def test_dead_and_held_payloads_stay(site: Site) -> None:
    async with site.journal(retention_s=0.0) as journal:
        kept = await commit(journal, b"l" * LARGE_BYTES * 2)
        (claimed,) = await journal.claim("pacs", 1, 60.0)
        await journal.settle([settlement(claimed, DeliveryState.DEAD)])
        site.clock.advance(10**6)
        await journal.sweep()
        assert journal.open(kept.payload).length_bytes == LARGE_BYTES * 2


async def test_retention_ends_early_when_room_is_low(site: Site) -> None:
    async with site.journal(min_free_bytes=1000, retention_s=10**6) as journal:
        for number in range(1, 4):
            await commit(journal, b"data", number=number)
        await deliver(journal)
        site.clock.advance(1)
        site.disk.free = 1100  # enough to receive, too little to keep what is delivered
        site.seconds += 1
        assert journal.forgotten_early == 0
        with capture_logs() as logs:
            await until(lambda: spool_files(site) == [])
        await commit(journal, b"more", number=9)
        assert journal.forgotten_early == 3
    told = [line for line in logs if line["event"] == "instances_forgotten_early"]
    assert sum(line["instances"] for line in told) == 3


def indexed(number: int) -> Instance:
    entry = IndexEntry('{"00100020":"P"}', '{"0020000D":"1.1"}', '{"0020000E":"1.1.1"}', "{}")
    return dataclasses.replace(instance(number, body=b""), index=entry)


def found(site: Site) -> int:
    """How many instances a query finds."""
    queue = SQLiteStore(site.folder / "queue.db", now=site.clock)
    count = len(queue.index.find_instances(Query(QueryLevel.IMAGE, "study", (), is_relational=True)))
    queue.close()
    return count


def objects(site: Site) -> list[str]:
    """Files of large objects."""
    return [name for name in spool_files(site) if name.endswith(".obj")]


async def test_what_is_in_the_index_is_kept_longer(site: Site) -> None:
    async with site.journal(retention_s=10.0, keep_s=100.0) as journal:
        plain = await commit(journal, b"l" * LARGE_BYTES * 2, number=1)
        await journal.commit(indexed(2), InMemoryDataSet([b"m" * LARGE_BYTES * 2]), None, [TO_PACS])
        assert len(objects(site)) == 2
        await deliver(journal)
        site.clock.advance(50)
        await until(lambda: len(objects(site)) == 1)
        assert journal.forgotten_early == 0
        with pytest.raises(PayloadMissing):
            journal.open(plain.payload)
        assert found(site) == 1
        site.clock.advance(51)
        await until(lambda: objects(site) == [])
        assert found(site) == 0


async def test_what_is_kept_for_queries_goes_when_room_is_low(site: Site) -> None:
    async with site.journal(min_free_bytes=1000, retention_s=10**6, keep_s=2.0 * 10**6) as journal:
        for number in range(1, 6):
            await journal.commit(indexed(number), InMemoryDataSet([b"data"]), None, [TO_PACS])
        await deliver(journal)
        site.clock.advance(1)
        assert found(site) == 5
        site.disk.free = 1100
        site.seconds += 1
        await until(lambda: found(site) == 0)
        await until(lambda: spool_files(site) == [])
        await commit(journal, b"more", number=9)
        assert journal.forgotten_early == 5


async def deliver_and_keep(journal: GroupCommitJournal, site: Site, days: int = 7) -> None:
    """All that is pending, kept for `days`."""
    until = site.clock() + timedelta(days=days)
    claimed = await journal.claim("pacs", 100, 60.0)
    await journal.settle([dataclasses.replace(settlement(each), kept_until=until) for each in claimed])


async def test_a_kept_copy_goes_when_its_time_is_over(site: Site) -> None:
    async with site.journal(retention_s=100.0) as journal:
        kept = await commit(journal, b"l" * LARGE_BYTES * 2)
        await deliver_and_keep(journal, site)
        site.clock.advance(7 * 86400 - 1)
        await journal.sweep()
        assert journal.open(kept.payload).length_bytes == LARGE_BYTES * 2
        assert (await journal.kept_total()).number == 1
        site.clock.advance(1)
        await until(lambda: objects(site) == [])
        assert (await journal.kept_total(), journal.kept_copies_dropped) == (NOTHING_KEPT, 0)


class RoomForObjects(FaultyDisk):
    """Has a little less room than it should while there are more than so many large objects."""

    def __init__(self, site: Site, most: int) -> None:
        super().__init__()
        self.site, self.most = site, most

    def free_bytes(self, path: Path | int) -> int:
        return 1249 if len(objects(self.site)) > self.most else 10**9


async def test_kept_copies_go_first_and_the_oldest_first_when_room_is_low(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing that is owed; what is under retention goes when there are none."""
    monkeypatch.setattr(housekeeping, "FORGET_AT_ONCE", 1)
    monkeypatch.setattr(housekeeping, "DROPPED_AT_LEAST_BYTES", 1)
    site.disk = disk = RoomForObjects(site, 4)
    async with site.journal(min_free_bytes=1000, retention_s=3600.0) as journal:
        kept = []
        for number in (1, 2):
            kept.append(await commit(journal, b"l" * LARGE_BYTES * 2, number=number))
            await deliver_and_keep(journal, site, days=8 - number)
            site.clock.advance(7200)
        retained = await commit(journal, b"r" * LARGE_BYTES * 2, number=3)
        await deliver(journal)
        owed = await commit(journal, b"o" * LARGE_BYTES * 2, number=4)
        site.clock.advance(1)
        with capture_logs() as logs:
            disk.most = 3
            site.seconds += 1
            await until(lambda: len(objects(site)) == 3)
            with pytest.raises(PayloadMissing):
                journal.open(kept[0].payload)
            for each in (kept[1], retained, owed):
                assert journal.open(each.payload).length_bytes == LARGE_BYTES * 2
            assert (journal.kept_copies_dropped, journal.forgotten_early) == (1, 0)
            disk.most = 0
            site.seconds += 1
            await until(lambda: journal.forgotten_early)
            await until(lambda: len(objects(site)) == 1)
        assert (journal.kept_copies_dropped, journal.forgotten_early) == (2, 1)
        assert journal.open(owed.payload).length_bytes == LARGE_BYTES * 2
    told = [line["copies"] for line in logs if line["event"] == "kept_copies_dropped"]
    assert told == [1, 1]


async def test_a_kept_copy_that_is_given_up_makes_room_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one under retention: otherwise the next ones would be given up, too, for no room."""
    monkeypatch.setattr(housekeeping, "FORGET_AT_ONCE", 1)
    monkeypatch.setattr(housekeeping, "DROPPED_AT_LEAST_BYTES", 1)
    site.disk = RoomForObjects(site, 1)
    async with site.journal(min_free_bytes=1000, retention_s=3600.0) as journal:
        kept = []
        for number in (1, 2):
            kept.append(await commit(journal, b"l" * LARGE_BYTES * 2, number=number))
            await deliver_and_keep(journal, site)
            site.clock.advance(1)
        site.seconds += 1
        await until(lambda: len(objects(site)) == 1)
        assert journal.open(kept[1].payload).length_bytes == LARGE_BYTES * 2
        assert (journal.kept_copies_dropped, journal.forgotten_early) == (1, 1)


async def test_a_discarded_delivery_frees_its_payload(site: Site) -> None:
    async with site.journal(retention_s=0.0) as journal:
        await commit(journal, b"l" * LARGE_BYTES * 2)
        operator = SQLiteStore(site.folder / "queue.db", now=site.clock)
        with operator.transaction():
            assert operator.administration.discard(DeliveryFilter()) == 1
        operator.close()
        site.clock.at += timedelta(seconds=1)
        await until(lambda: spool_files(site) == ["00000001.seg"])  # the active one stays


async def test_what_a_collection_leaves_out_is_counted_when_the_store_knows(site: Site) -> None:
    site.meter = meter = MemoryMeter()
    member = Membership(CollectionTerms("chest", late="ignore"), "1.2.3", patient="p")
    collected = Dispatch("r", "pacs", collection=member)
    async with site.journal() as journal:

        async def commit_collected(number: int) -> None:
            body = InMemoryDataSet([b"data%d" % number])
            await journal.commit(instance(number), body, None, [collected])
            body.close()
            await journal.until_recorded()

        await commit_collected(1)
        await journal.write(lambda store: store.collections.end(1, End("forced", "send")))
        await commit_collected(2)
    assert meter.counted["gateway_collection_left_out_total", "chest", "late"] == 1

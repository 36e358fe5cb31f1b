"""Real crashes and really full disks, in processes of their own."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.model.instance import PayloadRef
from gateway.model.query import Query, QueryLevel
from gateway.model.settings import Spool
from gateway.spool.digest import digest_of
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS

ROOT = Path(__file__).parents[3]
ROUNDS = 20

WRITER = """
import asyncio, dataclasses, hashlib, random, sys
from pathlib import Path
from gateway.model.instance import IndexEntry
from gateway.model.settings import Spool
from gateway.sqlite.store import SQLiteStore
from gateway.spool.journal import GroupCommitJournal
from tests.support.samples import TO_PACS, instance

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)

async def sender(journal, base):
    for number in range(base, base + 10_000):
        data = chance.randbytes(chance.choice([10, 3000, 60_000, 150_000, 400_000]))
        receiver = journal.receiver()
        for start in range(0, len(data), 50_000):
            full = receiver.write(memoryview(data)[start : start + 50_000])
            if full is not None:
                await full
        body = receiver.finish()
        study = '{"0020000D":"1.%d"}' % (number % 7)
        entry = IndexEntry('{"00100020":"P"}', study, '{"0020000E":"1.1"}', '{}')
        arrived = dataclasses.replace(instance(number, body=b""), index=entry)
        stored = await journal.commit(arrived, body, None, [TO_PACS])
        body.close()
        print(stored.sop_instance_uid, hashlib.sha256(data).hexdigest(), flush=True)
        if chance.random() < 0.3:
            claimed = await journal.claim("pacs", 1, 3600.0)

async def main():
    spool = Spool(str(folder / "spool"), min_free_bytes=0, segment_bytes=500_000, large_object_bytes=100_000)
    sweep_s = float(sys.argv[3])
    journal = GroupCommitJournal(spool, lambda: SQLiteStore(folder / "queue.db"), poll_s=0.05, sweep_s=sweep_s)
    await journal.start()
    print("started", flush=True)
    base = seed * 1_000_000
    await asyncio.gather(*(sender(journal, base + index * 10_000) for index in range(6)))

asyncio.run(main())
"""


def start_writer(folder: Path, seed: int, *, is_sweeping: bool = True) -> subprocess.Popen[str]:
    arguments = [str(folder), str(seed), "0.05" if is_sweeping else "3600"]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_kill_at_any_instant_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Twenty times: commit with six senders, SIGKILL at a random instant, start again on what is left."""
    chance = random.Random(20260301)
    acknowledged: dict[str, str] = {}
    for seed in range(1, ROUNDS + 1):
        with start_writer(tmp_path, seed) as writer:
            assert writer.stdout is not None
            lines_until_kill = chance.randrange(1, 60)
            for _ in range(lines_until_kill):
                remember(writer.stdout.readline(), acknowledged)
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                remember(line, acknowledged)
            assert writer.wait() == -signal.SIGKILL
    found = asyncio.run(recovered(tmp_path))
    assert len(acknowledged) > ROUNDS
    lost = {uid for uid, digest in acknowledged.items() if found.get(uid) != digest}
    assert lost == set()
    assert indexed(tmp_path) == found.keys()


def indexed(folder: Path) -> set[str]:
    """What a query would find: neither less nor more than what is owed."""
    queue = SQLiteStore(folder / "queue.db")
    everything = Query(QueryLevel.IMAGE, "study", (), is_relational=True)
    found = {each.sop_instance_uid for each in queue.index.instances(queue.index.find_instances(everything))}
    queue.close()
    return found


def remember(line: str, acknowledged: dict[str, str]) -> None:
    words = line.split()
    if line.endswith("\n") and len(words) == 2:
        acknowledged[words[0]] = words[1]


async def recovered(folder: Path) -> dict[str, str]:
    """UID → digest of the bytes that a fresh start finds, for everything it would deliver."""
    spool = Spool(str(folder / "spool"), min_free_bytes=0, segment_bytes=500_000, large_object_bytes=100_000)
    journal = GroupCommitJournal(spool, lambda: SQLiteStore(folder / "queue.db"))
    await journal.start()
    try:
        found = {}
        while claimed := await journal.claim("pacs", 500, 3600.0):
            for delivery in claimed:
                found[delivery.instance.sop_instance_uid] = read_digest(journal, delivery.instance.payload)
        return found
    finally:
        await journal.close()


def read_digest(journal: GroupCommitJournal, payload: PayloadRef) -> str:
    body = journal.open(payload)
    chunks = list(body.chunks(1 << 20))
    body.close()
    assert digest_of(chunks) == payload.digest
    return hashlib.sha256(b"".join(chunks)).hexdigest()


# --- full disks -------------------------------------------------------------------------------------------------

FILLER = """
import asyncio, resource, sys
from pathlib import Path
import structlog
from gateway.model.settings import Spool
from gateway.ports.errors import SpoolFull
from gateway.sqlite.store import SQLiteStore
from gateway.spool.body import InMemoryDataSet
from gateway.spool.journal import GroupCommitJournal
from tests.support.samples import TO_PACS, instance

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # other threads log, too
spool_folder, queue_path, limit, length = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

async def main():
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    spool = Spool(str(spool_folder), min_free_bytes=0, segment_bytes=100_000_000, large_object_bytes=1_000_000)
    journal = GroupCommitJournal(spool, lambda: SQLiteStore(queue_path))
    await journal.start()
    refused = 0
    for number in range(1, 200):
        receiver, body = journal.receiver(), None
        try:
            for start in range(0, length, 100_000):
                full = receiver.write(memoryview(bytes([number]) * min(100_000, length - start)))
                if full is not None:
                    await full
            body = receiver.finish()
            await journal.commit(instance(number), body, None, [TO_PACS])
            print("kept", number, flush=True)
        except SpoolFull as error:
            receiver.discard()
            refused += 1
            print("refused", number, flush=True)
            if refused == 3 and limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            if refused == 5:
                break
        finally:
            if body is not None:
                body.close()
        if refused >= 3 and limit and number > 60:
            break
    print("health", journal.health() or "well", flush=True)
    await journal.close()

asyncio.run(main())
"""


def fill(spool_folder: Path, queue_path: Path, limit_bytes: int, length_bytes: int) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(spool_folder), str(queue_path), str(limit_bytes), str(length_bytes)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=240,
        check=True,
    )
    return [line.split() for line in done.stdout.splitlines()]


async def kept_numbers(spool_folder: Path, queue_path: Path) -> list[str]:
    journal = GroupCommitJournal(Spool(str(spool_folder), min_free_bytes=0), lambda: SQLiteStore(queue_path))
    await journal.start()
    try:
        claimed = await journal.claim(TO_PACS.destination, 1000, 60.0)
        for delivery in claimed:
            read_digest(journal, delivery.instance.payload)
        return [delivery.instance.sop_instance_uid.rpartition(".")[2] for delivery in claimed]
    finally:
        await journal.close()


@pytest.mark.parametrize("length_bytes", [100_000, 3_000_000], ids=["segments", "large files"])
def test_a_file_size_limit_is_no_room_until_it_is_lifted(tmp_path: Path, length_bytes: int) -> None:
    limit_bytes = 2_500_000
    lines = fill(tmp_path / "spool", tmp_path / "queue.db", limit_bytes, length_bytes)
    kinds = [line[0] for line in lines]
    assert kinds.count("refused") == 3
    assert kinds[kinds.index("refused") + 3] == "kept", "it goes on once there is room"
    assert lines[-1] == ["health", "well"]
    acknowledged = [line[1] for line in lines if line[0] == "kept"]
    assert asyncio.run(kept_numbers(tmp_path / "spool", tmp_path / "queue.db")) == acknowledged


@pytest.mark.parametrize("is_queue_there", [True, False], ids=["spool and queue", "spool alone"])
@pytest.mark.parametrize("length_bytes", [100_000, 1_500_000], ids=["segments", "large files"])
def test_a_full_file_system(tmp_path: Path, length_bytes: int, is_queue_there: bool) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and the privilege to mount")
    try:
        queue_path = (mount if is_queue_there else tmp_path) / "queue.db"
        lines = fill(mount / "spool", queue_path, 0, length_bytes)
        assert [line[0] for line in lines].count("refused") == 5
        assert lines[-1] == ["health", "well"]
        acknowledged = [line[1] for line in lines if line[0] == "kept"]
        assert len(acknowledged) > 1
        subprocess.run(["mount", "-o", "remount,size=60m", str(mount)], check=True)
        found = asyncio.run(kept_numbers(mount / "spool", queue_path))
        assert found == acknowledged, "what was refused is not delivered either"
    finally:
        subprocess.run(["umount", str(mount)], check=True)

"""What the journal costs and carries on this machine: `python -m benchmarks.journal [FOLDER]`.

Prints processor time of accept, claim and settle by group; durable commits a second by number of waiters and size of
object; and, as the yardstick, plain appends of the same size with fdatasync on the same disk.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.settings import Spool
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore

FACTS = AssociationFacts("MODALITY", "GATEWAY", "127.0.0.1", 40000, association_id="bench-1")
ROUTES = (Dispatch("everything", "pacs"),)
SECONDS = 3.0
FRAGMENT_BYTES = 131060
GROUP = 50


def instance(number: int, payload: PayloadRef) -> Instance:
    """An MR image with UIDs as long as real ones."""
    return Instance(
        "1.2.840.10008.5.1.4.1.1.4",
        f"1.2.840.113619.2.55.3.604688119.969.1268071029.{number}",
        "1.2.840.10008.1.2.1",
        "1.2.840.113619.2.55.3.604688119.969.1268071029.1",
        "1.2.840.113619.2.55.3.604688119.969.1268071029.2",
        FACTS,
        payload,
        datetime.now(UTC),
    )


def queue_cost(folder: Path) -> None:
    """Processor time of one object with one delivery, by step, in groups of `GROUP`."""
    deliveries = SQLiteStore(folder / "cost.db")
    spent = dict.fromkeys(("accept", "claim", "settle", "forget"), 0.0)
    groups = 100

    def step(name: str, work: Callable[[], object], *, is_durable: bool = True) -> object:
        began_s = time.thread_time()
        with deliveries.transaction(is_durable=is_durable):
            answer = work()
        spent[name] += time.thread_time() - began_s
        return answer

    for group in range(groups):
        now = datetime.now(UTC)
        arrivals = [
            (instance(number, PayloadRef("segments/00000001.seg", number * 8320 + 128, 8192, os.urandom(32))), ROUTES)
            for number in range(group * GROUP, (group + 1) * GROUP)
        ]
        step("accept", lambda: deliveries.deliveries.accept(arrivals, now))  # noqa: B023 - called at once
        claimed = step("claim", lambda: deliveries.deliveries.claim("pacs", GROUP, 60.0, now), is_durable=False)  # noqa: B023
        assert isinstance(claimed, list)
        assert len(claimed) == GROUP
        settlements = [delivered(delivery, now) for delivery in claimed]
        step("settle", lambda: deliveries.deliveries.settle(settlements))  # noqa: B023
        step("forget", lambda: deliveries.deliveries.forget(datetime.max.replace(tzinfo=UTC), GROUP))
    deliveries.close()
    costs = {name: seconds / groups / GROUP * 1e6 for name, seconds in spent.items()}
    parts = "  ".join(f"{name} {cost:.0f}" for name, cost in costs.items())
    print(f"queue, groups of {GROUP}, µs of processor time an object: {parts}  sum {sum(costs.values()):.0f}")


def delivered(delivery: Delivery, now: datetime) -> Settlement:
    return Settlement(
        delivery.delivery_id, delivery.lease, DeliveryState.DELIVERED, now, started_at=now, duration_s=0.01, status=0
    )


def plain_appends(folder: Path, size_bytes: int) -> float:
    """Appends a second of one writer: write, fdatasync, again."""
    data = os.urandom(size_bytes)
    descriptor = os.open(folder / "plain", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    began_s, count = time.perf_counter(), 0
    while time.perf_counter() - began_s < SECONDS / 2:
        os.pwrite(descriptor, data, count * size_bytes)
        os.fdatasync(descriptor)
        count += 1
    rate = count / (time.perf_counter() - began_s)
    os.close(descriptor)
    os.unlink(folder / "plain")
    return rate


async def commits(folder: Path, size_bytes: int, waiters: int) -> tuple[float, float, float]:
    """Durable commits a second with so many that wait; and the median and 99th percentile latency in ms."""
    folder = folder / f"spool-{size_bytes}-{waiters}"
    journal = GroupCommitJournal(Spool(str(folder), min_free_bytes=0), lambda: SQLiteStore(folder.with_suffix(".db")))
    await journal.start()
    data = memoryview(os.urandom(size_bytes))
    fragments = [data[at : at + FRAGMENT_BYTES] for at in range(16, len(data), FRAGMENT_BYTES)]
    end_s = time.perf_counter() + SECONDS
    latencies: list[float] = []

    async def sender(base: int) -> None:
        number = base * 10_000_000
        while (began_s := time.perf_counter()) < end_s:
            number += 1
            head = number.to_bytes(16, "big")
            receiver = journal.receiver()
            for fragment in (memoryview(head), *fragments):
                if (full := receiver.write(fragment)) is not None:
                    await full
            body = receiver.finish()
            await journal.commit(instance(number, PayloadRef("", 0, 0, b"")), body, None, ROUTES)
            body.close()
            latencies.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(sender(each) for each in range(waiters)))
    rate = len(latencies) / (time.perf_counter() - began_s)
    await journal.close()
    latencies.sort()
    return rate, latencies[len(latencies) // 2] * 1e3, latencies[len(latencies) * 99 // 100] * 1e3


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        folder = Path(name)
        queue_cost(folder)
        for size_bytes, all_waiters in ((8192, (1, 8, 50)), (512 * 1024, (1, 8)), (4 * 1024**2, (4,))):
            plain = plain_appends(folder, size_bytes)
            print(
                f"{size_bytes >> 10:5} KB, plain append and sync: {plain:7.0f}/s {plain * size_bytes / 1e6:5.0f} MB/s"
            )
            for waiters in all_waiters:
                rate, median_ms, slow_ms = asyncio.run(commits(folder, size_bytes, waiters))
                print(
                    f"{size_bytes >> 10:5} KB, {waiters:2} waiters, durable commits: {rate:7.0f}/s "
                    f"{rate * size_bytes / 1e6:5.0f} MB/s  {median_ms:6.2f} ms median  {slow_ms:6.2f} ms 99 %  "
                    f"({rate / plain:.2f} of plain)"
                )


if __name__ == "__main__":
    main()

"""Lives that end by a power cut or a kill between any two writes, also in the middle of a start; seeds are told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import IndexEntry
from gateway.model.settings import Spool
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.spool.disk import Disk, LocalDisk
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS, TO_VNA, Clock, instance, settlement
from tests.unit.spool.power import LoggedDisk, Power, logged_sqlite

LIVES = 5
LENGTHS = (10, 300, 3000, 9000)
LARGE_BYTES = 2000
DISPATCHES: Sequence[Sequence[Dispatch]] = ([TO_PACS], [TO_PACS, TO_VNA], [TO_VNA], [])


class Life:
    """Senders, couriers, an operator and the broom at work on one journal."""

    def __init__(self, root: Path, chance: Random, clock: Clock, power: Power, first: int) -> None:
        self.root, self.chance, self.clock, self.power, self.number = root, chance, clock, power, first

    async def run(self) -> None:
        self.journal = journal(self.root, self.clock, LoggedDisk(self.power))
        await self.journal.start()
        try:
            await asyncio.gather(*(self.send() for _ in range(4)), self.deliver(), self.sweep(), self.operate())
        finally:
            await self.journal.close()

    async def send(self) -> None:
        for _ in range(self.chance.randrange(1, 8)):
            self.number += self.chance.random() < 0.9
            data = Random(self.number).randbytes(LENGTHS[self.number % len(LENGTHS)])
            entry = IndexEntry('{"00100020":"P"}', f'{{"0020000D":"1.{self.number % 3}"}}', '{"0020000E":"1"}', "{}")
            arriving = replace(instance(self.number), index=self.chance.choice([None, entry]))
            receiver = self.journal.receiver()
            receiver.write(memoryview(data))
            body = receiver.finish()
            dispatches = self.chance.choice(DISPATCHES)
            self.power.say(f"sent {arriving.sop_instance_uid} {self.chance.random()}")
            await self.journal.commit(arriving, body, None, dispatches)
            body.close()
            for dispatch in dispatches:
                self.power.say(f"kept {arriving.sop_instance_uid} {dispatch.destination}")
            self.clock.advance(self.chance.choice([0.0, 0.1, 2.0]))

    async def deliver(self) -> None:
        for _ in range(self.chance.randrange(30)):
            claimed = await self.journal.claim(self.chance.choice(["pacs", "vna"]), 3, 60.0)
            for delivery in claimed:
                self.power.say(f"delivered {delivery.instance.sop_instance_uid} {delivery.destination}")
            await self.journal.settle([settlement(each, due_at=self.clock()) for each in claimed])
            for delivery in claimed:
                self.power.say(f"settled {delivery.instance.sop_instance_uid} {delivery.destination}")

    async def sweep(self) -> None:
        for _ in range(self.chance.randrange(20)):
            await asyncio.sleep(0.001)
            await self.journal.sweep(is_low=self.chance.random() < 0.3)

    async def operate(self) -> None:
        await asyncio.to_thread(self.discard)

    def discard(self) -> None:
        queue = SQLiteStore(self.root / "queue.db", now=self.clock)
        (*_, last) = (
            None,
            *queue.administration.list(DeliveryFilter(destination="vna", state=DeliveryState.PENDING), 3),
        )
        if last is not None:
            name = f"{last.instance.sop_instance_uid} {last.destination}"
            self.power.say(f"discarding {name}")
            with queue.transaction():
                gone = queue.administration.discard(DeliveryFilter(ids=(last.delivery_id,)))
            if gone:
                self.power.say(f"discarded {name}")
        queue.close()


def journal(root: Path, clock: Clock, disk: Disk) -> GroupCommitJournal:
    spool = Spool(str(root / "spool"), 0, 0.5, segment_bytes=3000, large_object_bytes=LARGE_BYTES)
    return GroupCommitJournal(
        spool, lambda: SQLiteStore(root / "queue.db", now=clock), now=clock, disk=disk, poll_s=0.002, sweep_s=3600.0
    )


async def owed(root: Path, clock: Clock) -> Mapping[str, int]:
    """What a start finds: `UID destination` → how many times it is owed, read from its bytes."""
    found: dict[str, int] = {}
    started = journal(root, clock, LocalDisk())
    await started.start()
    queue = SQLiteStore(root / "queue.db", now=clock)
    for delivery in queue.administration.list(DeliveryFilter(), -1):
        if delivery.state is DeliveryState.DELIVERED:
            continue
        body = started.open(delivery.instance.payload)
        number = int(delivery.instance.sop_instance_uid.rpartition(".")[2])
        expected = Random(number).randbytes(LENGTHS[number % len(LENGTHS)])
        assert hashlib.sha256(b"".join(body.chunks(1000))).digest() == hashlib.sha256(expected).digest()
        body.close()
        name = f"{delivery.instance.sop_instance_uid} {delivery.destination}"
        found[name] = found.get(name, 0) + 1
    queue.close()
    await started.close()
    return found


def told(said: set[str], verb: str) -> set[str]:
    return {text.removeprefix(f"{verb} ") for text in said if text.startswith(f"{verb} ")}


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(8))
def test_whenever_the_power_fails_what_was_acknowledged_is_owed_or_was_delivered(tmp_path: Path, seed: int) -> None:
    chance, clock, said = Random(seed), Clock(), set[str]()
    here, number = tmp_path / "0", 0
    here.mkdir()
    for life in range(LIVES):
        power = Power(here)
        is_kill = chance.random() < 0.3
        with logged_sqlite(power):
            lived = Life(here, chance, clock, power, number)
            asyncio.run(lived.run())
        number = lived.number
        there = tmp_path / f"{life + 1}"
        for folder in ("spool/segments", "spool/large"):
            (there / folder).mkdir(parents=True)
        (there / "spool" / "spool.id").write_bytes((here / "spool" / "spool.id").read_bytes())
        said_now = power.cut(chance, there, is_kill=is_kill)
        said |= said_now
        here = there
        found = asyncio.run(owed(here, clock))
        lost = told(said, "kept") - found.keys() - told(said, "delivered") - told(said, "discarding")
        assert lost == set(), f"lost in life {life}, {'killed' if is_kill else 'power cut'}"
        times = [text.split()[0] for text in told(said, "sent")]
        for name, count in found.items():
            assert count <= times.count(name.split()[0]), f"{name} is owed more often than it was sent"
        again = {name for name in found if times.count(name.split()[0]) == 1}
        assert again & told(said, "discarded") == set(), "what was discarded does not come back"
        if is_kill:
            assert again & told(said_now, "settled") == set(), "a kill takes no settlement back"

"""Lives in which syncs and transactions fail now and then, and that end by a power cut or a kill at any instant.

What was answered as refused is not delivered, what was answered as kept is.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.settings import Spool
from gateway.ports.errors import SpoolFull
from gateway.spool.body import InMemoryDataSet
from gateway.spool.journal import GroupCommitJournal
from tests.support.overridable_store import OverridableStore
from tests.support.samples import TO_PACS, Clock, instance
from tests.unit.spool.power import LoggedDisk, Power, logged_sqlite
from tests.unit.spool.test_power_anywhere import LARGE_BYTES, LENGTHS, owed, told

SENDERS, OBJECTS = 4, 12
LIVES, MOST_LIVES = 4, 40


class FailingDisk(LoggedDisk):
    """A sync fails now and then: what it was to write may be on the disk, or not. In no thread it fails twice in a
    row, so that the committer can write down what it refuses; where it cannot, such an object may be owed.
    """

    def __init__(self, power: Power, chance: Random) -> None:
        super().__init__(power)
        self._chance = chance
        self._in_thread = threading.local()

    def fdatasync(self, descriptor: int) -> None:
        has_failed = getattr(self._in_thread, "has_failed", False)
        self._in_thread.has_failed = not has_failed and self._chance.random() < 0.15
        if self._in_thread.has_failed:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().fdatasync(descriptor)


class FailingQueue(OverridableStore):
    """A transaction of acceptances fails now and then: all of them, or the one that breaks it unless it is held."""

    chance = Random(0)

    def accept(self, arrivals: Sequence[Any], now: datetime, *rest: Any) -> Any:
        answers = super().accept(arrivals, now, *rest)
        if self.chance.random() < 0.15:
            raise SpoolFull("queue: the disk takes no more")
        for each, dispatches in arrivals:
            if each.sop_instance_uid.endswith("7") and dispatches[0].state is not DeliveryState.HELD:
                raise ValueError("unlucky")
        return answers


class Life:
    """Senders at work, whose every answer is said to the world."""

    def __init__(self, root: Path, chance: Random, clock: Clock, power: Power, first: int) -> None:
        self.root, self.chance, self.clock, self.power, self.number = root, chance, clock, power, first

    async def run(self) -> None:
        spool = Spool(str(self.root / "spool"), 0, 0.5, segment_bytes=3000, large_object_bytes=LARGE_BYTES)
        FailingQueue.chance = self.chance
        self.journal = GroupCommitJournal(
            spool,
            lambda: FailingQueue(self.root / "queue.db", now=self.clock),
            now=self.clock,
            disk=FailingDisk(self.power, self.chance),
            poll_s=0.002,
            sweep_s=3600.0,
        )
        await self.journal.start()
        try:
            await asyncio.gather(*(self.send() for _ in range(SENDERS)))
        finally:
            await self.journal.close()

    async def send(self) -> None:
        for _ in range(OBJECTS):
            self.number += 1
            number = self.number
            body = InMemoryDataSet([Random(number).randbytes(LENGTHS[number % len(LENGTHS)])])
            name = instance(number).sop_instance_uid
            try:
                await self.journal.commit(instance(number), body, None, [TO_PACS])
                self.power.say(f"kept {name}")
            except SpoolFull:
                self.power.say(f"refused {name}")
            body.close()


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(8))
def test_whenever_the_power_fails_what_was_refused_is_not_owed(tmp_path: Path, seed: int) -> None:
    chance, clock, said = Random(seed), Clock(), set[str]()
    here, number = tmp_path / "0", 0
    here.mkdir()
    for life in range(MOST_LIVES):
        if life >= LIVES and told(said, "kept") and told(said, "refused"):
            break  # an early cut may leave nothing that was said
        power = Power(here)
        with logged_sqlite(power):
            lived = Life(here, chance, clock, power, number)
            asyncio.run(lived.run())
        number = lived.number
        there = tmp_path / f"{life + 1}"
        for folder in ("spool/segments", "spool/large"):
            (there / folder).mkdir(parents=True)
        (there / "spool" / "spool.id").write_bytes((here / "spool" / "spool.id").read_bytes())
        said |= power.cut(chance, there, is_kill=chance.random() < 0.3)
        here = there
        found = {name.partition(" ")[0] for name in asyncio.run(owed(here, clock))}
        assert told(said, "kept") - found == set(), f"lost in life {life}"
        assert told(said, "refused") & found == set(), f"refused, and owed, in life {life}"
    assert told(said, "kept")
    assert told(said, "refused")

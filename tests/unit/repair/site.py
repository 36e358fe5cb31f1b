"""A spool with its database as a crash leaves them, some groups behind, and one damaged byte."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from structlog.testing import capture_logs

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import Identifiers, IndexEntry, Instance
from gateway.model.settings import Settings, Spool
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError, PayloadLost, QueueBroken
from gateway.repair.rebuild import Rebuilt, rebuild
from gateway.spool.body import InMemoryDataSet
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.record import HEADER_BYTES
from gateway.sqlite.inspection import check_before_start
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS, TO_VNA, instance, settlement

GROUPS = 140
BEHIND = (0, 1, 10, 100)
LARGE_BYTES = 20_000
DELIVERED, DISCARDED, HELD = range(1, 13), range(13, 16), range(16, 20)
"""Groups whose delivery to the PACS ended so before the first of the copies was made."""


def body_of(number: int) -> bytes:
    """What `identify` reads, and bytes that no other object has. Every twentieth is a large one."""
    chance = Random(number)
    length = 30_000 if number % 20 == 0 else chance.randrange(200, 4000)
    return f"object {number};".encode() + chance.randbytes(length)


def identify(view: memoryview, transfer_syntax_uid: str) -> Identifiers | None:
    """The identifiers in a data set of `body_of`."""
    text = bytes(view[:20]).partition(b";")[0].decode(errors="replace")
    if not text.startswith("object ") or not text.removeprefix("object ").isdigit():
        return None
    like = instance(int(text.removeprefix("object ")))
    return Identifiers(like.sop_class_uid, like.sop_instance_uid, like.study_instance_uid, like.series_instance_uid)


def number_of(uid: str) -> int:
    return int(uid.rpartition(".")[2])


def dispatches_of(number: int) -> list[Dispatch]:
    return [TO_PACS, TO_VNA] if number % 5 == 0 else [TO_PACS]


@dataclass
class Site:
    """One folder with spool and database."""

    folder: Path

    @property
    def spool_folder(self) -> Path:
        return self.folder / "spool"

    @property
    def database(self) -> Path:
        return self.folder / "gateway.db"

    def settings(self) -> Settings:
        spool = Spool(str(self.spool_folder), 0, 3600.0, segment_bytes=60_000, large_object_bytes=LARGE_BYTES)
        return Settings(ae_title="GATEWAY", listeners=(), spool=spool, queue_path=str(self.database))

    def journal(self) -> GroupCommitJournal:
        return GroupCommitJournal(
            self.settings().spool, lambda: SQLiteStore(self.database), sweep_s=3600.0, poll_s=3600.0, identify=identify
        )

    def rebuild(self, **more: Any) -> Rebuilt:
        return rebuild(self.settings(), identify=identify, **more)

    def flip(self, name: str, at_bytes: int, change: int = 0x41) -> None:
        with (self.folder / name).open("r+b") as file:
            file.seek(at_bytes)
            before = file.read(1)
            file.seek(at_bytes)
            file.write(bytes([before[0] ^ change]))

    def remove_database(self) -> None:
        for path in self.folder.glob("gateway.db*"):
            path.unlink()


@dataclass
class Made:
    """What was made, and where each payload lies."""

    folder: Path
    places: dict[int, Instance] = field(default_factory=dict)

    def copy(self, to: Path, groups_behind: int) -> Site:
        """The spool as it was at the end, the database as it was so many groups before."""
        shutil.copytree(self.folder / "spool", to / "spool")
        for path in (self.folder / f"behind-{groups_behind}").iterdir():
            shutil.copy(path, to / path.name)
        return Site(to)

    def hit(self, name: str, at_bytes: int) -> set[int]:
        """Objects whose own bytes, header or payload, are at this place of the spool."""
        return {
            number
            for number, each in self.places.items()
            if f"spool/{each.payload.name}" == name
            and each.payload.offset_bytes - HEADER_BYTES
            <= at_bytes
            < each.payload.offset_bytes + each.payload.length_bytes
        }


async def make(folder: Path) -> Made:
    """GROUPS groups of one object each, with copies of the database on the way, as a crash leaves it."""
    made = Made(folder)
    site = Site(folder)
    journal = site.journal()
    await journal.start()
    try:
        for number in range(1, GROUPS + 1):
            made.places[number] = await _commit(journal, number)
            if number == HELD.stop:
                await _work(journal, site)
            if GROUPS - number in BEHIND:
                await journal.sweep()  # what was claimed and settled is on disk
                copy = folder / f"behind-{GROUPS - number}"
                copy.mkdir()
                for suffix in ("", "-wal"):
                    shutil.copy(f"{site.database}{suffix}", copy / f"{site.database.name}{suffix}")
    finally:
        await journal.close()
    return made


async def _commit(journal: GroupCommitJournal, number: int) -> Instance:
    entry = IndexEntry('{"00100020":"P"}', f'{{"0020000D":"1.{number % 7}"}}', '{"0020000E":"1"}', "{}")
    with contextlib.closing(InMemoryDataSet([body_of(number)])) as body:
        return await journal.commit(replace(instance(number), index=entry), body, None, dispatches_of(number))


async def _work(journal: GroupCommitJournal, site: Site) -> None:
    claimed = {number_of(each.instance.sop_instance_uid): each for each in await journal.claim("pacs", 1000, 60.0)}
    await journal.settle([settlement(claimed.pop(number)) for number in DELIVERED])
    await journal.settle(
        [settlement(each, DeliveryState.PENDING, due_at=each.due_at, is_attempt=False) for each in claimed.values()]
    )
    with contextlib.closing(SQLiteStore(site.database)) as queue, queue.transaction():
        for numbers, act in ((DISCARDED, queue.administration.discard), (HELD, queue.administration.hold)):
            ids = [claimed[number].delivery_id for number in numbers]
            assert act(DeliveryFilter(ids=tuple(ids))) == len(ids)


@dataclass
class Outcome:
    """What a start finds, after a rebuild when it has to be."""

    owed: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    """Object → (destination, state) of its deliveries, where its bytes can be read and are right."""
    unreadable: set[int] = field(default_factory=set)
    """Owed, but a delivery finds its bytes changed: it becomes a dead letter, which the log names at level error."""
    changed: set[int] = field(default_factory=set)
    """Owed, with other identifiers or rules than it had."""
    named: set[int] = field(default_factory=set)
    """In the log at level error, while starting or rebuilding."""
    errors: int = 0
    rebuilt: Rebuilt | None = None
    refusal: str = ""
    """Why it did not start at first."""


async def started(site: Site) -> Outcome:
    """Start as the gateway does, and read everything that is owed; rebuild first when the database is refused."""
    outcome = Outcome()
    with capture_logs() as logs:
        try:
            await asyncio.to_thread(check_before_start, site.database)
            await _read(site, outcome)
        except (QueueBroken, ConfigurationError) as error:
            outcome.refusal = str(error)
            outcome.rebuilt = site.rebuild()
            await _read(site, outcome)
    outcome.named = named_in(logs)
    outcome.errors = sum(each["log_level"] == "error" for each in logs)
    return outcome


async def _read(site: Site, outcome: Outcome) -> None:
    journal = site.journal()
    await journal.start()
    queue = SQLiteStore(site.database, must_exist=True)
    try:
        for delivery in queue.administration.list(DeliveryFilter(), -1):
            if delivery.state is DeliveryState.DELIVERED:
                continue
            number = number_of(delivery.instance.sop_instance_uid)
            if not _is_right(journal, delivery.instance, number):
                outcome.unreadable.add(number)
                continue
            expected = instance(number)
            if (delivery.instance.study_instance_uid, delivery.actions_json) != (expected.study_instance_uid, ""):
                outcome.changed.add(number)
            outcome.owed.setdefault(number, set()).add((delivery.destination, delivery.state.value))
    finally:
        queue.close()
        await journal.close()


def _is_right(journal: GroupCommitJournal, stored: Instance, number: int) -> bool:
    digest = hashlib.sha256()
    try:
        with contextlib.closing(journal.open(stored.payload)) as body:
            for chunk in body.chunks(65_536):
                digest.update(chunk)
    except PayloadLost:
        return False
    assert digest.digest() == hashlib.sha256(body_of(number)).digest(), "bytes of another object"
    return True


def named_in(logs: Iterable[MutableMapping[str, Any]]) -> set[int]:
    """Objects that are named at level error."""
    uids: set[str] = set()
    for each in logs:
        if each["log_level"] == "error":
            uids |= {*each.get("sop_instance_uids", ()), each.get("sop_instance_uid", "")} - {""}
    return {number_of(uid) for uid in uids}


def owed_at_the_end(groups: Sequence[int] = range(1, GROUPS + 1)) -> set[int]:
    """Objects that a whole site owes to somebody."""
    gone = {number for number in (*DELIVERED, *DISCARDED) if number % 5 != 0}
    return set(groups) - gone

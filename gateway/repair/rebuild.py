"""`gateway rebuild`: the database anew from the spool alone, and from the readable part of the old one.

The spool has each object with the deliveries that it owed when it was accepted. Only the old database has which of them
were made, tried, held, released, sent elsewhere or discarded since. Where the old database can be read, that is taken
from it. Where it cannot, an object counts as owed: delivered twice is better than lost.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from gateway.common.file_modes import set_umask
from gateway.common.regular_file import open_regular_file
from gateway.common.steady_clock import utc_now
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError, GatewayError, PayloadLost, Temporary
from gateway.repair.pairing import has_payloads, refuse_nothing_to_rebuild, refuse_server
from gateway.spool import large, record
from gateway.spool.disk import LocalDisk
from gateway.spool.lock import InUse, QueueLock
from gateway.spool.recovery import number
from gateway.spool.redo import Position
from gateway.spool.replay import RECOVERED, Identify, ReplayResult, replay
from gateway.spool.store import SpoolStore
from gateway.sqlite.inspection import Inspection, inspected
from gateway.sqlite.salvage import Salvaged, dispatches_at, restore_holds, salvage
from gateway.sqlite.store import SQLiteStore
from gateway.sqlite.write_ahead_log import log_of

log = structlog.get_logger()

DRAFT = ".rebuilding"
STAMP = "%Y%m%dT%H%M%SZ"
IN_DOUBT = "gateway rebuild: the old database knew the object and not this delivery"
HELD_BY_REBUILD = "gateway rebuild --hold"


@dataclass(slots=True)
class Rebuilt:
    """The result of a rebuild."""

    database: str
    old_database: str = ""
    """The path to which the old one was moved; empty when there was none."""
    salvaged: Salvaged = field(default_factory=Salvaged)
    replayed: ReplayResult = field(default_factory=ReplayResult)
    settled_before: int = 0
    """Objects of the spool that the old database, which is whole, had settled and forgotten."""
    in_doubt: int = 0
    """Deliveries that are held: the old database, which is damaged, knows their objects and not them."""
    held_before: int = 0
    """Deliveries that were held or dead by what a damaged page of the old database says, and wait again."""
    owed_again: int = 0
    """Objects of which the spool alone speaks: all that they once owed is owed again."""
    missing: Sequence[str] = ()
    """Files of the spool that are named and not there."""
    lost: Sequence[str] = ()
    """SOP Instance UIDs that were named somewhere, and whose bytes are damaged or gone."""
    deliveries: dict[str, int] = field(default_factory=dict)
    """State → how many the new database owes."""


def rebuild(
    settings: Settings,
    *,
    identify: Identify,
    is_held: bool = False,
    source: Path | None = None,
    is_all_lost: bool = False,
) -> Rebuilt:
    """Make the database anew. `is_held`: what the old database does not know is held, not delivered. `source` is
    another old database to read from. `is_all_lost`: go on though not one payload that the old database names is there.

    Raises:
        ConfigurationError: a gateway runs, the spool is not there, or spool and database do not belong together.
        SpoolFull, OSError: there is no room for it, or the disk failed. The old database is as it was then.
    """
    refuse_server(settings, "made anew from its spool")
    root, path = Path(settings.spool.path), Path(settings.queue_path)
    old = source or path
    set_umask(settings.file_access)
    if not (root / "segments").is_dir():
        raise ConfigurationError(f"spool {root}: there is none; mount or restore it, there is nothing to rebuild from")
    if not is_all_lost:
        refuse_nothing_to_rebuild(root, old)
    keeps_lost = source is None and not is_all_lost  # another database may be of long ago
    with contextlib.ExitStack() as stack, _lock_refused():
        stack.callback(QueueLock(path).release)
        _refuse_migrated(old)
        earliest = [_newest_change(root)]
        store = stack.enter_context(_opened_store(settings, earliest))
        draft = stack.enter_context(_draft_of(path))
        rebuilding = _Rebuilding(
            store, draft, old, identify, earliest, is_held=is_held, is_all_lost=is_all_lost, keeps_lost=keeps_lost
        )
        rebuilt = rebuilding.run()
        rebuilt.database = str(path)
        rebuilt.old_database = _put_in_place(draft, path)
    return rebuilt


def _refuse_migrated(old: Path) -> None:
    """Raises ConfigurationError when the old database says that another store has everything: the new one would not say
    so, and would deliver it once more."""
    mark = None
    with contextlib.suppress(GatewayError), inspected(old) as found:  # it is not there, or damaged
        mark = found.migration()
    if mark is not None and mark.refusal:
        raise ConfigurationError(f"queue {old}: {mark.refusal}")


@contextlib.contextmanager
def _opened_store(settings: Settings, earliest: list[datetime]) -> Iterator[SpoolStore]:
    """The spool's store. Its clock is never behind the moments in `earliest`."""
    with concurrent.futures.ThreadPoolExecutor(1) as workers:
        store = SpoolStore(
            settings.spool,
            disk=LocalDisk(),
            monotonic=time.monotonic,
            workers=workers,
            now=lambda: max(utc_now(), *earliest),
        )
        with contextlib.closing(store):
            yield store


@contextlib.contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """The path of the new database until it is put in place; a draft that is left over is removed before and after."""
    draft = path.with_name(f"{path.name}{DRAFT}")
    _remove_draft(draft)
    try:
        yield draft
    finally:
        _remove_draft(draft)


@contextlib.contextmanager
def _lock_refused() -> Iterator[None]:
    """Raises ConfigurationError when a gateway holds the queue: a rebuild has no other to use."""
    try:
        yield
    except InUse as error:
        raise ConfigurationError(
            f"{error.what}: a gateway uses it (process {error.holder}); stop it, and run `gateway rebuild` again"
        ) from None


class _Rebuilding:
    """One rebuild. `earliest` gets moments that have been. Bytes that are set aside get no earlier time than these,
    though the wall clock may stand in the past: their retention would be over at once."""

    def __init__(
        self,
        store: SpoolStore,
        draft: Path,
        old: Path,
        identify: Identify,
        earliest: list[datetime],
        *,
        is_held: bool,
        is_all_lost: bool,
        keeps_lost: bool,
    ) -> None:
        self._store = store
        self._earliest = earliest
        self._draft = draft
        self._old = old
        self._identify = identify
        self._is_held = is_held
        self._is_all_lost = is_all_lost
        self._keeps_lost = keeps_lost
        self._rebuilt = Rebuilt(str(draft))

    def run(self) -> Rebuilt:
        with contextlib.closing(SQLiteStore(self._draft)) as queue:
            if self._old.is_file():
                salvaged = salvage(self._old, queue, self._is_stored, keeps_lost=self._keeps_lost)
                self._rebuilt.salvaged = salvaged
            self._check_payloads()
            self._earliest.append(queue.administration.now())
            with queue.transaction():
                queue.spool.bind_spool(self._identity())
            self._rebuilt.replayed = replay(
                self._store, queue, identify=self._identify, choose=self._chooser(queue), keep=self._is_known_to_be_owed
            )
            if self._old.is_file() and not self._rebuilt.salvaged.is_complete:
                self._rebuilt.held_before = restore_holds(self._old, queue)
            self._rebuilt.missing = self._store.recover(queue.spool.payload_names()).missing
            self._rebuilt.deliveries = _count(queue)
            self._rebuilt.lost = sorted(self._lost(queue))
        return self._rebuilt

    def _check_payloads(self) -> None:
        """Raises ConfigurationError when the old database names payloads, and not one of them is in the spool."""
        salvaged, root = self._rebuilt.salvaged, self._store.root
        is_unreadable = self._old.is_file() and not salvaged.is_complete and not has_payloads(root)
        names_none = bool(salvaged.unconfirmed or salvaged.without_payload)
        if self._is_all_lost or self._has_confirmed() or not (names_none or is_unreadable):
            return
        raise ConfigurationError(
            f"spool {root}: not one payload that the database {self._old} names is there; mount or restore the spool "
            "that belongs to it (a file system that is not mounted looks like this). Where they are lost for good, "
            "`gateway rebuild --all-lost` goes on without them"
        )

    def _has_confirmed(self) -> bool:
        """True when a payload that the old database names is in the spool: so they belong together."""
        return self._rebuilt.salvaged.confirmed > 0

    def _identity(self) -> str:
        """The identity of the spool. The old one comes back only with payloads that prove it; objects that the old
        database has settled count only then.

        Raises ConfigurationError when the old database belongs to another spool.
        """
        here, there = self._store.spool_id, self._rebuilt.salvaged.spool_id
        if here and there and here != there and self._rebuilt.salvaged.is_complete:
            raise ConfigurationError(
                f"queue {self._old}: it is whole, and names payloads of another spool than {self._store.root}; mount "
                "the spool that belongs to it, or move the database away"
            )
        if not here:
            is_proven = self._has_confirmed()
            if not is_proven:
                self._rebuilt.salvaged.replayed_position = ("", 0)
            self._store.write_identity((there if is_proven else "") or uuid.uuid4().hex)
        return self._store.spool_id

    def _is_stored(self, payload: PayloadRef) -> bool:
        """True when a payload of this length and digest was written there, as its header says, or as its bytes prove.

        The row of a payload whose bytes have changed since is kept: its delivery becomes a dead letter that says so.
        """
        try:
            with open(open_regular_file(self._store.root / payload.name), "rb") as file:
                header = os.pread(file.fileno(), record.HEADER_BYTES, payload.offset_bytes - record.HEADER_BYTES)
        except (OSError, ValueError, OverflowError):
            return False
        found = record.unpack(header, 0, None)
        if found is not None and (found.length_bytes, found.digest) == (payload.length_bytes, payload.digest):
            return True
        return self._is_readable(payload)

    def _is_readable(self, payload: PayloadRef) -> bool:
        """True when all its bytes are as they were written."""
        try:
            with contextlib.closing(self._store.open(payload)) as body:
                for _ in body.chunks(1024**2):
                    pass
        except (PayloadLost, Temporary, ValueError, OSError, OverflowError, MemoryError):
            return False
        return True

    def _chooser(
        self, queue: SQLiteStore
    ) -> Callable[[Position, Instance, Sequence[Dispatch]], Sequence[Dispatch] | None]:
        salvaged = self._rebuilt.salvaged
        replayed_position = _order(Position(*salvaged.replayed_position))

        def choose(position: Position, instance: Instance, dispatches: Sequence[Dispatch]) -> Sequence[Dispatch] | None:
            known = dispatches_at(queue, instance.payload)
            if known is not None:
                missing = [each for each in dispatches if (each.destination, each.actions_json) not in known]
                return None if salvaged.is_complete or not missing or RECOVERED in missing else self._in_doubt(missing)
            if salvaged.is_complete and _order(position) <= replayed_position:
                self._rebuilt.settled_before += instance.sop_instance_uid not in salvaged.unconfirmed
                return None
            return self._owed(dispatches)

        return choose

    def _is_known_to_be_owed(self, instance: Instance) -> bool:
        """True when the bytes of `instance`, which are damaged or gone, are still owed. A file that is gone was
        delivered and deleted before, unless the old database names it still."""
        is_there = (self._store.root / instance.payload.name).exists()
        return is_there or instance.sop_instance_uid in self._rebuilt.salvaged.unconfirmed

    def _in_doubt(self, dispatches: Sequence[Dispatch]) -> Sequence[Dispatch]:
        """The old database knows the object and not these deliveries: somebody discarded them, or they were lost."""
        self._rebuilt.in_doubt += len(dispatches)
        return _held(dispatches, IN_DOUBT)

    def _owed(self, dispatches: Sequence[Dispatch]) -> Sequence[Dispatch]:
        if RECOVERED in dispatches:
            return dispatches
        self._rebuilt.owed_again += 1
        if not self._is_held:
            return dispatches
        return _held(dispatches, HELD_BY_REBUILD)

    def _lost(self, queue: SQLiteStore) -> set[str]:
        known = {uid for (uid,) in queue.connection.execute("SELECT sop_instance_uid FROM instance")}
        unconfirmed = {each for each in self._rebuilt.salvaged.unconfirmed if each not in known}
        for uid in unconfirmed:
            why = "the old database names it, and its bytes are gone"
            log.error("instance_lost", sop_instance_uid=uid, error=why)
        return unconfirmed | set(self._rebuilt.replayed.lost) | set(self._unreadable(queue))

    def _unreadable(self, queue: SQLiteStore) -> Iterator[str]:
        """The unreadable instances that the new database names: in damaged parts, and in any large file. Their bytes
        stay where they are."""
        rows = Inspection(self._draft, queue.connection)
        for name in queue.spool.payload_names():
            damages = [each for each in self._rebuilt.replayed.damages if each.name == name]
            for row in rows.rows(name):
                is_touched = any(each.covers(row.offset_bytes, row.length_bytes) for each in damages)
                payload = PayloadRef(name, row.offset_bytes, row.length_bytes, row.digest)
                is_touched |= (name, row.offset_bytes) in self._rebuilt.salvaged.without_payload
                if (is_touched or name.startswith(f"{large.FOLDER}/")) and not self._is_readable(payload):
                    why = "its bytes have changed, or are gone"
                    log.error("instance_lost", sop_instance_uid=row.sop_instance_uid, file=name, error=why)
                    yield row.sop_instance_uid


def _newest_change(root: Path) -> datetime:
    """The time of the newest change to a segment; the beginning of time when there is none."""
    newest_s = max((each.stat().st_mtime for each in (root / "segments").glob("*.seg")), default=0.0)
    return datetime.fromtimestamp(newest_s, UTC)


def _order(position: Position) -> tuple[int, int]:
    return (number(position.name) if position.name.startswith("segments/") else 0, position.end_bytes)


def _count(queue: SQLiteStore) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in queue.deliveries.depths():
        counts[row.state.value] = counts.get(row.state.value, 0) + row.count
    return counts


def _remove_draft(draft: Path) -> None:
    """Remove the files of a rebuild that did not end."""
    for path in (draft, log_of(draft), draft.with_name(f"{draft.name}-shm")):
        path.unlink(missing_ok=True)


def _put_in_place(draft: Path, path: Path) -> str:
    """Keep the old database under another name, then let the new one take its place; where the old one is.

    At no time is there neither, and never the new one beside the old one's log.
    """
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    old = path.with_name(f"{path.name}.{datetime.now(UTC).strftime(STAMP)}")
    is_there = path.exists()
    for suffix in ("", "-wal"):
        before = path.with_name(f"{path.name}{suffix}")
        if before.exists():
            _keep(before, old.with_name(f"{old.name}{suffix}"))
    _sync_folder(path.parent)
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    draft.replace(path)
    _sync_folder(path.parent)
    return str(old) if is_there else ""


def _held(dispatches: Sequence[Dispatch], reason: str) -> Sequence[Dispatch]:
    return [dataclasses.replace(each, state=DeliveryState.HELD, reason=reason) for each in dispatches]


def _keep(before: Path, after: Path) -> None:
    """The same file under another name as well; a copy where the file system has no such thing."""
    try:
        os.link(before, after)
    except OSError:
        shutil.copy2(before, after)


def _sync_folder(folder: Path) -> None:
    LocalDisk().sync_folder(folder)

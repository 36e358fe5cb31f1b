"""The spool folder: who may use it, where payloads go, how they come back, and when they leave.

```text
gateway.lock                  held while a gateway runs
probe                         there for a moment, to see whether the disk takes anything
spool.id                      identity; the queue keeps the same
segments/00000001.seg …       many small payloads each, append-only
large/0000000000000001.obj …  one large payload each
quarantine/…                  what nothing names, and copies of what is damaged, see `gateway.spool.quarantine`
```

Files are made, read and deleted by the handles of the folders that were opened at the start (`gateway.spool.folder`);
nothing is written or deleted while the path names another folder (`gateway.spool.presence`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import structlog

from gateway.common.steady_clock import utc_now
from gateway.model.instance import PayloadRef
from gateway.model.settings import Spool
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, PayloadLost, PayloadMissing, Temporary
from gateway.ports.meter import Meter, NoMeter
from gateway.spool import large, quarantine, record, segment
from gateway.spool.disk import Disk, write_all
from gateway.spool.folder import SpoolFolder
from gateway.spool.free_space import FreeSpace
from gateway.spool.large import LargeFile
from gateway.spool.lock import SpoolLock
from gateway.spool.presence import Presence
from gateway.spool.reader import PayloadReader
from gateway.spool.recovery import OURS, Recovered, check_pair, number, payload_files, recover
from gateway.spool.redo import NOWHERE, Position
from gateway.spool.segment_writer import SegmentWriter

log = structlog.get_logger()

READ_FAILURES = "gateway_payload_read_failures_total"

PROBE = "probe"
"""A file of the spool folder that is there for a moment (`gateway.spool.writing`)."""
PROBE_CONTENT = bytes(4096)

LOG_AGAIN_S = 60.0
"""One file that cannot be read is logged once in this time, however many payloads of it are asked for."""

LOGGED_FILES = 256


class SpoolStore:
    """Payloads in one folder; taken on construction, given back by `close`.

    `segments` and `recover` belong to the committer thread; `new_file` to the event loop; `open`, `sweep` to
    any thread.

    Raises (construction): ConfigurationError when the folder cannot be used or another gateway uses it.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        disk: Disk,
        monotonic: Callable[[], float],
        workers: concurrent.futures.Executor,
        meter: Meter = NoMeter(),  # noqa: B008 - measures nothing, keeps nothing
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.root = Path(spool.path)
        self._now = now
        self._spool = spool
        self._disk = disk
        self._workers = workers
        self._monotonic = monotonic
        self._meter = meter
        self._folder = SpoolFolder(self.root)
        try:
            self._lock = SpoolLock(self.root, self._folder.handle)
        except BaseException:
            self._folder.close()
            raise
        self.presence = Presence(str(self.root), meter)
        self.room = FreeSpace(self.root, spool.min_free_bytes, disk, monotonic, lambda: self._folder.handle)
        self._reader = PayloadReader(self.root, spool.large_object_bytes, self._folder.open, self._report)
        self._logged_at_s: dict[str, float] = {}
        self._ours: dict[str, int] = {}
        """Payload files that the queue named at the start, or that were made since → inode: what may be deleted."""
        self.seed = record.seed_of(self._folder.read_identity())
        self.segments = self._made_segments()
        self._file_numbers = itertools.count(1)
        self._arriving: set[str] = set()
        """Large files that no row names yet, and that are not garbage."""
        self.is_needed_by_next_start = False
        """True once an acknowledged instance has no row: its redo record must be found, and no file is deleted."""

    def _made_segments(self) -> SegmentWriter:
        return SegmentWriter(
            self._folder,
            self._disk,
            self._spool.segment_bytes,
            presence=self.presence,
            room=self.room,
            seed=lambda: self.seed,
            made=self._ours.__setitem__,
        )

    def close(self) -> None:
        """Let the next gateway in."""
        self.segments.retire()
        self._reader.close()
        self._lock.release()
        self._folder.close()

    # --- starting -----------------------------------------------------------------------------------------------

    def pair(self, queue_spool_id: str, named: Mapping[str, int], new_id: str) -> str:
        """The identity that the queue must carry; a folder without one gets `new_id`.

        Raises ConfigurationError when queue and spool do not belong together.
        """
        spool_id = self._folder.read_identity()
        has_payloads = any(self._payload_files())
        check_pair(self.root, spool_id, queue_spool_id, has_payloads=has_payloads, has_rows=bool(named))
        if not spool_id:
            self.write_identity(new_id)
            spool_id = self._folder.read_identity()
        self.presence.add(self._folder.moved, self._lock_gone, lambda: self._folder.unfit(spool_id))
        return spool_id

    @property
    def spool_id(self) -> str:
        """Empty for a folder that has none yet."""
        return self._folder.read_identity()

    def write_identity(self, new_id: str) -> None:
        """Give a folder without identity one. Raises OSError."""
        self._folder.write_identity(new_id, self._disk)
        self.seed = record.seed_of(new_id)

    def _lock_gone(self) -> str:
        """A lock file that was deleted is logged once, and then made again."""
        gone = self._lock.gone()
        if gone and gone == self.presence.problem and self._lock.renew():
            return ""
        return gone

    def keep_copy(self, name: str, start_bytes: int, end_bytes: int, reason: str) -> str:
        """Copy a part of a file into the quarantine folder; the copy's name. Raises OSError."""
        return quarantine.keep_copy(
            self._folder.handle, name, start_bytes, end_bytes, reason, now=self._now, meter=self._meter
        )

    def recover(self, named: Mapping[str, int], position: Position = NOWHERE) -> Recovered:
        """Compare the folder with what the queue names (name → end of its last payload); cut what was written ahead.

        New segments get numbers behind `position`, so that a later start finds theirs behind it.
        """
        root = self._folder.path
        recovered = recover(root, named, self._disk, self.seed)
        self.segments.begin_at(_after([*named, position.name], root, segment.FOLDER))
        self._file_numbers = itertools.count(_after(named, root, large.FOLDER))
        self._ours.update((name, inode) for name, inode in self._payload_files() if name in named)
        return recovered

    def _payload_files(self) -> Iterator[tuple[str, int]]:
        """Name and inode of each file that has a name of ours. Raises OSError."""
        for folder, pattern in OURS.items():
            for base, inode in self._folder.files(folder):
                if pattern.fullmatch(base):
                    yield f"{folder}/{base}", inode

    # --- large files -------------------------------------------------------------------------------------------------

    def new_file(self) -> LargeFile:
        """A file for one large object. Raises SpoolFull."""
        self.presence.check()
        file = LargeFile(self._folder, next(self._file_numbers), self._disk, self._let_go)
        self._arriving.add(file.name)
        return file

    def adopt(self, file: LargeFile) -> None:
        """A committed row names it now."""
        self._ours[file.name] = file.inode
        file.is_adopted = True
        self._arriving.discard(file.name)

    def _let_go(self, file: LargeFile) -> None:
        with contextlib.suppress(RuntimeError):  # workers have stopped: the next start cleans up
            self._workers.submit(self._clean_up, file)

    def _clean_up(self, file: LargeFile) -> None:
        file.clean_up()
        self._arriving.discard(file.name)

    def probe(self) -> None:
        """Write, sync and delete a small file, as arriving objects would. Raises OSError; any thread, one at a time."""
        with contextlib.suppress(FileNotFoundError):
            self._folder.unlink(PROBE, self._disk)  # of a process that was killed
        descriptor = self._folder.create(PROBE, self._disk)
        try:
            write_all(self._disk, descriptor, [PROBE_CONTENT], 0)
            self._disk.fdatasync(descriptor)
        finally:
            os.close(descriptor)
            self._folder.unlink(PROBE, self._disk)

    # --- reading ------------------------------------------------------------------------------------------------

    def open(self, ref: PayloadRef) -> EncodedDataSet:
        """The stored bytes, checked by their digest: small ones in memory, now; large ones as a file, in `chunks`.

        Raises PayloadLost when they are damaged, PayloadMissing or Temporary when they cannot be read now: also when
        they seem damaged while the spool is not in its place.
        """
        try:
            return self._reader.open(ref)
        except (PayloadLost, Temporary) as error:
            self._report(error, ref.name)
            if isinstance(error, PayloadLost) and self.presence.look():
                raise Temporary(f"{error}; spool: {self.presence.problem}") from error
            raise

    def open_cached(self, ref: PayloadRef) -> EncodedDataSet | None:
        """As `open`, when nobody has to wait for the disk; else None, also when `open` has an error to tell."""
        try:
            return self._reader.open_cached(ref)
        except PayloadLost:
            return None

    def can_read(self, ref: PayloadRef) -> bool:
        """True when `open` would give the bytes. Any thread."""
        try:
            self.open(ref).close()
        except (PayloadLost, Temporary):
            return False
        return True

    def _report(self, error: GatewayError, name: str = "") -> None:
        """Counted each time; logged once in a while for each file. Any thread."""
        kind = "damaged" if isinstance(error, PayloadLost) else "unreadable"
        self._meter.count(READ_FAILURES, kind="missing" if isinstance(error, PayloadMissing) else kind)
        now_s = self._monotonic()
        if kind != "damaged" and now_s - self._logged_at_s.get(name, float("-inf")) < LOG_AGAIN_S:
            return
        if len(self._logged_at_s) >= LOGGED_FILES:
            self._logged_at_s.clear()
        self._logged_at_s[name] = now_s
        log.error("payload_not_read", error=str(error))

    # --- leaving ------------------------------------------------------------------------------------------------

    def candidates(self) -> list[str]:
        """Files that no further row will ever name. Ask the queue what it names *after* this, then `sweep`."""
        if self.presence.problem or self.is_needed_by_next_start:
            return []
        names = [name for name, _ in self._payload_files()]
        # Read after the folder: what is in the list and not active or arriving now got its last row before now, and
        # what is created from here on is not in the list.
        return [name for name in names if name != self.segments.active_name and name not in self._arriving]

    def sweep(self, candidates: Sequence[str], named: Mapping[str, int]) -> int:
        """Delete candidates that nothing names; how many. Those that this gateway never wrote go into the quarantine.

        Nothing is touched while the spool is not in its place, or the next start needs it.
        """
        if self.presence.look() or self.is_needed_by_next_start:
            return 0
        gone = 0
        for name in candidates:
            if name in named:
                continue
            self._reader.forget(name)
            try:
                self._remove(name)
                gone += 1
            except OSError as error:
                log.error("payload_file_not_deleted", file=name, error=str(error))
        if gone:
            self.room.invalidate()
        return gone

    def _remove(self, name: str) -> None:
        """Raises OSError."""
        inode, ours = self._folder.inode(name), self._ours.pop(name, 0)
        if not inode:  # gone meanwhile: it never was adopted
            return
        if inode == ours or self._was_never_finished(name):
            self._folder.unlink(name, self._disk)
            return
        reason = "nothing names it, and this gateway did not write it"
        quarantine.set_aside(self._folder.handle, name, reason, now=self._now, meter=self._meter)

    def _was_never_finished(self, name: str) -> bool:
        """True for a file that the last process had just begun: nobody got an answer for what it may hold.

        A segment then is empty, and a large file has no header, which is written last. Raises OSError.
        """
        descriptor = self._folder.open(name)
        try:
            if name.startswith(f"{segment.FOLDER}/"):
                return os.fstat(descriptor).st_size == 0
            return not any(os.pread(descriptor, record.HEADER_BYTES, 0))
        finally:
            os.close(descriptor)

    def empty_quarantine(self) -> int:
        """Delete what lies in the quarantine for longer than its retention; how many. Raises OSError."""
        if self.presence.look():
            return 0
        return quarantine.delete_expired(self._folder.handle, self._spool.quarantine_retention_s, now=self._now)


def _after(named: Iterable[str], root: Path, folder: str) -> int:
    """The first number that neither the queue nor the folder uses."""
    names = {name for name, _ in payload_files(root)} | set(named)
    return max((number(name) for name in names if name.startswith(f"{folder}/")), default=0) + 1

"""The spool folder: who may use it, where payloads go, how they come back, and when they leave.

```text
gateway.lock                  held while a gateway runs
spool.id                      identity; the queue keeps the same
segments/00000001.seg …       many small payloads each, append-only
large/0000000000000001.obj …  one large payload each
```
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import structlog

from gateway.file_modes import FOLDER
from gateway.model import PayloadRef, Spool
from gateway.ports import ConfigurationError, EncodedDataSet, PayloadLost, SpoolFull, Temporary
from gateway.spool import large, quarantine, record, segment
from gateway.spool.disk import Disk
from gateway.spool.large import LargeFile
from gateway.spool.lock import SpoolLock
from gateway.spool.reader import PayloadReader
from gateway.spool.recovery import Recovered, check_pair, number, payload_files, recover
from gateway.spool.redo import NOWHERE, Position
from gateway.spool.room import Room
from gateway.spool.segment import Payload, Segment, segment_name

log = structlog.get_logger()

IDENTITY = "spool.id"


class SpoolStore:
    """Payloads in one folder; taken on construction, given back by `close`.

    `append`, `retire` and `recover` belong to the committer thread; `new_file` to the event loop; `open`, `sweep` to
    any thread.

    Raises (construction): ConfigurationError when the folder cannot be used or another gateway uses it.
    """

    def __init__(
        self, spool: Spool, *, disk: Disk, monotonic: Callable[[], float], workers: concurrent.futures.Executor
    ) -> None:
        self.root = Path(spool.path)
        self._spool = spool
        self._disk = disk
        self._workers = workers
        try:
            for folder in (self.root, self.root / segment.FOLDER, self.root / large.FOLDER):
                folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"spool {self.root}: cannot be made: {error}") from error
        self._lock = SpoolLock(self.root)
        self.room = Room(self.root, spool.min_free_bytes, disk, monotonic)
        self._reader = PayloadReader(self.root, spool.large_object_bytes)
        self._active: Segment | None = None
        self._active_name = ""
        self._end = NOWHERE
        self.is_doubtful = False
        """True when bytes of an `append` that failed may be on the disk all the same."""
        self.seed = record.seed_of(self._identity())
        self._segment_numbers = itertools.count(1)
        self._file_numbers = itertools.count(1)
        self._arriving: set[str] = set()
        """Large files that no row names yet, and that are not garbage."""

    def close(self) -> None:
        """Let the next gateway in."""
        self.retire()
        self._reader.close()
        self._lock.release()

    # --- starting -----------------------------------------------------------------------------------------------

    def pair(self, queue_spool_id: str, named: Mapping[str, int], new_id: str) -> str:
        """The identity that the queue must carry; a folder without one gets `new_id`.

        Raises ConfigurationError when queue and spool do not belong together.
        """
        path = self.root / IDENTITY
        spool_id = self._identity()
        has_payloads = any(True for _ in payload_files(self.root))
        check_pair(self.root, spool_id, queue_spool_id, has_payloads=has_payloads, has_rows=bool(named))
        if spool_id:
            return spool_id
        draft = path.with_suffix(".new")
        with draft.open("w", encoding="ascii") as file:
            file.write(f"{new_id}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self._disk.sync_folder(self.root)
        self.seed = record.seed_of(new_id)
        return new_id

    def _identity(self) -> str:
        """Empty when the folder has none yet."""
        path = self.root / IDENTITY
        return path.read_text(encoding="ascii", errors="replace").strip() if path.exists() else ""

    def keep_copy(self, name: str, start_bytes: int, end_bytes: int, reason: str) -> str:
        """Copy a part of a file into the quarantine folder; the copy's name. Raises OSError."""
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return quarantine.keep_copy(folder, name, start_bytes, end_bytes, reason)
        finally:
            os.close(folder)

    def recover(self, named: Mapping[str, int], position: Position = NOWHERE) -> Recovered:
        """Compare the folder with what the queue names (name → end of its last payload); cut what was written ahead.

        New segments get numbers behind `position`, so that a later start finds theirs behind it.
        """
        recovered = recover(self.root, named, self._disk, self.seed)
        self._segment_numbers = itertools.count(_after([*named, position.name], self.root, segment.FOLDER))
        self._file_numbers = itertools.count(_after(named, self.root, large.FOLDER))
        return recovered

    # --- writing ------------------------------------------------------------------------------------------------

    def append(
        self, payloads: Sequence[Payload], redo: Callable[[Sequence[PayloadRef]], bytes] | None = None
    ) -> list[PayloadRef]:
        """Make small payloads durable with one write and one sync, with what `redo` makes of where they lie.

        Raises SpoolFull; then none of them was kept. Where `is_doubtful` is true then, a start may find them anyway.
        """
        self.is_doubtful = False
        try:
            active = self._segment()
            refs = active.append(payloads, redo)
        except OSError as error:
            self.is_doubtful = not self._take_back()
            raise SpoolFull(f"spool {self.root}: {error}") from error
        self._sync(active)
        return refs

    def append_cancellation(self, data: bytes) -> None:
        """Make a cancellation durable. Raises SpoolFull."""
        try:
            active = self._segment()
            active.append_record(record.CANCEL, data)
        except OSError as error:
            self._take_back()
            raise SpoolFull(f"spool {self.root}: {error}") from error
        self._sync(active)

    def take_back_last(self) -> None:
        """Take the last group out of its segment again, durably. Raises OSError; then it may still be there."""
        if self._active is None or self._end != Position(self._active.name, self._active.size_bytes):
            raise OSError(errno.ESTALE, "it is not the last one in the active segment")
        try:
            self._active.take_back()
        except OSError:
            self.retire()
            raise
        self._end = Position(self._active.name, self._active.size_bytes)

    def _sync(self, active: Segment) -> None:
        try:
            active.sync()
        except OSError as error:
            # After a failed sync the kernel may call pages clean that never reached the disk: write there no more.
            self.is_doubtful = True
            self.retire()
            raise SpoolFull(f"spool {self.root}: {error}") from error
        self._end = Position(active.name, active.size_bytes)

    @property
    def end(self) -> Position:
        """Behind what was appended last, in a segment that may be retired by now."""
        return self._end

    def _segment(self) -> Segment:
        if self._active is not None and self._active.size_bytes >= self._spool.segment_bytes:
            self.retire()
        if self._active is None:
            self._active_name = segment_name(next(self._segment_numbers))  # set before the file is there: `candidates`
            self._active = Segment(self.root, self._active_name, self._disk, self._spool.segment_bytes, self.seed)
        return self._active

    def _take_back(self) -> bool:
        """Cut what a write that failed left behind; True when nothing of it can be found by a start."""
        self.room.look_again()
        if self._active is None:
            return True
        try:
            self._active.cut()
            self._active.sync()
        except OSError:
            self.retire()
            return False
        return True

    def retire(self) -> None:
        """Write the active segment no more; the next payload starts a new one."""
        active, self._active = self._active, None
        self._active_name = ""
        if active is not None:
            active.close()

    def new_file(self) -> LargeFile:
        """A file for one large object."""
        file = LargeFile(self.root, next(self._file_numbers), self._disk, self._let_go)
        self._arriving.add(file.name)
        return file

    def adopt(self, file: LargeFile) -> None:
        """A committed row names it now."""
        file.is_adopted = True
        self._arriving.discard(file.name)

    def _let_go(self, file: LargeFile) -> None:
        self._arriving.discard(file.name)
        with contextlib.suppress(RuntimeError):  # workers have stopped: the next start cleans up
            self._workers.submit(file.clean_up)

    # --- reading ------------------------------------------------------------------------------------------------

    def open(self, ref: PayloadRef) -> EncodedDataSet:
        """The stored bytes, checked by their digest: small ones in memory, now; large ones as a file, in `chunks`.

        Raises PayloadLost, or Temporary when they cannot be read now.
        """
        return self._reader.open(ref)

    def open_cached(self, ref: PayloadRef) -> EncodedDataSet | None:
        """As `open`, when nobody has to wait for the disk; else None. Raises PayloadLost."""
        return self._reader.open_cached(ref)

    def can_read(self, ref: PayloadRef) -> bool:
        """True when `open` would give the bytes. Any thread."""
        try:
            self.open(ref).close()
        except (PayloadLost, Temporary) as error:
            log.error("spool.payload_not_readable", file=ref.name, offset_bytes=ref.offset_bytes, error=str(error))
            return False
        return True

    # --- leaving ------------------------------------------------------------------------------------------------

    def candidates(self) -> list[str]:
        """Files that no further row will ever name. Ask the queue what it names *after* this, then `sweep`."""
        names = [name for name, _ in payload_files(self.root)]
        # Read after the folder: what is in the list and not active or arriving now got its last row before now, and
        # what is created from here on is not in the list.
        return [name for name in names if name != self._active_name and name not in self._arriving]

    def sweep(self, candidates: Sequence[str], named: Mapping[str, int]) -> int:
        """Delete candidates that nothing names; how many."""
        gone = 0
        for name in candidates:
            if name in named:
                continue
            self._reader.forget(name)
            try:
                self._disk.unlink(self.root / name)
                gone += 1
            except OSError as error:
                log.error("spool.file_not_deleted", file=name, error=str(error))
        if gone:
            self.room.look_again()
        return gone


def _after(named: Iterable[str], root: Path, folder: str) -> int:
    """The first number that neither the queue nor the folder uses."""
    names = {name for name, _ in payload_files(root)} | set(named)
    return max((number(name) for name in names if name.startswith(f"{folder}/")), default=0) + 1

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
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from gateway.model import PayloadRef, Spool
from gateway.ports import ConfigurationError, EncodedDataSet, PayloadLost, SpoolFull, Temporary
from gateway.spool import large, redo, segment
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
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"spool {self.root}: cannot be made: {error}") from error
        self._lock = SpoolLock(self.root)
        self.room = Room(self.root, spool.min_free_bytes, disk, monotonic)
        self._reader = PayloadReader(self.root, spool.large_object_bytes)
        self._active: Segment | None = None
        self._active_name = ""
        self._end = NOWHERE
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
        spool_id = path.read_text(encoding="ascii").strip() if path.exists() else ""
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
        return new_id

    def redo_after(self, position: Position) -> Iterator[tuple[Position, bytes]]:
        """What was appended behind `position` for the queue, in order, with where it ends."""
        return redo.notes_after(self.root, position)

    def recover(self, named: Mapping[str, int], position: Position = NOWHERE) -> Recovered:
        """Bring the folder to what the queue names (name → end of its last payload).

        New segments get numbers behind `position`, so that a later start finds theirs behind it.
        """
        recovered = recover(self.root, named, self._disk)
        self._segment_numbers = itertools.count(_after([*named, position.name], self.root, segment.FOLDER))
        self._file_numbers = itertools.count(_after(named, self.root, large.FOLDER))
        return recovered

    # --- writing ------------------------------------------------------------------------------------------------

    def append(
        self, payloads: Sequence[Payload], redo: Callable[[Sequence[PayloadRef]], bytes] | None = None
    ) -> list[PayloadRef]:
        """Make small payloads durable with one write and one sync, with what `redo` makes of where they lie.

        Raises SpoolFull; then none of them was kept.
        """
        try:
            active = self._segment()
            refs = active.append(payloads, redo)
        except OSError as error:
            self._take_back()
            raise SpoolFull(f"spool {self.root}: {error}") from error
        try:
            active.sync()
        except OSError as error:
            # After a failed sync the kernel may call pages clean that never reached the disk: write there no more.
            self.retire()
            raise SpoolFull(f"spool {self.root}: {error}") from error
        self._end = Position(active.name, active.size_bytes)
        return refs

    @property
    def end(self) -> Position:
        """Behind what was appended last, in a segment that may be retired by now."""
        return self._end

    def _segment(self) -> Segment:
        if self._active is not None and self._active.size_bytes >= self._spool.segment_bytes:
            self.retire()
        if self._active is None:
            self._active_name = segment_name(next(self._segment_numbers))  # set before the file is there: `candidates`
            self._active = Segment(self.root, self._active_name, self._disk, self._spool.segment_bytes)
        return self._active

    def _take_back(self) -> None:
        self.room.look_again()
        if self._active is None:
            return
        try:
            self._active.cut()
        except OSError:
            self.retire()

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

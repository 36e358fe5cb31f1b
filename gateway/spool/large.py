"""A file of its own for one large object, written while it arrives."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence

from gateway.common.buffer import Buffer
from gateway.common.file_place import leads_to
from gateway.model.instance import PayloadRef
from gateway.ports.errors import SpoolFull
from gateway.spool import record
from gateway.spool.body import FileDataSet
from gateway.spool.digest import Digest
from gateway.spool.disk import Disk, write_all
from gateway.spool.folder import SpoolFolder, identity_of

FOLDER = "large"
SUFFIX = ".obj"

SYNC_EVERY_BYTES = 16 * 1024**2
"""Written back as it arrives, so that the last sync is short and other commits do not wait behind a gigabyte."""


class LargeFile:
    """Header and payload of one object. Not durable before `seal`; deleted with its last holder unless adopted.

    Writing calls come from one thread at a time; holders are counted on the event loop alone.
    """

    def __init__(self, spool: SpoolFolder, number: int, disk: Disk, on_gone: Callable[[LargeFile], None]) -> None:
        self.name = f"{FOLDER}/{number:016d}{SUFFIX}"
        self.length_bytes = 0
        self.is_adopted = False
        """True once a committed row names it."""
        self.error: SpoolFull | None = None
        self._spool = spool
        self._disk = disk
        self._on_gone = on_gone
        self._descriptor = -1
        self._digest = Digest()
        self._checksum = record.Checksum()
        self._unhashed: list[Buffer] = []
        self._unsynced_bytes = 0
        self._holders = 1

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Append in a worker thread: write, hash, and now and then sync. An error is kept in `error`."""
        self._append(buffers)
        if self.error is None:
            self._hash(buffers)
            self._sync_now_and_then()

    def write_last(self, buffers: Sequence[Buffer]) -> None:
        """Append the end without hashing it yet: short enough for the event loop. An error is kept in `error`."""
        self._append(buffers)
        self._unhashed = list(buffers)

    def write_from(self, chunks: Iterable[Buffer]) -> None:
        """Append everything in a worker thread. An error is kept in `error`."""
        for chunk in chunks:
            self.write([chunk])
            if self.error is not None:
                return

    def _append(self, buffers: Sequence[Buffer]) -> None:
        if self.error is not None:
            return
        try:
            if self._descriptor < 0:
                self._descriptor = self._spool.create(self.name, self._disk)
            write_all(self._disk, self._descriptor, buffers, record.HEADER_BYTES + self.length_bytes)
        except OSError as error:
            self.error = SpoolFull(f"spool file {self.name}: {error}")
            return
        self.length_bytes += sum(map(len, buffers))

    def _hash(self, buffers: Iterable[Buffer]) -> None:
        for buffer in buffers:
            self._digest.update(buffer)
            self._checksum.update(buffer)

    def _sync_now_and_then(self) -> None:
        if self.length_bytes - self._unsynced_bytes < SYNC_EVERY_BYTES:
            return
        self._unsynced_bytes = self.length_bytes
        try:
            self._disk.fdatasync(self._descriptor)
        except OSError as error:  # the pages may be gone though they look clean: this file is lost
            self.error = SpoolFull(f"spool file {self.name}: {error}")

    def seal(self, transfer_syntax_uid: str) -> PayloadRef:
        """Write the header and make all of it durable, its name too. In a worker thread.

        Raises SpoolFull when this or an earlier step failed.
        """
        self._append([])  # an empty object has no file yet
        self._hash(self._unhashed)
        self._unhashed = []
        digest = self._digest.value()
        if self.error is None:
            try:
                checksum = self._checksum.value()
                header = record.pack(self.length_bytes, digest, transfer_syntax_uid, checksum=checksum)
                write_all(self._disk, self._descriptor, [header], 0)
                self._disk.fdatasync(self._descriptor)
                self._spool.sync(FOLDER, self._disk)
                if not leads_to(self._spool.path_of(self.name), *identity_of(os.fstat(self._descriptor))):
                    self.error = SpoolFull(f"spool file {self.name}: it was deleted or replaced while it was written")
            except OSError as error:
                self.error = SpoolFull(f"spool file {self.name}: {error}")
        if self.error is not None:
            raise self.error
        return PayloadRef(self.name, record.HEADER_BYTES, self.length_bytes, digest)

    @property
    def inode(self) -> int:
        """The inode of the file that was made."""
        return os.fstat(self._descriptor).st_ino

    # --- holding ------------------------------------------------------------------------------------------------

    def body(self) -> ReceivedFile:
        """The bytes that were written; closing it lets go of the file."""
        return ReceivedFile(self, self._descriptor)

    def retain(self) -> None:
        """One more holder."""
        self._holders += 1

    def release(self) -> None:
        """One holder less; after the last one the file is closed, and deleted unless it was adopted."""
        self._holders -= 1
        if self._holders == 0:
            self._on_gone(self)

    def clean_up(self) -> None:
        """Close, and delete unless adopted. In a worker thread: deleting a gigabyte takes its time."""
        if self._descriptor < 0:
            return
        if not self.is_adopted:
            with contextlib.suppress(OSError):  # the next start sets aside what no row names
                if self._spool.is_still(self.name, self._descriptor):
                    self._spool.unlink(self.name, self._disk)
        os.close(self._descriptor)
        self._descriptor = -1


class ReceivedFile(FileDataSet):
    """A large object that has arrived; a commit takes the file as it is."""

    __slots__ = ("file",)

    def __init__(self, file: LargeFile, descriptor: int) -> None:
        super().__init__(descriptor, record.HEADER_BYTES, file.length_bytes, file.name, on_close=file.release)
        self.file = file

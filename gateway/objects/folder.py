"""An object store in a folder of a file system that all nodes mount.

An object is written under another name in `.partial`, made durable, and then linked: a link is refused where there is
a file already. Once `gateway.json` was seen, a folder without it is one whose file system is not mounted: nothing is
written there, and nothing is said to be missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from gateway.common.buffer import Buffer
from gateway.common.file_modes import FILE, FOLDER
from gateway.objects import start_check
from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.existing import CHUNK_BYTES, accept_the_same
from gateway.objects.naming import checked, exactly, folder_of, is_name
from gateway.ports.errors import PayloadMissing, SpoolFull
from gateway.ports.object_store import StoredObject

PARTIAL = ".partial"
LEFT_AFTER_S = 86_400.0
"""Files in `.partial` of a node that was killed are deleted after so long."""
MOST_TRIES = 100
"""A folder may be deleted, since it is empty, between its making and its use."""
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNFIT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK}


class FolderObjectStore:
    """See `gateway.ports.object_store.ObjectStore`.

    Args:
        root: the folder, which is never made.
        sync: `os.fsync`.
    """

    large_bytes = 2 * CHUNK_BYTES + 1

    def __init__(self, root: str, sync: Callable[[int], None] = os.fsync) -> None:
        self.shown = f"folder {root}"
        self._root = Path(root)
        self._sync = sync
        self._is_claimed = False

    def check(self, cluster_id: str, version: str) -> None:
        """See `ObjectStore.check`."""
        start_check.check(self, cluster_id, version)
        self._is_claimed = bool(cluster_id)
        with self._faults("delete", PARTIAL), self._written(()) as mine:
            _sweep(mine.parent, mine.stat().st_mtime - LEFT_AFTER_S)

    # --- writing -----------------------------------------------------------------------------------------------------

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        """See `ObjectStore.put`."""
        path = self._path(name)
        with self._written(exactly(chunks, length_bytes)) as partial:
            if not self._link(partial, path, name):
                accept_the_same(self, name, _chunks(partial), length_bytes)

    def create(self, name: str, data: bytes) -> bool:
        """True when the object was made; False when there is one of that name. Raises SpoolFull."""
        with self._written([data]) as partial:
            return self._link(partial, self._path(name), name)

    @contextlib.contextmanager
    def _written(self, chunks: Iterable[Buffer]) -> Iterator[Path]:
        """A durable file in `.partial`, which is deleted in the end."""
        self._require_mount("write", PARTIAL)
        path = self._root / PARTIAL / uuid.uuid4().hex
        with self._faults("write", PARTIAL):
            path.parent.mkdir(FOLDER, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
        try:
            try:
                for chunk in chunks:
                    with self._faults("write", PARTIAL):
                        _write(descriptor, chunk)
                with self._faults("write", PARTIAL):
                    self._sync(descriptor)
            finally:
                with self._faults("write", PARTIAL):
                    os.close(descriptor)
            yield path
        finally:
            with contextlib.suppress(OSError):  # it is swept later
                path.unlink()

    def _link(self, partial: Path, path: Path, name: str) -> bool:
        """Give the file its name. False when another one has it."""
        with self._faults("write", name):
            for _ in range(MOST_TRIES):
                try:
                    self._make_folders(path.parent)
                    os.link(partial, path)
                except FileExistsError:
                    return False
                except FileNotFoundError:
                    continue
                except PermissionError as error:
                    if error.errno == errno.EPERM:  # FAT, and what is mounted like it
                        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP)) from error
                    raise
                self._sync_folders(path.parent)
                return True
        reason = "its folder goes away each time it is made; is the file system mounted, and its server there?"
        raise SpoolFull(f"{self.shown}: cannot write {name}: {reason}")

    def _make_folders(self, folder: Path) -> None:
        for each in reversed(self._up(folder)):
            with contextlib.suppress(FileExistsError):
                each.mkdir(FOLDER)

    def _sync_folders(self, folder: Path) -> None:
        """All of them: another process may have made one a moment ago, and not have made it durable yet."""
        for each in (*self._up(folder), self._root):
            descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._sync(descriptor)
            finally:
                os.close(descriptor)

    def _up(self, folder: Path) -> list[Path]:
        """The folder and those above it, up to the root and without it."""
        return [self._root / part for part in (folder.relative_to(self._root) / "_").parents][:-1]

    def delete(self, names: Sequence[str]) -> None:
        """See `ObjectStore.delete`. Folders that are empty then go too."""
        paths = [self._path(name) for name in names]
        self._require_mount("delete", f"{len(names)} objects")
        for name, path in zip(names, paths, strict=True):
            with self._faults("delete", name):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    path.unlink()
                with contextlib.suppress(OSError):  # not empty, or gone
                    for each in self._up(path.parent):
                        each.rmdir()

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        """See `ObjectStore.read`."""
        return b"".join(self.stream(name, offset_bytes, length_bytes, max(1, length_bytes)))

    def stream(self, name: str, offset_bytes: int, length_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        """See `ObjectStore.stream`."""
        path, end_bytes = self._path(name), offset_bytes + length_bytes
        with self._faults("read", name):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with self._faults("read", name):
                self._require(name, self._length(name, os.fstat(descriptor)), end_bytes)
            for start in range(offset_bytes, end_bytes, chunk_bytes):
                with self._faults("read", name):
                    data = _read(descriptor, start, min(chunk_bytes, end_bytes - start))
                self._require(name, start + len(data), min(start + chunk_bytes, end_bytes))
                yield data
        finally:
            os.close(descriptor)

    def _require(self, name: str, found_bytes: int, end_bytes: int) -> None:
        if found_bytes < end_bytes:
            reason = f"{end_bytes - found_bytes} bytes are missing at its end; restore it, or discard what it held"
            raise PayloadMissing(f"{self.shown}: cannot read {name}: {reason}")

    def length_of(self, name: str) -> int:
        """In bytes. Raises PayloadMissing, Temporary."""
        with self._faults("read", name):
            return self._length(name, os.lstat(self._path(name)))

    def _length(self, name: str, status: os.stat_result) -> int:
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "no regular file", name)
        return status.st_size

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.list`."""
        folder = folder_of(prefix)
        self._require_mount("list", prefix)
        with self._faults("list", prefix):
            os.stat(self._root)
        for path, status in self._files(self._root / folder, prefix):
            name = str(PurePosixPath(path.relative_to(self._root)))
            if name.startswith(prefix) and is_name(name):
                yield StoredObject(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def _files(self, folder: Path, prefix: str) -> Iterator[tuple[Path, os.stat_result]]:
        """The regular files below a folder; what goes away meanwhile is left out."""
        with self._faults("list", prefix):
            try:
                entries = os.scandir(folder)
            except (FileNotFoundError, NotADirectoryError):
                return
        with entries:
            yield from self._entries(entries, prefix)

    def _entries(self, entries: Iterator[os.DirEntry[str]], prefix: str) -> Iterator[tuple[Path, os.stat_result]]:
        while True:
            status = None
            with self._faults("list", prefix), contextlib.suppress(FileNotFoundError):
                entry = next(entries, None)
                if entry is None:
                    return
                status = entry.stat(follow_symlinks=False)
            if status is None or entry is None or not is_name(entry.name):
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from self._files(Path(entry.path), prefix)
            elif stat.S_ISREG(status.st_mode):
                yield Path(entry.path), status

    def close(self) -> None:
        """It holds nothing."""

    # --- both --------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self._root / checked(name)

    def _require_mount(self, operation: str, name: str) -> None:
        if not self._is_mounted():
            reason = f"{start_check.MARKER} is not there, which was there at the start: is the file system mounted?"
            raise SpoolFull(f"{self.shown}: cannot {operation} {name}: {reason}")

    def _is_mounted(self) -> bool:
        return not self._is_claimed or os.path.exists(self._root / start_check.MARKER)

    @contextlib.contextmanager
    def _faults(self, operation: str, name: str) -> Iterator[None]:
        """Raises Temporary for an OSError, of which SpoolFull and PayloadMissing are."""
        try:
            yield
        except OSError as error:
            before = f"{self.shown}: cannot {operation} {name}: {error.strerror or type(error).__name__}"
            if error.errno in _DENIED:
                remedy = "make the gateway's user the owner of the folder and all in it, and mount it writable"
                raise ObjectStoreRefuses(f"{before}; {remedy}") from error
            if error.errno in _UNFIT:
                remedy = "its file system needs hard links and durable folders: take NFS, CephFS or a local one"
                raise ObjectStoreRefuses(f"{before}; {remedy}") from error
            if error.errno in _FULL:
                raise SpoolFull(f"{before}; give it more room") from error
            if operation == "read" and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                self._require_mount(operation, name)
                if os.path.isdir(self._root):
                    raise PayloadMissing(f"{before}; restore it, or discard what it held") from error
            raise SpoolFull(f"{before}; is the file system mounted, and its server there?") from error


def _write(descriptor: int, chunk: Buffer) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read(descriptor: int, start: int, length_bytes: int) -> bytes:
    """Fewer bytes only at the end of the file."""
    pieces = []
    while length_bytes and (data := os.pread(descriptor, length_bytes, start)):
        pieces.append(data)
        start, length_bytes = start + len(data), length_bytes - len(data)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            yield data


def _sweep(folder: Path, before_s: float) -> None:
    """Delete files that were written last before this time of the file system's clock."""
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            if entry.stat(follow_symlinks=False).st_mtime < before_s:
                os.unlink(entry)

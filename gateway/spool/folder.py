"""The spool folder by its directory handles: whatever is put in its place meanwhile, files are made, read and deleted
in the folder that was opened at the start.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.common.file_modes import FILE, FOLDER
from gateway.common.regular_file import open_regular_file, read_regular_file
from gateway.ports.errors import ConfigurationError
from gateway.spool.disk import Disk

IDENTITY = "spool.id"
LONGEST_IDENTITY_BYTES = 256
SUBFOLDERS = ("segments", "large")

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


Identity = tuple[int, int]
"""Device and inode."""


def identity_of(found: os.stat_result) -> Identity:
    """The identity of a file among all others that are there."""
    return found.st_dev, found.st_ino


def _changes(found: os.stat_result) -> tuple[int, ...]:
    """Numbers that change when a file was written, replaced or given other rights."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def identity_at(root: Path) -> str:
    """The identity of the spool at a path, without opening the spool; empty when there is none. Raises OSError."""
    try:
        data = read_regular_file(root / IDENTITY, LONGEST_IDENTITY_BYTES)
    except FileNotFoundError:
        return ""
    return data[:LONGEST_IDENTITY_BYTES].decode("ascii", "replace").strip()


class SpoolFolder:
    """Handles of the spool folder and of its folders for payloads; made where they are missing. Any thread.

    Names are relative to the spool folder, as the queue keeps them (``segments/00000001.seg``).

    Raises (construction): ConfigurationError when the folder cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        """The path of the folder, for messages and to see whether it still names this folder."""
        self._handles: dict[str, int] = {}
        self._known: tuple[tuple[int, ...], str] = (), ""
        """The identity as it was read last, and what `_changes` said of its file."""
        try:
            root.mkdir(mode=FOLDER, parents=True, exist_ok=True)
            self._handles[""] = os.open(root, _OPEN)
            for name in SUBFOLDERS:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, FOLDER, dir_fd=self.handle)
                self._handles[name] = os.open(name, _OPEN, dir_fd=self.handle)
        except OSError as error:
            self.close()
            raise ConfigurationError(f"spool {root}: cannot be made: {error}") from error

    def close(self) -> None:
        """Give the handles back; every later call raises OSError."""
        while self._handles:
            os.close(self._handles.popitem()[1])

    def __del__(self) -> None:
        self.close()

    @property
    def handle(self) -> int:
        """The handle of the spool folder itself. Raises OSError after `close`."""
        return self._handle("")

    @property
    def path(self) -> Path:
        """Leads into the folder that was opened at the start, for code that works with paths."""
        return Path(f"/proc/self/fd/{self.handle}")

    def _handle(self, folder: str) -> int:
        try:
            return self._handles[folder]
        except KeyError:
            raise OSError(errno.EBADF, "the spool folder is closed", str(self.root)) from None

    def _place(self, name: str) -> tuple[int, str]:
        folder, _, base = name.rpartition("/")
        return self._handle(folder), base

    # --- files --------------------------------------------------------------------------------------------------

    def open(self, name: str) -> int:
        """A descriptor for reading. Raises OSError, also when a pipe or a device stands there."""
        folder, base = self._place(name)
        return open_regular_file(base, folder)

    def create(self, name: str, disk: Disk) -> int:
        """A descriptor of a new file for reading and writing."""
        folder, base = self._place(name)
        return disk.create(Path(base), folder)

    def unlink(self, name: str, disk: Disk) -> None:
        """Delete a file."""
        folder, base = self._place(name)
        disk.unlink(Path(base), folder)

    def sync(self, folder: str, disk: Disk) -> None:
        """Make the names in a folder durable; "" is the spool folder itself."""
        disk.sync_folder(self._handle(folder))

    def inode(self, name: str) -> int:
        """The inode that the name stands for now; 0 when there is none of this name. Raises OSError."""
        folder, base = self._place(name)
        try:
            return os.stat(base, dir_fd=folder, follow_symlinks=False).st_ino
        except FileNotFoundError:
            return 0

    def is_still(self, name: str, descriptor: int) -> bool:
        """True when the name stands for the file that is open as `descriptor`. Raises OSError."""
        folder, base = self._place(name)
        try:
            return os.path.samestat(os.stat(base, dir_fd=folder, follow_symlinks=False), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def path_of(self, name: str) -> bytes:
        """The path that a start would take, for `leads_to`."""
        return os.fsencode(self.root / name)

    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """Base name and inode of each regular file. Raises OSError."""
        with os.scandir(self._handle(folder)) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.inode()

    # --- identity -----------------------------------------------------------------------------------------------

    def read_identity(self) -> str:
        """The spool's identity; empty when the folder has none. Raises OSError."""
        try:
            descriptor = self.open(IDENTITY)
        except FileNotFoundError:
            return ""
        try:
            found = os.fstat(descriptor)
            identity = os.read(descriptor, 256).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
        self._known = _changes(found), identity
        return identity

    def _identity_now(self) -> str:
        """As `read_identity`, which is not asked while its file is the same: it needs a descriptor, and there may be
        none to have. Raises OSError."""
        try:
            found = os.stat(IDENTITY, dir_fd=self.handle, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        changes, identity = self._known
        return identity if changes == _changes(found) else self.read_identity()

    def write_identity(self, spool_id: str, disk: Disk) -> None:
        """Give a folder without identity one, durably. Raises OSError."""
        draft = f"{IDENTITY}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=self.handle)  # of a start that was cut short
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE, dir_fd=self.handle)
        try:
            os.write(descriptor, f"{spool_id}\n".encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(draft, IDENTITY, src_dir_fd=self.handle, dst_dir_fd=self.handle)
        self.sync("", disk)

    # --- whether it is still there ------------------------------------------------------------------------------

    def moved(self) -> str:
        """The reason why the path does not name this folder any more; empty when it does. A few system calls."""
        try:
            here = os.stat(self.root)
        except OSError as error:
            return f"the folder {self.root} is not there any more ({error.strerror})"
        if not os.path.samestat(here, os.fstat(self.handle)):
            return f"another folder than at the start stands at {self.root}"
        for name in SUBFOLDERS:
            try:
                here = os.stat(name, dir_fd=self.handle)
            except OSError as error:
                return f"the folder {self.root / name} is not there any more ({error.strerror})"
            if not os.path.samestat(here, os.fstat(self._handle(name))):
                return f"another folder than at the start stands at {self.root / name}"
        return ""

    def unfit(self, spool_id: str) -> str:
        """The reason why nothing can be written though the folder is there; empty when it can."""
        try:
            found = self._identity_now()
            is_read_only = os.fstatvfs(self.handle).f_flag & os.ST_RDONLY
        except OSError as error:
            return f"{self.root} cannot be read ({error.strerror})"
        if found != spool_id:
            there = f"holds {found!r}" if found else "is missing or empty"
            return f"{self.root / IDENTITY} {there}, and this spool is {spool_id!r}"
        return f"the file system of {self.root} is read-only" if is_read_only else ""

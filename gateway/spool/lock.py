"""One gateway a spool, and one a queue: advisory locks that end with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.file_modes import FILE, FOLDER
from gateway.ports import ConfigurationError

NAME = "gateway.lock"


class FileLock:
    """Held from construction to `release`, or to the end of the process however it ends.

    Raises ConfigurationError, naming the process that holds it.
    """

    def __init__(self, path: Path, what: str) -> None:
        kind = what.partition(" ")[0]
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE)
        except OSError as error:
            raise ConfigurationError(f"{what}: cannot be written: {error}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise ConfigurationError(
                f"{what}: another gateway uses it (process {holder}); stop that one, or name another {kind}"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise ConfigurationError(f"{what}: cannot be locked: {error}") from error

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


class SpoolLock(FileLock):
    """Of a spool folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / NAME, f"spool {folder}")


class QueueLock(FileLock):
    """Of a queue's file, in a file beside it: two spools on one queue would take each other's deliveries."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"queue {path}: its folder cannot be made: {error}") from error
        super().__init__(path.with_name(f"{path.name}.lock"), f"queue {path}")

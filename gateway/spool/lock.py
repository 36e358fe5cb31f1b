"""One gateway a spool: an advisory lock that ends with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.ports import ConfigurationError

NAME = "gateway.lock"


class SpoolLock:
    """Held from construction to `release`, or to the end of the process however it ends.

    Raises ConfigurationError, naming the process that holds it.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"spool {folder}: cannot be written: {error}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise ConfigurationError(
                f"spool {folder}: another gateway uses it (process {holder}); stop that one, or name another spool"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise ConfigurationError(f"spool {folder}: cannot be locked: {error}") from error

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)

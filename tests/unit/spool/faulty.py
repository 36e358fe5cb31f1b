"""A disk that fails when it is told to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.common.buffer import Buffer
from gateway.spool.disk import LocalDisk


class FaultyDisk(LocalDisk):
    """The local disk; `fail[call]` is asked before each call of that name and may raise."""

    def __init__(self) -> None:
        self.fail: dict[str, Callable[[], None]] = {}
        self.calls: list[str] = []
        self.calls_of_committer: list[str] = []
        """Without those of other threads, which look from time to time whether the disk takes anything."""
        self.free: int | None = None

    def _ask(self, call: str) -> None:
        self.calls.append(call)
        if threading.current_thread().name == "spool-committer":
            self.calls_of_committer.append(call)
        self.fail.get(call, lambda: None)()

    def create(self, path: Path, folder: int | None = None) -> int:
        self._ask("create")
        return super().create(path, folder)

    def pwritev(self, descriptor: int, buffers: Sequence[Buffer], offset_bytes: int) -> int:
        try:
            self._ask("pwritev")
        except OSError:
            os.pwrite(descriptor, bytes(buffers[0])[:10], offset_bytes)  # a torn write is what a full disk leaves
            raise
        return super().pwritev(descriptor, buffers, offset_bytes)

    def fdatasync(self, descriptor: int) -> None:
        self._ask("fdatasync")
        super().fdatasync(descriptor)

    def sync_folder(self, path: Path | int) -> None:
        self._ask("sync_folder")
        super().sync_folder(path)

    def free_bytes(self, path: Path | int) -> int:
        self._ask("free_bytes")
        return super().free_bytes(path) if self.free is None else self.free


def error(number: int) -> Callable[[], None]:
    """Fails with this errno every time."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail

"""Everything that spool and queue write, in order, and what a power cut at any instant leaves of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import apsw

from gateway.common.buffer import Buffer
from gateway.spool.disk import LocalDisk

PAGE_BYTES = 4096
"""What reaches the disk in one piece."""

Kind = Literal["create", "write", "cut", "unlink", "sync", "sync folder", "said"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; `said` is no write: what the world was told."""

    kind: Kind
    name: str
    """The name of a file or folder below the root."""
    at_bytes: int = 0
    data: bytes = b""


@dataclass(slots=True)
class _File:
    durable: bytes = b""
    unsynced: list[Step] = field(default_factory=list)
    fate: Literal["there", "gone", "coming", "going"] = "there"
    """Coming and going: its name is not on disk yet, or still."""

    def now(self, steps: Sequence[Step] | None = None) -> bytes:
        """With these of the unsynced steps, all unless given."""
        content = bytearray(self.durable)
        for step in self.unsynced if steps is None else steps:
            missing = step.at_bytes - len(content)
            content.extend(bytes(max(missing, 0)))
            if step.kind == "cut":
                del content[step.at_bytes :]
            else:
                content[step.at_bytes : step.at_bytes + len(step.data)] = step.data
        return bytes(content)

    def after_cut(self, chance: Random) -> bytes:
        """Each page as it was at some time since the last sync."""
        versions = [self.now(self.unsynced[:count]) for count in range(len(self.unsynced) + 1)]
        length_bytes = len(chance.choice(versions))
        pages = [
            chance.choice(versions)[start : start + PAGE_BYTES].ljust(PAGE_BYTES, b"\0")
            for start in range(0, length_bytes, PAGE_BYTES)
        ]
        return b"".join(pages)[:length_bytes]


class Power:
    """The log of one life in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps: list[Step] = []
        self.lock = threading.RLock()
        self._before = {self._name(path): path.read_bytes() for path in root.rglob("*") if _is_kept(path)}

    def add(self, kind: Kind, path: Path | str, at_bytes: int = 0, data: bytes = b"") -> None:
        with self.lock:
            self.steps.append(Step(kind, self._name(path), at_bytes, data))

    def say(self, what: str) -> None:
        """To the world: what was said before the cut cannot be taken back."""
        self.steps.append(Step("said", what))

    def _name(self, path: Path | str) -> str:
        return os.path.relpath(os.path.realpath(path), os.path.realpath(self.root))

    def cut(self, chance: Random, to: Path, *, is_kill: bool) -> set[str]:
        """Cut at some instant, and make in `to` what is left; what was said before.

        A kill leaves all that was written.
        """
        steps = self.steps[: chance.randrange(len(self.steps) + 1)]
        files = {name: _File(content) for name, content in self._before.items()}
        for step in steps:
            _follow(files, step)
        for name, file in files.items():
            is_late = file.fate == "coming" if is_kill else file.fate in ("coming", "going") and chance.random() < 0.5
            if file.fate == "there" or is_late:
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                (to / name).write_bytes(file.now() if is_kill else file.after_cut(chance))
        return {step.name for step in steps if step.kind == "said"}


def _is_kept(path: Path) -> bool:
    return path.is_file() and not path.name.endswith(("-shm", ".lock"))


def _follow(files: dict[str, _File], step: Step) -> None:
    match step.kind:
        case "create":
            files[step.name] = _File(fate="coming")
        case "write" | "cut":
            files[step.name].unsynced.append(step)
        case "unlink":
            files[step.name].fate = "going"
        case "sync":  # the name too: file systems with a journal do so
            files[step.name] = _File(files[step.name].now())
        case "sync folder":
            for name, file in files.items():
                if (os.path.dirname(name) or ".") == step.name:
                    file.fate = "there" if file.fate in ("there", "coming") else "gone"


def _in(folder: int | None, path: Path) -> Path:
    """Where a path in a folder that is open leads."""
    return path if folder is None else Path(os.readlink(f"/proc/self/fd/{folder}")) / path


class LoggedDisk(LocalDisk):
    """The local disk; tells `power` what it does."""

    def __init__(self, power: Power) -> None:
        self._power = power
        self._paths: dict[int, Path] = {}

    def create(self, path: Path, folder: int | None = None) -> int:
        with self._power.lock:
            descriptor = super().create(path, folder)
            self._paths[descriptor] = _in(folder, path)
            self._power.add("create", self._paths[descriptor])
            return descriptor

    def pwritev(self, descriptor: int, buffers: Sequence[Buffer], offset_bytes: int) -> int:
        with self._power.lock:
            written = super().pwritev(descriptor, buffers, offset_bytes)
            self._power.add("write", self._paths[descriptor], offset_bytes, b"".join(buffers)[:written])
            return written

    def truncate(self, file: int | Path, size_bytes: int) -> None:
        with self._power.lock:
            super().truncate(file, size_bytes)
            self._power.add("cut", self._paths[file] if isinstance(file, int) else file, size_bytes)

    def unlink(self, path: Path, folder: int | None = None) -> None:
        with self._power.lock:
            super().unlink(path, folder)
            self._power.add("unlink", _in(folder, path))

    def fdatasync(self, descriptor: int) -> None:
        self._power.add("sync", self._paths[descriptor])

    def sync_folder(self, path: Path | int) -> None:
        self._power.add("sync folder", _in(path, Path()) if isinstance(path, int) else path)


class _LoggedFile(apsw.VFSFile):
    def __init__(self, power: Power, name: Any, flags: list[int]) -> None:
        self._power = power
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._is_new = not os.path.exists(self._path) or not os.path.getsize(self._path)
        super().__init__("unix", name, flags)
        if self._is_new:
            power.add("create", self._path)

    def xWrite(self, data: bytes, offset: int) -> None:
        with self._power.lock:
            super().xWrite(data, offset)
            self._power.add("write", self._path, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        with self._power.lock:
            super().xTruncate(newsize)
            self._power.add("cut", self._path, newsize)

    def xSync(self, flags: int) -> None:
        self._power.add("sync", self._path)
        if self._is_new and not self._path.endswith(".db"):  # as SQLite does with its logs
            self._is_new = False
            self._power.add("sync folder", os.path.dirname(self._path))


class _LoggedFiles(apsw.VFS):
    def __init__(self, power: Power) -> None:
        super().__init__("logged", "unix")
        self._power = power

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _LoggedFile(self._power, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        with self._power.lock:
            super().xDelete(filename, syncdir)
            self._power.add("unlink", filename)


@contextmanager
def logged_sqlite(power: Power) -> Iterator[None]:
    """Whatever SQLite file this process opens meanwhile."""
    files = _LoggedFiles(power)
    before = apsw.vfs_names()[0]
    apsw.set_default_vfs("logged")
    try:
        yield
    finally:
        apsw.set_default_vfs(before)
        files.unregister()

"""The pid file, and beside it the result of the last reload."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from gateway.common.file_modes import FILE, FOLDER
from gateway.ports.errors import ConfigurationError

log = structlog.get_logger()


@contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """Holds our process id in `path` while entered; nothing without a path.

    A file system without room takes none: that is logged, and no more.

    Raises:
        ConfigurationError: it cannot be written, or holds something else than a process id.
    """
    if path is None:
        yield
        return
    if _is_of_others(path):
        raise ConfigurationError(f"gateway.pid_file: {path} is not a pid file; name another, or move it away")
    try:
        path.parent.mkdir(mode=FOLDER, parents=True, exist_ok=True)
        result_path(path).unlink(missing_ok=True)  # of another process
        _write(path, f"{os.getpid()}\n")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise ConfigurationError(f"gateway.pid_file: cannot write {path}: {error.strerror}") from error
        log.error("pid_file_not_written", path=str(path), reason=error.strerror)  # no reason to deliver nothing
    try:
        yield
    finally:
        if read_pid(path) == os.getpid():
            path.unlink(missing_ok=True)


def _is_of_others(path: Path) -> bool:
    """True for a file with other content than a process id, which we would overwrite."""
    try:
        with path.open("rb") as file:
            return not re.fullmatch(rb"\s*\d*\s*", file.read(64))
    except FileNotFoundError:
        return False
    except OSError:
        return True


def read_pid(path: Path) -> int | None:
    """The process id in a pid file; None when there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def result_path(path: Path) -> Path:
    """The path of the last reload's result."""
    return path.with_name(f"{path.name}.reload.json")


def write_result(path: Path, result: Mapping[str, object]) -> None:
    """Write the result beside the PID file `path`, in one step."""
    _write(result_path(path), json.dumps(result))


def report_result(path: str, result: Mapping[str, object]) -> None:
    """Write the result beside the PID file `path`; nothing without a path. An error is logged: only `gateway reload`
    reads it."""
    if not path:
        return
    try:
        write_result(Path(path), result)
    except OSError as error:
        log.error("config_reload_not_written", path=path, reason=error.strerror or str(error))


def read_result(path: Path) -> dict[str, Any]:
    """The last reload's result; empty before the first."""
    try:
        found = json.loads(result_path(path).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    """Write in one step, under a name that no other user can have prepared: no link is followed, no file of others is
    used."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a process that was killed and had our number
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)

"""The folder `quarantine` inside the spool: what nothing names, and copies of what is damaged.

Nothing here is needed for running. A file keeps its name, followed by the UTC time at which it came here, and is
deleted only after `spool.quarantine_retention`:

```text
quarantine/00000007.seg.20260131T120000Z             a whole file
quarantine/00000007.seg.4096-8192.20260131T120000Z   the bytes 4096 up to 8192 of a file that stays where it is
```

All functions take the spool folder as an open directory handle, so that a folder that was put in its place meanwhile
is never touched, and raise OSError when the file system does not do as it is asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import structlog

from gateway.common.steady_clock import utc_now
from gateway.ports.meter import Meter, NoMeter

log = structlog.get_logger()

FOLDER = "quarantine"
METRIC = "gateway_spool_quarantined_total"

_STAMP = "%Y%m%dT%H%M%SZ"
_STAMPED = re.compile(r".+\.(\d{8}T\d{6}Z)(?:\.\d+)?")
_BLOCK_BYTES = 64 * 1024

ClockFunction = Callable[[], datetime]


def set_aside(spool: int, name: str, reason: str, *, now: ClockFunction = utc_now, meter: Meter = NoMeter()) -> str:  # noqa: B008
    """Move a whole file into the quarantine folder; its new name, relative to the spool folder. Durable on return.

    Args:
        spool: directory handle of the spool folder.
        name: of the file, relative to the spool folder.
        reason: why nothing needs it where it is; a constant phrase, without anything of an object.
        now: wall-clock time.
        meter: counts it in `gateway_spool_quarantined_total{kind="file"}`.
    """
    folder = _open_folder(spool)
    try:
        new_name = _free_name(folder, os.path.basename(name), now())
        size_bytes = os.stat(name, dir_fd=spool, follow_symlinks=False).st_size
        os.rename(name, new_name, src_dir_fd=spool, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(folder)
    _sync_parent(spool, name)
    meter.count(METRIC, kind="file")
    log.error("file_quarantined", file=name, size_bytes=size_bytes, kept_as=f"{FOLDER}/{new_name}", reason=reason)
    return f"{FOLDER}/{new_name}"


def keep_copy(
    spool: int,
    name: str,
    start_bytes: int,
    end_bytes: int,
    reason: str,
    *,
    now: ClockFunction = utc_now,
    meter: Meter = NoMeter(),  # noqa: B008
) -> str:
    """Copy the bytes from `start_bytes` up to `end_bytes` of a file; the copy's name. The file stays as it is.

    Blocks that cannot be read are zeros in the copy. Arguments and metric as for `set_aside`, with `kind="part"`.
    """
    folder = _open_folder(spool)
    try:
        part = f"{os.path.basename(name)}.{start_bytes}-{end_bytes}"
        new_name = _free_name(folder, part, now())
        unreadable_bytes = _copy(spool, name, start_bytes, end_bytes, folder, new_name)
        os.fsync(folder)
    finally:
        os.close(folder)
    meter.count(METRIC, kind="part")
    log.error(
        "file_quarantined",
        file=name,
        start_bytes=start_bytes,
        end_bytes=end_bytes,
        unreadable_bytes=unreadable_bytes,
        kept_as=f"{FOLDER}/{new_name}",
        reason=reason,
    )
    return f"{FOLDER}/{new_name}"


def delete_expired(spool: int, retention_s: float, *, now: ClockFunction = utc_now) -> int:
    """Delete what came here longer than `retention_s` seconds ago, by the time in its name; how many.

    Files whose names do not end with such a time were not put here by a gateway, and stay.
    """
    before = now() - timedelta(seconds=retention_s)
    try:
        folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=spool)
    except FileNotFoundError:
        return 0
    try:
        expired = [name for name, came_at in _entries(folder) if came_at < before]
        for name in expired:
            os.unlink(name, dir_fd=folder)
            log.info("quarantine_deleted", file=f"{FOLDER}/{name}")
    finally:
        os.close(folder)
    return len(expired)


def _entries(folder: int) -> Iterator[tuple[str, datetime]]:
    """Name and time of each file that a gateway put here."""
    for name in sorted(os.listdir(folder)):
        match = _STAMPED.fullmatch(name)
        if match is None:
            continue
        try:
            yield name, datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
        except ValueError:
            continue


def _open_folder(spool: int) -> int:
    """The quarantine folder's directory handle; the folder is made when it is not there."""
    try:
        os.mkdir(FOLDER, 0o700, dir_fd=spool)
        os.fsync(spool)
    except FileExistsError:
        pass
    return os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=spool)


def _free_name(folder: int, name: str, now: datetime) -> str:
    stamped = f"{name}.{now.astimezone(UTC).strftime(_STAMP)}"
    taken = set(os.listdir(folder))
    number = 0
    free = stamped
    while free in taken:
        number += 1
        free = f"{stamped}.{number}"
    return free


def _copy(spool: int, name: str, start_bytes: int, end_bytes: int, folder: int, new_name: str) -> int:
    """Copy durably; how many bytes could not be read."""
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=spool)
    try:
        copy = os.open(new_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            unreadable_bytes = 0
            for start in range(start_bytes, end_bytes, _BLOCK_BYTES):
                wanted_bytes = min(_BLOCK_BYTES, end_bytes - start)
                block = _read(source, wanted_bytes, start)
                unreadable_bytes += wanted_bytes if block is None else 0
                _write(copy, bytes(wanted_bytes) if block is None else block, start - start_bytes)
            os.fsync(copy)
        finally:
            os.close(copy)
    finally:
        os.close(source)
    return unreadable_bytes


def _read(source: int, wanted_bytes: int, start: int) -> bytes | None:
    """None when this block cannot be read."""
    try:
        return os.pread(source, wanted_bytes, start)
    except OSError:
        return None


def _write(copy: int, block: bytes, offset_bytes: int) -> None:
    rest = memoryview(block)
    while rest:
        written = os.pwrite(copy, rest, offset_bytes)
        offset_bytes += written
        rest = rest[written:]


def _sync_parent(spool: int, name: str) -> None:
    parent = os.open(os.path.dirname(name) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=spool)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)

"""Recovery after a crash: the content of the spool folder against the places that the queue names."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from gateway.ports.errors import ConfigurationError
from gateway.spool import large, segment
from gateway.spool.disk import Disk
from gateway.spool.folder import IDENTITY
from gateway.spool.walk import walk

log = structlog.get_logger()

OURS = {
    segment.FOLDER: re.compile(rf"\d{{8,}}{re.escape(segment.SUFFIX)}"),
    large.FOLDER: re.compile(rf"\d{{16,}}{re.escape(large.SUFFIX)}"),
}
"""Folder → what our files in it are called. Anything else is left alone."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The findings of a start; names are relative to the spool folder."""

    missing: list[str] = field(default_factory=list)
    """Named by the queue and not there: their deliveries are lost."""
    short: list[str] = field(default_factory=list)
    """There, but shorter than what the queue names: the deliveries at their ends are lost."""
    trimmed: list[str] = field(default_factory=list)
    """Had zeros behind their last record."""
    unnamed: list[str] = field(default_factory=list)
    """Files that no row names; the sweep looks after them."""


def payload_files(root: Path, *, may_be_missing: bool = False) -> Iterator[tuple[str, int]]:
    """Name and size of each file that is ours. `may_be_missing`: a folder that is not there has none. A file that goes
    meanwhile is left out: a gateway may run beside.

    Raises OSError.
    """
    for folder, pattern in OURS.items():
        with contextlib.ExitStack() as stack:
            try:
                entries = stack.enter_context(os.scandir(root / folder))
            except FileNotFoundError:
                if not may_be_missing:
                    raise
                continue
            for entry in entries:
                if not pattern.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    size_bytes = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
                yield f"{folder}/{entry.name}", size_bytes


def not_files(root: Path) -> list[str]:
    """Entries that have the name of a payload file and are none: a link, a pipe, a folder. They are not read at a
    start."""
    found = []
    for folder, pattern in OURS.items():
        with os.scandir(root / folder) as entries:
            found += [
                f"{folder}/{entry.name}"
                for entry in entries
                if pattern.fullmatch(entry.name) and not entry.is_file(follow_symlinks=False)
            ]
    return sorted(found)


def number(name: str) -> int:
    """The number in a payload file's name."""
    return int(name.rpartition("/")[2].partition(".")[0])


Mismatch = Literal["", "spool-missing", "identity-missing", "identity-differs", "database-empty"]
"""The reason why spool and database do not belong together; empty when they do."""


def mismatch(spool_id: str, queue_spool_id: str, *, has_payloads: bool, has_rows: bool) -> Mismatch:
    """Compare the identifiers of the spool that folder and database have, and their content. Two that are empty belong
    together.
    """
    if spool_id and spool_id == queue_spool_id:
        return ""
    if not spool_id and not has_payloads:
        return "spool-missing" if has_rows else ""
    if queue_spool_id and (has_rows or has_payloads):
        return "identity-differs" if spool_id else "identity-missing"
    return "database-empty" if has_payloads else ""


_REFUSALS: Mapping[Mismatch, str] = {
    "spool-missing": "there is no spool in this folder, and the queue has deliveries of one; mount or restore that "
    "spool (a file system that is not mounted looks like this)",
    "identity-missing": f"it holds payloads, and its {IDENTITY} is gone (identity-missing); restore that file, or run "
    "`gateway rebuild`, which writes it again",
    "identity-differs": "the queue names payloads of another spool; mount or restore the spool that belongs to it, or "
    "the queue's file that belongs to this spool",
    "database-empty": "it holds payloads, and the queue does not know them; restore the queue's file that belongs "
    "to it, or run `gateway rebuild`, which makes it anew from the spool",
}


def check_pair(root: Path, spool_id: str, queue_spool_id: str, *, has_payloads: bool, has_rows: bool) -> None:
    """Refuse to start on a spool and a queue that do not belong together: one of them would be emptied.

    Raises ConfigurationError.
    """
    found = mismatch(spool_id, queue_spool_id, has_payloads=has_payloads, has_rows=has_rows)
    if found:
        raise ConfigurationError(f"spool {root}: {_REFUSALS[found]}")


def recover(root: Path, named: Mapping[str, int], disk: Disk, seed: int) -> Recovered:
    """Compare the folder with what the queue names, once it knows the segments up to their end; tell what is lost.

    Nothing but zeros behind the last record is cut, and nothing is deleted: what is damaged may have been acknowledged.
    """
    found = dict(payload_files(root))
    recovered = Recovered(missing=sorted(named.keys() - found.keys()), unnamed=sorted(found.keys() - named.keys()))
    for name, size_bytes in sorted(found.items()):
        end_bytes = named.get(name, 0)
        if size_bytes < end_bytes:
            log.error("payload_file_truncated", file=name, size_bytes=size_bytes, expected_bytes=end_bytes)
            recovered.short.append(name)
        elif name.startswith(f"{segment.FOLDER}/") and _trim(root / name, size_bytes, end_bytes, disk, seed):
            recovered.trimmed.append(name)
    for name in not_files(root):
        log.error(
            "irregular_file_found", file=name, action="put the file itself there, stop the gateway, start it again"
        )
    for name in recovered.missing:
        log.error("payload_file_not_found", file=name, expected_bytes=named[name])
    log.info(
        "spool_recovered",
        files=len(found),
        missing=len(recovered.missing),
        short=len(recovered.short),
        trimmed=len(recovered.trimmed),
        unnamed=len(recovered.unnamed),
    )
    return recovered


def _trim(path: Path, size_bytes: int, named_bytes: int, disk: Disk, seed: int) -> bool:
    """Cut the zeros behind the last record of a segment; True when there were some.

    A segment whose end cannot be read stays as it is: nobody can say that it holds nothing.
    """
    try:
        with path.open("rb") as file:
            if not size_bytes or os.pread(file.fileno(), 1, size_bytes - 1) != b"\0":
                return False
    except OSError as error:
        log.error("segment_not_read", file=path.name, error=str(error), at_bytes=size_bytes - 1)
        return False
    end_bytes = named_bytes
    for found in walk(path, seed, is_checked=False):
        end_bytes = max(end_bytes, found.end_bytes)
    if end_bytes >= size_bytes:
        return False
    disk.truncate(path, end_bytes)
    return True

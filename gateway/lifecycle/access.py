"""File modes at start: spool and queue that are there already get the modes that `gateway.file_access` asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from gateway.common.file_modes import narrow
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError
from gateway.spool import large, quarantine, segment
from gateway.spool.folder import IDENTITY
from gateway.spool.lock import NAME

log = structlog.get_logger()

OURS = (segment.FOLDER, large.FOLDER, quarantine.FOLDER, IDENTITY, NAME)
"""The entries of a spool. No other user can enter the folders, so the files in them need no check."""


def narrow_files(settings: Settings) -> None:
    """Close the files that another umask, a backup or a copy left open, and log each.

    Raises:
        ConfigurationError: another user owns it, and every user may read it.
    """
    for path in places(settings):
        try:
            before = narrow(path, settings.file_access)
        except PermissionError as error:
            raise ConfigurationError(
                f"{path}: {error}; have its owner run `chmod o-rwx`, or start the gateway as that user"
            ) from error
        except OSError as error:
            raise ConfigurationError(f"{path}: its mode cannot be looked at: {error.strerror}") from error
        if before is not None:
            log.warning("file_mode_changed", path=str(path), before=f"{before:04o}", access=settings.file_access)


def places(settings: Settings) -> Iterator[Path]:
    """The files of the queue, and what we make in the spool, whose folder may be a mount point with more than ours."""
    if not settings.postgresql:
        queue = Path(settings.queue_path)
        yield from (queue.with_name(f"{queue.name}{suffix}") for suffix in ("", "-wal", "-shm", ".lock", ".reserve"))
    spool = Path(settings.spool.path)
    yield from (spool / name for name in OURS)

"""A checksum in every page of the database, by SQLite's own shim (https://www.sqlite.org/cksumvfs.html).

Without it a byte that changes on the disk may change a destination, an action or a UID, and nobody notices. With it the
page cannot be read any more, and `gateway rebuild` makes the database anew. A database gets checksums when it is made;
one of a former version has none until it is rebuilt. Other tools must not write to it: they leave checksums as they
are.
"""

from __future__ import annotations

import threading
from pathlib import Path

import apsw

from gateway.ports.errors import ConfigurationError

VFS = "cksmvfs"
RESERVED_BYTES = 8
"""The checksum's bytes at the end of each page; byte 20 of the file says so, and SQLite checks such files alone."""

_lock = threading.Lock()


def vfs() -> str | None:
    """The name of the shim, to be given when a database is opened; None where there is none, or tests have their own.

    The shim comes with the wheels of apsw. It is loaded once a process, and stays.
    """
    with _lock:
        if VFS in apsw.vfs_names():
            return VFS if apsw.vfs_names()[0] in (VFS, "unix") else None
        if apsw.vfs_names()[0] != "unix":
            return None
        return VFS if _load() else None


def _load() -> bool:
    try:
        from apsw import sqlite_extra
    except ImportError:
        return False
    connection = apsw.Connection(":memory:")
    try:
        sqlite_extra.load(connection, "cksumvfs")
    except (sqlite_extra.NotAvailable, OSError, apsw.Error):
        return False
    finally:
        connection.close()
    return VFS in apsw.vfs_names()


def begin(connection: apsw.Connection) -> None:
    """Give checksums to a database that has no page yet."""
    connection.reserve_bytes(reserve=RESERVED_BYTES)


def check(connection: apsw.Connection, path: Path, shim: str | None) -> None:
    """Raises ConfigurationError for a database with checksums that this process could not keep."""
    if shim is None and connection.vfsname("main") == "unix" and connection.reserve_bytes() == RESERVED_BYTES:
        raise ConfigurationError(
            f"queue {path}: its pages have checksums, and this build of apsw has no module for them; install its wheel"
        )

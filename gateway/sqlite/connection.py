"""An SQLite file that holds a gateway's queue: opening, schema, transactions, errors in the gateway's words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import starmap
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

from gateway.common.file_modes import FILE, FOLDER
from gateway.common.file_place import leads_to
from gateway.model.likeness import likeness
from gateway.ports.errors import ConfigurationError, GatewayError, QueueBroken, SpoolFull, Temporary
from gateway.sqlite import page_checksums
from gateway.sqlite.statements import APPLICATION_ID, SCHEMA_VERSION, SQL

PAGES_BEFORE_CHECKPOINT = 4000
"""The write-ahead log goes into the database after about 16 MB: often enough for reads, seldom enough for commits."""
MOST_PAGES_ASIDE = 8 * PAGES_BEFORE_CHECKPOINT
"""A log that grows to this length while another thread puts it into the database waits for that no longer."""
LOG_KEPT_BYTES = 20 * 1024**2
"""A log that grew over this, because somebody was reading, is cut when it is written from its beginning again."""
INCREMENTAL = 2
"""The value of `auto_vacuum` for which free pages can go back to the file system (`SQLiteStore.release_blocks`)."""
PAGES_WHEN_SHORT = 256
"""The same while the reserve is given up (`gateway.sqlite.database_room`): 1 MB."""
LONGEST_LOOK_AWAY_S = 0.003
"""Less than bulk verbs pause between two transactions (`gateway.operations.queue_administration`)."""

SIDE_FILES = ("", "-wal", "-shm")
"""The database, its write-ahead log, the index of that."""

REPAIR = "run `gateway rebuild` while no gateway runs: it makes the database anew from the spool"


def connect(path: Path, *, busy_timeout_s: float, must_exist: bool) -> apsw.Connection:
    """Open the queue's file, made and brought up to date when needed.

    Raises:
        ConfigurationError: it cannot be opened, is something else, or belongs to a newer version.
        SpoolFull: there is no room, or the disk failed.
    """
    if must_exist and not path.is_file():
        raise ConfigurationError(f"queue {path}: there is no such file; start the gateway once, or name its queue")
    try:
        if not must_exist:
            path.parent.mkdir(mode=FOLDER, parents=True, exist_ok=True)
            _make(path)
        flags = apsw.SQLITE_OPEN_READWRITE | (0 if must_exist else apsw.SQLITE_OPEN_CREATE)
        vfs = page_checksums.vfs() if str(path) != MEMORY else None
        connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=200)
        is_new = str(path) == MEMORY or not path.stat().st_size
        if vfs is not None and is_new:
            page_checksums.begin(connection)
    except (apsw.Error, OSError) as error:
        raise ConfigurationError(f"queue {path}: cannot be opened: {error}") from error
    try:
        page_checksums.check(connection, path, vfs)
        _prepare(connection, busy_timeout_s, is_new=is_new)
        _migrate(connection, path)
    except apsw.BusyError as error:
        connection.close()
        raise Temporary(f"queue {path}: another process holds it: {error}") from error
    except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError) as error:
        connection.close()
        if is_damage(error):
            raise QueueBroken(f"queue {path}: the file is damaged (a page has another checksum); {REPAIR}") from error
        raise SpoolFull(f"queue {path}: {why_not_written(error)}") from error
    except apsw.Error as error:
        connection.close()
        raise ConfigurationError(f"queue {path}: not a usable SQLite file: {error}; {REPAIR}") from error
    except BaseException:
        connection.close()
        raise
    return connection


MEMORY = ":memory:"
"""The name of a database that is no file."""


def _make(path: Path) -> None:
    """SQLite itself would make it 0644.

    A file that is there is not opened: closing it again would end the locks that other connections of this process
    hold on it, and another process might delete the write-ahead log.
    """
    if str(path) == MEMORY:
        return
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE))


class OpenedFiles:
    """The files that a connection has open. A deleted or replaced file is noticed: SQLite goes on to write the old one,
    which no process will ever find again.

    Made right after the connection has read: then all of them are there, until the last connection is closed.
    """

    def __init__(self, path: Path) -> None:
        self._files = [(name, _identity(name)) for name in (Path(f"{path}{end}") for end in SIDE_FILES)]
        self._quick = [(os.fsencode(name), *(opened or (0, 0))) for name, opened in self._files[:2]]

    def moved(self, *, is_quick: bool) -> str:
        """The file that is not there any more; empty when all are. A quick look checks database and log: two system
        calls for each group of acceptances. Any thread.
        """
        if is_quick and all(starmap(leads_to, self._quick)):
            return ""
        for path, opened in self._files[:2] if is_quick else self._files:
            found = _identity(path)
            if found != opened:
                return f"the queue's file {path} was {'replaced' if found else 'deleted'}"
        return ""


def _identity(path: Path) -> tuple[int, int] | None:
    """None when it is not there, or nobody can say."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _prepare(connection: apsw.Connection, busy_timeout_s: float, *, is_new: bool) -> None:
    connection.set_busy_handler(_looking_often(busy_timeout_s))
    _use_wal(connection, busy_timeout_s, is_new=is_new)
    connection.pragma("synchronous", "FULL")
    connection.pragma("cache_size", -65536)  # KiB: inner pages of a million rows stay in memory
    connection.pragma("temp_store", "memory")
    connection.pragma("mmap_size", 0)  # an I/O error must be an error code, not SIGBUS
    connection.pragma("journal_size_limit", LOG_KEPT_BYTES)
    connection.wal_autocheckpoint(PAGES_BEFORE_CHECKPOINT)


def _looking_often(limit_s: float) -> Callable[[int], bool]:
    """Waits for another process that writes: SQLite's own handler sleeps up to 100 ms at a time, in which the other one
    may have begun its next transaction."""
    give_up_s = 0.0

    def wait(tries: int) -> bool:
        nonlocal give_up_s
        now_s = time.monotonic()
        if tries == 0:
            give_up_s = now_s + limit_s
        if now_s >= give_up_s:
            return False
        time.sleep(min(0.0005 * (tries + 1), LONGEST_LOOK_AWAY_S))
        return True

    return wait


def _use_wal(connection: apsw.Connection, busy_timeout_s: float, *, is_new: bool) -> None:
    """SQLite does not wait for another process that does the same to a new file; we do."""
    give_up_s = time.monotonic() + busy_timeout_s
    while True:
        try:
            if is_new:  # before the first page of content; later it would need a VACUUM
                connection.pragma("auto_vacuum", INCREMENTAL)
            connection.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if time.monotonic() >= give_up_s:
                raise
            time.sleep(0.01)


def _migrate(connection: apsw.Connection, path: Path) -> None:
    if version_of(connection, path) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(version_of(connection, path) + 1, SCHEMA_VERSION + 1):
            connection.execute(SQL[f"schema_{version}"])
        fill_likeness(connection)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def fill_likeness(connection: apsw.Connection) -> None:
    """Rows of a database that was made before there was such a column."""
    connection.create_scalar_function("likeness", _likeness, 4, deterministic=True)
    connection.execute(SQL["fill_likeness"])


def _likeness(*texts: Any) -> int:
    sop_class_uid, transfer_syntax_uid, calling_ae_title, study_instance_uid = texts
    return likeness(sop_class_uid, transfer_syntax_uid, calling_ae_title, study_instance_uid)


def version_of(connection: apsw.Connection, path: Path) -> int:
    """The file's schema version; 0 for an empty file."""
    application_id, version = int(connection.pragma("application_id")), int(connection.pragma("user_version"))
    if application_id != APPLICATION_ID:
        if application_id == 0 and version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").get:
            return 0
        raise ConfigurationError(f"queue {path}: this SQLite file is not a gateway's queue; name another file")
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"queue {path}: made by a newer gateway (schema {version}, this one knows {SCHEMA_VERSION}); "
            "run that version, or name another file"
        )
    return version


def is_damage(error: apsw.Error) -> bool:
    """True for a page whose checksum does not agree."""
    return bool(getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA)


def why_not_written(error: apsw.Error) -> str:
    """The error in an operator's words."""
    if isinstance(error, apsw.ReadOnlyError):
        return f"it cannot be written: a read-only file system, or a file of another user: {error}"
    return f"the disk takes no more: {error}"


NO_ROOM = frozenset({apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE})
"""Errors that a lack of room may have: a quota, and the index of the write-ahead log."""


def is_about_room(error: BaseException | None) -> bool:
    """True when more room may help."""
    return isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) in NO_ROOM


class our_errors:
    """SQLite's errors as the gateway's, sorted by who must act. A generator would take as long as a statement.

    Raises:
        SpoolFull: no room, or the disk failed.
        Temporary: another process held the queue for longer than the busy time-out, the statement was interrupted, or
            this process is short of memory or descriptors.
        QueueBroken: the file is damaged.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.Error) and (translated := _gateway_error(self._path, error)) is not None:
            raise translated from error


def _gateway_error(path: Path, error: apsw.Error) -> GatewayError | None:
    """None for an error that is a fault of ours."""
    match error:
        case apsw.FullError() | apsw.IOError() | apsw.ReadOnlyError():
            if is_damage(error):
                return QueueBroken(f"queue {path}: the file is damaged (a page has another checksum); {REPAIR}")
            return SpoolFull(f"queue {path}: {why_not_written(error)}")
        case apsw.BusyError() | apsw.LockedError():
            return Temporary(f"queue {path}: another process holds it: {error}")
        case apsw.NoMemError() | apsw.CantOpenError():
            return Temporary(f"queue {path}: this process is short of memory or descriptors: {error}")
        case apsw.InterruptError():
            return Temporary(f"queue {path}: the statement was interrupted")
        case apsw.CorruptError() | apsw.NotADBError():
            return QueueBroken(f"queue {path}: the file is damaged ({error}); {REPAIR}")
    return None


def single(connection: apsw.Connection, name: str, values: dict[str, Any]) -> Any:
    """The one value, or the tuple of the one row, that a named statement gives; None without a row."""
    return connection.execute(SQL[name], values).get

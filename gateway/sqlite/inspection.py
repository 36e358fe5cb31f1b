"""The database as it lies there: opened without writing to it, and asked what does not agree."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
import structlog

from gateway.common.quantity import size
from gateway.model.migration import MigrationMark
from gateway.ports.errors import ConfigurationError, QueueBroken, Temporary
from gateway.spool.lock import is_gateway_running
from gateway.sqlite import page_checksums
from gateway.sqlite.connection import REPAIR, is_damage, our_errors, single, version_of
from gateway.sqlite.statements import SCHEMA_VERSION, SQL
from gateway.sqlite.write_ahead_log import LogState, index_of, log_of, lost_frames, read_log, read_shared

log = structlog.get_logger()

PROBLEMS_SHOWN = 100

CHECKED_AT_START_BYTES = 256 * 1024**2
"""A larger database is not read whole at a start: that would take seconds. `gateway check` does."""

MOST_COPIED_BYTES = 256 * 1024**2
"""The largest database, with its log, that is copied."""

NEWER_PAGES = "its write-ahead log is damaged in the middle, and newer pages than it holds stand in the database"


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One instance of the queue, and where its payload lies."""

    instance_id: int
    sop_instance_uid: str
    offset_bytes: int
    length_bytes: int
    digest: bytes
    owed: int
    """Deliveries that are pending, dead or held."""


class Inspection:
    """Questions to one database. Its methods raise what `our_errors` does: QueueBroken when pages are damaged."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self.path = path
        self._connection = connection

    def has_tables(self) -> bool:
        """False for a file that was made and never filled."""
        with our_errors(self.path):
            return bool(self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'known'").get)

    def problems(self) -> Sequence[str]:
        """The faults that SQLite finds in pages, indices and constraints; () when there are none."""
        try:
            found = [row[0] for row in self._connection.execute(f"PRAGMA integrity_check({PROBLEMS_SHOWN})")]
        except (apsw.CorruptError, apsw.NotADBError) as error:
            return [str(error)]
        except apsw.IOError as error:
            if not is_damage(error):
                raise
            return ["a page has another checksum"]
        return [text for text in found if text != "ok"]

    def disagreements(self) -> Sequence[tuple[str, int]]:
        """Rows that name rows that are not there: what, and how many."""
        with our_errors(self.path):
            return [(what, count) for what, count in self._connection.execute(SQL["inspect_index"]) if count]

    def rows(self, name: str) -> Sequence[HeldRow]:
        """Instances with their payloads in this file, by place."""
        with our_errors(self.path):
            return [HeldRow(*row) for row in self._connection.execute(SQL["inspect_rows"], {"name": name})]

    def payload_names(self) -> dict[str, int]:
        """File → the end of its last payload."""
        with our_errors(self.path):
            return dict(json.loads(single(self._connection, "payload_names", {})))

    def count(self) -> int:
        """Instances."""
        with our_errors(self.path):
            return int(single(self._connection, "count_instances", {}))

    def waiting(self) -> dict[str, int]:
        """Destination → pending deliveries."""
        with our_errors(self.path):
            return dict(self._connection.execute(SQL["waiting"]))

    def spool_id(self) -> str:
        with our_errors(self.path):
            return single(self._connection, "read_spool", {}) or ""

    def identity(self) -> tuple[str, bool]:
        """The identifier of its spool, and whether it has instances. Works on databases of former versions and on
        unfilled ones too.
        """
        with our_errors(self.path):
            if not self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'spool'").get:
                return "", False
            has_rows = bool(self._connection.execute("SELECT EXISTS (SELECT 1 FROM instance)").get)
        return self.spool_id(), has_rows

    def migration(self) -> MigrationMark | None:
        """The mark of a migration; None too in databases of former versions."""
        with our_errors(self.path):
            if not self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").get:
                return None
            found = self._connection.execute(SQL["read_migration"]).get
        return None if found is None else MigrationMark(found[0], found[1], found[2], bool(found[3]))

    def replayed_position(self) -> tuple[str, int]:
        with our_errors(self.path):
            name, end_bytes = single(self._connection, "read_known", {})
        return str(name), int(end_bytes)


@contextmanager
def inspected(path: Path) -> Iterator[Inspection]:
    """The database, opened for reading alone. Neither it nor its log is changed.

    Raises ConfigurationError when it is not there, is no gateway's queue, or a newer version's; QueueBroken when it is
    damaged; Temporary when a gateway started meanwhile.
    """
    connection = open_read_only(path)
    try:
        with our_errors(path):
            version_of(connection, path)
        yield Inspection(path, connection)
    finally:
        connection.close()


def look_at(path: Path) -> apsw.Connection:
    """A queue of this version, opened for reading alone. Raises what `inspected` does."""
    connection = open_read_only(path)
    try:
        with our_errors(path):
            version = version_of(connection, path)
        if version != SCHEMA_VERSION:
            what = f"made by an older gateway (schema {version})" if version else "it was never filled"
            raise ConfigurationError(f"queue {path}: {what}; start the gateway once, which mends that")
        connection.pragma("temp_store", "memory")
    except BaseException:
        connection.close()
        raise
    return connection


def open_read_only(path: Path) -> apsw.Connection:
    """The database with what its write-ahead log has; nothing on the disk is made or changed.

    Beside a gateway it is read as any reader does. Where none runs, SQLite reads the log that a gateway left with an
    index in memory (https://www.sqlite.org/walformat.html#the_wal_index_file_format), and takes locks of a reader
    alone: a gateway that starts meanwhile is not hindered. A log without its index, as of a
    backup, is read from a copy.

    Raises ConfigurationError, QueueBroken; Temporary when a gateway started meanwhile.
    """
    try:
        if not path.is_file():
            raise ConfigurationError(f"queue {path}: there is no such file")
        connection = _opened(path)
        connection.set_busy_timeout(10_000)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise QueueBroken(f"queue {path}: the file is damaged ({error})") from error
    except (apsw.Error, OSError) as error:
        raise ConfigurationError(f"queue {path}: cannot be opened: {error}") from error
    return connection


def _opened(path: Path) -> apsw.Connection:
    """A connection, opened in one of four ways, depending on the files there. Raises apsw.Error, OSError, and what
    `_copied` does.
    """
    side = log_of(path)
    is_running = is_gateway_running(path)
    if not side.is_file() or (not is_running and not side.stat().st_size):
        return _connect(path, "&immutable=1")
    if is_running:
        return _connect(path, "")
    return _connect(path, "&readonly_shm=1") if index_of(path).is_file() else _copied(path)


def _copied(path: Path) -> apsw.Connection:
    """A copy of database and log that has no name: its files are deleted as soon as they are open.

    Raises ConfigurationError: they are too large; Temporary: they changed meanwhile.
    """
    files = (path, log_of(path))
    before = [_version(file) for file in files]
    size_bytes = sum(each for _, _, each in before)
    if size_bytes > MOST_COPIED_BYTES:
        raise ConfigurationError(
            f"queue {path}: its write-ahead log has no index ({index_of(path).name}), and a copy of {size(size_bytes)} "
            f"would be needed to read it; `gateway run` reads it in its place"
        )
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        for file in files:
            shutil.copyfile(file, Path(folder) / file.name)
        if is_gateway_running(path) or [_version(file) for file in files] != before:
            raise Temporary(f"queue {path}: a gateway started meanwhile; ask again")
        connection = _connect(Path(folder) / path.name, "")
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        with contextlib.suppress(apsw.CorruptError, apsw.NotADBError):  # said by the first question
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    return connection


def _version(file: Path) -> tuple[int, int, int]:
    """Differs after the file was written or replaced."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _connect(path: Path, parameters: str) -> apsw.Connection:
    uri = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=ro{parameters}"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(uri, flags=flags, vfs=page_checksums.vfs())


def problems_of(path: Path, *, is_cut_logged: bool = False) -> Sequence[str]:
    """All that is wrong with the pages of a database, its log included; with `is_cut_logged` a log that lost its end,
    which is no problem of the pages, is named at level error. Raises QueueBroken, ConfigurationError."""
    shared = read_shared(path)  # before the first connection, which empties it
    state = state_of_log(path)
    gone, is_mixed = lost_frames(shared, path, state)
    with inspected(path) as found:
        problems = [*found.problems(), *_log_problems(path, found, state)] if found.has_tables() else []
    if is_mixed and NEWER_PAGES not in problems:
        problems.append(NEWER_PAGES)
    if is_cut_logged and (state.is_damaged or gone):
        _log_cut(path, state)
    return problems


def state_of_log(path: Path) -> LogState:
    """The state of the log as SQLite reads it. Only while this process has no connection to the database: where a
    file is closed, the locks that a process has on it end. Raises QueueBroken, ConfigurationError, OSError.
    """
    with inspected(path) as found:
        if found.has_tables():
            found.replayed_position()
    return read_log(path, is_open=is_gateway_running(path))


def check_before_start(path: Path) -> None:
    """Refuse a database that is damaged: rows would go missing one by one later. Nothing when there is none yet.

    Reads all of it when it is small, or when its log was damaged in the middle. A log that lost its end is named at
    level error. Raises QueueBroken, ConfigurationError.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    shared = read_shared(path)  # before the first connection, which empties it
    state = state_of_log(path)
    gone, is_mixed = lost_frames(shared, path, state)
    if is_mixed:
        raise QueueBroken(f"queue {path}: the database is damaged ({NEWER_PAGES}); {REPAIR}")
    if not state.is_damaged and path.stat().st_size > CHECKED_AT_START_BYTES:
        log.warning("database_not_checked", path=str(path), size_bytes=path.stat().st_size)
    else:
        _refuse_damage(path, state)
    if state.is_damaged or gone:
        _log_cut(path, state)


def _log_cut(path: Path, state: LogState) -> None:
    log.error(
        "write_ahead_log_truncated",
        file=str(log_of(path)),
        read_bytes=state.read_bytes,
        size_bytes=state.size_bytes,
        transactions="those behind it are lost: objects are told again from the spool, what was delivered since is "
        "delivered again, and what operators held, released or discarded since is as it was before",
        action="a power cut does that; else look at the disk, and run `gateway check` and `gateway queue list`",
    )


def _refuse_damage(path: Path, state: LogState) -> None:
    with inspected(path) as found:
        problems = [*found.problems(), *_log_problems(path, found, state)] if found.has_tables() else []
    if problems:
        raise QueueBroken(f"queue {path}: the database is damaged ({problems[0]}); {REPAIR}")


def _log_problems(path: Path, found: Inspection, state: LogState) -> Sequence[str]:
    """A log that ends early is no problem, for the segments hold it too; newer pages in the database are one."""
    if not state.is_damaged:
        return ()
    try:
        with contextlib.closing(_connect(path, "&immutable=1")) as alone:
            name, end_bytes = single(alone, "read_known", {})
    except (apsw.Error, TypeError):
        return ()
    if (name, end_bytes) > found.replayed_position():
        return [NEWER_PAGES]
    return ()

"""The write-ahead log of one committing connection: when it goes into the database, and when it must begin anew."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import structlog

from gateway.sqlite.checkpointer import Checkpointer
from gateway.sqlite.connection import (
    MOST_PAGES_ASIDE,
    PAGES_BEFORE_CHECKPOINT,
    PAGES_WHEN_SHORT,
    is_about_room,
)
from gateway.sqlite.database_room import give_up_reserve, reserve_of, reserved_bytes

log = structlog.get_logger()


class Reserve:
    """The reserve beside the database, as far as checkpoints need it (`gateway.sqlite.database_room`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_short = os.path.exists(reserve_of(path)) and not reserved_bytes(path)
        """True from when the reserve was given up until it is held again: the log is kept small meanwhile."""

    def has_made_room(self, error: BaseException | None) -> bool:
        """True when `error` is a lack of room and the reserve was there: the same again may work now."""
        if not is_about_room(error):
            return False
        self.is_short = True
        return give_up_reserve(self._path)

    def refresh(self) -> None:
        """Look whether the reserve is held again."""
        self.is_short = self.is_short and not reserved_bytes(self._path)


class LogCheckpoints:
    """The checkpoints of `connection`; `aside` does most of them in a thread of its own, where there is one."""

    def __init__(
        self, connection: apsw.Connection, path: Path, reserve: Reserve, aside: Checkpointer | None = None
    ) -> None:
        self._connection = connection
        self._path = path
        self._reserve = reserve
        self._aside = aside
        self.pages = 0
        """Length of the log."""
        self._is_in_doubt = False
        """True after an I/O error: pages of the write-ahead log may be called clean and not be on the disk."""
        connection.set_wal_hook(self._grew)  # instead of SQLite's own: that one hides a failed sync

    def close(self) -> None:
        if self._aside is not None:
            self._aside.close()

    def before_transaction(self) -> None:
        """Begin the log anew where it is in doubt. Raises apsw.Error; then nothing may be committed yet."""
        if self._is_in_doubt:
            self._begin_anew()

    def after_commit(self) -> None:
        """A checkpoint, when the log is long enough."""
        if self.pages >= (PAGES_WHEN_SHORT if self._reserve.is_short else PAGES_BEFORE_CHECKPOINT):
            self._checkpoint_when_it_costs_little()

    def after_failure(self, error: BaseException) -> None:
        """Act on an error of a transaction that was rolled back."""
        if is_about_room(error):
            self._reserve.has_made_room(error)
            self.checkpoint()  # the log is written from its beginning then, and needs no room

    def doubt(self, error: BaseException | None) -> None:
        """Trust the log no more after an I/O error."""
        self._is_in_doubt |= isinstance(error, apsw.IOError)

    def checkpoint(self) -> None:
        """Put the part of the log that no reader needs into the database. Committed transactions stay so, whatever
        happens here.
        """
        self.pages = 0
        self._reserve.refresh()
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:  # another process is at it
            return
        except apsw.Error as error:
            self.doubt(error)
            self._reserve.has_made_room(error)
            log.warning("checkpoint_failed", path=str(self._path), error=str(error))

    def _grew(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self.pages = pages
        return apsw.SQLITE_OK

    def _checkpoint_when_it_costs_little(self) -> None:
        """Another thread does most of it, if there is one; then what was committed meanwhile is put in, so that the log
        begins anew."""
        if self._aside is None or self._reserve.is_short or self.pages >= MOST_PAGES_ASIDE:
            self.checkpoint()
            return
        is_done, error = self._aside.take_result()
        self.doubt(error)
        if is_done and error is None:
            self.checkpoint()
        else:
            self._aside.request()

    def _begin_anew(self) -> None:
        """Put the log's pages into the database and empty it. Raises apsw.Error.

        After a failed sync the kernel may call pages clean that never reached the disk, those of claims before it too;
        what is committed behind such a hole would not survive a power cut.
        """
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            self._reserve.has_made_room(error)
            raise
        self._is_in_doubt = False
        log.warning("write_ahead_log_restarted", path=str(self._path))

"""Puts the write-ahead log into the database beside the thread that commits.

A checkpoint writes up to 16 MB and syncs twice, which takes a slow disk seconds; senders would wait for it. Done on a
connection and a thread of its own it stops no sender. But while others go on to commit it never reaches the end of the
log, and only a log that is all in the database is written from its beginning again. So the committing thread does the
rest then, which is little (`gateway.sqlite.log_checkpoints`).
"""

from __future__ import annotations

import threading

import apsw
import structlog

log = structlog.get_logger()


class Checkpointer:
    """Owns `connection`. Its methods are for one other thread; only `close` waits."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._condition = threading.Condition()
        self._is_requested = False
        self._is_running = False
        self._is_closing = False
        self._is_done = False
        self._error: apsw.Error | None = None
        self._thread: threading.Thread | None = None

    def request(self) -> None:
        """Begin a checkpoint, unless one runs. Without a thread for it, the committing thread does it in the end."""
        with self._condition:
            if self._is_running or self._is_requested or self._is_closing:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="queue-checkpoint", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    log.warning("checkpoint_failed", path=self._path, error=str(error))
                    return
                self._thread = thread
            self._is_requested = True
            self._condition.notify()

    def take_result(self) -> tuple[bool, apsw.Error | None]:
        """(True once after each that ended, what went wrong in it)."""
        with self._condition:
            is_done, error = self._is_done, self._error
            self._is_done, self._error = False, None
            return is_done, error

    def close(self) -> None:
        """Wait for the one that runs, and close the connection."""
        with self._condition:
            self._is_closing = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._is_requested or self._is_closing)
                if self._is_closing:
                    return
                self._is_requested, self._is_running = False, True
            error = self._checkpoint()
            with self._condition:
                self._is_running, self._is_done, self._error = False, True, error

    def _checkpoint(self) -> apsw.Error | None:
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:  # another process is at it
            return None
        except apsw.Error as error:
            log.warning("checkpoint_failed", path=self._path, error=str(error))
            return error
        return None

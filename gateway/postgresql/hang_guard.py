"""A server that answers nothing, and does not go away either, ends no thread of ours: its connection is cut."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable

LOOKED_EACH_S = 0.5


class HangGuard:
    """Cuts a connection on which one statement takes longer than `limit_s`; the statement then fails as if the server
    were gone. `begin` and `end` are called by the thread that uses the connection."""

    def __init__(self, limit_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until_s = math.inf
        self._descriptor = -1
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postgresql-guard", daemon=True)
        self._thread.start()

    def begin(self, descriptor: int) -> None:
        """A statement begins on the connection with this descriptor."""
        with self._lock:
            self._descriptor, self._until_s = descriptor, self._monotonic() + self._limit_s

    def end(self) -> None:
        """It is over."""
        with self._lock:
            self._until_s = math.inf

    def close(self) -> None:
        """End the thread; no connection is cut any more."""
        self._is_closed.set()
        self._thread.join()

    def look(self) -> bool:
        """Cut the connection if it is time; whether it was."""
        with self._lock:
            if self._monotonic() < self._until_s:
                return False
            self._shut_down()
            return True

    def cut(self) -> None:
        """Cut the connection if a statement runs: it fails at once. Any thread."""
        with self._lock:
            if self._until_s < math.inf:
                self._shut_down()

    def _shut_down(self) -> None:
        self._until_s = math.inf
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._is_closed.wait(LOOKED_EACH_S):
            self.look()

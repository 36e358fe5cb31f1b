"""Random histories: SQLite and the model in dictionaries must agree after every step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.ports.store import Store
from gateway.sqlite.store import SQLiteStore
from tests.support.queue_history import SETTINGS, QueueHistory


class SQLiteHistory(QueueHistory):
    def new_store(self) -> Callable[[], Store]:
        self.folder = tempfile.TemporaryDirectory()
        return partial(SQLiteStore, Path(self.folder.name) / "queue.db", now=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


SQLiteHistory.TestCase.settings = SETTINGS
TestSQLiteHistory = SQLiteHistory.TestCase

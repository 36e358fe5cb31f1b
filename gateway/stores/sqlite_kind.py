"""A store in one SQLite file (`gateway.sqlite`), which is loaded where it is opened, for most commands need none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.common.steady_clock import SteadyClock, utc_now
from gateway.model.settings import Settings
from gateway.ports.gateway_clock import GatewayClock
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.ports.store_rows import MigratableStore
from gateway.spool.lock import QueueLock, is_gateway_running
from gateway.sqlite.database_room import DatabaseRoom
from gateway.sqlite.write_ahead_log import log_of


class SQLiteClaim:
    """The lock beside the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: QueueLock | None = None

    def take(self) -> None:
        """Raises InUse, ConfigurationError."""
        self._lock = QueueLock(self._path)

    def release(self) -> None:
        """Let the next gateway in."""
        assert self._lock is not None
        self._lock.release()

    def gone(self) -> str:
        """The reason why others could take the lock though it is held; empty when they cannot."""
        assert self._lock is not None
        return self._lock.gone()


class SQLiteKind:
    """See `gateway.stores.kind.StoreKind`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = Path(settings.queue_path)
        self.shown = settings.queue_path
        self.local_path = self._path

    def open(
        self,
        *,
        clock: GatewayClock | None,
        must_exist: bool,
        is_committing: bool,
        is_read_only: bool,
    ) -> Store:
        from gateway.sqlite.store import SQLiteStore

        return SQLiteStore(
            self._path,
            clock=clock,
            must_exist=must_exist,
            checkpoints_aside=is_committing,
            is_read_only=is_read_only,
        )

    def open_alone(self, *, is_read_only: bool) -> MigratableStore:
        from gateway.sqlite.store import SQLiteStore

        return SQLiteStore(self._path, is_read_only=is_read_only)

    def clock(self) -> SteadyClock:
        return SteadyClock(utc_now)

    def claim(self) -> SQLiteClaim:
        return SQLiteClaim(self._path)

    def room(self) -> StoreRoom:
        settings = self._settings
        return DatabaseRoom(self._path, settings.queue_min_free_bytes, settings.queue_reserve_bytes, time.monotonic)

    def is_there(self) -> bool:
        return self._path.is_file()

    def is_gateway_running(self) -> bool:
        return is_gateway_running(self._path)

    def check_before_start(self) -> None:
        from gateway.sqlite.inspection import check_before_start as check

        check(self._path)

    def problems(self) -> Sequence[str]:
        from gateway.sqlite.inspection import problems_of

        return problems_of(self._path)

    def files(self) -> Sequence[Path]:
        return self._path, log_of(self._path)

    def pairing(self) -> tuple[str, bool]:
        if not self._path.is_file() or not self._path.stat().st_size:
            return "", False
        from gateway.sqlite.inspection import inspected

        with inspected(self._path) as found:
            return found.identity()

    def waiting(self) -> Mapping[str, int]:
        if not self._path.is_file():
            return {}
        from gateway.sqlite.inspection import inspected

        with inspected(self._path) as found:
            return found.waiting() if found.has_tables() else {}

"""Opens the store that the settings name, and answers what can be asked of it without opening it.

One kind of store is built in: a database in one SQLite file (`gateway.sqlite`). It is loaded where a store is opened,
for most commands need none. Another kind is chosen here.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from gateway.common.steady_clock import SteadyClock
from gateway.model.settings import Settings
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.sqlite.database_room import DatabaseRoom
from gateway.sqlite.write_ahead_log import log_of
from gateway.stores.index_reader import IndexReader, recorded_already


def open_store(
    settings: Settings,
    *,
    clock: SteadyClock | None = None,
    must_exist: bool = False,
    is_committing: bool = False,
    is_read_only: bool = False,
) -> Store:
    """Made and brought up to date when needed, unless it `must_exist`.

    Args:
        settings: of the process.
        clock: the queue's time, which goes on from where the store left it; without one the store's own.
        must_exist: never make one.
        is_committing: the one that a gateway commits to; what is long goes on beside its thread.
        is_read_only: nothing on the disk is made or changed, neither by opening nor by closing.

    Raises:
        ConfigurationError: it cannot be opened, is something else, or belongs to a newer version.
        SpoolFull: there is no room.
        Temporary: another process holds it.
        QueueBroken: it is damaged.
    """
    from gateway.sqlite.store import SQLiteStore

    return SQLiteStore(
        settings.queue_path,
        clock=clock,
        must_exist=must_exist,
        checkpoints_aside=is_committing,
        is_read_only=is_read_only,
    )


def open_index(
    settings: Settings,
    *,
    is_read_only: bool = False,
    moved: Callable[[], str] = lambda: "",
    until_recorded: Callable[[], Awaitable[None]] = recorded_already,
) -> IndexReader:
    """The `Index` port on the store that is there; opened when it is first asked. See `open_store`, `IndexReader`."""
    return IndexReader(lambda: open_store(settings, must_exist=True, is_read_only=is_read_only), moved, until_recorded)


def store_room(settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> StoreRoom:
    """Room that is kept free, and room that is held for the last need."""
    path = Path(settings.queue_path)
    return DatabaseRoom(path, settings.queue_min_free_bytes, settings.queue_reserve_bytes, monotonic)


def check_before_start(settings: Settings) -> None:
    """Refuse a store that is damaged: rows would go missing one by one later. Nothing when there is none yet.

    Raises QueueBroken, ConfigurationError.
    """
    from gateway.sqlite.inspection import check_before_start as check

    check(Path(settings.queue_path))


def problems(settings: Settings) -> Sequence[str]:
    """All that is wrong with a store that no gateway uses. Nothing is changed by looking.

    Raises QueueBroken, ConfigurationError, OSError.
    """
    from gateway.sqlite.inspection import problems_of

    return problems_of(Path(settings.queue_path))


def files(settings: Settings) -> Sequence[Path]:
    """The files that `problems` reads; they need not be there."""
    path = Path(settings.queue_path)
    return path, log_of(path)


def pairing(settings: Settings) -> tuple[str, bool]:
    """The spool that the store belongs to, and whether it has instances; ("", False) when there is none, or an empty
    one.

    Raises ConfigurationError, QueueBroken.
    """
    path = Path(settings.queue_path)
    if not path.is_file() or not path.stat().st_size:
        return "", False
    from gateway.sqlite.inspection import inspected

    with inspected(path) as found:
        return found.identity()


def waiting(settings: Settings) -> Mapping[str, int]:
    """Destination → pending deliveries; empty where there is no store, or one that was never filled.

    Raises ConfigurationError, QueueBroken, Temporary, OSError.
    """
    path = Path(settings.queue_path)
    if not path.is_file():
        return {}
    from gateway.sqlite.inspection import inspected

    with inspected(path) as found:
        return found.waiting() if found.has_tables() else {}

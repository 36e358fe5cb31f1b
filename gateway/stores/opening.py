"""Opens the store that the settings name, and answers what can be asked of it without opening it.

Two kinds are built in: a database in one SQLite file, and a PostgreSQL database. Another kind is chosen here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from gateway.model.settings import Settings
from gateway.ports.cluster_contents import CheckedSharedStore
from gateway.ports.destination_leases import NodeTable
from gateway.ports.expected_instances import ExpectedInstances
from gateway.ports.gateway_clock import GatewayClock
from gateway.ports.shared_payloads import SharedStore, StorePurpose
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.ports.store_rows import MigratableSharedStore, MigratableStore
from gateway.stores.index_reader import IndexReader, recorded_already
from gateway.stores.kind import StoreClaim, StoreKind, Tokens
from gateway.stores.postgresql_kind import PostgreSQLKind, due_listener, expected_instances, node_table
from gateway.stores.sqlite_kind import SQLiteKind


def kind_of(settings: Settings) -> StoreKind:
    """The kind of store that the settings name. Raises ConfigurationError when its library is not installed, or its
    address is none."""
    return PostgreSQLKind(settings) if settings.postgresql else SQLiteKind(settings)


def open_store(
    settings: Settings,
    *,
    clock: GatewayClock | None = None,
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
        is_read_only: nothing is made or changed, neither by opening nor by closing.

    Raises:
        ConfigurationError: it cannot be opened, is something else, or belongs to a newer version.
        SpoolFull: there is no room, or it cannot be reached.
        Temporary: another process holds it.
        QueueBroken: it is damaged.
    """
    return kind_of(settings).open(
        clock=clock,
        must_exist=must_exist,
        is_committing=is_committing,
        is_read_only=is_read_only,
    )


def open_node_table(settings: Settings) -> NodeTable:
    """The table of nodes in the database that the settings of a node name. The database has its tables already.

    Raises ConfigurationError.
    """
    return node_table(settings.postgresql)


def open_expected_instances(settings: Settings) -> ExpectedInstances:
    """Instances that C-MOVEs of nodes are to bring, in the database that the settings of a node name; as
    `open_node_table`."""
    return expected_instances(settings.postgresql)


def listen_to_nodes(
    settings: Settings, on_due: Callable[[frozenset[str] | None], object], on_expected: Callable[[str], object]
) -> Callable[[], None]:
    """Call `on_due`, in a thread of its own, with the destinations that other nodes of the cluster made deliveries due
    for; with None when they may be any. Call `on_expected` there with the run of the node that instances of a C-MOVE
    concern; empty: all. The answer ends it."""
    return due_listener(settings.postgresql, settings.node, on_due, on_expected)


def open_shared_store(settings: Settings, purpose: StorePurpose, clock: GatewayClock, tokens: Tokens) -> SharedStore:
    """The store of the cluster that the settings make this gateway a node of.

    `tokens` of the leases of the node, which claims and settles for the destinations that it has one for. Raises as
    `open_store`.
    """
    return PostgreSQLKind(settings).open_shared(purpose, clock, tokens)


def open_alone(settings: Settings, *, is_read_only: bool = False) -> MigratableStore:
    """The store for a migration, made when it is not there unless `is_read_only`.

    In PostgreSQL it holds the lock of a gateway that is alone, so that neither a gateway nor a node uses it; a file is
    locked by `claim_of`. Raises as `open_store`.
    """
    return kind_of(settings).open_alone(is_read_only=is_read_only)


def open_shared_alone(settings: Settings) -> MigratableSharedStore:
    """The same for the store of a cluster."""
    return PostgreSQLKind(settings).open_alone(is_read_only=False)


def open_for_check(settings: Settings) -> CheckedSharedStore:
    """The store of a cluster, beside its nodes: nothing is locked, made or changed. Raises as `open_store`."""
    return PostgreSQLKind(settings).open_for_check()


def open_index(
    settings: Settings,
    *,
    is_read_only: bool = False,
    moved: Callable[[], str] = lambda: "",
    until_recorded: Callable[[], Awaitable[None]] = recorded_already,
) -> IndexReader:
    """The `Index` port on the store that is there; opened when it is first asked. See `open_store`, `IndexReader`."""
    return IndexReader(lambda: open_store(settings, must_exist=True, is_read_only=is_read_only), moved, until_recorded)


def clock_of(settings: Settings) -> GatewayClock:
    """The queue's time for a gateway that is about to start: its own steady clock, or that of all nodes."""
    return kind_of(settings).clock()


def claim_of(settings: Settings) -> StoreClaim:
    """The claim of a gateway that is about to start."""
    return kind_of(settings).claim()


def store_room(settings: Settings) -> StoreRoom:
    """Room that is kept free, and room that is held for the last need."""
    return kind_of(settings).room()


def is_there(settings: Settings) -> bool:
    """False when there is certainly no store yet."""
    return kind_of(settings).is_there()


def is_gateway_running(settings: Settings) -> bool:
    """True while a gateway uses the store, as another process sees it. Takes no lock. Raises SpoolFull when it cannot
    be asked now."""
    return kind_of(settings).is_gateway_running()


def shown(settings: Settings) -> str:
    """The place of the store, for messages: never a password."""
    return kind_of(settings).shown


def check_before_start(settings: Settings) -> None:
    """Refuse a store that is damaged: rows would go missing one by one later. Nothing when there is none yet.

    Raises QueueBroken, ConfigurationError.
    """
    kind_of(settings).check_before_start()


def problems(settings: Settings) -> Sequence[str]:
    """All that is wrong with a store that no gateway uses. Nothing is changed by looking.

    Raises QueueBroken, ConfigurationError, OSError.
    """
    return kind_of(settings).problems()


def files(settings: Settings) -> Sequence[Path]:
    """The files that `problems` reads; they need not be there."""
    return kind_of(settings).files()


def local_path(settings: Settings) -> Path | None:
    """The file of this machine that the store is; None when it is none."""
    return kind_of(settings).local_path


def pairing(settings: Settings) -> tuple[str, bool]:
    """The spool that the store belongs to, and whether it has instances; ("", False) when there is none, or an empty
    one.

    Raises ConfigurationError, QueueBroken, SpoolFull.
    """
    return kind_of(settings).pairing()


def waiting(settings: Settings) -> Mapping[str, int]:
    """Destination → pending deliveries; empty where there is no store, or one that was never filled.

    Raises ConfigurationError, QueueBroken, Temporary, OSError.
    """
    return kind_of(settings).waiting()

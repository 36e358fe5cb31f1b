"""A store in a PostgreSQL database (`gateway.postgresql`), loaded where it is named: its library is an extra."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.common.steady_clock import SteadyClock, utc_now
from gateway.model.settings import Settings
from gateway.ports.cluster_contents import CheckedSharedStore
from gateway.ports.destination_leases import NodeTable
from gateway.ports.errors import ConfigurationError
from gateway.ports.expected_instances import ExpectedInstances
from gateway.ports.gateway_clock import GatewayClock
from gateway.ports.shared_payloads import SharedStore, StorePurpose
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.ports.store_rows import MigratableSharedStore
from gateway.spool.free_space import UnboundedFreeSpace
from gateway.stores.kind import Tokens

if TYPE_CHECKING:
    from gateway.postgresql.address import DatabaseAddress

ALONE_LIMIT_S = 3600.0
"""The longest statement of a migration and of a check: it counts all rows, and nobody waits for it."""
EXTRA_MISSING = (
    "gateway.store.postgresql: the library for PostgreSQL is not installed; install the gateway with its extra: "
    "pip install 'dicom-gateway[cluster]'"
)


class ClaimWithConnection:
    """The store's connection holds the lock (`gateway.postgresql.gateway_lock`); there is nothing to do beside it."""

    def take(self) -> None:
        """The store takes it where it is opened."""

    def release(self) -> None:
        """It ends with the connection."""

    def gone(self) -> str:
        """Always empty: each new connection takes it anew, or takes nothing."""
        return ""


class PostgreSQLKind:
    """See `gateway.stores.kind.StoreKind`."""

    local_path = None

    def __init__(self, settings: Settings) -> None:
        self._url = settings.postgresql
        self._node = settings.node
        self._place = _address(self._url)
        self.shown = self._place.shown

    def open(
        self,
        *,
        clock: GatewayClock | None,
        must_exist: bool,
        is_committing: bool,
        is_read_only: bool,
    ) -> Store:
        from gateway.postgresql.store import PostgreSQLStore

        return PostgreSQLStore(
            self._url,
            clock=clock,
            must_exist=must_exist,
            is_committing=is_committing,
            is_read_only=is_read_only,
            node=self._node,
        )

    def open_shared(self, purpose: StorePurpose, clock: GatewayClock, tokens: Tokens) -> SharedStore:
        """The store of a cluster, as a node opens it. Raises as `gateway.stores.opening.open_store`."""
        from gateway.postgresql.store import PostgreSQLStore

        return PostgreSQLStore(
            self._url,
            clock=clock,
            must_exist=purpose != "committing",
            is_committing=purpose == "committing",
            is_quiet=purpose == "keeping",
            tokens=tokens if purpose == "committing" else None,
            node=self._node,
        )

    def open_alone(self, *, is_read_only: bool) -> MigratableSharedStore:
        """The store for one process alone: no gateway and no node has it meanwhile."""
        from gateway.postgresql.store import PostgreSQLStore

        return PostgreSQLStore(
            self._url, is_committing=not is_read_only, is_read_only=is_read_only, statement_limit_s=ALONE_LIMIT_S
        )

    def open_for_check(self) -> CheckedSharedStore:
        """The store of a cluster beside its nodes, to look at all that is in it."""
        from gateway.postgresql.store import PostgreSQLStore

        return PostgreSQLStore(self._url, is_read_only=True, statement_limit_s=ALONE_LIMIT_S)

    def clock(self) -> GatewayClock:
        if not self._node:
            return SteadyClock(utc_now)
        from gateway.postgresql.server_clock import ServerClock

        return ServerClock()

    def claim(self) -> ClaimWithConnection:
        return ClaimWithConnection()

    def room(self) -> StoreRoom:
        """Unbounded: the server alone knows its room. Where it has none, a transaction says so."""
        return UnboundedFreeSpace()

    def is_there(self) -> bool:
        return True

    def is_gateway_running(self) -> bool:
        from gateway.postgresql.inspection import inspected

        with inspected(self._place) as found:
            return found.is_gateway_running()

    def check_before_start(self) -> None:
        """The server looks after its own pages (`initdb --data-checksums`)."""

    def problems(self) -> Sequence[str]:
        from gateway.postgresql.inspection import inspected

        with inspected(self._place) as found:
            return found.problems()

    def files(self) -> Sequence[Path]:
        return ()

    def pairing(self) -> tuple[str, bool]:
        from gateway.postgresql.inspection import inspected

        with inspected(self._place) as found:
            return found.identity()

    def waiting(self) -> Mapping[str, int]:
        from gateway.postgresql.inspection import inspected

        with inspected(self._place) as found:
            return found.waiting()


def node_table(url: str) -> NodeTable:
    """The table of nodes in the database at this address."""
    from gateway.postgresql.node_table import PostgreSQLNodeTable

    return PostgreSQLNodeTable(url)


def expected_instances(url: str) -> ExpectedInstances:
    """The tables of expected instances in the database at this address."""
    from gateway.postgresql.expected_instances import PostgreSQLExpectedInstances

    return PostgreSQLExpectedInstances(url)


def due_listener(
    url: str, node: str, on_due: Callable[[frozenset[str] | None], object], on_expected: Callable[[str], object]
) -> Callable[[], None]:
    """Listen to the other nodes of the cluster; the answer ends it."""
    from gateway.postgresql.due_notices import DueListener

    return DueListener(url, node, on_due, on_expected).close


def _address(url: str) -> DatabaseAddress:
    try:
        from gateway.postgresql.address import address
    except ImportError as error:
        raise ConfigurationError(f"{EXTRA_MISSING} ({error})") from error
    return address(url)

"""The answers about a store that need no open one, for each kind of store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gateway.ports.gateway_clock import GatewayClock
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.ports.store_rows import MigratableStore

Tokens = Callable[[], Mapping[str, int]]
"""Destination → fencing token of the leases that this node holds."""


class StoreClaim(Protocol):
    """One gateway's claim on a store: taken at the start, and looked at for as long as the gateway runs."""

    def take(self) -> None:
        """Raises InUse, ConfigurationError."""
        ...

    def release(self) -> None:
        """Let the next gateway in."""
        ...

    def gone(self) -> str:
        """The reason why others could use the store though it is claimed; empty when they cannot."""
        ...


class StoreKind(Protocol):
    """A store that settings name. `gateway.stores.opening` says what each answer is."""

    @property
    def shown(self) -> str:
        """Its place, for messages."""
        ...

    @property
    def local_path(self) -> Path | None:
        """The file of this machine that it is; None when it is none."""
        ...

    def open(
        self,
        *,
        clock: GatewayClock | None,
        must_exist: bool,
        is_committing: bool,
        is_read_only: bool,
    ) -> Store: ...

    def open_alone(self, *, is_read_only: bool) -> MigratableStore: ...

    def clock(self) -> GatewayClock: ...

    def claim(self) -> StoreClaim: ...

    def room(self) -> StoreRoom: ...

    def is_there(self) -> bool: ...

    def is_gateway_running(self) -> bool: ...

    def check_before_start(self) -> None: ...

    def problems(self) -> Sequence[str]: ...

    def files(self) -> Sequence[Path]: ...

    def pairing(self) -> tuple[str, bool]: ...

    def waiting(self) -> Mapping[str, int]: ...

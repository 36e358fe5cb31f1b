"""The store of a command: opened by this process, beside a gateway that may run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gateway.ports.retrying import retried
from gateway.ports.store import Store

T = TypeVar("T")


class StoreOnFile:
    """`StoreAccess` in the thread that calls: a command has nothing else to do meanwhile, and a signal that cuts it
    rolls its transaction back."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def read(self, function: Callable[[Store], T]) -> T:
        """The answer of `function`."""
        return function(self.store)

    async def write(self, function: Callable[[Store], T]) -> T:
        """Not synced: see `sync`. All of it again when it met the gateway's."""
        return retried(lambda: self._write(function))

    def _write(self, function: Callable[[Store], T]) -> T:
        with self.store.transaction(is_durable=False):
            return function(self.store)

    async def sync(self) -> None:
        """All that was written before is on disk."""
        self.store.sync()

"""Access of coroutines to a store in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from gateway.ports.store import Store

T = TypeVar("T")


class StoreAccess(Protocol):
    """`gateway.operations` works through it: on the file, or through the journal of the gateway that runs in this
    process."""

    async def read(self, function: Callable[[Store], T]) -> T:
        """The answer of `function`, which writes nothing. Raises Temporary, QueueBroken."""
        ...

    async def write(self, function: Callable[[Store], T]) -> T:
        """The same inside a transaction. It may be lost with the power until `sync`. Raises SpoolFull too."""
        ...

    async def sync(self) -> None:
        """All that was written before is on disk. Raises SpoolFull, Temporary."""
        ...

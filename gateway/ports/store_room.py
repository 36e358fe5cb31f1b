"""Room for the store: what is kept free, and what is held for the last need."""

from __future__ import annotations

from typing import Protocol


class StoreRoom(Protocol):
    """Any thread."""

    @property
    def shortage(self) -> str:
        """The reason why nothing is accepted; empty when there is room."""
        ...

    @property
    def reserved_bytes(self) -> int:
        """Held for the last need; 0 when it was given up."""
        ...

    def check(self) -> None:
        """Raises SpoolFull when nothing may be accepted."""
        ...

    def free_or_none(self) -> int:
        """Free bytes, without what is held; 0 while nobody can say."""
        ...

    def prepare(self) -> None:
        """Before the store is opened: where there is hardly any room, what is held is given up."""
        ...

    def keep(self) -> bool:
        """Hold what is kept for the last need, where there is room for it; False while it is not held."""
        ...

    def hold_free_space(self) -> None:
        """At the end, when the store is closed: what is free now is there for the next start."""
        ...

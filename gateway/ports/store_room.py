"""Room for the store: free space, and a reserve for the last need."""

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
        """The size of the reserve for the last need; 0 when it was given up."""
        ...

    def check(self) -> None:
        """Raises SpoolFull when nothing may be accepted."""
        ...

    def free_or_none(self) -> int:
        """Free bytes, without the reserve; 0 while they are not known."""
        ...

    def prepare(self) -> None:
        """Give up the reserve where there is hardly any room. To be called before the store is opened."""
        ...

    def keep(self) -> bool:
        """Hold the reserve, where there is room for it; False while it is not held."""
        ...

    def hold_free_space(self) -> None:
        """At the end, when the store is closed: hold the free space for the next start."""
        ...

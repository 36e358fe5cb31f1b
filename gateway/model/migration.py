"""The mark of a store that is migrated to another one, or comes from another one (`gateway.migration`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MigrationRole = Literal["source", "destination"]


@dataclass(frozen=True, slots=True)
class MigrationMark:
    """Stands in the store itself, so that every start finds it."""

    migration_id: str
    role: MigrationRole
    place: str
    """The other store, for messages."""
    is_complete: bool

    @property
    def refusal(self) -> str:
        """The reason why no gateway may use this store; empty when one may."""
        if self.role == "destination":
            if self.is_complete:
                return ""
            return (
                f"it holds the beginning of a migration from {self.place}; run `gateway store migrate` again, which "
                "goes on unless that one was reopened, or empty this one, or name another place"
            )
        if self.is_complete:
            return (
                f"it was migrated to {self.place}, which delivers what was owed here; start the gateway there. "
                "`gateway store reopen` lets this one start again: what both owe is delivered twice then"
            )
        return (
            f"it is being migrated to {self.place}; run `gateway store migrate` again, which goes on, or give that up "
            "with `gateway store reopen`"
        )

"""A store on SQLite some of whose calls a test overrides, as though the disk or the database failed there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from gateway.ports.errors import SpoolFull
from gateway.ports.store import Store
from gateway.sqlite.store import SQLiteStore


class OverridableStore(SQLiteStore):
    """Its parts call `accept`, `set_replayed_position`, `replayed_position` and `payload_names` of this object."""

    def __init__(self, path: Path | str, **options: Any) -> None:
        super().__init__(path, **options)
        self._real: dict[str, Any] = {}
        for part, names in PARTS.items():
            for name in names:
                self._real[name] = getattr(getattr(self, part), name)
                setattr(getattr(self, part), name, getattr(self, name))

    def accept(self, arrivals: Any, *rest: Any) -> Any:
        return self._real["accept"](arrivals, *rest)

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        self._real["set_replayed_position"](name, end_bytes)

    def replayed_position(self) -> tuple[str, int]:
        found: tuple[str, int] = self._real["replayed_position"]()
        return found

    def payload_names(self) -> dict[str, int]:
        found: dict[str, int] = self._real["payload_names"]()
        return found


PARTS = {"deliveries": ("accept",), "spool": ("set_replayed_position", "replayed_position", "payload_names")}


def without_answer(store: Store, error: Exception | None = None) -> Callable[..., AbstractContextManager[object]]:
    """In place of its `transaction`: each is committed, and the answer is lost (`error`)."""
    transaction = store.transaction

    @contextlib.contextmanager
    def committed(**options: Any) -> Generator[None]:
        with transaction(**options):
            yield
        raise error or SpoolFull("the connection was lost")

    return committed

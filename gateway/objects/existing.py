"""An object that is there already where one is to be written: the same one, whose answer was lost, or another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gateway.common.buffer import Buffer
from gateway.objects.naming import are_equal
from gateway.ports.errors import ConfigurationError, PayloadMissing, SpoolFull, Temporary
from gateway.ports.object_store import ObjectStore

CHUNK_BYTES = 1024**2


class ComparedStore(ObjectStore, Protocol):
    """An object store that knows the length of its objects."""

    def length_of(self, name: str) -> int:
        """In bytes. Raises PayloadMissing, Temporary."""
        ...


def accept_the_same(store: ComparedStore, name: str, chunks: Iterable[Buffer], length_bytes: int) -> None:
    """Return when the object that has the name has the same bytes. Raises ConfigurationError when it is another one,
    SpoolFull when it cannot be read now."""
    try:
        is_same = store.length_of(name) == length_bytes
        is_same = is_same and are_equal(store.stream(name, 0, length_bytes, CHUNK_BYTES), chunks)
    except PayloadMissing as error:
        reason = f"{name} could not be written since it was there, and is gone now"
        raise SpoolFull(f"{store.shown}: {reason}; it can be written again ({error})") from error
    except Temporary as error:
        raise SpoolFull(str(error)) from error
    if not is_same:
        reason = f"another object has the name {name}, which nobody else should give"
        raise ConfigurationError(
            f"{store.shown}: {reason}; is the store used by another cluster, or a copy of this one?"
        )

"""The check of an object store at the start: everything that a node relies on, tried once."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Protocol

from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.existing import ComparedStore
from gateway.ports.errors import ConfigurationError, GatewayError, PayloadMissing, SpoolFull

MARKER = "gateway.json"
FORMAT = 1
"""The layout of the store. A version whose objects an earlier one must not touch counts it up."""
MARKER_BYTES = 4096
PROBES = "probe/"
LEFT_AFTER = timedelta(days=1)
"""Probes of a node that was killed during its check are deleted after so long."""
PIECE = bytes(range(256)) * 256


class CheckedStore(ComparedStore, Protocol):
    """An object store, and what its check needs besides."""

    large_bytes: int
    """A length that it stores as it stores large objects."""

    def create(self, name: str, data: bytes) -> bool:
        """True when the object was made; False when there is one of that name. Raises SpoolFull."""
        ...


def check(store: CheckedStore, cluster_id: str, version: str) -> None:
    """See `ObjectStore.check`."""
    try:
        _probe(store, f"{PROBES}{uuid.uuid4().hex}")
        if cluster_id:
            _claim(store, cluster_id, version)
    except ObjectStoreRefuses as error:
        raise ConfigurationError(str(error)) from error
    except ConfigurationError:
        raise
    except PayloadMissing as error:
        reason = "what was written a moment ago cannot be read: no node would find what another one stored"
        remedy = "let no cache and no asynchronous replica answer for it"
        raise ConfigurationError(f"{store.shown}: {reason}; {remedy} ({error})") from error
    except GatewayError as error:
        raise SpoolFull(str(error)) from error


def _probe(store: CheckedStore, name: str) -> None:
    small, large = f"{name}-small", f"{name}-large"
    if not store.create(small, PIECE[:1]):
        raise ConfigurationError(f"{store.shown}: {small} is said to be there, and nobody wrote it")
    try:
        _prove_that_nothing_is_replaced(store, small)
        if store.read(small, 0, 1) != PIECE[:1]:
            raise ConfigurationError(f"{store.shown}: {small} was read with other bytes than were written")
        _prove_listing(store, small)
        _prove_large_objects(store, large)
    except (ConfigurationError, PayloadMissing, ObjectStoreRefuses):
        with contextlib.suppress(GatewayError):
            store.delete([small, large])
        raise
    store.delete([small, large])
    _prove_that_it_is_gone(store, small)


def _prove_that_nothing_is_replaced(store: CheckedStore, name: str) -> None:
    if store.create(name, PIECE[:2]):
        reason = "it lets a second object take the place of one with the same name, though it was asked not to"
        remedy = "take a server that knows conditional writes (S3: If-None-Match: * on PUT)"
        raise ConfigurationError(f"{store.shown}: {reason}; {remedy}")


def _prove_listing(store: CheckedStore, name: str) -> None:
    found = {each.name: each for each in store.list(PROBES)}
    if name not in found:
        reason = "its listing lacks an object that was written a moment ago"
        raise ConfigurationError(f"{store.shown}: {reason}; let no cache and no asynchronous replica answer for it")
    latest = found[name].modified_at - LEFT_AFTER
    if left := [each.name for each in found.values() if each.modified_at < latest]:
        store.delete(left)


def _prove_large_objects(store: CheckedStore, name: str) -> None:
    store.put(name, _large(store.large_bytes), store.large_bytes)
    stored = store.stream(name, 0, store.large_bytes, len(PIECE))
    if any(found != written for found, written in zip(stored, _large(store.large_bytes), strict=True)):
        raise ConfigurationError(f"{store.shown}: {name} was read with other bytes than were written")


def _prove_that_it_is_gone(store: CheckedStore, name: str) -> None:
    try:
        store.read(name, 0, 1)
    except PayloadMissing:
        return
    raise ConfigurationError(f"{store.shown}: {name} can be read though it was deleted; let no cache answer for it")


def _large(length_bytes: int) -> Iterator[bytes]:
    for start in range(0, length_bytes, len(PIECE)):
        yield PIECE[: length_bytes - start]


def _claim(store: CheckedStore, cluster_id: str, version: str) -> None:
    """Make the marker, or compare it."""
    marker = {"cluster": cluster_id, "format": FORMAT, "made_by": f"gateway {version}"}
    if store.create(MARKER, (json.dumps(marker) + "\n").encode()):
        return
    found = _marker(store)
    owner, layout = found.get("cluster"), found.get("format")
    if not isinstance(owner, str) or not isinstance(layout, int):
        raise ConfigurationError(f"{store.shown}: {MARKER} is none of a gateway's; name a place of its own")
    if owner != cluster_id:
        reason = f"it belongs to another cluster ({MARKER}: {owner}; this one is {cluster_id})"
        raise ConfigurationError(f"{store.shown}: {reason}; name another bucket, prefix or folder, or the database")
    if layout > FORMAT:
        reason = f"it was made by a newer gateway ({MARKER}: format {layout}; this one knows {FORMAT})"
        raise ConfigurationError(f"{store.shown}: {reason}; install that version")


def marker_of(cluster_id: str) -> bytes:
    """The beginning of the marker of this cluster."""
    return f'{{"cluster": {json.dumps(cluster_id)}, "format": '.encode()


def _marker(store: CheckedStore) -> dict[str, object]:
    length_bytes = min(store.length_of(MARKER), MARKER_BYTES)
    try:
        found = json.loads(store.read(MARKER, 0, length_bytes))
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}

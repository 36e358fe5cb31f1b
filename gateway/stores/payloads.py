"""Stored payloads for a command, beside a gateway that may run: of a spool folder, or of a cluster."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from gateway.cluster.payload_access import placed
from gateway.model.instance import PayloadRef
from gateway.model.settings import Settings
from gateway.objects.opening import open_object_store
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import PayloadLost
from gateway.ports.object_store import ObjectStore
from gateway.ports.shared_payloads import SharedPayloads, SharedStore
from gateway.ports.store import Store
from gateway.spool.body import FileDataSet, InMemoryDataSet
from gateway.spool.digest import has_digest
from gateway.spool.reader import PayloadReader

CHUNK_BYTES = 1024**2

OpenPayload = Callable[[PayloadRef], EncodedDataSet]
"""The stored bytes, checked by their digest, at the latest with their last chunk. Raises PayloadLost, PayloadMissing,
Temporary."""


@contextmanager
def opened_payloads(settings: Settings, store: Store) -> Iterator[OpenPayload]:
    """The payloads that `store`, which is open, names. Nothing is written. Raises ConfigurationError."""
    large_bytes = settings.spool.large_object_bytes
    if settings.objects is None:
        reader = PayloadReader(Path(settings.spool.path), large_bytes)
        try:
            yield reader.open
        finally:
            reader.close()
        return
    objects = open_object_store(settings.objects)
    try:
        yield SharedPayloadReader(cast(SharedStore, store).payloads, objects, large_bytes).open
    finally:
        objects.close()


class SharedPayloadReader:
    """Reads payloads of a cluster without the cache of a node."""

    def __init__(self, payloads: SharedPayloads, objects: ObjectStore, large_object_bytes: int) -> None:
        self._payloads = payloads
        self._objects = objects
        self._large_object_bytes = large_object_bytes

    def open(self, ref: PayloadRef) -> EncodedDataSet:
        """The bytes from the journal or the object store; large ones as a file that goes with its reader."""
        if ref.name.startswith("journal/"):
            data = self._payloads.read(ref.name, ref.offset_bytes, ref.length_bytes)
            if data is not None:
                return _checked(ref, data)
        object_name, offset_bytes = placed(ref, self._payloads)
        if ref.length_bytes <= self._large_object_bytes:
            return _checked(ref, self._objects.read(object_name, offset_bytes, ref.length_bytes))
        with tempfile.TemporaryFile() as file:
            for chunk in self._objects.stream(object_name, offset_bytes, ref.length_bytes, CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            descriptor = os.dup(file.fileno())
        return FileDataSet(descriptor, 0, ref.length_bytes, ref.name, None, ref.digest)


def _checked(ref: PayloadRef, data: bytes) -> EncodedDataSet:
    if not has_digest([data], ref.digest):
        raise PayloadLost(f"payload {ref.name}: the stored bytes are changed")
    return InMemoryDataSet([data])

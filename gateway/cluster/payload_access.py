"""The stored bytes of payloads, as a node reads them: from its cache, from the journal, from the object store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from gateway.cluster.object_threads import ObjectThreads
from gateway.cluster.payload_cache import PayloadCache
from gateway.common.buffer import Buffer
from gateway.model.instance import PayloadRef
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, PayloadLost, PayloadMissing, PayloadUnreadable, Temporary
from gateway.ports.meter import Meter
from gateway.ports.object_store import ObjectStore
from gateway.ports.shared_payloads import SharedPayloads, SharedStore
from gateway.spool.body import FileDataSet, InMemoryDataSet
from gateway.spool.digest import has_digest
from gateway.spool.store import READ_FAILURES

log = structlog.get_logger()

FETCHED = "gateway_payloads_fetched_total"
CHUNK_BYTES = 1024**2
PAUSE_S = 10.0
"""The committer leaves an object store alone for so long that did not answer it in time."""


class PayloadAccess:
    """Opens payloads; the waiting calls in any of several threads, each with a store of its own for reading.

    What is longer than `large_object_bytes` is never in memory as a whole.
    """

    def __init__(
        self,
        cache: PayloadCache,
        objects: ObjectStore,
        open_reader: Callable[[], SharedStore],
        large_object_bytes: int,
        meter: Meter,
    ) -> None:
        self._cache = cache
        self._objects = objects
        self._open_reader = open_reader
        self._large_object_bytes = large_object_bytes
        self._meter = meter
        self._here = threading.local()
        self._lock = threading.Lock()
        self._opened: list[SharedStore] = []
        self._probing = ObjectThreads(1, "payload-probe")
        self._not_before_s = 0.0

    def close(self) -> None:
        """To be called when no thread reads any more."""
        for store in self._opened:
            store.close()
        self._opened.clear()
        self._probing.stop(0.0)

    # --- without waiting ----------------------------------------------------------------------------------------

    def open_now(self, payload: PayloadRef) -> EncodedDataSet | None:
        """The bytes when they are in the cache; else None."""
        waiting = self._cache.waiting(payload.name, payload.offset_bytes, payload.length_bytes)
        if waiting is not None:
            return self._proved(payload, waiting)
        found = self._cache.open(payload.name)
        if found is None:
            return None
        descriptor, offset_bytes = found[0], found[1] + payload.offset_bytes
        if payload.length_bytes > self._large_object_bytes:
            return _Copy(
                descriptor, offset_bytes, payload.length_bytes, payload.name, None, payload.digest, self._drops(payload)
            )
        try:
            data = os.pread(descriptor, payload.length_bytes, offset_bytes)
        except OSError:
            data = b""
        finally:
            os.close(descriptor)
        return self._proved(payload, [data])

    def _proved(self, payload: PayloadRef, pieces: Sequence[Buffer]) -> EncodedDataSet | None:
        """A copy, unless it is of other bytes: a database that lost its last transactions names other groups alike."""
        if has_digest(pieces, payload.digest):
            return InMemoryDataSet(pieces)
        self._cache.drop(payload.name)
        return None

    # --- waiting ------------------------------------------------------------------------------------------------

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        """The bytes, from wherever they lie. Raises PayloadLost, PayloadMissing, Temporary."""
        found = self.open_now(payload)
        if found is not None:
            return found
        try:
            return self._fetched(payload)
        except (PayloadLost, PayloadMissing) as error:
            self._report(error)
            raise
        except Temporary as error:  # neither the object nor its destination is to blame
            self._report(error)
            raise PayloadUnreadable(f"payload {payload.name}: cannot be fetched now: {error}") from error

    def _fetched(self, payload: PayloadRef) -> EncodedDataSet:
        payloads = self._store().payloads
        if payload.name.startswith("journal/"):
            data = payloads.read(payload.name, payload.offset_bytes, payload.length_bytes)
            if data is not None:
                return self._checked(payload, data, "journal")
        object_name, offset_bytes = placed(payload, payloads)
        if payload.length_bytes <= self._large_object_bytes:
            data = self._objects.read(object_name, offset_bytes, payload.length_bytes)
            return self._checked(payload, data, "object store")
        return self._fetched_large(payload, object_name, offset_bytes)

    def _checked(self, payload: PayloadRef, data: bytes, where: str) -> EncodedDataSet:
        self._meter.count(FETCHED, source=where.replace(" ", "_"))
        if not has_digest([data], payload.digest):
            raise PayloadLost(f"payload {payload.name} in the {where}: the stored bytes are changed")
        return InMemoryDataSet([data])

    def _fetched_large(self, payload: PayloadRef, object_name: str, offset_bytes: int) -> EncodedDataSet:
        """A file of the cache, or one that goes with its reader when the cache does not keep it. Its digest is checked
        where it is read."""
        self._meter.count(FETCHED, source="object_store")
        chunks = self._objects.stream(object_name, offset_bytes, payload.length_bytes, CHUNK_BYTES)
        descriptor = self._cache.keep_open(payload.name, chunks, payload.length_bytes)
        return FileDataSet(
            descriptor, 0, payload.length_bytes, payload.name, None, payload.digest, self._drops(payload)
        )

    def _drops(self, payload: PayloadRef) -> Callable[[GatewayError], None]:
        """For a reader of a file of the cache: one with which something is wrong is not read again."""
        return lambda error: self._cache.drop(payload.name)

    def can_read(self, payload: PayloadRef, payloads: SharedPayloads, limit_s: float) -> bool:
        """True when `open` would find the bytes; with the store of a transaction that is open, in its thread.

        False too when the object store does not say so within `limit_s`: the transaction of all who wait does not wait
        for it, and an object that is taken once more is not lost.
        """
        if payload.name.startswith("journal/") and payloads.has_group(payload.name):
            return True
        try:
            object_name, offset_bytes = placed(payload, payloads)
        except PayloadMissing:
            return False
        if not limit_s or time.monotonic() < self._not_before_s:
            return False
        last_bytes = min(payload.length_bytes, 1)
        last_at_bytes = offset_bytes + payload.length_bytes - last_bytes
        reading = self._probing.submit(self._objects.read, object_name, last_at_bytes, last_bytes)
        try:
            reading.result(limit_s)
        except PayloadMissing:
            return False
        except (Temporary, TimeoutError) as error:
            reading.cancel()
            self._not_before_s = time.monotonic() + PAUSE_S
            log.warning(
                "duplicates_taken_anew",
                reason=str(error) or f"the object store has not answered for {limit_s:.1f} s",
                consequence="what is sent again while it waits is delivered twice",
            )
            return False
        return True

    def _store(self) -> SharedStore:
        """The reading store of this thread."""
        store: SharedStore | None = getattr(self._here, "store", None)
        if store is None:
            store = self._here.store = self._open_reader()
            with self._lock:
                self._opened.append(store)
        return store

    def _report(self, error: GatewayError) -> None:
        kind = "damaged" if isinstance(error, PayloadLost) else "unreadable"
        self._meter.count(READ_FAILURES, kind="missing" if isinstance(error, PayloadMissing) else kind)
        if isinstance(error, (PayloadLost, PayloadMissing)):
            log.error("payload_not_read", error=str(error))
        else:
            log.warning("payload_not_fetched", error=str(error))


class _Copy(FileDataSet):
    """A file of the cache. An error of it is none of the payload, which is fetched next time."""

    __slots__ = ()

    def _reported(self, error: GatewayError) -> GatewayError:
        return PayloadUnreadable(f"{super()._reported(error)}; it is a copy in the cache, and was given up")


def placed(payload: PayloadRef, payloads: SharedPayloads) -> tuple[str, int]:
    """The object that holds a payload, and the offset of its first byte there. Raises PayloadMissing."""
    place = payloads.place(payload.name)
    if place is None:
        raise PayloadMissing(
            f"payload {payload.name}: neither the journal nor the object store has it; restore the database and the "
            "object store to one state, or discard what it held"
        )
    object_name, offset_bytes = place
    return object_name, offset_bytes + payload.offset_bytes

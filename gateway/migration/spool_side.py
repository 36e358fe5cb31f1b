"""A gateway that is alone as one side of a migration: rows in SQLite or PostgreSQL, payloads in its spool."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.common.steady_clock import utc_now
from gateway.migration.places import CHUNK_BYTES, OwedOfGroup, PayloadPlace, SmallPayload
from gateway.model.instance import PayloadRef
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError, PayloadMissing, PayloadUnreadable, SpoolFull, Temporary
from gateway.ports.meter import NoMeter
from gateway.repair.pairing import check_before_spool
from gateway.spool import record
from gateway.spool.disk import LocalDisk
from gateway.spool.folder import SpoolFolder
from gateway.spool.large import FOLDER as LARGE
from gateway.spool.lock import InUse
from gateway.spool.read_errors import cannot_read, cut_short
from gateway.spool.recovery import number, payload_files
from gateway.spool.redo import encode
from gateway.spool.replay import Identify
from gateway.spool.segment import segment_name
from gateway.spool.store import SpoolStore
from gateway.spool.store_opening import StoreOpening
from gateway.stores import opening

NO_SEGMENT = segment_name(0)
"""The first segment of a spool has the number 1."""
GROUP_BYTES = 16 * 1024**2


class SpoolSide:
    """Opened on construction: no gateway uses spool and database until `close`.

    Raises (construction): ConfigurationError, SpoolFull, QueueBroken, Temporary.
    """

    is_shared = False
    group_bytes = GROUP_BYTES

    def __init__(self, settings: Settings, identify: Identify) -> None:
        self.large_object_bytes = settings.spool.large_object_bytes
        self.shown = f"{opening.shown(settings)} with the spool {settings.spool.path}"
        self._root = Path(settings.spool.path)
        self._identify = identify
        with contextlib.ExitStack() as undo:
            check_before_spool(settings)
            opening.check_before_start(settings)
            claim = opening.claim_of(settings)
            claim.take()
            undo.callback(claim.release)
            workers = undo.enter_context(concurrent.futures.ThreadPoolExecutor(1))
            self._payloads = SpoolStore(settings.spool, disk=LocalDisk(), monotonic=time.monotonic, workers=workers)
            undo.callback(self._payloads.close)
            undo.callback(workers.shutdown)  # before: it deletes what was not kept
            self.store = opening.open_alone(settings)
            undo.callback(self.store.close)
            self._folder = SpoolFolder(self._root)
            undo.callback(self._folder.close)
            self._undo = undo.pop_all()
        self._lock_gone = claim.gone

    def close(self) -> None:
        self._undo.close()

    # --- as the source ------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """As a start does: what the segments hold, and the database does not know, is replayed."""
        if not self._folder.read_identity():
            raise ConfigurationError(
                f"{self.shown}: no gateway ever used it; name the configuration that the gateway last ran with"
            )
        self._bring_together()

    def _bring_together(self) -> None:
        """Raises ConfigurationError, SpoolFull, Temporary."""
        pairing = StoreOpening(
            lambda: self.store,
            now=self.store.administration.now,
            meter=NoMeter(),
            new_id=lambda: uuid.uuid4().hex,
            identify=self._identify,
            lock_gone=self._lock_gone,
        )
        try:
            pairing.bring_together(self.store, self._payloads)
        except OSError as error:
            raise SpoolFull(f"spool {self._root}: the disk failed: {error}; look at it") from error

    def expect(self, payloads: Sequence[PayloadRef]) -> None:
        """The system reads ahead by itself."""

    def chunks(self, payload: PayloadRef) -> Iterator[bytes]:
        """The stored bytes. Raises PayloadMissing, Temporary."""
        try:
            yield from self._read(payload)
        except PayloadUnreadable as error:
            if self._payloads.presence.look():
                raise Temporary(f"{error}; spool: {self._payloads.presence.problem}") from error
            if isinstance(error, PayloadMissing):
                raise
            raise Temporary(
                f"spool {self._root}: {error} and the rights of the file, "
                "or put a copy of what can be read in its place"
            ) from error

    def _read(self, payload: PayloadRef) -> Iterator[bytes]:
        try:
            descriptor = self._folder.open(payload.name)
        except OSError as error:
            raise cannot_read(payload.name, error) from error
        try:
            done_bytes = 0
            while done_bytes < payload.length_bytes:
                wanted_bytes = min(CHUNK_BYTES, payload.length_bytes - done_bytes)
                chunk = os.pread(descriptor, wanted_bytes, payload.offset_bytes + done_bytes)
                if not chunk:
                    raise cut_short(payload.name, payload.length_bytes - done_bytes)
                done_bytes += len(chunk)
                yield chunk
        except OSError as error:
            raise cannot_read(payload.name, error) from error
        finally:
            os.close(descriptor)

    # --- as the destination -------------------------------------------------------------------------------------

    def require_unused(self) -> None:
        """Raises ConfigurationError: files with payloads lie there, which no row names (yet, or any more)."""
        if any(payload_files(self._folder.path)):
            raise ConfigurationError(f"spool {self._root}: payloads of another gateway lie there; name an empty folder")

    def begin(self, migration_id: str) -> None:
        """Take away what an interrupted migration wrote and did not record, then pair spool and database."""
        name, end_bytes = self.store.spool.replayed_position()
        named = self.store.spool.payload_names()
        disk = LocalDisk()
        for found, size_bytes in list(payload_files(self._folder.path)):
            if found == name and size_bytes > end_bytes:
                disk.truncate(self._folder.path / found, end_bytes)
            is_behind = not found.startswith(f"{LARGE}/") and number(found) > (number(name) if name else 0)
            if is_behind or (found.startswith(f"{LARGE}/") and found not in named):
                self._folder.unlink(found, disk)
        self._bring_together()

    def put_group(self, payloads: Sequence[SmallPayload], owed: OwedOfGroup) -> Sequence[PayloadPlace]:
        """Records of a segment, and a redo record: `gateway rebuild` needs no more than the spool."""

        def redo(refs: Sequence[PayloadRef]) -> bytes:
            return encode(utc_now(), owed([(ref.name, ref.offset_bytes) for ref in refs]))

        return [(ref.name, ref.offset_bytes) for ref in self._payloads.segments.append(payloads, redo)]

    def put_large(
        self, number: int, chunks: Iterator[bytes], length_bytes: int, transfer_syntax_uid: str
    ) -> PayloadPlace:
        """A file of its own."""
        file = self._payloads.new_file()
        try:
            file.write_from(chunks)
            ref = file.seal(transfer_syntax_uid)
            self._payloads.adopt(file)
        finally:
            file.release()
        return ref.name, ref.offset_bytes

    def no_place(self) -> PayloadPlace:
        """A segment before the first one."""
        return NO_SEGMENT, record.HEADER_BYTES

    def record(self) -> None:
        """The segments are known up to here: no start replays what a migration wrote."""
        end = self._payloads.segments.end
        if end.name:
            self.store.spool.set_replayed_position(*end)


def in_use(error: InUse) -> ConfigurationError:
    """The message of a migration that meets a gateway."""
    return ConfigurationError(
        f"{error.what}: a gateway uses it (process {error.holder}); stop it, and run `gateway store migrate` again"
    )

"""A cluster as one side of a migration: rows in PostgreSQL, payloads in groups of an object store."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator, Sequence

from gateway import __version__
from gateway.cluster.journal import IDENTITY_PREFIX
from gateway.cluster.node_committer import LARGE
from gateway.cluster.payload_access import placed
from gateway.cluster.read_window import WINDOW_BYTES, ReadWindow
from gateway.cluster.sealer import OBJECTS_AT_ONCE, SEGMENT_BYTES, SEGMENTS
from gateway.migration.places import CHUNK_BYTES, OwedOfGroup, PayloadPlace, SmallPayload
from gateway.model.instance import PayloadRef
from gateway.model.settings import Settings
from gateway.objects.opening import open_object_store
from gateway.objects.start_check import MARKER
from gateway.ports.errors import ConfigurationError, PayloadMissing
from gateway.ports.object_store import ObjectStore
from gateway.ports.shared_payloads import JournalGroup
from gateway.stores import opening

NO_HOUR = "journal/0/"
"""The groups of a migration have the names of an hour that has no table in the database: they are found as sealed ones.
The number behind it is the identifier of the first instance in the group."""


class ClusterSide:
    """Opened on construction: no gateway and no node uses the database until `close`.

    Raises (construction): ConfigurationError, SpoolFull.
    """

    is_shared = True
    group_bytes = SEGMENT_BYTES

    def __init__(self, settings: Settings, objects: ObjectStore | None = None) -> None:
        assert settings.objects is not None
        self.large_object_bytes = settings.spool.large_object_bytes
        self._objects = objects or open_object_store(settings.objects)
        self.shown = f"{opening.shown(settings)} with {self._objects.shown}"
        self.store = opening.open_shared_alone(settings)
        self._migration_id = ""
        self._sealed: list[tuple[str, JournalGroup]] = []
        self._large: list[tuple[str, int]] = []
        self._ends_bytes: dict[str, int] = {}
        """Group → the end of the last payload in it that is expected."""
        self._window = ReadWindow(self._read)

    def close(self) -> None:
        self.store.close()
        self._objects.close()

    # --- as the source ------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Nodes leave nothing to be replayed; what they had claimed is given back."""
        identity = self.store.spool.spool_id()
        if not identity.startswith(IDENTITY_PREFIX):
            what = "it belongs to a gateway without `store.objects`" if identity else "no node ever used it"
            raise ConfigurationError(f"{self.shown}: {what}; name the configuration that the gateway last ran with")
        if not self._has_marker():
            reason = f"the object store is none of a cluster ({MARKER} is not there)"
            raise ConfigurationError(f"{self.shown}: {reason}; mount or name the one that belongs to it")
        self._objects.check(identity, __version__)
        with self.store.transaction():
            self.store.deliveries.expire_leases()

    def chunks(self, payload: PayloadRef) -> Iterator[bytes]:
        """The stored bytes, from the journal or the object store."""
        is_of_group = payload.name.startswith("journal/")
        if is_of_group and payload.length_bytes <= WINDOW_BYTES:
            if payload.length_bytes:
                until_bytes = self._ends_bytes.get(payload.name, 0)
                yield self._window.take(payload.name, payload.offset_bytes, payload.length_bytes, until_bytes)
        elif is_of_group and self.store.payloads.has_group(payload.name):
            yield from self._out_of_journal(payload)
        else:
            object_name, offset_bytes = placed(payload, self.store.payloads)
            yield from self._objects.stream(object_name, offset_bytes, payload.length_bytes, CHUNK_BYTES)

    def _out_of_journal(self, payload: PayloadRef) -> Iterator[bytes]:
        """The bytes of a payload that is longer than a window and not sealed. Raises PayloadMissing, Temporary."""
        for done_bytes in range(0, payload.length_bytes, WINDOW_BYTES):
            length_bytes = min(WINDOW_BYTES, payload.length_bytes - done_bytes)
            data = self.store.payloads.read(payload.name, payload.offset_bytes + done_bytes, length_bytes)
            if data is None:
                raise PayloadMissing(f"payload {payload.name}: the journal has less of it than was noted")
            yield data

    def expect(self, payloads: Sequence[PayloadRef]) -> None:
        """Groups are read in windows up to the last one of these payloads."""
        self._ends_bytes.clear()
        for each in payloads:
            end_bytes = each.offset_bytes + each.length_bytes
            self._ends_bytes[each.name] = max(self._ends_bytes.get(each.name, 0), end_bytes)

    def _read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        """Bytes of a group, from the journal or the object store. Raises PayloadMissing, Temporary."""
        payload = PayloadRef(name, offset_bytes, length_bytes, b"")
        data = self.store.payloads.read(name, offset_bytes, length_bytes)
        if data is not None:
            return data
        object_name, start_bytes = placed(payload, self.store.payloads)
        return self._objects.read(object_name, start_bytes, length_bytes)

    # --- as the destination -------------------------------------------------------------------------------------

    def require_unused(self) -> None:
        """Raises ConfigurationError: database or object store belong to something else; SpoolFull."""
        identity = self.store.spool.spool_id()
        if identity and not identity.startswith(IDENTITY_PREFIX):
            raise ConfigurationError(
                f"{self.shown}: the database belongs to a gateway without `store.objects`; name another one"
            )
        self._objects.check(identity, __version__)
        if not identity and self._has_marker():
            raise ConfigurationError(
                f"{self.shown}: the object store belongs to another cluster ({MARKER}); name an empty one"
            )

    def _has_marker(self) -> bool:
        try:
            self._objects.read(MARKER, 0, 1)
        except PayloadMissing:
            return False
        return True

    def begin(self, migration_id: str) -> None:
        """Claim the object store; delete what no row leads to, of this migration alone."""
        self._migration_id = migration_id
        identity = self.store.spool.spool_id()
        if not identity:
            identity = IDENTITY_PREFIX + migration_id
            with self.store.transaction():
                self.store.spool.bind_spool(identity)
        self._objects.check(identity, __version__)
        for folder in (SEGMENTS, LARGE):
            names = (each.name for each in self._objects.list(f"{folder}{migration_id}"))
            while page := list(itertools.islice(names, OBJECTS_AT_ONCE)):
                known = self.store.sealing.known_objects(page)
                if unknown := [name for name in page if name not in known]:
                    self._objects.delete(unknown)

    def put_group(self, payloads: Sequence[SmallPayload], owed: OwedOfGroup) -> Sequence[PayloadPlace]:
        """One object with all of them, as the sealer makes it. The database alone has what is owed."""
        if not payloads:
            return ()
        object_name = f"{SEGMENTS}{self._migration_id}-{uuid.uuid4().hex}"
        group_name = f"{NO_HOUR}{payloads[0].number}"
        places, end_bytes = [], 0
        for payload in payloads:
            places.append((group_name, end_bytes))
            end_bytes += sum(map(len, payload.pieces))
        pieces = (piece for payload in payloads for piece in payload.pieces)
        self._objects.put(object_name, pieces, end_bytes)
        self._sealed.append((object_name, JournalGroup(group_name, end_bytes, int(time.time() * 1_000_000))))
        return places

    def put_large(
        self, number: int, chunks: Iterator[bytes], length_bytes: int, transfer_syntax_uid: str
    ) -> PayloadPlace:
        """An object of its own."""
        name = f"{LARGE}{self._migration_id}-{number}-{uuid.uuid4().hex}"
        self._objects.put(name, chunks, length_bytes)
        self._large.append((name, length_bytes))
        return name, 0

    def no_place(self) -> PayloadPlace:
        """A group before that of the first instance."""
        return f"{NO_HOUR}0", 0

    def record(self) -> None:
        """Rows that lead to the objects."""
        for object_name, group in self._sealed:
            self.store.sealing.seal(object_name, [group])
        if self._large:
            self.store.payloads.add_objects(self._large)
        self._sealed, self._large = [], []

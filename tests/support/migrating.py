"""Gateways to migrate: their settings, a random history, and all that they hold afterwards."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from gateway.migration.cluster_side import ClusterSide
from gateway.migration.migrate import OpenedSide
from gateway.migration.places import PayloadPlace
from gateway.migration.spool_side import SpoolSide
from gateway.model.delivery import DeliveryState
from gateway.model.instance import Instance, PayloadRef
from gateway.model.listener import Listener
from gateway.model.settings import ObjectStoreSettings, S3Settings, Settings, Spool
from gateway.ports.affinities import AffinityWish, study_digest
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.pauses import Pause
from gateway.ports.store import Store
from gateway.ports.store_rows import KEY_COLUMNS, TABLES
from gateway.spool.digest import digest_of
from gateway.spool.disk import LocalDisk
from gateway.spool.replay import RecordedArrival, identify_nothing
from gateway.spool.store import SpoolStore
from gateway.stores import opening
from tests.support.postgresql_server import shared_server
from tests.support.queue_history import DISPATCHES, ENTRIES, QUERIES
from tests.support.samples import FACTS, NOON, Clock, an_operation, instance, settlement

LARGE_BYTES = 2000
LISTENERS = (Listener("main", 11112),)


def spool_of(folder: Path, segment_bytes: int = 5000) -> Spool:
    return Spool(str(folder / "spool"), min_free_bytes=0, segment_bytes=segment_bytes, large_object_bytes=LARGE_BYTES)


def on_sqlite(folder: Path) -> Settings:
    """A gateway that is alone, on SQLite."""
    return Settings("GATEWAY", LISTENERS, spool_of(folder), str(folder / "queue.db"), queue_reserve_bytes=0)


def on_postgresql(folder: Path) -> Settings:
    """A gateway that is alone, on PostgreSQL."""
    return Settings("GATEWAY", LISTENERS, spool_of(folder), "", postgresql=shared_server().new_schema())


def on_cluster(folder: Path, s3: S3Settings | None = None, url: str = "") -> Settings:
    """A node of a cluster, whose objects lie in a folder or in S3."""
    objects = folder / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    place = ObjectStoreSettings(s3=s3) if s3 is not None else ObjectStoreSettings(folder=str(objects))
    url = url or shared_server().new_schema()
    return Settings("GATEWAY", LISTENERS, spool_of(folder), "", postgresql=url, objects=place, node="north")


# --- a history ------------------------------------------------------------------------------------------------------


class RandomHistory:
    """Fills the store and the spool of a gateway that is alone, as gateways and operators do."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings = settings
        self._random = Random(seed)
        self._clock = Clock()

    def run(self, steps: int) -> None:
        with contextlib.ExitStack() as stack:
            workers = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1))
            spool = self._settings.spool
            self._spool = SpoolStore(spool, disk=LocalDisk(), monotonic=time.monotonic, workers=workers)
            stack.callback(self._spool.close)
            self._store: Store = opening.open_store(self._settings)
            stack.callback(self._store.close)
            with self._store.transaction():
                self._store.spool.bind_spool(self._spool.pair("", {}, "spool-1"))
            self._spool.recover({})
            for _ in range(steps):
                self._step()

    def _step(self) -> None:
        random, store = self._random, self._store
        self._clock.advance(random.choice([0.000001, 1.0, 30.0]))
        which = DeliveryFilter(ids=tuple(random.sample(range(1, 40), 5)), state=random.choice([None, *DeliveryState]))
        with store.transaction():
            match random.choice(["accept", "accept", "accept", "settle", "settle", "operate", "forget"]):
                case "accept":
                    arrivals = [self._arrival() for _ in range(random.randint(1, 4))]
                    store.deliveries.accept(arrivals, self._clock(), lambda _: True)
                    store.spool.set_replayed_position(*self._spool.segments.end)
                case "settle":
                    self._settle()
                case "operate":
                    self._operate(which)
                case _:
                    store.deliveries.forget(self._clock() - timedelta(seconds=200), 1, NOON)

    def _operate(self, which: DeliveryFilter) -> None:
        administration = self._store.administration
        self._store.operations.begin_operation(an_operation(self._clock(), why=f"so {self._random.random()} ü\0"))
        pause = Pause("destination", self._random.choice(["pacs", "vna"]), "anna", "ü", self._clock())
        if not self._store.pauses.begin_pause(pause):
            self._store.pauses.end_pause(pause.kind, pause.name, self._clock())
        study = study_digest(self._random.choice(["1.2", "1.3", "1.4"]))
        wish = AffinityWish("readers", study, self._random.choice(["ai1", "ai2"]), ("ai2",), 86400.0)
        self._store.affinities.keep_affinities([wish], self._clock())
        match self._random.choice(["retry", "hold", "release", "discard"]):
            case "retry":
                administration.retry(which, self._clock())
            case "hold":
                administration.hold(which)
            case "release":
                administration.release(which, self._clock(), self._random.choice([None, "vna"]))
            case _:
                administration.discard(which)

    def _settle(self) -> None:
        random, store = self._random, self._store
        claimed = store.deliveries.claim(random.choice(["pacs", "vna"]), random.randint(1, 4), 20.0, self._clock())
        for each in claimed[: random.randint(0, 4)]:
            state = random.choice([*DeliveryState])
            due_at = self._clock() + timedelta(seconds=random.choice([0.0, 10.0]))
            reason = random.choice(["", "0xA700", "ü\0\\u0000"])
            store.deliveries.settle([settlement(each, state, due_at=due_at, reason=reason, status=0xA700)])

    def _arrival(self) -> tuple[Instance, list[Any]]:
        random = self._random
        length_bytes = random.choice([0, 1, random.randint(2, LARGE_BYTES), LARGE_BYTES + random.randint(1, 5000)])
        data = random.randbytes(length_bytes)
        found = instance(
            random.randint(1, 200), association=dataclasses.replace(FACTS, association_id=str(random.randint(1, 5)))
        )
        payload = self._put(data, found.transfer_syntax_uid)
        kept = dataclasses.replace(
            found, payload=payload, index=random.choice(ENTRIES), kept_facts=random.choice(["", '{"a":1}'])
        )
        return kept, random.sample(DISPATCHES, random.randint(0, 3))

    def _put(self, data: bytes, transfer_syntax_uid: str) -> PayloadRef:
        if len(data) <= LARGE_BYTES:
            return self._spool.segments.append([_Bytes(data, transfer_syntax_uid)])[0]
        file = self._spool.new_file()
        file.write_from([data])
        found = file.seal(transfer_syntax_uid)
        self._spool.adopt(file)
        file.release()
        assert found.digest == digest_of([data])
        return found


@dataclasses.dataclass
class _Bytes:
    data: bytes
    transfer_syntax_uid: str

    @property
    def pieces(self) -> list[bytes]:
        return [self.data]


def nothing_owed(places: Sequence[PayloadPlace]) -> Sequence[RecordedArrival]:
    """Payloads of no instance."""
    return []


# --- what is held ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened_side(settings: Settings) -> Iterator[OpenedSide]:
    """The side of a migration that these settings name."""
    side: OpenedSide = SpoolSide(settings, identify_nothing) if settings.objects is None else ClusterSide(settings)
    with contextlib.closing(side):
        yield side


def content(settings: Settings) -> dict[str, Any]:
    """Everything that a gateway holds, but for the places of payloads: rows, bytes, answers, identifiers."""
    with opened_side(settings) as side:
        with side.store.transaction():
            side.store.deliveries.expire_leases()
        found: dict[str, Any] = {table: _rows(side, table) for table in TABLES}
        store = side.store
        listed = store.administration.list(DeliveryFilter(), 100_000)
        found["listed"] = [dataclasses.replace(each, instance=_placeless(each.instance)) for each in listed]
        found["tries"] = [store.administration.attempts(each.delivery_id) for each in listed]
        found["depths"] = store.deliveries.depths()
        found["queries"] = [store.index.matches(query, store.index.find(query)) for query in QUERIES]
        found["due"] = [store.deliveries.next_due(destination) for destination in ("pacs", "vna", "")]
        found["identifiers"] = dict(side.store.rows.identifiers_given())
    return found


def _placeless(found: Instance) -> Instance:
    return dataclasses.replace(found, payload=PayloadRef("", 0, found.payload.length_bytes, found.payload.digest))


def _rows(side: OpenedSide, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = None
    while page := side.store.rows.read(table, after, 100):
        rows += [dict(zip(TABLES[table], row, strict=True)) for row in page]
        after = page[-1][: KEY_COLUMNS[table]]
    for row in rows:
        if row.get("attributes"):
            row["attributes"] = json.loads(row["attributes"])
        if table == "instance":
            payload = PayloadRef(row["payload_name"], row["payload_offset"], row["payload_length"], b"")
            row["payload"] = b"".join(side.chunks(payload))
            del row["payload_name"], row["payload_offset"]
    return rows


def filled(settings: Settings, seed: int = 1, steps: int = 60) -> Settings:
    """The same settings, whose gateway holds what a random history left."""
    RandomHistory(settings, seed).run(steps)
    return settings

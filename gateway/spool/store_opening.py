"""A start in the committer thread: the store is opened, paired with its spool, and taught what the segments hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.ports.meter import Meter
from gateway.ports.store import Store
from gateway.spool.redo import Position
from gateway.spool.replay import Identify, ReplayResult, replay
from gateway.spool.store import SpoolStore

REPLAYED = "gateway_spool_told_again_total"


class StoreOpening:
    """`open_store` opens it; `identify` reads which object an encoded data set is, for those whose redo record is
    damaged; `lock_gone` says why the lock beside the store holds nobody off any more."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        now: Callable[[], datetime],
        meter: Meter,
        new_id: Callable[[], str],
        identify: Identify,
        lock_gone: Callable[[], str],
    ) -> None:
        self._open_store = open_store
        self._now = now
        self._meter = meter
        self._new_id = new_id
        self._identify = identify
        self._lock_gone = lock_gone
        self.moved: Callable[[], str] = lambda: ""
        """The reason why the store is not where it was opened any more; empty when it is. Any thread."""

    def open(self, payloads: SpoolStore) -> Store:
        """The store, once it and the spool agree.

        Raises ConfigurationError when they do not belong together; SpoolFull when the disk is full or fails; Temporary
        when a payload cannot be read now.
        """
        store = self._open_store()
        try:
            refuse_migrated(store, f"spool {payloads.root}")
            self.bring_together(store, payloads)
        except OSError as error:
            store.close()
            raise SpoolFull(f"spool {payloads.root}: the disk failed at the start: {error}; look at it") from error
        except BaseException:
            store.close()
            raise
        return store

    def bring_together(self, store: Store, payloads: SpoolStore) -> None:
        """Pair an opened store with its spool, and teach it what the segments hold. Raises as `open`, and OSError."""
        spool_id = payloads.pair(store.spool.spool_id(), store.spool.payload_names(), self._new_id())
        with store.transaction():
            store.spool.bind_spool(spool_id)
            store.deliveries.expire_leases()
        self._count(replay(payloads, store, identify=self._identify, now=self._now))
        payloads.recover(store.spool.payload_names(), Position(*store.spool.replayed_position()))
        self._watch(store, payloads)

    def _watch(self, store: Store, payloads: SpoolStore) -> None:
        """Watch the places from here on; the findings so far must be of the spool that is there now.

        Raises ConfigurationError when it is not.
        """
        self.moved = partial(store.moved, is_quick=True)
        payloads.presence.add(store.moved, self._lock_gone, quick=self.moved)
        if problem := payloads.presence.look():
            raise ConfigurationError(f"spool {payloads.root}: while the gateway was starting, {problem}")

    def _count(self, result: ReplayResult) -> None:
        results = {
            "told": result.instances,
            "held": len(result.held),
            "lost": len(result.lost),
            "refused": result.refused,
        }
        for name, number in results.items():
            if number:
                self._meter.count(REPLAYED, number, result=name)


def refuse_migrated(store: Store, place: str) -> None:
    """Raises ConfigurationError when the store was migrated to another one, or is the beginning of a migration."""
    mark = store.spool.migration()
    if mark is not None and mark.refusal:
        raise ConfigurationError(f"{place}: {mark.refusal}")

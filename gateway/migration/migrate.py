"""A migration from one configuration to another: what it needs at the beginning, and what it proves at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.common.file_modes import set_umask
from gateway.common.steady_clock import utc_now
from gateway.migration.cluster_side import ClusterSide
from gateway.migration.copying import CopiedPayloads, Copying, MigrationProgress, differences, say_nothing
from gateway.migration.places import MigrationDestination, MigrationSide, MigrationSource
from gateway.migration.spool_side import SpoolSide, in_use
from gateway.model.migration import MigrationMark
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError, QueueBroken
from gateway.relational.rows import microseconds
from gateway.repair.pairing import is_in_use
from gateway.spool.lock import InUse
from gateway.spool.replay import Identify
from gateway.stores import opening

OpenedSide = SpoolSide | ClusterSide
OpenSide = Callable[[Settings, Identify], OpenedSide]


@dataclass(frozen=True, slots=True)
class Migrated:
    """The result of a migration, or of a look at what one would do."""

    source: str
    destination: str
    before: Mapping[str, int]
    """Kind of row → number, in the source; "bytes" of all payloads."""
    after: Mapping[str, int]
    """The same in the destination: equal, when the migration is over."""
    copied: CopiedPayloads
    """The payloads of this run."""


def open_side(settings: Settings, identify: Identify) -> OpenedSide:
    """The kind of side that the settings name. Raises as its construction."""
    return SpoolSide(settings, identify) if settings.objects is None else ClusterSide(settings)


def migrate(
    source: Settings,
    destination: Settings,
    *,
    identify: Identify,
    progress: MigrationProgress = say_nothing,
    open_side: OpenSide = open_side,
) -> Migrated:
    """Copy everything, and mark the source. A migration that was interrupted goes on. `identify`: see
    `gateway.spool.replay`.

    Raises:
        ConfigurationError: a gateway uses one of them, they are no pair for a migration, or one is damaged.
        SpoolFull, Temporary, QueueBroken: one of them cannot be used now; it may be called again.
    """
    _refuse_same(source, destination)
    set_umask(destination.file_access)
    with contextlib.ExitStack() as stack:
        try:
            reading = open_side(source, identify)
            stack.callback(reading.close)
            filling = open_side(destination, identify)
            stack.callback(filling.close)
        except InUse as error:
            raise in_use(error) from None
        return _Migration(reading, filling, progress).run()


def look(source: Settings, destination: Settings) -> Migrated:
    """Say what a migration would copy; nothing is changed. What the segments of a gateway that was killed have, and the
    database does not, is not counted.

    Raises ConfigurationError, Temporary, QueueBroken.
    """
    _refuse_same(source, destination)
    for settings in (source, destination):
        if is_in_use(settings):
            raise ConfigurationError(f"{opening.shown(settings)}: a gateway uses it; stop it")
    with contextlib.closing(opening.open_alone(source, is_read_only=True)) as store:
        before = store.rows.tally()
    _, has_rows = opening.pairing(destination)
    there = {"instances": 1} if has_rows else {}
    return Migrated(opening.shown(source), opening.shown(destination), before, there, CopiedPayloads())


def reopen(settings: Settings, *, identify: Identify, open_side: OpenSide = open_side) -> MigrationMark:
    """Let the source of a migration start again; its mark, which is gone. Raises ConfigurationError."""
    try:
        side = open_side(settings, identify)
    except InUse as error:
        raise ConfigurationError(f"{error}; it needs no `gateway store reopen`") from None
    with contextlib.closing(side):
        mark = side.store.spool.migration()
        if mark is None or mark.role != "source":
            reason = mark.refusal if mark is not None and mark.refusal else "it was not migrated"
            raise ConfigurationError(f"{side.shown}: {reason}; there is nothing to reopen")
        with side.store.transaction():
            side.store.spool.set_migration(None)
        return mark


def _reason_of_another(there: MigrationMark) -> str:
    """The reason why a destination with this mark, which is of another migration, is not filled."""
    if there.role == "source":
        return there.refusal
    return (
        f"it holds the beginning of a migration from {there.place}, which was given up with `gateway store reopen`, or "
        "is another one than this; empty it, or name another place"
    )


def _refuse_same(source: Settings, destination: Settings) -> None:
    if (source.postgresql or source.queue_path) == (destination.postgresql or destination.queue_path):
        raise ConfigurationError(f"{opening.shown(source)}: both configurations name it; name a new, empty one in --to")
    if source.objects is None and destination.objects is None and source.spool.path == destination.spool.path:
        raise ConfigurationError(f"spool {source.spool.path}: both configurations name it; name a new one in --to")


class _Migration:
    def __init__(self, source: MigrationSource, destination: MigrationDestination, progress: MigrationProgress) -> None:
        self._source = source
        self._destination = destination
        self._progress = progress

    def run(self) -> Migrated:
        source, destination = self._source, self._destination
        mark, is_over = self._agreed()
        copying = Copying(source, destination, self._progress)
        if not is_over:
            source.recover()
            self._mark_both(mark)
            destination.begin(mark.migration_id)
            copying.run()
            self._compare()
        self._mark(source, MigrationMark(mark.migration_id, "source", destination.shown, is_complete=True))
        if not is_over:
            self._finish(mark)
        return Migrated(
            source.shown, destination.shown, source.store.rows.tally(), destination.store.rows.tally(), copying.copied
        )

    # --- the beginning ------------------------------------------------------------------------------------------

    def _agreed(self) -> tuple[MigrationMark, bool]:
        """The mark of the destination, and whether all is there. Raises ConfigurationError when this migration may not
        begin, or not go on."""
        source, destination = self._source, self._destination
        begun, there = source.store.spool.migration(), destination.store.spool.migration()
        if begun is not None and begun.role == "destination" and not begun.is_complete:
            raise ConfigurationError(f"{source.shown}: {begun.refusal}")
        if begun is not None and begun.role == "destination":
            begun = None  # it came from elsewhere once
        if begun is not None and there is not None and begun.migration_id == there.migration_id:
            return there, there.is_complete
        if begun is not None and (begun.is_complete or begun.place != destination.shown):
            raise ConfigurationError(f"{source.shown}: {begun.refusal}")
        if there is not None and there.refusal:
            raise ConfigurationError(f"{destination.shown}: {_reason_of_another(there)}")
        self._require_empty(destination)
        destination.require_unused()
        migration_id = uuid.uuid4().hex if begun is None else begun.migration_id
        return MigrationMark(migration_id, "destination", source.shown, is_complete=False), False

    def _require_empty(self, destination: MigrationSide) -> None:
        """Raises ConfigurationError."""
        found = {name: number for name, number in destination.store.rows.tally().items() if number}
        if found:
            what = ", ".join(f"{number} {name}" for name, number in found.items())
            raise ConfigurationError(
                f"{destination.shown}: it holds something already ({what}), and not the beginning of this migration; "
                "name an empty one"
            )

    def _mark_both(self, mark: MigrationMark) -> None:
        """From here on neither of them starts. The source is marked first: its mark alone is given up by
        `reopen`."""
        mine = MigrationMark(mark.migration_id, "source", self._destination.shown, is_complete=False)
        for side, wanted in ((self._source, mine), (self._destination, mark)):
            self._mark(side, wanted)

    def _mark(self, side: MigrationSide, mark: MigrationMark) -> None:
        if side.store.spool.migration() == mark:
            return
        with side.store.transaction():
            side.store.spool.set_migration(mark)
        self._progress("", 0)

    # --- the end ------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Raises QueueBroken when the sides differ."""
        found = differences(self._source.store.rows.tally(), self._destination.store.rows.tally())
        if found:
            raise QueueBroken(
                f"{self._destination.shown}: it has other numbers than {self._source.shown} ({'; '.join(found)}); "
                "somebody changed one of them meanwhile; empty the destination, and begin again"
            )

    def _finish(self, mark: MigrationMark) -> None:
        """Identifiers and time, with the mark that all is there. The source is marked before: once the destination may
        start, no message offers to give the migration up."""
        source, destination = self._source.store, self._destination.store
        with destination.transaction():
            destination.rows.give_identifiers_behind(source.rows.identifiers_given())
            if not self._destination.is_shared:
                now = microseconds(utc_now())
                destination.rows.set_clock(*(source.rows.clock() or (now, now)))
            destination.spool.set_migration(dataclasses.replace(mark, is_complete=True))
        self._progress("", 0)

"""The local index beside the queue: patients, studies and series of instances; found by SQL."""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from gateway.model.instance import IndexEntry
from gateway.model.query import Attributes, Query, QueryItem, QueryKey, QueryLevel, Value
from gateway.query.attributes import (
    COMPUTED,
    LEVEL_OF,
    LEVELS,
    MODALITIES_IN_STUDY,
    SOP_CLASS_UID,
    SOP_CLASSES_IN_STUDY,
    SOP_INSTANCE_UID,
    TIMEZONE_OFFSET_FROM_UTC,
    hexadecimal,
    vr_for,
)
from gateway.query.compile import returned
from gateway.relational.rows import batch
from gateway.relational.statements import Dialect, MadeStatement, Statements

log = structlog.get_logger()

CACHED = 4096
"""Patients, studies and series each whose keys are remembered."""
CACHED_CHARACTERS = 8 * 1024**2
"""The most characters of all cached attributes together."""

READ = {
    QueryLevel.PATIENT: "read_patients",
    QueryLevel.STUDY: "read_studies",
    QueryLevel.SERIES: "read_series",
    QueryLevel.IMAGE: "read_images",
}


class IndexTables:
    """The index on one connection; writing happens inside the queue's transaction."""

    def __init__(self, statements: Statements, dialect: Dialect) -> None:
        self._statements = statements
        self._dialect = dialect
        self._known: dict[tuple[int, str, str], int] = {}
        """(key of the parent, table, attributes) → key."""
        self._written: dict[tuple[str, int], str] = {}
        """(table, key) → attributes as they were written last; what comes with others is newer."""
        self._characters = 0

    # --- writing ------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget the cache: a transaction was rolled back, or another connection wrote."""
        self._known.clear()
        self._written.clear()
        self._characters = 0

    def series_key(self, entry: IndexEntry) -> int:
        """The key of the entry's series, made with its patient and study, or brought up to date."""
        patient = self._key(0, "patient", entry.patient)
        return self._key(self._key(patient, "study", entry.study), "series", entry.series)

    def lowest(self, entry: IndexEntry) -> tuple[str, int] | None:
        """The lowest table in which the key of this entry is remembered, and the key."""
        found, parent = None, 0
        for table, attributes in (("patient", entry.patient), ("study", entry.study), ("series", entry.series)):
            key = self._known.get((parent, table, attributes))
            if key is None:
                break
            found, parent = (table, key), key
        return found

    def drop(self, rows: Collection[tuple[str, int]]) -> None:
        """Forget the keys of these rows, which are gone."""
        if not rows:
            return
        for place, key in [*self._known.items()]:
            if (place[1], key) in rows:
                del self._known[place]
                self._written.pop((place[1], key), None)

    def _key(self, parent: int, table: str, attributes: str) -> int:
        known = self._known.get((parent, table, attributes))
        if known is not None and self._written[table, known] == attributes:
            return known
        (text,) = json.loads(batch([attributes]))  # without what a database could not hold
        key = int(self._statements.single(f"upsert_{table}", parent=parent, attributes=text))
        self._characters += len(attributes)
        if len(self._known) >= 3 * CACHED or self._characters > CACHED_CHARACTERS:
            self.clear()
            self._characters = len(attributes)
        self._known[parent, table, attributes] = key
        self._written[table, key] = attributes
        return key

    def place(
        self, arrivals: Sequence[tuple[int, str, IndexEntry]], fresh: Collection[int]
    ) -> dict[int, tuple[int, str, int]]:
        """Take instances into the index: (instance, SOP Instance UID, entry) in order of arrival. Those in `fresh` are
        about to be added to the queue; others are there, and join the index if they were accepted without it.

        Returns of each fresh one what its row says: (series, attributes, 1 when it is the current one).
        """
        there = [instance_id for instance_id, _, _ in arrivals if instance_id not in fresh]
        missing = set(self._json("find_unindexed", there)) if there else set()
        new: dict[int, tuple[str, IndexEntry]] = {}
        newest: dict[str, int] = {}
        for instance_id, uid, entry in arrivals:
            if instance_id in fresh:
                newest[uid] = max(instance_id, newest.get(uid, 0))
            elif instance_id not in missing:
                continue
            new.setdefault(instance_id, (uid, entry))
        self._write([entry for _, entry in new.values()])
        placed = {
            instance_id: (self.series_key(entry), entry.image, 1 if newest.get(uid) == instance_id else 0)
            for instance_id, (uid, entry) in new.items()
        }
        if newest:
            series_keys = {uid: placed[instance_id][0] for uid, instance_id in newest.items()}
            self._statements.post("supersede", partial(_report_moved, series_keys), sop_instance_uids=batch([*newest]))
        if missing:
            rows = [(key, series_key, image) for key, (series_key, image, _) in placed.items() if key in missing]
            self._statements.do("index_instances", instances=batch(rows))
            self._statements.do(
                "elect", sop_instance_uids=batch(sorted({new[key][0] for key in missing} - newest.keys()))
            )
        return placed

    def _write(self, entries: Sequence[IndexEntry]) -> None:
        """Write what is new of these entries, where they cannot be written one after the other."""

    def forgettable(self, instance_ids: Sequence[int]) -> Sequence[int]:
        """The instances among these that may be forgotten now: all, where nobody else writes."""
        return instance_ids

    def promote(self, instance_ids: str) -> None:
        """Mark the instances that are current once these are gone. To be called before they are deleted."""
        self._statements.do("promote", ids=instance_ids)

    def forget_series(self, series_keys: Sequence[int]) -> None:
        """Delete these series, and their studies and patients, where they are empty. To be called after instances were
        deleted."""
        ids = list(series_keys)
        for table in ("series", "studies", "patients"):
            if not ids:
                break
            ids = sorted({row[0] for row in self._statements.rows(f"forget_{table}", ids=batch(ids))})
            self.clear()

    # --- finding ------------------------------------------------------------------------------------------------

    def find(self, query: Query, limit: int) -> Sequence[int]:
        """Keys of what fits, in a stable order; of at most `limit`, 0 for all."""
        return self._keys(self._dialect.find(query, limit or -1))

    def find_instances(self, query: Query) -> Sequence[int]:
        """The instances of what fits, study by study, series by series, in order of arrival."""
        return self._keys(self._dialect.find_instances(query, -1))

    def _keys(self, statement: MadeStatement) -> Sequence[int]:
        return array("q", json.loads(self._statements.made(statement)))

    def matches(self, query: Query, keys: Sequence[int]) -> list[Attributes]:
        """The matches of `query` among these, in order; forgotten ones are left out."""
        rows = self._json(READ[query.level], list(keys))
        wanted = [_WantedPaths(key) for key in returned(query)]
        computed = [(each, self._computed(each.tag, rows)) for each in wanted if each.tag in COMPUTED]
        plain = [each for each in wanted if each.tag not in COMPUTED]
        if TIMEZONE_OFFSET_FROM_UTC in query.computed:
            plain.append(_WantedPaths(QueryKey(TIMEZONE_OFFSET_FROM_UTC, vr_for(TIMEZONE_OFFSET_FROM_UTC))))
        found: list[Attributes] = []
        for row in rows:
            values: dict[int, Value] = {each.tag: each.of(row) for each in plain}
            for each, by_key in computed:
                values[each.tag] = by_key.get(row[each.position], ())
            found.append(values)
        return found

    def _computed(self, tag: int, rows: Sequence[Sequence[Any]]) -> Mapping[int, Value]:
        """Key of the level that a computed attribute speaks of → its values."""
        position = LEVELS.index(COMPUTED[tag])
        keys = sorted({row[position] for row in rows})
        if tag == SOP_CLASSES_IN_STUDY:
            gathered: dict[int, tuple[str, ...]] = {}
            for study_key, sop_class_uid in self._json("sop_classes_in_studies", keys):
                gathered[study_key] = (*gathered.get(study_key, ()), sop_class_uid)
            return gathered
        counts = self._json(COUNTS[COMPUTED[tag]], keys)
        if tag == MODALITIES_IN_STUDY:
            return {key: tuple(sorted(row[-1])) for key, *row in counts}
        column = COUNT_COLUMNS[tag]
        return {key: (str(int(row[column])),) for key, *row in counts}

    def _json(self, name: str, ids: Sequence[int]) -> Any:
        return self._statements.json(name, ids=batch(ids))


def _report_moved(series_keys: Mapping[str, int], superseded: Iterable[tuple[Any, ...]]) -> None:
    """`series_keys`: SOP Instance UID → the series of the current instance."""
    for uid, series_key in superseded:
        if series_key is not None and series_key != series_keys[uid]:
            log.error(
                "instance_moved",
                sop_instance_uid=uid,
                reason="it arrived again under another patient, study or series: the earlier one is kept as long "
                "as the other rules say, but neither found nor retrieved any more; one UID stands for two objects",
            )


COUNTS = {
    QueryLevel.PATIENT: "count_in_patients",
    QueryLevel.STUDY: "count_in_studies",
    QueryLevel.SERIES: "count_in_series",
}
COUNT_COLUMNS = {0x00201200: 0, 0x00201202: 1, 0x00201204: 2, 0x00201206: 0, 0x00201208: 1, 0x00201209: 0}
"""Number of … Related … → its column in the statements of `COUNTS`, the key aside."""

IN_INSTANCE = {SOP_INSTANCE_UID: 8, SOP_CLASS_UID: 9}
"""Columns of `read_images` for what the image's attributes leave to the queue."""


class _WantedPaths:
    """One attribute to be taken from the rows of `READ`."""

    __slots__ = ("_column", "_key", "_name", "position", "tag")

    def __init__(self, key: QueryKey) -> None:
        self.tag = key.tag
        self.position = LEVELS.index(LEVEL_OF[key.tag])
        self._key = key
        self._name = hexadecimal(key.tag)
        self._column = IN_INSTANCE.get(key.tag, 4 + self.position)

    def of(self, row: Sequence[Any]) -> Value:
        """() when the row has none, or is of a level above."""
        if self._column >= len(row):
            return ()
        if self._column >= 8:
            return (row[self._column],)
        value = row[self._column].get(self._name)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        return _items(self._key, value) if self._key.vr == "SQ" else tuple(value)


def _items(key: QueryKey, items: Iterable[Mapping[str, Any]]) -> tuple[QueryItem, ...]:
    """The items with what was asked of each; all that is kept when the key has no attributes inside."""
    tags = [each.tag for each in key.inner]
    return tuple({tag: _texts(item.get(hexadecimal(tag))) for tag in (tags or _tags(item))} for item in items)


def _tags(item: Mapping[str, Any]) -> list[int]:
    return [int(name, 16) for name in item if len(name) == 8]


def _texts(value: Any) -> Value:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)

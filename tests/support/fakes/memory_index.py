"""The local index in dictionaries: found with the pure function of matching, so that SQL is held against it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.model.instance import IndexEntry, Instance
from gateway.model.query import Attributes, Query, Value
from gateway.query.attributes import LEVELS, TIMEZONE_OFFSET_FROM_UTC
from gateway.query.compile import returned
from gateway.query.matching import matches

Row = dict[str, Any]


@dataclasses.dataclass
class Table:
    """Rows of one level."""

    rows: dict[int, Row] = dataclasses.field(default_factory=dict)
    parents: dict[int, int] = dataclasses.field(default_factory=dict)
    identities: dict[object, int] = dataclasses.field(default_factory=dict)
    last: int = 0

    def upsert(self, identity: tuple[Any, ...], parent: int, row: Row) -> int:
        key = self.identities.get(identity)
        if key is None:
            self.last += 1
            key = self.last
            self.identities[identity] = key
            self.parents[key] = parent
        self.rows[key] = {**self.rows.get(key, {}), **row}
        return key

    def remove(self, key: int) -> None:
        del self.rows[key], self.parents[key]
        self.identities = {identity: other for identity, other in self.identities.items() if other != key}


class MemoryIndex:
    """As the port says, and slow."""

    def __init__(self) -> None:
        self.patients, self.studies, self.series = Table(), Table(), Table()
        self.images: dict[int, tuple[int, Instance, Row]] = {}
        """Instance → (series, instance, attributes)."""

    def add(self, instance: Instance, entry: IndexEntry) -> None:
        patient, study, series = (json.loads(text) for text in (entry.patient, entry.study, entry.series))
        name = (patient.get("00100010=") or [[""]])[0]
        wanted = ("00100020", "00100021", "00100030", "0020000D")
        identity = (*(patient.get(tag, "") for tag in wanted), name[0] if name else "")
        patient_key = self.patients.upsert(identity, 0, patient)
        study_key = self.studies.upsert((study["0020000D"], patient_key), patient_key, study)
        series_key = self.series.upsert((series["0020000E"], study_key), study_key, series)
        self.images[instance.instance_id] = (series_key, instance, json.loads(entry.image))

    def remove(self, instance_id: int) -> None:
        series_key = self.images.pop(instance_id, (0,))[0]
        if not series_key or any(key == series_key for key, _, _ in self.images.values()):
            return
        study_key = self.series.parents[series_key]
        self.series.remove(series_key)
        if study_key in self.series.parents.values():
            return
        patient_key = self.studies.parents[study_key]
        self.studies.remove(study_key)
        if patient_key not in self.studies.parents.values():
            self.patients.remove(patient_key)

    # --- finding ------------------------------------------------------------------------------------------------

    def _current(self) -> list[tuple[int, int, int, int]]:
        """(patient, study, series, instance) of all that are current."""
        newest = {instance.sop_instance_uid: key for key, (_, instance, _) in sorted(self.images.items())}
        found = []
        for key in newest.values():
            series_key = self.images[key][0]
            study_key = self.series.parents[series_key]
            found.append((self.studies.parents[study_key], study_key, series_key, key))
        return sorted(found, key=lambda keys: keys[1:])

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        keys = self._keys(query, LEVELS.index(query.level))
        return keys[:limit] if limit else keys

    def find_instances(self, query: Query) -> Sequence[int]:
        return self._keys(query, 3)

    def _keys(self, query: Query, position: int) -> list[int]:
        found = dict.fromkeys(keys[position] for keys in self._current() if matches(query, self._all(query, keys)))
        return list(found) if position == 3 else sorted(found)

    def _all(self, query: Query, keys: tuple[int, int, int, int]) -> Attributes:
        rows = self._rows(keys, 4)
        values: dict[int, Value] = {}
        for row in rows:
            values |= {int(name, 16): _value(value) for name, value in row.items() if len(name) == 8}
        values |= self._computed(keys)
        return values

    def _rows(self, keys: Sequence[int], count: int) -> list[Row]:
        tables = (self.patients.rows, self.studies.rows, self.series.rows)
        rows = [table[key] for table, key in zip(tables, keys, strict=False)][:count]
        if count == 4:
            instance, image = self.images[keys[3]][1:]
            rows.append(image | {"00080018": instance.sop_instance_uid, "00080016": instance.sop_class_uid})
        return rows

    def _computed(self, keys: Sequence[int]) -> dict[int, Value]:
        current = self._current()

        def count(above: int, below: int) -> Value:
            return (str(len({each[below] for each in current if each[above] == keys[above]})),)

        in_study = [each for each in current if each[1] == keys[1]] if len(keys) > 1 else []
        modalities = {self.series.rows[each[2]].get("00080060", "") for each in in_study} - {""}
        return {
            0x00201200: count(0, 1),
            0x00201202: count(0, 2),
            0x00201204: count(0, 3),
            **({0x00201206: count(1, 2), 0x00201208: count(1, 3)} if len(keys) > 1 else {}),
            **({0x00201209: count(2, 3)} if len(keys) > 2 else {}),
            0x00080061: tuple(sorted(modalities)),
            0x00080062: tuple(sorted({self.images[each[3]][1].sop_class_uid for each in in_study})),
        }

    def matches(self, query: Query, keys: Sequence[int]) -> list[Attributes]:
        return [found for key in keys for found in self._match(query, key)]

    def _match(self, query: Query, key: int) -> Iterable[Attributes]:
        position = LEVELS.index(query.level)
        above = next((each[: position + 1] for each in self._current() if each[position] == key), None)
        if above is None:
            return
        values = dict(self._computed(above))
        for row in self._rows(above, position + 1):
            values |= {int(name, 16): _value(value) for name, value in row.items() if len(name) == 8}
        found: dict[int, Value] = {}
        for wanted in returned(query):
            value = values.get(wanted.tag, ())
            tags = [inner.tag for inner in wanted.inner]
            found[wanted.tag] = tuple(_narrowed(item, tags) for item in value) if wanted.vr == "SQ" else value
        if TIMEZONE_OFFSET_FROM_UTC in query.computed:
            found[TIMEZONE_OFFSET_FROM_UTC] = values.get(TIMEZONE_OFFSET_FROM_UTC, ())
        yield found


def _narrowed(item: Any, tags: list[int]) -> Mapping[int, Value]:
    return {tag: item.get(tag, ()) for tag in tags} if tags else item


def _value(value: Any) -> Value:
    if isinstance(value, str):
        return (value,)
    return tuple(
        {int(name, 16): _value(inner) for name, inner in each.items()} if isinstance(each, dict) else each
        for each in value
    )

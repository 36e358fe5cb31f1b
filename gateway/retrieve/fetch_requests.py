"""The C-GETs or C-MOVEs with which a source is asked for some of the instances that it holds. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.model.query import QueryLevel, Value
from gateway.query.attributes import (
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gateway.retrieve.source_instances import SourceInstance

MOST_UIDS = 200
"""Instances or series that one request names."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One C-GET or C-MOVE: whole studies, series of one study, or instances of one series."""

    level: QueryLevel
    items: tuple[SourceInstance, ...]
    """The instances that it is to bring."""
    is_of_patient: bool = False
    """True when nothing of another patient may come, who may have the same study at this source."""
    is_by_uid: bool = False
    """The information model has SOP Instance UIDs alone: no levels, no patients, no studies."""

    def identifier(self, *, has_patient_level: bool) -> dict[int, Value]:
        """Unique keys of the level and of those above it (PS3.4 §C.4.2.2.1)."""
        if self.is_by_uid:
            return {SOP_INSTANCE_UID: tuple(item.sop_instance_uid for item in self.items)}
        first = self.items[0]
        keys: dict[int, Value] = {QUERY_RETRIEVE_LEVEL: (self.level.value,)}
        if has_patient_level:
            keys[PATIENT_ID] = (first.patient_id,) if first.patient_id else ()
        keys[STUDY_INSTANCE_UID] = (first.study_instance_uid,)
        if self.level is not QueryLevel.STUDY:
            keys[SERIES_INSTANCE_UID] = tuple(dict.fromkeys(item.series_instance_uid for item in self.items))
        if self.level is QueryLevel.IMAGE:
            keys[SOP_INSTANCE_UID] = tuple(item.sop_instance_uid for item in self.items)
        return keys


def requests(
    level: QueryLevel,
    wanted: Sequence[SourceInstance],
    held: Mapping[str, SourceInstance],
    *,
    is_of_patient: bool = False,
) -> Iterator[FetchRequest]:
    """The requests that bring `wanted` and nothing else.

    Args:
        level: of the retrieve. The holdings of the source are known at and below it only.
        wanted: some of `held`.
        held: the instances of the retrieve that the source has.
        is_of_patient: the retrieve names a patient. Then each request is about one, and no study is requested as a
            whole: some sources look at its UID alone, and others may have the same study.
    """
    if is_of_patient:
        for items in _grouped(wanted, "patient_id").values():
            patient = {uid: item for uid, item in held.items() if item.patient_id == items[0].patient_id}
            below = level if level is QueryLevel.IMAGE else QueryLevel.SERIES
            for request in requests(below, items, patient):
                yield replace(request, is_of_patient=True)
        return
    of_study = Counter(item.study_instance_uid for item in held.values())
    of_series = Counter(item.series_instance_uid for item in held.values())
    for study, items in _grouped(wanted, "study_instance_uid").items():
        if level in (QueryLevel.PATIENT, QueryLevel.STUDY) and len(items) == of_study[study]:
            yield FetchRequest(QueryLevel.STUDY, tuple(items))
            continue
        series = _grouped(items, "series_instance_uid")
        is_whole = {
            uid: level is not QueryLevel.IMAGE and len(parts) == of_series[uid] for uid, parts in series.items()
        }
        whole = [uid for uid in series if is_whole[uid]]
        for start in range(0, len(whole), MOST_UIDS):
            named = whole[start : start + MOST_UIDS]
            yield FetchRequest(QueryLevel.SERIES, tuple(item for uid in named for item in series[uid]))
        for uid, parts in series.items():
            for start in () if is_whole[uid] else range(0, len(parts), MOST_UIDS):
                yield FetchRequest(QueryLevel.IMAGE, tuple(parts[start : start + MOST_UIDS]))


def _grouped(items: Iterable[SourceInstance], attribute: str) -> dict[str, list[SourceInstance]]:
    groups: dict[str, list[SourceInstance]] = {}
    for item in items:
        groups.setdefault(getattr(item, attribute), []).append(item)
    return groups

"""The check whether a source's answer fits its query. Pure.

An answer that does not fit is left out. That is safe only where the query itself says so: text is compared without
case, diacritics and spaces, and a value that cannot be understood speaks against nothing. An answer that does not fit
by a key that every source has to compare (PS3.4 §C.6) is no mere surplus: the source understands the query in another
way, as after patients were merged there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gateway.dataset.dictionary import SEQUENCE, tag_of
from gateway.model.query import AnyValue, Attributes, EmptyValue, KeyCondition, Query, QueryKey, Value, WildCard
from gateway.query.attributes import TIMEZONE_OFFSET_FROM_UTC
from gateway.query.identifier import first_text
from gateway.query.matching import compiled, key_matches, matches
from gateway.query.normal import WILD_CARD_VRS, folded, folded_groups, normal

COMPARED_BY_ALL = frozenset(
    tag_of(keyword)
    for keyword in (
        *("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SOPInstanceUID", "InstanceNumber"),
    )
)
"""Unique and required keys of all information models (PS3.4 §C.6.1.1, §C.6.2.1)."""

UNREADABLE = "\ufffd"
"""Stands in texts for characters that could not be decoded."""


def contradicted(query: Query, answer: Attributes) -> frozenset[int]:
    """Tags of the answer's values that speak against the query; empty when it fits.

    A value that the answer does not have speaks for it: sources leave out unknown values, and need not know optional
    keys (PS3.4 §C.2.2.1.3). Items of sequences are not compared.
    """
    offset = first_text(answer, TIMEZONE_OFFSET_FROM_UTC)
    found = {
        key.tag
        for key in query.keys
        if key.vr != SEQUENCE
        and any(value := answer.get(key.tag, ()))
        and not key_matches(key, value, offset)
        and not _matches_loosely(key, value)
    }
    spans = tuple(span for span in query.spans if any(answer.get(span.date_tag, ())))
    if spans and not matches(replace(query, keys=(), spans=spans), answer):
        found |= {span.date_tag for span in spans}
    return frozenset(found)


def is_misunderstood(query: Query, contradictions: Iterable[int]) -> bool:
    """True when the source was asked to compare one of these keys, and has to be able to."""
    queried = {
        key.tag
        for key in query.keys
        if key.conditions and not all(isinstance(each, EmptyValue) for each in key.conditions)
    }
    return any(tag in COMPARED_BY_ALL and tag in queried for tag in contradictions)


def _matches_loosely(key: QueryKey, value: Value) -> bool:
    texts = [text for text in value if isinstance(text, str) and text]
    if any(UNREADABLE in text for text in texts):
        return True
    if key.vr not in WILD_CARD_VRS:
        return key.vr != "UI" and all(normal(text, key.vr) is None for text in texts)
    alike = _is_named_alike if key.vr == "PN" else _is_alike
    return any(alike(condition, text) for condition in key.conditions for text in texts)


def _is_alike(condition: KeyCondition, text: str) -> bool:
    alike = _fold(text)
    if isinstance(condition, AnyValue):
        return any(_fold(value) == alike for value in condition.values)
    return isinstance(condition, WildCard) and compiled(_fold(condition.pattern)).fullmatch(alike)


def _is_named_alike(condition: KeyCondition, text: str) -> bool:
    """Many sources find names that begin with what was asked for, also without a star."""
    if not isinstance(condition, WildCard):
        return False
    patterns = [compiled(f"{_fold(group)}*") for group in condition.pattern.split("=") if group]
    return any(pattern.fullmatch(_fold(group)) for pattern in patterns for group in folded_groups(text) if group)


def _fold(text: str) -> str:
    return "".join(folded(text).split())

"""Rows of collections."""

from __future__ import annotations

from gateway.model.collection import CollectionState, CollectionTerms, CollectionTest
from gateway.relational.collection_rows import COLLECTED_KEY_COLUMN, collection, terms_text
from gateway.relational.rows import microseconds
from tests.support.samples import NOON

TERMS = CollectionTerms("ü", "series", tests=(CollectionTest("count", 2, None), CollectionTest("any")))
AT = microseconds(NOON)


def row(terms: str) -> list[object]:
    times = [AT, AT, AT, 0, None, AT]
    return [7, terms, "1.2", "1.3", "p", 2, "complete", *times, "forced", "send", "patients", *range(5), "key", "i"]


def test_terms_come_back_as_they_were() -> None:
    found = collection(row(terms_text(TERMS)))
    assert (found.terms, found.state, found.generation) == (TERMS, CollectionState.COMPLETE, 2)
    assert (found.deadline_at, found.completed_at, found.result) == (None, NOON, "forced")
    assert (found.instances, found.late, found.repeated, found.replaced, found.ignored) == (0, 1, 2, 3, 4)
    assert (row("")[COLLECTED_KEY_COLUMN], found.institution) == ("key", "i")


def test_terms_of_other_versions_are_read() -> None:
    found = collection(row('{"name":"chest","quiet_s":5.0,"unknown":1}'))
    assert found.terms == CollectionTerms("chest", quiet_s=5.0)

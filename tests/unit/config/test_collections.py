"""Collections of a configuration. Every mistake in one: `tests/golden/bad/210-collections.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.model.collection import CollectionTerms, CollectionTest
from gateway.model.expectation import ExpectedTerms
from tests.support.rules_of_site import loaded, messages

ROUTE = "routes: [{name: r, to: [pacs], collection: chest}]\n"


def terms_of(folder: Path, rules: str) -> CollectionTerms:
    found = loaded(folder, rules)
    assert found.table is not None, messages(found)
    assert messages(found) == []
    collection = found.table.routes[0].collection
    assert collection is not None
    assert len(collection.conditions) == len(collection.terms.tests)
    return collection.terms


def test_a_collection_has_its_settings(tmp_path: Path) -> None:
    rules = """
collections:
  chest:
    level: series
    when: {any: {modality: [CT]}, every: {calling_ae_title: [CT1]}, count: [{of: {modality: [SR]}, at_most: 3}]}
    quiet: 30 s
    at_most: 10 min
    late: ignore
    late_for: 1 h
    again: replaced
    if_incomplete: hold
"""
    assert terms_of(tmp_path, rules + ROUTE) == CollectionTerms(
        "chest",
        "series",
        30.0,
        600.0,
        "ignore",
        3600.0,
        "replaced",
        "hold",
        (CollectionTest("any"), CollectionTest("every"), CollectionTest("count", 1, 3)),
    )


def test_all_of_it_has_defaults(tmp_path: Path) -> None:
    assert terms_of(tmp_path, "collections: {chest: {}}\n" + ROUTE) == CollectionTerms("chest")


@pytest.mark.parametrize(("policy", "is_held"), [("hold", True), ("reject", True), ("discard", False)])
def test_what_becomes_of_unmatched_objects_is_kept(tmp_path: Path, policy: str, is_held: bool) -> None:
    site = (tmp_path / "site.yaml", "collections: {chest: {}}\n" + ROUTE)
    loaded(tmp_path, site[1])
    site[0].write_text(site[0].read_text().replace("unmatched: hold", f"unmatched: {policy}"))
    table = load(tmp_path, {}).table
    assert table is not None
    assert table.routes[0].collection is not None
    assert table.routes[0].collection.terms.is_unmatched_held is is_held


def test_a_collection_that_no_route_names_is_said(tmp_path: Path) -> None:
    found = loaded(tmp_path, "collections: {chest: {}}\nroutes: [{name: r, to: [pacs]}]\n")
    assert [(code, message) for _, code, message in messages(found)] == [
        ("unused-collection", "no route names the collection `chest`")
    ]


@pytest.mark.parametrize(
    ("expect", "terms", "has_template"),
    [
        ("{from: pacs}", ExpectedTerms("pacs"), False),
        ("{from: pacs, every: 1 min, timeout: 5 s}", ExpectedTerms("pacs", 60.0, 5.0), False),
        ('{instances: "120"}', ExpectedTerms(number=120), False),
        ('{series: "3"}', ExpectedTerms(kind="series", number=3), False),
        ('{instances: "{{ NumberOfStudyRelatedInstances }}"}', ExpectedTerms(), True),
        ('{series: "{{ NumberOfStudyRelatedSeries }}"}', ExpectedTerms(kind="series"), True),
    ],
)
def test_what_is_expected(tmp_path: Path, expect: str, terms: ExpectedTerms, has_template: bool) -> None:
    found = loaded(tmp_path, f"collections: {{chest: {{expect: {expect}}}}}\n" + ROUTE)
    assert (messages(found), found.table is not None) == ([], True)
    assert found.table is not None
    collection = found.table.routes[0].collection
    assert collection is not None
    assert (collection.terms.expect, collection.expected is not None) == (terms, has_template)


def test_every_means_nothing_for_a_number(tmp_path: Path) -> None:
    found = loaded(tmp_path, 'collections: {chest: {expect: {instances: "3", every: 1 min}}}\n' + ROUTE)
    assert found.table is not None
    assert any("`every` means nothing without `from`" in message for message in messages(found))

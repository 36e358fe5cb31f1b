"""Conditions inside a condition, with the path to each."""

from __future__ import annotations

from gateway.routing.language.kind_tree import children, inside, written_children
from gateway.routing.language.kinds import build_predicate
from gateway.routing.language.resources import FileResources
from tests.unit.routing.build import fail, predicate

MODALITY, HOST = predicate({"modality": "MR"}), predicate({"host": "10.0.0.0/8"})


def test_a_list_has_a_path_for_each() -> None:
    both = predicate({"all": [{"modality": "MR"}, {"host": "10.0.0.0/8"}]})
    assert list(children(both)) == [((0,), MODALITY), ((1,), HOST)]
    assert list(written_children(both)) == [((0,), MODALITY), ((1,), HOST)]
    assert list(inside(both)) == [MODALITY, HOST]


def test_the_only_one_has_an_empty_path() -> None:
    assert list(children(predicate({"not": {"modality": "MR"}}))) == [((), MODALITY)]


def test_one_that_asks_the_object_itself_has_none_inside() -> None:
    assert list(children(MODALITY)) == []
    assert inside(MODALITY) == ()


def test_a_named_condition_is_inside_but_written_elsewhere() -> None:
    named = build_predicate({"condition": "mr"}, fail, FileResources(conditions=lambda name: MODALITY))
    assert list(children(named)) == [((), MODALITY)]
    assert list(inside(named)) == [MODALITY]
    assert list(written_children(named)) == []

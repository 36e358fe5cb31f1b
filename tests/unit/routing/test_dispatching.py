"""Dispatches of one object: those of routes with `one_association`, and what is held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model.bundle import place_in_bundle
from gateway.model.delivery import DeliveryState
from gateway.routing.dispatching import NUMBERS
from gateway.routing.table import Route
from tests.unit.routing.build import coercion, facts, route, table

STUDY = {"StudyInstanceUID": "1.2.3.9", "SeriesNumber": "4", "InstanceNumber": "12"}


def together(name: str, *to: str, then: object = None) -> Route:
    return replace(route(name, {}, *to, then=then), is_one_association=True)


def test_only_what_such_a_route_sends_is_of_a_bundle() -> None:
    routing = table(route("alone", {}, "vna"), together("readers", "ai", "ws"))
    plan = routing.plan(facts(STUDY, routing))
    place = place_in_bundle(("4",), ("12",))
    assert [(each.destination, each.bundle, each.bundle_place) for each in plan.dispatches] == [
        ("vna", "", 0),
        ("ai", "1.2.3.9", place),
        ("ws", "1.2.3.9", place),
    ]


@pytest.mark.parametrize("missing", ["SeriesNumber", "InstanceNumber", "StudyInstanceUID"])
def test_an_object_without_the_attribute(missing: str) -> None:
    routing = table(together("readers", "ai"))
    there = {keyword: value for keyword, value in STUDY.items() if keyword != missing}
    (dispatch,) = routing.plan(facts(there, routing)).dispatches
    numbers = [(there[keyword],) if keyword in there else None for keyword in ("SeriesNumber", "InstanceNumber")]
    assert (dispatch.bundle, dispatch.bundle_place) == (there.get("StudyInstanceUID", ""), place_in_bundle(*numbers))


def test_edits_at_arrival_count_and_those_of_the_route_do_not() -> None:
    edit = {"set": {"StudyInstanceUID": "2.25.1", "SeriesNumber": "7"}}
    later = {"set": {"StudyInstanceUID": "2.25.2", "SeriesNumber": "8"}}
    routing = table(together("readers", "ai", then=[later]), coercions=(coercion("first", {}, [edit]),))
    (dispatch,) = routing.plan(facts(STUDY, routing)).dispatches
    assert (dispatch.bundle, dispatch.bundle_place) == ("2.25.1", place_in_bundle(("7",), ("12",)))


def test_what_is_held_keeps_its_bundle_until_it_is_released() -> None:
    routing = table(together("readers", "ai", then=[{"hold": "for review"}]))
    (dispatch,) = routing.plan(facts(STUDY, routing)).dispatches
    assert (dispatch.state, dispatch.bundle) == (DeliveryState.HELD, "1.2.3.9")


def test_the_numbers_are_read_where_such_a_route_is() -> None:
    assert set(NUMBERS) <= set(table(together("readers", "ai")).attributes_needed)
    assert not set(NUMBERS) & set(table(route("alone", {}, "ai")).attributes_needed)

"""Dispatches of routes with a priority, and what two routes of one duty make together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.peer import PeerGroup
from gateway.model.priority import Priority
from gateway.routing.language.template import Template
from gateway.routing.route import Route
from gateway.routing.route_priority import RoutePriority
from tests.unit.routing.build import facts, route, table

URGENT, NORMAL, LOW = Priority
STAT = RoutePriority(template=Template("{{ RequestedProcedurePriority }}"))


def with_priority(name: str, priority: RoutePriority, *to: str, passes: bool = False, when: object = None) -> Route:
    return replace(route(name, when or {"all": []}, *to), priority=priority, passes_window=passes)


def test_each_of_its_dispatches_has_the_priority() -> None:
    group = PeerGroup("archives", ("a", "b"), "failover")
    made = replace(with_priority("all", RoutePriority(URGENT), "pacs", passes=True), groups=(group,)).dispatches
    found = [(each.destination, each.group_name, each.priority, each.passes_window) for each in made]
    assert found == [("pacs", "", URGENT, True), ("a", "archives", URGENT, True)]


def test_a_template_is_made_for_each_object_from_what_the_table_reads_of_it() -> None:
    rules = table(with_priority("all", STAT, "pacs", "vna"), with_priority("more", RoutePriority(LOW), "research"))
    for word, priority in (("STAT", URGENT), ("LOW", LOW), ("", NORMAL)):
        plan = rules.plan(facts({"RequestedProcedurePriority": word}, rules))
        assert [each.priority for each in plan.dispatches] == [priority, priority, LOW]
        assert plan.unclear == ()


def test_a_priority_that_is_none_is_normal_and_said() -> None:
    rules = table(with_priority("all", STAT, "pacs"))
    plan = rules.plan(facts({"RequestedProcedurePriority": "SOON"}, rules))
    assert ([each.priority for each in plan.dispatches], plan.unclear) == ([NORMAL], ("all",))


@pytest.mark.parametrize(("sent_as", "priority"), [(0, NORMAL), (1, URGENT), (2, LOW)])
def test_the_senders_priority_is_taken_where_the_route_says_so(sent_as: int, priority: Priority) -> None:
    rules = table(with_priority("all", RoutePriority(), "pacs"), route("more", {"all": []}, "vna"))
    plan = rules.plan(facts({"PatientID": "1"}, rules), sent_as)
    assert [each.priority for each in plan.dispatches] == [priority, NORMAL]


def test_what_a_rule_holds_keeps_its_priority() -> None:
    held = route("kept", {"all": []}, "pacs", then=[{"hold": "look"}])
    rules = table(replace(held, priority=RoutePriority(URGENT)))
    (dispatch,) = rules.plan(facts({"PatientID": "1"}, rules)).dispatches
    assert (dispatch.state, dispatch.priority) == (DeliveryState.HELD, URGENT)


@pytest.mark.parametrize("is_urgent_first", [True, False])
def test_two_routes_of_one_promise_make_it_as_urgent_as_one_of_them(*, is_urgent_first: bool) -> None:
    urgent = with_priority("stat", RoutePriority(URGENT), "pacs")
    low = with_priority("backup", RoutePriority(LOW), "pacs", passes=True)
    rules = table(*((urgent, low) if is_urgent_first else (low, urgent)))
    (dispatch,) = rules.plan(facts({"PatientID": "1"}, rules)).dispatches
    assert (dispatch.rule, dispatch.priority) == ("stat" if is_urgent_first else "backup", URGENT)
    assert dispatch.is_passing

"""Templates under `to`: the destinations of one object, or the reason why there is none."""

from __future__ import annotations

from dataclasses import replace

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.peer import PeerGroup
from gateway.model.problem import Mark
from gateway.ports.kinds import Fate
from gateway.routing.dispatching import held
from gateway.routing.fate_decision import FateDecision
from gateway.routing.language.template import Template
from gateway.routing.route import Route
from gateway.routing.route_priority import RoutePriority
from gateway.routing.targets import Recipients, Targets, TargetTemplate
from tests.unit.routing.build import MR_IMAGE, facts, route, table

ARCHIVES = PeerGroup("archives", ("a", "b"), kind="failover")
OBJECT = {"SOPClassUID": MR_IMAGE, "SOPInstanceUID": "1.2.3", "Modality": "MR"}
RECIPIENTS = Recipients(
    {"pacs": ("pacs",), "both": ("pacs", "research"), "archives": ("archives",), "off": ()}, {"archives": ARCHIVES}
)
HERE = Mark("rules/10.yaml", 7, 9)
FAULT = "held by r: its `to` (rules/10.yaml:7) "


def aiming(*templates: str, to: str = "pacs", name: str = "r") -> Route:
    targets = Targets(tuple(TargetTemplate(Template(text), HERE) for text in templates), RECIPIENTS)
    return replace(route(name, {}, *([to] if to else [])), targets=targets)


def planned(*routes: Route, **values: str) -> tuple[Dispatch, ...]:
    made = table(*routes)
    return made.plan(facts(OBJECT | values, made)).dispatches


def places(dispatches: tuple[Dispatch, ...]) -> list[tuple[str, str]]:
    return [(each.destination, each.group_name) for each in dispatches]


def test_an_object_goes_where_its_template_says() -> None:
    by_station = aiming("{{ StationName }}", to="")
    assert places(planned(by_station, StationName="pacs")) == [("pacs", "")]
    assert places(planned(by_station, StationName="both")) == [("pacs", ""), ("research", "")]
    assert places(planned(by_station, StationName="archives")) == [("a", "archives")]


def test_a_name_that_no_configured_destination_has_is_held_and_its_value_not_told() -> None:
    (dispatch,) = planned(aiming("{{ StationName }}", to=""), StationName="10.0.0.1:104")
    assert (dispatch.destination, dispatch.state) == ("", DeliveryState.HELD)
    assert dispatch.reason == FAULT + "gives a name that no enabled destination and no group has"


def test_what_is_disabled_gets_nothing_and_nothing_is_lost() -> None:
    (dispatch,) = planned(aiming("{{ StationName }}", to=""), StationName="off")
    assert dispatch.state is DeliveryState.HELD


def test_an_empty_text_is_held_unless_the_template_says_otherwise() -> None:
    (dispatch,) = planned(aiming("{{ StationName }}", to=""))
    assert dispatch.reason == FAULT + "gives an empty text"
    assert places(planned(aiming("{{ StationName or 'pacs' }}", to=""))) == [("pacs", "")]


def test_a_template_that_fails_is_held_without_values() -> None:
    (dispatch,) = planned(aiming("{{ StationName | int + 'x' }}", to=""), StationName="Doe")
    assert dispatch.state is DeliveryState.HELD
    assert dispatch.reason.startswith(FAULT + "gives no name: ")
    assert "Doe" not in dispatch.reason


def test_other_destinations_of_the_route_get_the_object_all_the_same() -> None:
    found = planned(aiming("{{ StationName }}", "{{ Modality }}"), StationName="research")
    assert places(found) == [("pacs", ""), ("", "")]
    assert found[1].reason == (
        FAULT + "gives a name that no enabled destination and no group has; "
        "its `to` (rules/10.yaml:7) gives a name that no enabled destination and no group has"
    )


def test_a_name_twice_is_sent_to_once() -> None:
    assert places(planned(aiming("{{ StationName }}", "{{ StationName }}"), StationName="pacs")) == [("pacs", "")]


def test_two_routes_that_give_no_destination_are_two_promises() -> None:
    found = planned(aiming("{{ StationName }}", to=""), aiming("{{ StationName }}", to="", name="other"))
    assert [each.rule for each in found] == ["r", "other"]


def test_priority_and_window_hold_for_what_a_template_names() -> None:
    urgent = replace(
        aiming("{{ StationName }}", to=""), priority=RoutePriority(template=Template("urgent")), passes_window=True
    )
    (dispatch,) = planned(urgent, StationName="pacs")
    assert dispatch.is_passing


def test_a_held_object_keeps_both_reasons() -> None:
    (dispatch,) = planned(aiming("{{ StationName }}", to=""))
    (both,) = held((dispatch,), FateDecision("check", Fate("hold", 0, "look at it")))
    assert both.reason == "held by check: look at it; " + FAULT + "gives an empty text"


def test_groups_that_a_template_may_name_are_chosen_from() -> None:
    assert table(aiming("{{ StationName }}")).is_choosing
    assert not table(route("r", {}, "pacs")).is_choosing


def test_an_explanation_names_what_the_template_gave() -> None:
    made = table(aiming("{{ StationName }}"))
    assert made.explain(facts(OBJECT | {"StationName": "archives"}, made)).routes[0].to == ("pacs", "archives")
    assert made.explain(facts(OBJECT | {"StationName": "?"}, made)).routes[0].to == ("pacs",)
    assert aiming("{{ StationName }}").names == ("pacs", "{{ StationName }}")


def test_what_is_not_aimed_is_told_apart() -> None:
    made = table(aiming("{{ StationName }}"))
    assert made.plan(facts(OBJECT | {"StationName": "both"}, made)).unaimed == ()
    assert [each.rule for each in made.plan(facts(OBJECT, made)).unaimed] == ["r"]

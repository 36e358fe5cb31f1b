"""drop, reject and hold: what becomes of an object as a whole."""

from __future__ import annotations

import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.ports.edits import Edit
from gateway.ports.kinds import Fate
from gateway.routing.language.attribute_path import parse
from gateway.routing.table import Coercion, Route
from tests.unit.routing.build import coercion, facts, route, table

OBJECT = {"SOPInstanceUID": "1.2.3", "Modality": "MR", "PatientID": "0042"}
MR, CT = {"modality": ["MR"]}, {"modality": ["CT"]}
PENDING, HELD = DeliveryState.PENDING, DeliveryState.HELD

DROP = [{"drop": {"status": "0xB006", "reason": "not kept"}}]
REJECT = [{"reject": {"status": "0xC123", "reason": "send it elsewhere"}}]
DROPPED, REJECTED = Fate("drop", 0xB006, "not kept"), Fate("reject", 0xC123, "send it elsewhere")
TAG = [{"set": {"PatientID": "X"}}]
pacs = route("pacs", {}, "pacs")


def plan_of(*routes: Route, coercions: tuple[Coercion, ...] = ()) -> tuple[object, ...]:
    routing = table(*routes, coercions=coercions)
    plan = routing.plan(facts(OBJECT, routing))
    decided = None if plan.decision is None else (plan.decision.rule, plan.decision.fate)
    dispatches = tuple((dispatch.destination, dispatch.state) for dispatch in plan.dispatches)
    return decided, dispatches, plan.is_unmatched, len(plan.edits)


ROWS: dict[str, tuple[tuple[Route, ...], tuple[Coercion, ...], tuple[object, ...]]] = {
    "dropped-by-the-first": ((route("r", MR, then=DROP), pacs), (), (("r", DROPPED), (), False, 0)),
    "dropped-after-others-wanted-it": ((pacs, route("r", MR, then=DROP)), (), (("r", DROPPED), (), False, 0)),
    "not-reached": (
        (route("end", {}, "pacs", stop=True), route("r", MR, then=DROP)),
        (),
        (None, (("pacs", PENDING),), False, 0),
    ),
    "does-not-hold": ((route("r", CT, then=DROP), pacs), (), (None, (("pacs", PENDING),), False, 0)),
    "rejected": ((route("r", MR, then=REJECT), pacs), (), (("r", REJECTED), (), False, 0)),
    "the-first-word-counts": (
        (route("a", MR, then=DROP), route("b", MR, then=REJECT)),
        (),
        (("a", DROPPED), (), False, 0),
    ),
    "coercion-drops": ((pacs,), (coercion("c", MR, DROP),), (("c", DROPPED), (), False, 0)),
    "coercion-rejects-before-edits": (
        (pacs,),
        (coercion("t", MR, TAG), coercion("c", MR, REJECT)),
        (("c", REJECTED), (), False, 0),
    ),
    "coercion-does-not-hold": ((pacs,), (coercion("c", CT, DROP),), (None, (("pacs", PENDING),), False, 0)),
    "route-holds": (
        (route("r", MR, "vna", then=["hold"]), pacs),
        (),
        (("r", Fate("hold")), (("vna", HELD), ("pacs", PENDING)), False, 0),
    ),
    "coercion-holds-all": (
        (route("r", MR, "vna"), pacs),
        (coercion("c", MR, [*TAG, {"hold": "look at it"}]),),
        (("c", Fate("hold", 0, "look at it")), (("vna", HELD), ("pacs", HELD)), False, 1),
    ),
    "held-and-dropped": (
        (route("r", MR, "vna", then=["hold"]), route("d", MR, then=DROP)),
        (),
        (("d", DROPPED), (), False, 0),
    ),
    "held-without-a-route": (
        (route("r", CT, "vna"),),
        (coercion("c", MR, ["hold"]),),
        (("c", Fate("hold")), (("", HELD),), True, 0),
    ),
}


@pytest.mark.parametrize(("routes", "coercions", "expected"), ROWS.values(), ids=ROWS)
def test_what_becomes_of_an_object(
    routes: tuple[Route, ...], coercions: tuple[Coercion, ...], expected: tuple[object, ...]
) -> None:
    assert plan_of(*routes, coercions=coercions) == expected


def test_a_later_coercion_may_drop_what_an_earlier_one_made() -> None:
    made = coercion("t", MR, [{"set": {"Modality": "CT"}}])
    assert plan_of(pacs, coercions=(made, coercion("c", CT, DROP)))[0] == ("c", DROPPED)


def test_status_and_reason_have_defaults() -> None:
    drop, reject = route("d", {}, then=["drop"]), route("r", {}, then=["reject"])
    assert drop.fate == Fate("drop", 0x0000, "")
    assert reject.fate == Fate("reject", 0x0124, "refused by a rule")


@pytest.mark.parametrize(("routes", "coercions", "expected"), ROWS.values(), ids=ROWS)
def test_the_explanation_reports_the_same(
    routes: tuple[Route, ...], coercions: tuple[Coercion, ...], expected: tuple[object, ...]
) -> None:
    routing = table(*routes, coercions=coercions)
    explanation = routing.explain(facts(OBJECT, routing))
    decision = explanation.decision
    assert (decision and (decision.rule, decision.fate)) == expected[0]
    assert tuple((dispatch.destination, dispatch.state) for dispatch in explanation.dispatches) == expected[1]


def test_what_comes_after_a_drop_is_not_reached() -> None:
    routing = table(route("a", MR, then=DROP), pacs, coercions=(coercion("t", MR, TAG),))
    explanation = routing.explain(facts(OBJECT, routing))
    assert [(one.name, one.is_reached, one.is_applied) for one in explanation.routes] == [
        ("a", True, True),
        ("pacs", False, False),
    ]
    early = table(pacs, coercions=(coercion("c", MR, DROP), coercion("t", MR, TAG)))
    told = early.explain(facts(OBJECT, early))
    assert [one.is_applied for one in (*told.coercions, *told.routes)] == [True, False, False]
    assert told.coercions[1].edits == ()


def test_held_deliveries_keep_their_edits() -> None:
    routing = table(route("r", MR, "vna", then=[*TAG, "hold"]))
    plan = routing.plan(facts(OBJECT, routing))
    assert plan.dispatches == (
        Dispatch("r", "vna", routing.routes[0].actions_json, HELD, reason="held by r (routes.yaml:1)"),
    )
    explanation = routing.explain(facts(OBJECT, routing))
    assert explanation.routes[0].edits == (Edit(parse("PatientID"), ("X",)),)

"""The routing table: facts, plans, explanations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataset.scan import at_once
from gateway.dataset.splice import splice
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.edits import Edit
from gateway.ports.errors import ClassMismatch, Refusal, Unreadable
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.stored_actions import canonical_json
from gateway.routing.table import Route, RoutingTable, apply_actions, attributes_of, facts_for
from tests.support.data_set_writer import ENCODINGS as ENCODING_OF
from tests.support.data_set_writer import EXPLICIT, Write
from tests.unit.routing.build import (
    ASSOCIATION,
    MR_IMAGE,
    NOW,
    Body,
    actions,
    coercion,
    encoded,
    facts,
    route,
    table,
)

MR, CT = {"modality": "MR"}, {"modality": "CT"}
OBJECT = {
    "SOPClassUID": MR_IMAGE,
    "SOPInstanceUID": "1.2.3",
    "Modality": "MR",
    "PatientID": "0042",
    "StudyInstanceUID": "1.2",
    "SeriesInstanceUID": "1.3",
}
EDIT = [{"remove": "PatientID"}]

PLANS: dict[str, tuple[tuple[Route, ...], list[tuple[str, str, str]]]] = {
    "one": ((route("a", MR, "pacs"),), [("a", "pacs", "")]),
    "every-rule-that-holds": (
        (route("a", MR, "pacs"), route("b", CT, "vna"), route("c", {}, "ws1", "ws2")),
        [("a", "pacs", ""), ("c", "ws1", ""), ("c", "ws2", "")],
    ),
    "stop": ((route("a", MR, "pacs", stop=True), route("b", {}, "vna")), [("a", "pacs", "")]),
    "stop-that-does-not-hold": ((route("a", CT, "pacs", stop=True), route("b", {}, "vna")), [("b", "vna", "")]),
    "same-destination-once": ((route("a", MR, "pacs"), route("b", {}, "pacs")), [("a", "pacs", "")]),
    "same-destination-edited-otherwise": (
        (route("a", MR, "pacs"), route("b", {}, "pacs", then=EDIT)),
        [("a", "pacs", ""), ("b", "pacs", canonical_json(EDIT))],
    ),
    "stop-without-destination": ((route("drop", MR, stop=True), route("b", {}, "vna")), []),
}


@pytest.mark.parametrize(("routes", "expected"), PLANS.values(), ids=PLANS)
def test_plans(routes: tuple[Route, ...], expected: list[tuple[str, str, str]]) -> None:
    routing = table(*routes)
    plan = routing.plan(facts(OBJECT, routing))
    assert [(dispatch.rule, dispatch.destination, dispatch.actions_json) for dispatch in plan.dispatches] == expected
    assert not plan.is_unmatched
    assert plan.edits == ()


@pytest.mark.parametrize(
    ("paused", "rule"), [((), "a"), (("a",), "b"), (("b",), "a"), (("a", "b"), "a"), (("a", "b", "c"), "a")]
)
def test_a_duty_of_two_routes_is_that_of_one_that_is_not_paused(paused: tuple[str, ...], rule: str) -> None:
    routing = table(route("a", MR, "pacs"), route("b", {}, "pacs"), route("c", CT, "vna"))
    (dispatch,) = routing.plan(facts(OBJECT, routing), paused=frozenset(paused)).dispatches
    assert dispatch.rule == rule


@pytest.mark.parametrize(
    ("held_by_coercion", "reason"),
    [
        ("wait", "held by first (coercions.yaml:1): wait"),
        ("", "held by first (coercions.yaml:1)"),
        (None, "held by b (routes.yaml:7): for the second reading"),
    ],
)
def test_what_is_held_names_rule_place_and_reason(held_by_coercion: str | None, reason: str) -> None:
    hold: object = ["hold"] if held_by_coercion == "" else [{"hold": held_by_coercion}]
    coercions = () if held_by_coercion is None else (coercion("first", MR, hold),)
    routes = (route("a", {}, "vna"), route("b", MR, "pacs", then=[{"hold": "for the second reading"}], line=7))
    site = table(*routes, coercions=coercions)
    found = {one.destination: one for one in site.plan(facts(OBJECT, site)).dispatches}
    assert (found["pacs"].state, found["pacs"].reason, found["pacs"].rule) == (DeliveryState.HELD, reason, "b")
    expected = (DeliveryState.HELD, reason) if coercions else (DeliveryState.PENDING, "")
    assert (found["vna"].state, found["vna"].reason) == expected


@pytest.mark.parametrize("unmatched", ["hold", "reject", "discard"])
def test_unmatched(unmatched: str) -> None:
    routing = table(route("a", CT, "pacs"), unmatched=unmatched)  # type: ignore[arg-type]
    plan = routing.plan(facts(OBJECT, routing))
    assert plan.is_unmatched
    held = (Dispatch("unmatched", "", "", DeliveryState.HELD, reason="no route wants it"),)
    assert plan.dispatches == (held if unmatched == "hold" else ())


# --- coercions ---


def test_each_coercion_sees_the_edits_of_the_former_and_rules_see_all() -> None:
    chain = (
        coercion("first", MR, [{"set": {"PatientID": "{{ PatientID }}-A"}}]),
        coercion("other", CT, [{"set": {"PatientID": "never"}}]),
        coercion(
            "second",
            {"attribute": {"select": "PatientID", "equals": "0042-A"}},
            [{"set": {"Modality": "CT", "StudyID": "{{ PatientID }}"}}],
        ),
    )
    routing = table(route("mr", MR, "pacs"), route("ct", CT, "vna"), coercions=chain)
    plan = routing.plan(facts(OBJECT, routing))
    assert [(edit.path.text, edit.value) for edit in plan.edits if isinstance(edit, Edit)] == [
        ("PatientID", ("0042-A",)),
        ("Modality", ("CT",)),
        ("StudyID", ("0042-A",)),
    ]
    assert [dispatch.rule for dispatch in plan.dispatches] == ["ct"]


def test_uids_of_the_plan_are_those_after_the_coercions() -> None:
    uids = {"SOPInstanceUID": "9.1", "StudyInstanceUID": "9.2", "SeriesInstanceUID": "9.3"}
    routing = table(route("all", {}, "pacs"), coercions=(coercion("uids", {}, [{"set": uids}]),))
    before = facts(OBJECT, routing)
    after = routing.plan(before).facts
    assert (after.sop_instance_uid, after.study_instance_uid, after.series_instance_uid) == ("9.1", "9.2", "9.3")
    assert (before.sop_instance_uid, before.study_instance_uid, before.series_instance_uid) == ("1.2.3", "1.2", "1.3")


def test_a_coercion_that_fails_refuses_the_object() -> None:
    failing = coercion("fails", {}, [{"set": {"PatientID": "{{ PatientID.split('^')[3] }}"}}])
    routing = table(route("all", {}, "pacs"), coercions=(failing,))
    with pytest.raises(Refusal):
        routing.plan(facts(OBJECT, routing))


# --- facts ---


def read(routing: RoutingTable, content: bytes, sop_class_uid: str = MR_IMAGE, sop_instance_uid: str = "1.2.3") -> Body:
    body = Body(content)
    at_once(
        routing.reading_facts(
            association=ASSOCIATION,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=EXPLICIT,
            body=body,
            received_at=NOW,
        )
    )
    return body


def test_the_bytes_are_read_once() -> None:
    routing = table(route("a", MR, "pacs"), route("b", {"attribute": {"select": "PatientID", "equals": "x"}}, "vna"))
    assert read(routing, encoded(OBJECT)).views == 1


MISMATCHES = {
    "equal": (MR_IMAGE, "1.2.3", True),
    "other-class": ("1.2.840.10008.5.1.4.1.1.2", "1.2.3", False),
    "other-instance": (MR_IMAGE, "1.2.4", False),
}


@pytest.mark.parametrize(("sop_class_uid", "sop_instance_uid", "fits"), MISMATCHES.values(), ids=MISMATCHES)
def test_command_and_data_set_must_agree(sop_class_uid: str, sop_instance_uid: str, fits: bool) -> None:
    if fits:
        read(table(), encoded(OBJECT), sop_class_uid, sop_instance_uid)
        return
    with pytest.raises(ClassMismatch) as mismatch:
        read(table(), encoded(OBJECT), sop_class_uid, sop_instance_uid)
    assert mismatch.value.dimse_status == 0xA900


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
def test_a_data_set_without_the_uid_is_let_through(keyword: str, value: str | None) -> None:
    content = {**OBJECT, keyword: value or ""}
    if value is None:
        del content[keyword]
    read(table(), encoded(content), "1.2.840.10008.5.1.4.1.1.2" if keyword == "SOPClassUID" else MR_IMAGE)


def test_unreadable_is_said_so() -> None:
    with pytest.raises(Unreadable):
        read(table(), encoded(OBJECT)[:-1])


def test_attributes_needed_are_those_of_coercions_and_conditions() -> None:
    routing = table(
        route("a", {"attribute": {"select": "StudyID", "exists": True}}, "pacs", then=[{"empty": "PatientSex"}]),
        coercions=(coercion("c", MR, [{"set": {"PatientID": "{{ PatientName }}"}}]),),
    )
    needed = [path.text for path in routing.attributes_needed]
    assert sorted(needed) == sorted(
        ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "PatientName", "StudyID"]
    )


def test_actions_at_delivery_have_their_facts() -> None:
    stored = Instance(
        sop_class_uid=MR_IMAGE,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=EXPLICIT,
        study_instance_uid="1.2",
        series_instance_uid="1.3",
        association=ASSOCIATION,
        payload=PayloadRef("s", 0, 0, b""),
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    then = actions([{"set": {"StudyID": "{{ association.calling_ae_title }}-{{ PatientID }}"}}])
    known = facts_for(stored, Body(encoded(OBJECT)), attributes_of(then))
    assert apply_actions(then, known) == (Edit(parse("StudyID"), ("MR1-0042",)),)


def test_a_rules_actions_are_not_decided_at_acceptance() -> None:
    failing = route("a", {}, "pacs", then=[{"set": {"StudyID": "{{ PatientName.split('^')[9] }}"}}])
    routing = table(failing)
    assert [dispatch.destination for dispatch in routing.plan(facts(OBJECT, routing)).dispatches] == ["pacs"]


# --- overlay and bytes agree ---

SEQUENCE = "ReferencedImageSequence"
PATHS = [
    "PatientID",
    "StudyID",
    f"{SEQUENCE}[0].CodeMeaning",
    f"{SEQUENCE}[1].CodeMeaning",
    f"{SEQUENCE}[*].CodeMeaning",
]
READ = [*PATHS, SEQUENCE]


@st.composite
def edits(draw: st.DrawFn) -> list[Edit]:
    made = []
    for _ in range(draw(st.integers(0, 6))):
        text = draw(st.sampled_from(READ))
        value = draw(st.sampled_from([None, (), ("x",), ("y",)] if text != SEQUENCE else [None, ()]))
        where = draw(st.sampled_from(["always", "present", "missing"])) if text != SEQUENCE else "always"
        made.append(Edit(parse(text), value, where))  # type: ignore[arg-type]
    return made


@given(edits(), st.none() | st.integers(0, 3))
def test_facts_after_edits_are_what_the_edited_bytes_say(some: list[Edit], count: int | None) -> None:
    write = Write(ENCODING_OF[EXPLICIT])
    items = [
        write.item(write.element("CodeMeaning", "LO", f"old{index}") if index % 2 else b"")
        for index in range(count or 0)
    ]
    sequence = b"" if count is None else write.sequence(SEQUENCE, *items)
    content = sequence + write.element("PatientID", "LO", "0042")
    everything = table(route("r", {"all": [{"attribute": {"select": text, "exists": True}} for text in READ]}))

    def known(data: bytes) -> dict[str, tuple[str, ...] | None]:
        found = at_once(
            everything.reading_facts(
                association=ASSOCIATION,
                sop_class_uid=MR_IMAGE,
                sop_instance_uid="1",
                transfer_syntax_uid=EXPLICIT,
                body=Body(data),
                received_at=NOW,
            )
        )
        return {text: found.values(parse(text)) for text in READ}

    before = at_once(
        everything.reading_facts(
            association=ASSOCIATION,
            sop_class_uid=MR_IMAGE,
            sop_instance_uid="1",
            transfer_syntax_uid=EXPLICIT,
            body=Body(content),
            received_at=NOW,
        )
    )
    try:
        after = b"".join(splice(memoryview(content), EXPLICIT, some))
    except Refusal:
        return  # an item beyond the next one
    overlaid = before
    for edit in some:
        overlaid = overlaid.edited([edit])
    assert {text: overlaid.values(parse(text)) for text in READ} == known(after)
    assert {text: before.values(parse(text)) for text in READ} == known(content)


# --- explanations ---


def test_every_rule_gets_a_verdict_with_its_reason() -> None:
    routing = table(
        route("ct", {"all": [CT, {"calling_ae_title": "MR1"}]}, "pacs", line=4),
        route("mr", {"all": [MR, {"not": CT}]}, "vna", then=EDIT, stop=True, line=9),
        route("late", {}, "ws", line=12),
        coercions=(coercion("tag", MR, [{"set": {"StudyID": "s"}}]),),
    )
    explanation = routing.explain(facts(OBJECT, routing))
    assert [(verdict.name, verdict.is_applied) for verdict in explanation.coercions] == [("tag", True)]
    assert [(v.name, v.reason.holds, v.is_reached, v.is_applied) for v in explanation.routes] == [
        ("ct", False, True, False),
        ("mr", True, True, True),
        ("late", True, False, False),
    ]
    failed = list(explanation.routes[0].reason.deciding())
    assert [(reason.path, reason.kind, reason.holds) for reason in failed] == [
        (("all", 0, "modality"), "modality", False)
    ]
    held = list(explanation.routes[1].reason.deciding())
    assert [(reason.path, reason.holds) for reason in held] == [
        (("all", 0, "modality"), True),
        (("all", 1, "not", "modality"), False),
    ]
    assert explanation.routes[0].mark is not None
    assert explanation.routes[0].mark.line == 4
    assert explanation.edits == (Edit(parse("StudyID"), ("s",)),)
    assert explanation.routes[1].edits == (Edit(parse("PatientID"), None),)
    assert [dispatch.destination for dispatch in explanation.dispatches] == ["vna"]
    assert not explanation.is_unmatched


@pytest.mark.parametrize("with_values", [True, False])
def test_values_are_shown_only_when_asked_for(with_values: bool) -> None:
    routing = table(route("id", {"attribute": {"select": "PatientID", "equals": "x"}}, "pacs"))
    explanation = routing.explain(facts(OBJECT, routing), with_values=with_values)
    (reason,) = explanation.routes[0].reason.deciding()
    assert [path.text for path in reason.attributes] == ["PatientID"]
    assert reason.values == ((("0042",),) if with_values else None)
    assert explanation.is_unmatched


def test_a_table_never_changes() -> None:
    routing = table(route("a", MR, "pacs"))
    with pytest.raises(AttributeError):
        routing.version = "2"  # type: ignore[misc]
    assert replace(routing, version="2").attributes_needed == routing.attributes_needed

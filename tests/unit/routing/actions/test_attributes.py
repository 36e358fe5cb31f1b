"""Actions on facts, and through the bytes."""

from __future__ import annotations

import pytest

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import Refusal
from gateway.routing.facts import ObjectFacts
from gateway.routing.language.attribute_path import parse
from gateway.routing.table import apply_actions, attributes_of
from tests.support.data_set_writer import EXPLICIT
from tests.unit.routing.build import actions, encoded, facts, route, table

OBJECT = {
    "ImageType": "DERIVED\\SECONDARY",
    "AccessionNumber": "",
    "Modality": "MR",
    "PatientName": "Doe^Jane",
    "PatientID": "0042",
}
SEQUENCE = "RequestAttributesSequence"

EFFECTS: dict[str, tuple[object, dict[str, tuple[str, ...] | None]]] = {
    "set": ([{"set": {"PatientID": "1", "StudyID": "2"}}], {"PatientID": ("1",), "StudyID": ("2",)}),
    "set-template": ([{"set": {"StudyID": "{{ Modality }}-{{ PatientID }}"}}], {"StudyID": ("MR-0042",)}),
    "set-list": ([{"set": {"ImageType": ["A", "B"]}}], {"ImageType": ("A", "B")}),
    "set-backslash": ([{"set": {"ImageType": "A\\B"}}], {"ImageType": ("A", "B")}),
    "set-backslash-in-long-text": ([{"set": {"ImageComments": "A\\B"}}], {"ImageComments": ("A\\B",)}),
    "set-empty": ([{"set": {"PatientID": ""}}], {"PatientID": ()}),
    "set-number": ([{"set": {"SeriesNumber": 5}}], {"SeriesNumber": ("5",)}),
    "if-missing-absent": ([{"set_if_missing": {"StudyID": "x"}}], {"StudyID": ("x",)}),
    "if-missing-empty": ([{"set_if_missing": {"AccessionNumber": "x"}}], {"AccessionNumber": ("x",)}),
    "if-missing-there": ([{"set_if_missing": {"PatientID": "x"}}], {"PatientID": ("0042",)}),
    "remove": ([{"remove": ["PatientName", "StudyID"]}], {"PatientName": None, "StudyID": None}),
    "empty": ([{"empty": ["PatientName", "StudyID"]}], {"PatientName": (), "StudyID": None}),
    "copy": ([{"copy": {"from": "PatientID", "to": "StudyID"}}], {"StudyID": ("0042",), "PatientID": ("0042",)}),
    "copy-absent": ([{"copy": {"from": "StudyID", "to": "PatientID"}}], {"PatientID": ("0042",)}),
    "nested": (
        [{"set": {f"{SEQUENCE}[0].ScheduledProcedureStepID": "{{ PatientID }}"}}],
        {f"{SEQUENCE}[*].ScheduledProcedureStepID": ("0042",)},
    ),
    "one-action-sees-the-object-before-it": (
        [{"set": {"PatientID": "new", "StudyID": "{{ PatientID }}"}}],
        {"StudyID": ("0042",)},
    ),
    "the-next-action-sees-its-edits": (
        [{"set": {"PatientID": "new"}}, {"set": {"StudyID": "{{ PatientID }}"}}],
        {"StudyID": ("new",)},
    ),
    "removed-is-missing": ([{"remove": "PatientID"}, {"set_if_missing": {"PatientID": "x"}}], {"PatientID": ("x",)}),
    "nested-then-read": (
        [
            {"set": {f"{SEQUENCE}[0].ScheduledProcedureStepID": "SPS"}},
            {"copy": {"from": f"{SEQUENCE}[*].ScheduledProcedureStepID", "to": "StudyID"}},
        ],
        {"StudyID": ("SPS",)},
    ),
}


@pytest.mark.parametrize(("config", "expected"), EFFECTS.values(), ids=EFFECTS)
def test_effects(config: object, expected: dict[str, tuple[str, ...] | None]) -> None:
    paths = list(map(parse, expected))
    before = _facts(config, paths)
    edits = apply_actions(actions(config), before)
    after = scan(
        memoryview(b"".join(splice(memoryview(encoded(OBJECT)), EXPLICIT, edits))), EXPLICIT, WantedElements(paths)
    )
    assert {path.text: after.values(path) for path in paths} == expected
    assert {path.text: before.edited(edits).values(path) for path in paths} == expected


def _facts(config: object, paths: list[AttributePath]) -> ObjectFacts:
    """Facts with all that the actions and the test read."""
    read = [{"attribute": {"select": path.text, "exists": True}} for path in paths]
    reading = table(route("r", {"all": read}, then=config))
    return facts(OBJECT, reading)


def test_nothing_to_do_is_no_edit() -> None:
    config = [
        {"remove": "StudyID"},
        {"empty": "StudyID"},
        {"set_if_missing": {"PatientID": "x"}},
        {"copy": {"from": "StudyID", "to": "PatientID"}},
    ]
    assert apply_actions(actions(config), _facts(config, [])) == ()


def test_a_failing_template_refuses() -> None:
    config = [{"set": {"StudyID": "{{ PatientName.split('^')[5] }}"}}]
    with pytest.raises(Refusal, match="template"):
        apply_actions(actions(config), _facts(config, []))


def test_attributes_that_actions_read() -> None:
    config = [
        {"set": {"StudyID": "{{ PatientID }}"}},
        {"set_if_missing": {"PatientSex": "{{ Modality }}"}},
        {"copy": {"from": f"{SEQUENCE}[0].StudyID", "to": "StudyID"}},
    ]
    read = [path.text for path in attributes_of(actions(config))]
    assert read == ["PatientID", "PatientSex", "Modality", f"{SEQUENCE}[0].StudyID"]

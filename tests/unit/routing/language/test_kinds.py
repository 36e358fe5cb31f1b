"""Kinds from configuration: every problem with its exact place; schema from the same classes."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

import pytest

from gateway.model.problem import SettingPath
from gateway.ports import kinds as port_kinds
from gateway.ports.facts import Facts
from gateway.ports.kinds import Registry
from gateway.routing.language.kind_schema import predicate_schema
from gateway.routing.language.kinds import build_actions, build_predicate
from gateway.routing.language.resources import FileResources
from gateway.routing.predicates.combining import AllConditions
from tests.unit.routing.build import fail, predicate, problems_of_actions, problems_of_predicate

PREDICATES: dict[str, tuple[object, list[tuple[SettingPath, str, str]]]] = {
    "unknown-kind": ({"modalty": ["MR"]}, [(("modalty",), "unknown-predicate", "did you mean `modality`?")]),
    "far-off-kind": ({"colour": 1}, [(("colour",), "unknown-predicate", "known are `all`, `any`, `attribute`")]),
    "action-as-predicate": ({"remove": "PatientID"}, [(("remove",), "unknown-predicate", "put it under `then:`")]),
    "two-kinds": (
        {"modality": "MR", "called_ae_title": "X"},
        [(("called_ae_title",), "several-kinds", "all: [{modality: …}, {called_ae_title: …}]")],
    ),
    "two-kinds-both-wrong-inside": (
        {"modality": [], "host": "nowhere"},
        [
            (("modality",), "empty", "empty"),
            (("host",), "bad-address", "10.1.0.0/16"),
            (("host",), "several-kinds", "one predicate at a time"),
        ],
    ),
    "text": ("modality", [((), "wrong-type", "expected one predicate with its value, found the text `modality`")]),
    "list": ([{"modality": "MR"}], [((), "wrong-type", "found a list")]),
    "empty-any": ({"any": []}, [(("any",), "bad-value", "never hold")]),
    "empty-inside": ({"all": [{}]}, [(("all", 0), "missing-kind", "found none")]),
    "boolean": ({"modality": [True]}, [(("modality", 0), "wrong-type", "put it in quotes")]),
    "unknown-attribute": (
        {"attribute": {"select": "BodyPart", "equals": "HEAD"}},
        [(("attribute", "select"), "unknown-attribute", "unknown attribute keyword `BodyPart`")],
    ),
    "misspelt-setting": (
        {"attribute": {"selct": "Modality", "equals": "MR"}},
        [(("attribute", "selct"), "unknown-setting", "did you mean `select`?")],
    ),
    "missing-setting": (
        {"attribute": {"equals": "MR"}},
        [(("attribute",), "missing-setting", "setting `select` is missing")],
    ),
    "no-way": (
        {"attribute": {"select": "Modality"}},
        [(("attribute",), "bad-value", "one of `equals`, `in`, `starts_with`")],
    ),
    "two-ways": (
        {"attribute": {"select": "Modality", "equals": "MR", "in": ["MR"]}},
        [(("attribute", "in"), "bad-value", "has `equals` already")],
    ),
    "bad-regex": (
        {"attribute": {"select": "Modality", "matches": "(MR"}},
        [(("attribute", "matches"), "bad-regex", "missing )")],
    ),
    "backreference": (
        {"attribute": {"select": "Modality", "matches": r"(a)\1"}},
        [(("attribute", "matches"), "bad-regex", "RE2")],
    ),
    "attribute-as-text": (
        {"attribute": "Modality"},
        [(("attribute",), "wrong-type", "`{select: Modality}`")],
    ),
    "not-a-truth": (
        {"attribute": {"select": "Modality", "exists": "yes"}},
        [(("attribute", "exists"), "wrong-type", "expected `true` or `false`")],
    ),
    "sop-class": ({"sop_class": ["CTImageStorge"]}, [(("sop_class", 0), "unknown-sop-class", "`CTImageStorage`")]),
    "transfer-syntax-as-sop-class": (
        {"sop_class": "1.2.840.10008.1.2"},
        [(("sop_class",), "unknown-sop-class", "is not a SOP class")],
    ),
    "transfer-syntax": (
        {"transfer_syntax": "JPEG2000Losless"},
        [(("transfer_syntax",), "unknown-transfer-syntax", "`JPEG2000Lossless`")],
    ),
    "long-ae-title": ({"calling_ae_title": "A" * 17}, [(("calling_ae_title",), "bad-ae-title", "at most 16")]),
    "empty-ae-title": ({"calling_ae_title": [" "]}, [(("calling_ae_title", 0), "bad-ae-title", "empty")]),
    "host-name": ({"host": ["ct.example.org"]}, [(("host", 0), "bad-address", "neither an address")]),
    "deep-and-several": (
        {"any": [{"not": {"all": [{"modalty": "x"}, {"host": "y"}]}}, {"sop_class": "z"}]},
        [
            (("any", 0, "not", "all", 0, "modalty"), "unknown-predicate", "modality"),
            (("any", 0, "not", "all", 1, "host"), "bad-address", "neither"),
            (("any", 1, "sop_class"), "unknown-sop-class", "unknown SOP class"),
        ],
    ),
}


def _check(found: list[tuple[SettingPath, str, str]], expected: list[tuple[SettingPath, str, str]]) -> None:
    assert [(path, code) for path, code, _message in found] == [(path, code) for path, code, _message in expected]
    for (_path, _code, message), (_same, _too, part) in zip(found, expected, strict=True):
        assert part in message


@pytest.mark.parametrize(("config", "expected"), PREDICATES.values(), ids=PREDICATES)
def test_mistakes_in_conditions(config: object, expected: list[tuple[SettingPath, str, str]]) -> None:
    _check(problems_of_predicate(config), expected)


ACTIONS: dict[str, tuple[object, list[tuple[SettingPath, str, str]]]] = {
    "mapping": ({"remove": "PatientID"}, [((), "wrong-type", "expected a list of actions")]),
    "unknown-kind": ([{"delete": "PatientID"}], [((0, "delete"), "unknown-action", "known are `append`, `case`")]),
    "predicate-as-action": ([{"modality": "MR"}], [((0, "modality"), "unknown-action", "put it under `when:`")]),
    "unknown-target": ([{"set": {"PatientNme": "x"}}], [((0, "set", "PatientNme"), "bad-target", "`PatientName`")]),
    "sop-class": ([{"set": {"SOPClassUID": "1.2"}}], [((0, "set", "SOPClassUID"), "bad-target", "cannot be edited")]),
    "character-set": (
        [{"set": {"SpecificCharacterSet": "ISO_IR 192"}}],
        [((0, "set", "SpecificCharacterSet"), "bad-target", "every text")],
    ),
    "pixel-data": ([{"empty": "PixelData"}], [((0, "empty"), "bad-target", "pixel data")]),
    "group-length": ([{"remove": ["00100000"]}], [((0, "remove", 0), "bad-target", "computed")]),
    "needed-uid": ([{"remove": ["SOPInstanceUID"]}], [((0, "remove", 0), "bad-target", "must carry it")]),
    "sequence": (
        [{"set": {"ReferencedImageSequence": "x"}}],
        [((0, "set", "ReferencedImageSequence"), "bad-target", "[0]")],
    ),
    "unknown-public": ([{"set": {"00189999": "x"}}], [((0, "set", "00189999"), "bad-target", "no dictionary")]),
    "bulk": (
        [{"set": {"RedPaletteColorLookupTableData": "x"}}],
        [((0, "set", "RedPaletteColorLookupTableData"), "bad-target", "binary data")],
    ),
    "bad-constants": (
        [{"set": {"PatientSex": "male", "StudyDate": "today", "Rows": "many", "PatientID": "fine"}}],
        [
            ((0, "set", "PatientSex"), "bad-value", "VR CS"),
            ((0, "set", "StudyDate"), "bad-value", "YYYYMMDD"),
            ((0, "set", "Rows"), "bad-value", "0 to 65535"),
        ],
    ),
    "too-many-values": (
        [{"set_if_missing": {"PatientID": ["a", "b"]}}],
        [((0, "set_if_missing", "PatientID"), "bad-value", "takes 1 values, not 2")],
    ),
    "template-name": (
        [{"set": {"PatientID": "{{ PatientNme }}"}}],
        [((0, "set", "PatientID"), "bad-template", "did you mean `PatientName`?")],
    ),
    "template-and-constant": (
        [{"set": {"PatientID": "{{ x", "StudyDate": "1"}}, {"remove": []}],
        [
            ((0, "set", "PatientID"), "bad-template", "not a template"),
            ((0, "set", "StudyDate"), "bad-value", "YYYYMMDD"),
            ((1, "remove"), "empty", "empty"),
        ],
    ),
    "nothing": ([{"set": {"PatientID": None}}], [((0, "set", "PatientID"), "wrong-type", "action `empty`")]),
    "set-nothing": ([{"set": {}}], [((0, "set"), "empty", "this mapping is empty")]),
    "copy-sequence": (
        [{"copy": {"from": "ReferencedImageSequence", "to": "PatientID"}}],
        [((0, "copy", "from"), "bad-value", "is a sequence")],
    ),
    "copy-without-source": ([{"copy": {"to": "PatientID"}}], [((0, "copy"), "missing-setting", "`from` is missing")]),
}  # fmt: skip


@pytest.mark.parametrize(("config", "expected"), ACTIONS.values(), ids=ACTIONS)
def test_mistakes_in_actions(config: object, expected: list[tuple[SettingPath, str, str]]) -> None:
    _check(problems_of_actions(config), expected)


def test_good_actions_beside_bad_ones_are_built() -> None:
    found: list[object] = []
    built = build_actions([{"remove": "PatientID"}, {"nothing": 1}], lambda *problem: found.append(problem))
    assert (len(built), len(found)) == (1, 1)


@pytest.mark.parametrize("config", [None, {}], ids=["missing", "empty"])
def test_no_condition_always_holds(config: object) -> None:
    assert predicate(config) == AllConditions(())


def test_one_stands_for_a_list_of_one() -> None:
    assert predicate({"modality": "MR"}) == predicate({"modality": ["MR"]})
    assert predicate({"all": {"modality": "MR"}}) == predicate({"all": [{"modality": ["MR"]}]})


@pytest.mark.parametrize(
    "name", ["CTImageStorage", "CT Image Storage", "ct image storage", "1.2.840.10008.5.1.4.1.1.2"]
)
def test_uids_by_keyword_name_and_uid(name: str) -> None:
    assert predicate({"sop_class": name}) == predicate({"sop_class": "1.2.840.10008.5.1.4.1.1.2"})


def test_numbers_are_text_again() -> None:
    assert predicate({"attribute": {"select": "SeriesNumber", "equals": 5}}) == predicate(
        {"attribute": {"select": "SeriesNumber", "equals": "5"}}
    )


def test_too_deep_a_condition_is_a_problem_not_a_crash() -> None:
    config: dict[str, object] = {"modality": "MR"}
    for _ in range(5000):
        config = {"not": config}
    (problem,) = problems_of_predicate(config)
    assert problem[1] == "too-deep"


def test_an_extension_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("predicate")
    registry.kinds.update(port_kinds.predicate.kinds)
    monkeypatch.setattr(port_kinds, "predicate", registry)

    @registry("larger_than")
    @dataclass(frozen=True, slots=True)
    class LargerThan:
        """True when the encoded data set is larger."""

        size_bytes: int

        def __call__(self, facts: Facts) -> bool:
            return facts.length_bytes > self.size_bytes

        def attributes(self) -> tuple[()]:
            return ()

    assert predicate({"not": {"larger_than": 5}}).condition == LargerThan(5)  # type: ignore[attr-defined]
    assert problems_of_predicate({"larger_than": "x"}) == [
        (("larger_than",), "wrong-type", "expected a whole number, found the text `x`")
    ]
    assert predicate_schema()["properties"]["larger_than"]["type"] == "integer"


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        port_kinds.predicate("modality")(AllConditions)


def test_equal_predicates_are_built_once_and_wrong_ones_are_reported_each_time() -> None:
    assert predicate({"modality": ["CT", "MR"]}) is predicate({"modality": ["CT", "MR"]})
    assert predicate({"modality": ["CT"]}) is not predicate({"modality": "CT"})
    for _ in range(2):
        assert [code for _path, code, _text in problems_of_predicate({"modality": []})] == ["empty"]


def test_what_names_a_file_or_a_condition_is_built_anew(tmp_path: pathlib.Path) -> None:
    """The same name may stand for something else, in another folder or after a reload."""
    when = {"attribute": {"select": "StationName", "in": {"file": "stations.txt"}}}
    (tmp_path / "stations.txt").write_text("ONE\n")
    first = build_predicate(when, fail, FileResources(folders=(tmp_path,)))
    (tmp_path / "stations.txt").write_text("TWO\n")
    second = build_predicate(when, fail, FileResources(folders=(tmp_path,)))
    assert first != second
    named = {"all": [{"condition": "x"}]}
    known = {"x": predicate({"modality": ["CT"]})}
    resources = FileResources(conditions=lambda name: known[name])
    first = build_predicate(named, fail, resources)
    known["x"] = predicate({"modality": ["MR"]})
    assert build_predicate(named, fail, resources) != first

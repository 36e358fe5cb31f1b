"""docs/rules.md is what the kinds say, every kind says something, and its examples work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.config.reference import reference
from gateway.config.schema import schema
from gateway.config.settings_reference import _flow, example_of, settings_reference
from gateway.config.spec.whole import RulesSpec
from gateway.dataset.scan import at_once
from gateway.dataset.scanned_level import wanted
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.forms.groups import GroupForm, Setting, all_parts, definitions, settings
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.ports import kinds as port_kinds
from gateway.ports.errors import Refusal
from gateway.ports.kinds import Predicate, Registry
from gateway.rehearsal.rule_tests.compose import compose
from gateway.routing.facts import ObjectFacts, needed, reading_facts
from gateway.routing.language.kinds import build_actions, build_predicate
from gateway.routing.language.template_filters import FILTERS
from tests.unit.config.test_effective import Loader
from tests.unit.routing.build import NOW

ROOT = Path(__file__).parents[3]
PREDICATES = sorted(port_kinds.predicate.kinds.items())
ACTIONS = sorted(port_kinds.action.kinds.items())
KINDS = [
    pytest.param(name, cls, registry, id=f"{registry.noun} {name}")
    for registry in (port_kinds.predicate, port_kinds.action)
    for name, cls in sorted(registry.kinds.items())
]
EXPLICIT, CT = "1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.2"
SAMPLE = {
    "SOPClassUID": CT,
    "Modality": "CT",
    "PatientID": "4711",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19700102",
    "PatientComments": "none",
    "PatientAddress": "1 High Street",
    "OtherPatientIDs": "4712",
    "ReferringPhysicianName": "Who^Doctor",
    "AccessionNumber": "A1",
    "StudyDescription": "MRI head routine",
    "ProtocolName": "Head",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "StudyDate": "20260302",
    "StudyID": "S1",
    "BodyPartExamined": "BRAIN",
    "Rows": 512,
    "Columns": 512,
    "RequestAttributesSequence": [{"ScheduledProcedureStepID": "7"}],
}
ASSOCIATION = AssociationFacts("CT1", "GATEWAY", "10.1.0.7", listener="port-11112")


class AnyResources:
    """Has every table, key and condition that an example names."""

    def table(self, path: str) -> Mapping[str, str]:
        return {"CT1": "North", "4711": "T-1", "HEAD": ""}

    def key(self, name: str) -> bytes:
        return b"a key of examples, long enough"

    def condition(self, name: str) -> Predicate:
        built = build_predicate({"modality": "CT"}, _fail)
        assert built is not None
        return built


def _fail(path: tuple[str | int, ...], code: str, message: str) -> None:
    raise AssertionError(f"{path}: {code}: {message}")


def facts(attributes: Iterable[AttributePath]) -> ObjectFacts:
    return at_once(
        reading_facts(
            association=ASSOCIATION,
            sop_class_uid=CT,
            sop_instance_uid="1.2.826.0.1.3680043.10.1.3",
            transfer_syntax_uid=EXPLICIT,
            body=MemoryDataSet(compose(SAMPLE, EXPLICIT)),
            received_at=NOW,
            attributes=wanted(needed(attributes)),
        )
    )


def test_the_committed_reference_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "rules.md").read_text() == reference(), "run `gateway schema --docs > docs/rules.md`"


def test_the_committed_settings_are_the_generated_ones() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == settings_reference(), "run `gateway schema --settings > docs/settings.md`"


def sections() -> list[type]:
    """Every section, the outermost first."""
    found: list[type] = [RulesSpec]
    for cls in found:
        parts = [part for one in settings(cls).values() for part in all_parts(one.form)]
        found += [part.cls for part in parts if isinstance(part, GroupForm) and part.cls not in found]
    return list(dict.fromkeys(found))


def test_every_setting_stands_in_the_settings_with_a_description() -> None:
    """Each kind of mapping has a table, and each setting of it a row; its links lead to headings of the page."""
    page = settings_reference()
    for name, definition in definitions(RulesSpec).items():
        for setting in definition.get("properties", {}):
            assert re.search(rf"^\| `{setting}` \|", page, re.MULTILINE), f"{name}.{setting}"
    titles = re.findall(r"^##+ `(.*)`$", page, re.MULTILINE)
    headings = {re.sub(r"[^a-z0-9_-]", "", title.lower()) for title in titles}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= headings
    assert len(headings) > 25


def test_every_setting_has_a_type_a_default_an_example_and_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \| (.*) \|$", settings_reference(), re.MULTILINE)
    assert len(rows) > 150
    assert [row[0] for row in rows if not all(cell.strip() for cell in row)] == []


def test_every_top_level_section_has_a_part_of_its_own() -> None:
    page = settings_reference()
    kinds = [
        name for name, schema in definitions(RulesSpec)["RulesSpec"]["properties"].items() if "Spec" in str(schema)
    ]
    assert {"gateway", "peers", "routes", "coercions", "query_retrieve", "groups", "user_identities"} <= set(kinds)
    assert [name for name in kinds if not re.search(rf"^## `{name}(\[\]|\.NAME)?`$", page, re.MULTILINE)] == []


OWN_SETTINGS = [
    pytest.param(setting, id=f"{cls.__name__}.{name}")
    for cls in sections()
    for name, setting in settings(cls).items()
    if "$ref" not in str(setting.form.schema())
]


@pytest.mark.parametrize("setting", OWN_SETTINGS)
def test_examples_of_settings_are_valid(setting: Setting) -> None:
    """As they are printed: read as YAML, and resolved as the gateway resolves them."""
    row = f"{setting.name}: {_flow(example_of(setting))}"
    value = yaml.load(row, Loader=Loader)[setting.name]
    assert value == example_of(setting)
    validator = Draft202012Validator(setting.form.schema())
    assert [error.message for error in validator.iter_errors(value)] == []


def test_every_filter_that_knows_dicom_has_documentation() -> None:
    assert [name for name, function in FILTERS.items() if not function.__doc__] == []


@pytest.mark.parametrize(("name", "cls", "registry"), KINDS)
def test_every_kind_has_documentation_and_an_example_of_itself(name: str, cls: type, registry: Registry) -> None:
    text = cls.__doc__ or ""
    assert text, f"{registry.noun} {name} ({cls.__module__}) has no docstring"
    assert not text.startswith(f"{cls.__name__}("), f"{registry.noun} {name} ({cls.__module__}) has no docstring"
    example = getattr(cls, "example", "")
    assert example, f"{registry.noun} {name} ({cls.__module__}) has no `example`"
    config = yaml.load(example, Loader=Loader)
    assert config == name or set(config) == {name}


@pytest.mark.parametrize(("name", "cls", "registry"), KINDS)
def test_examples_are_valid_in_an_editor(name: str, cls: type, registry: Registry) -> None:
    config = yaml.load(getattr(cls, "example", ""), Loader=Loader)
    definition = "predicate" if registry is port_kinds.predicate else "actions"
    part = {"$ref": f"#/$defs/{definition}", "$defs": schema()["$defs"]}
    validator = Draft202012Validator(part)
    found = [error.message for error in validator.iter_errors(config if definition == "predicate" else [config])]
    assert found == []


@pytest.mark.parametrize(("name", "cls"), PREDICATES)
def test_examples_of_predicates_decide(name: str, cls: type) -> None:
    config = yaml.load(getattr(cls, "example", ""), Loader=Loader)
    predicate = build_predicate(config, _fail, AnyResources())
    assert predicate is not None
    assert predicate(facts(predicate.attributes())) in (True, False)


@pytest.mark.parametrize(("name", "cls"), ACTIONS)
def test_examples_of_actions_do_something_or_refuse(name: str, cls: type) -> None:
    config = yaml.load(getattr(cls, "example", ""), Loader=Loader)
    (action,) = build_actions([config], _fail, AnyResources())
    known = facts(action.attributes())
    try:
        edits = tuple(action.edits(known))
        known.edited(edits)
    except Refusal:
        return
    decides_otherwise = hasattr(action, "convert") or name in ("drop", "reject", "hold")
    decides_otherwise |= name == "truncate"  # texts that are too long for it are too long for their attributes
    assert edits or decides_otherwise, "it changes nothing in the sample object"

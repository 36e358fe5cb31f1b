"""Builder and JSON Schema say the same of every setting of every section: jsonschema is the second opinion."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.config.settings_reference import example_of
from gateway.config.spec.cases import CasesSpec
from gateway.config.spec.whole import RulesSpec
from gateway.forms.building import INVALID, Building
from gateway.forms.groups import GroupForm, Setting, all_parts, definitions, required, settings
from gateway.forms.spec import Spec

VALUES: list[Any] = [
    *("", "a", "A B", "PACS", "-a", "x" * 17, "a\n", "{{ association.calling_ae_title }}", "1.2", "known", "store"),
    *(
        "10 s",
        "10",
        "1e3 s",
        "5 GiB",
        "5 gb",
        "pacs:104",
        "pacs",
        "[::1]:104",
        "10.1.0.5",
        "9F" * 32,
        "AAECAw==",
        "01 00",
    ),
    *("0x0000", "2026-11-21T10:00:00Z", "true"),
    *(
        True,
        False,
        None,
        {},
        [],
        [""],
        ["PACS"],
        ["PACS", ""],
        [None],
        [[]],
        {"PACS": "a"},
        {"PACS": ["a"]},
        {"a b": []},
    ),
    *({"unknown": "1"}, [{}]),
]
NUMBERS: list[Any] = [-1, 0, 1, 65536, 10**7, 10**10, 0.05, 1.5, 1e300]


def sections(root: type) -> list[type]:
    """A section and all inside it."""
    found = [root]
    for cls in found:
        parts = [part for one in settings(cls).values() for part in all_parts(one.form)]
        found += [part.cls for part in parts if isinstance(part, GroupForm) and part.cls not in found]
    return list(dict.fromkeys(found))


SECTIONS = [*sections(RulesSpec), *sections(CasesSpec)]
SETTINGS = [
    pytest.param(setting, id=f"{cls.__name__}.{name}") for cls in SECTIONS for name, setting in settings(cls).items()
]
DEFINITIONS = {**definitions(RulesSpec), **definitions(CasesSpec), "predicate": {}, "actions": {}}


def is_built(setting: Setting, value: object) -> bool:
    """Not so when something was wrong in it, though the rest may have been built."""
    building = Building(lambda *_problem: None)
    return setting.form.build(value, (), building) is not INVALID and building.count == 0


def is_in_schema(setting: Setting, value: object) -> bool:
    return Draft202012Validator({**setting.form.schema(), "$defs": DEFINITIONS}).is_valid(value)


def as_text(value: Any) -> Any:
    """Numbers that stand where a text may be meant are texts: YAML's `1234` is the AE title 1234."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@pytest.mark.parametrize("setting", SETTINGS)
def test_builder_and_schema_take_the_same(setting: Setting) -> None:
    values = [*VALUES, *setting.form.about.examples]
    assert [value for value in values if is_built(setting, value) is not is_in_schema(setting, value)] == []


@pytest.mark.parametrize("setting", SETTINGS)
def test_numbers_are_taken_by_both_or_are_texts(setting: Setting) -> None:
    differing = [value for value in NUMBERS if is_built(setting, value) is not is_in_schema(setting, value)]
    assert [value for value in differing if not is_in_schema(setting, as_text(value))] == []


@pytest.mark.parametrize("cls", SECTIONS, ids=lambda cls: cls.__name__)
def test_required_settings_are_required_by_both(cls: type) -> None:
    assert Spec in cls.__mro__
    validator = Draft202012Validator({"$ref": f"#/$defs/{cls.__name__}", "$defs": DEFINITIONS})
    assert validator.is_valid({}) is not bool(required(cls))
    assert GroupForm(cls).build({}, (), Building(lambda *_problem: None)) is INVALID or not required(cls)


def test_there_are_settings_to_compare_and_values_that_fit_them() -> None:
    assert len(SETTINGS) > 200
    every = [setting for cls in SECTIONS for setting in settings(cls).values()]
    own = [setting for setting in every if "$ref" not in str(setting.form.schema())]
    values = [*VALUES, *NUMBERS]
    assert [one.name for one in own if not any(is_built(one, value) for value in (*values, example_of(one)))] == []

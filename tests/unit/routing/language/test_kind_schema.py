"""The JSON Schema of kinds is made from the same forms that build them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pytest

from gateway.routing.language.kind_schema import actions_schema, predicate_schema
from tests.unit.routing.build import problems_of_predicate


@cache
def _validator() -> Any:
    schema = {"$defs": {"predicate": predicate_schema(), "actions": actions_schema()}, "$ref": "#/$defs/predicate"}
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


GOOD: list[object] = [
    {},
    {"modality": "MR"},
    {"all": [{"modality": ["MR", "CT"]}, {"not": {"host": "10.0.0.0/8"}}]},
    {"attribute": {"select": "PatientID", "matches": "^A"}},
    {"any": {"sop_class": ["CTImageStorage"]}},
]


@pytest.mark.parametrize("config", GOOD, ids=map(str, GOOD))
def test_schema_takes_what_builds(config: object) -> None:
    assert not problems_of_predicate(config)
    _validator().validate(config)


SHAPES: dict[str, object] = {
    "unknown-kind": {"modalty": ["MR"]},
    "two-kinds": {"modality": "MR", "called_ae_title": "A"},
    "text": "modality",
    "list": [{"modality": "MR"}],
    "boolean": {"modality": True},
    "misspelt-setting": {"attribute": {"selct": "Modality", "equals": "MR"}},
    "missing-setting": {"attribute": {"equals": "MR"}},
    "attribute-as-text": {"attribute": "Modality"},
}


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_schema_sees_wrong_shapes(config: object) -> None:
    assert problems_of_predicate(config)
    assert list(_validator().iter_errors(config))


def test_schema_never_says_one_of() -> None:
    text = json.dumps([predicate_schema(), actions_schema()])
    assert "oneOf" not in text
    assert "anyOf" not in text


def test_every_kind_is_documented_in_the_schema() -> None:
    for schema in (predicate_schema(), actions_schema()["items"]):
        for name, kind in schema["properties"].items():
            assert len(kind["description"]) > 20, name

"""Sections: their definitions, the words for what people write instead, and their repair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import pytest

from gateway.forms.building import INVALID, Building, Repairs
from gateway.forms.described import Described
from gateway.forms.groups import ListOf, definitions, form_of
from gateway.forms.spec import Spec, meant_setting
from gateway.model.problem import SettingPath


@dataclass(frozen=True, kw_only=True)
class RetrySpec(Spec):
    """Delays of   a retry."""

    first: Annotated[int, Described(ge=1, le=9, description="Seconds.")] = 1
    last: int | None = None


@dataclass(frozen=True, kw_only=True)
class PlaceSpec(Spec):
    """A place."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"ae_title": "MISSING"}

    ae_title: Annotated[str, Described(min_length=1)]
    address: Annotated[str, Described(min_length=1)]
    retry: Annotated[RetrySpec, Described(description="How often.")] = RetrySpec()
    names: ListOf[str] = ()
    parts: Annotated[Mapping[str, Any], Described()] = field(default_factory=dict)


def built(value: object, repairs: Repairs | None = None) -> tuple[Any, list[tuple[SettingPath, str, str]]]:
    found: list[tuple[SettingPath, str, str]] = []
    building = Building(lambda *problem: found.append(problem), repairs=repairs)
    return form_of(PlaceSpec).build(value, (), building), found


def test_each_section_has_a_definition() -> None:
    assert definitions(PlaceSpec) == {
        "PlaceSpec": {
            "title": "PlaceSpec",
            "description": "A place.",
            "type": "object",
            "properties": {
                "ae_title": {"type": "string", "minLength": 1},
                "address": {"type": "string", "minLength": 1},
                "retry": {"description": "How often.", "$ref": "#/$defs/RetrySpec", "default": {"first": 1}},
                "names": {"type": "array", "items": {"type": ["string", "number"]}, "default": []},
                "parts": {"type": "object", "default": {}},
            },
            "required": ["ae_title", "address"],
            "additionalProperties": False,
        },
        "RetrySpec": {
            "title": "RetrySpec",
            "description": "Delays of a retry.",
            "type": "object",
            "properties": {
                "first": {"description": "Seconds.", "type": "integer", "minimum": 1, "maximum": 9, "default": 1},
                "last": {"type": "integer"},
            },
            "required": [],
            "additionalProperties": False,
        },
    }


def test_what_is_wrong_gives_way_to_defaults_and_stand_ins() -> None:
    repairs = Repairs()
    result, found = built({"ae_title": "", "address": "a:1", "retry": {"first": 10}, "x": 1}, repairs)
    assert result == PlaceSpec(ae_title="MISSING", address="a:1")
    assert repairs.left_out == [("retry", "first"), ("x",)]
    assert repairs.stand_ins == [(("ae_title",), "MISSING")]
    assert len(found) == 3


def test_without_what_has_no_stand_in_there_is_no_section() -> None:
    result, found = built({"ae_title": "A"}, Repairs())
    assert result is INVALID
    assert found == [((), "missing-setting", "the setting `address` is missing")]


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ("PACS@pacs:104", "found the text `PACS@pacs:104` (did you mean `{ae_title: PACS, address: pacs:104}`?)"),
        ("ae_title:PACS", "found the text `ae_title:PACS`; a space is missing after `:`"),
        (5, "found `5`; it has settings of its own, as {ae_title: …, address: …}"),
        ([], "found an empty list"),
        (None, "found nothing"),
    ],
)
def test_a_value_in_place_of_the_mapping(value: object, end: str) -> None:
    assert built(value) == (INVALID, [((), "wrong-type", f"expected a mapping, {end}")])


def test_a_misspelt_setting_is_not_missing_as_well() -> None:
    assert built({"ae-title": "A", "address": "a:1"})[1] == [
        (("ae-title",), "unknown-setting", "there is no setting `ae-title` here (did you mean `ae_title`?)")
    ]
    assert len(built({"adress": "a:1"})[1]) == 2


def test_a_name_of_other_software_means_a_setting_only_where_there_is_one() -> None:
    assert meant_setting("AET", ("ae_title",)) == "; write `ae_title`"
    assert meant_setting("aet", ("address",)) == ""
    assert meant_setting("port", ("address",)) == "; write `address: HOST:PORT`"

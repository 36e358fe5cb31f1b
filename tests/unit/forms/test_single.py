"""Single values: what is taken, and what is said of the rest."""

from __future__ import annotations

import pytest

from gateway.forms.building import INVALID, Building
from gateway.forms.single import NumberForm, ScalarForm
from gateway.model.problem import SettingPath
from gateway.routing.language.fields import FIELD_TYPES, SecretKey, StatusField
from gateway.routing.language.resources import NO_RESOURCES, FileResources
from gateway.routing.language.template import Template


def building() -> Building:
    return Building(lambda *problem: None, NO_RESOURCES, lambda value, path, building: INVALID)


@pytest.mark.parametrize("text", ["10.50", "1e3", "1.", "+5", ".5"])
def test_a_number_that_would_lose_its_spelling_comes_as_text(text: str) -> None:
    assert NumberForm(float).build(text, (), building()) == float(text)


@pytest.mark.parametrize("text", ["10.5", "10", "010", "ten", "", "1_0", "nan"])
def test_other_text_is_no_number(text: str) -> None:
    counted = building()
    assert NumberForm(float).build(text, (), counted) is INVALID
    assert counted.count == 1


def test_a_wrong_text_has_the_code_of_its_type() -> None:
    found: list[tuple[SettingPath, str, str]] = []
    reporting = Building(lambda *problem: found.append(problem), NO_RESOURCES, lambda *_: INVALID)
    assert ScalarForm(FIELD_TYPES[StatusField]).build("A7", ("status",), reporting) is INVALID
    assert [(path, code) for path, code, _message in found] == [(("status",), "bad-status")]


def test_a_list_of_texts_is_joined_where_the_type_takes_one() -> None:
    built = ScalarForm(FIELD_TYPES[Template]).build(["A", 1], (), building())
    assert built.text == "A\\1"


def test_a_key_comes_from_the_resources() -> None:
    given = Building(lambda *problem: None, FileResources({"k": b"x" * 16}), lambda *_: INVALID)
    assert ScalarForm(FIELD_TYPES[SecretKey]).build("k", (), given) == b"x" * 16

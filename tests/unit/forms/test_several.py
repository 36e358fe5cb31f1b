"""Lists and mappings: which are taken, and what is left of them after a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jsonschema
import pytest

from gateway.forms.building import INVALID, Building, KeyPath, Repairs
from gateway.forms.described import Described
from gateway.forms.groups import ListOf, form_of
from gateway.model.problem import SettingPath

Text = Annotated[str, Described(min_length=1)]
Title = Annotated[str, Described(title="title", pattern="^[A-Z]+$", examples=("A",))]
SeveralTexts = Annotated[ListOf[Text], Described(min_length=1, description="Texts.")]

Problems = list[tuple[SettingPath, str, str]]


def built(hint: Any, value: object, repairs: Repairs | None = None) -> tuple[Any, Problems]:
    found: Problems = []
    building = Building(lambda *problem: found.append(problem), repairs=repairs)
    return form_of(hint).build(value, ("here",), building), found


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (ListOf[Text], [], ()),
        (SeveralTexts, ["a", "b"], ("a", "b")),
        (tuple[Text, ...], "a", ("a",)),
        (tuple[Text, ...], ["a"], ("a",)),
        (Annotated[Mapping[Title, Text], Described()], {}, {}),
        (Mapping[Title, Text], {"A": "x"}, {"A": "x"}),
    ],
)
def test_what_is_right_is_built_and_holds_to_the_schema(hint: Any, value: object, expected: object) -> None:
    result, found = built(hint, value)
    assert (result, found) == (expected, [])
    jsonschema.validate(value, form_of(hint).schema())


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (SeveralTexts, [], "this list is empty; write at least one value, or leave the setting out"),
        (SeveralTexts, "a b", "expected a list, found the text `a b` (did you mean `[a, b]`?)"),
        (SeveralTexts, {"a": 1}, "expected a list, found a mapping; put it in [ ], or write it as `- …`"),
        (SeveralTexts, None, "expected a list, found nothing"),
        (ListOf[Literal["a"]], "a", "expected a list, found the text `a` (did you mean `[a]`?)"),
        (tuple[Text, ...], {}, "expected a text or a list of texts, found an empty mapping"),
        (Mapping[Title, Text], {}, "this mapping is empty; write at least one value, or leave the setting out"),
    ],
)
def test_what_is_wrong_holds_to_no_schema(hint: Any, value: object, problem: str) -> None:
    result, found = built(hint, value)
    assert result is INVALID
    assert [message for _path, _code, message in found] == [problem]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, form_of(hint).schema())


def test_a_wrong_item_is_left_out_where_that_is_repaired() -> None:
    repairs = Repairs()
    result, found = built(SeveralTexts, ["a", "", None, "b"], repairs)
    assert result == ("a", "b")
    assert repairs.left_out == [("here", 1), ("here", 2)]
    assert [path for path, _code, _message in found] == [("here", 1), ("here", 2)]
    assert built(SeveralTexts, ["a", ""])[0] is INVALID


def test_nothing_is_left_of_a_list_of_mistakes() -> None:
    repairs = Repairs()
    assert built(SeveralTexts, ["", None], repairs)[0] is INVALID
    assert repairs.left_out == []


def test_a_wrong_name_is_reported_at_the_name() -> None:
    repairs = Repairs()
    result, ((path, code, message),) = built(Mapping[Title, Text], {"A": "x", "b": "y"}, repairs)
    assert dict(result) == {"A": "x"}
    assert isinstance(path, KeyPath)
    assert (path, code) == (("here", "b"), "bad-format")
    assert message == "expected a title such as `A`, found `b`"
    assert repairs.left_out == [("here", "b")]

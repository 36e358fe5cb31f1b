"""Each form of settings builds values, has a schema that takes the same values, and words for documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import jsonschema
import pytest

from gateway.forms.building import INVALID, Building
from gateway.forms.described import Described
from gateway.forms.groups import (
    GroupForm,
    all_parts,
    form_of,
    group_in,
    required,
    settings,
)
from gateway.forms.several import ListForm
from gateway.model.problem import SettingPath
from gateway.ports.kinds import Predicate
from gateway.routing.language.resources import NO_RESOURCES


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers between two."""

    least: int
    most: int = 9

    def problems(self) -> list[tuple[SettingPath, str]]:
        return [(("most",), "it is less than `least`")] if self.most < self.least else []


@dataclass(frozen=True, slots=True)
class Short:
    """Numbers by name; a number alone is `in_`."""

    shorthand: ClassVar[str] = "in"

    in_: int | None = None
    others: tuple[str, ...] = ()


NAMES = Described(description="Names.")
Problems = list[tuple[SettingPath, str, str]]


def built(hint: Any, value: object) -> tuple[Any, Problems]:
    found: Problems = []
    building = Building(
        lambda *problem: found.append(problem), NO_RESOURCES, lambda value, path, building: ("condition", value)
    )
    result = form_of(hint).build(value, ("here",), building)
    assert building.count == len(found)
    return result, found


GOOD: dict[str, tuple[Any, object, object]] = {
    "text": (str, "MR", "MR"),
    "text of a number": (str, 5, "5"),
    "truth": (bool, False, False),
    "whole number": (int, 5, 5),
    "number": (float, 5, 5.0),
    "word": (Literal["keep", "empty"], "keep", "keep"),
    "none as well": (int | None, 5, 5),
    "one for a list": (tuple[int, ...], 5, (5,)),
    "list": (tuple[int, ...], [5, 6], (5, 6)),
    "mapping": (Mapping[str, int], {"a": 1}, {"a": 1}),
    "group": (Bounds, {"least": 1}, Bounds(1, 9)),
    "shorthand": (Short, 5, Short(5)),
    "shorthand written out": (Short, {"in": 5, "others": "x"}, Short(5, ("x",))),
}


@pytest.mark.parametrize(("hint", "value", "expected"), GOOD.values(), ids=GOOD)
def test_what_is_right_is_built_and_holds_to_the_schema(hint: Any, value: object, expected: object) -> None:
    assert built(hint, value) == (expected, [])
    jsonschema.validate(value, form_of(hint).schema())


BAD: dict[str, tuple[Any, object, Problems]] = {
    "no text": (str, {}, [(("here",), "wrong-type", "expected a text, found an empty mapping")]),
    "truth as text": (
        bool,
        "yes",
        [(("here",), "wrong-type", "expected `true` or `false`, found the text `yes` (did you mean `true`?)")],
    ),
    "truth as number": (int, True, [(("here",), "wrong-type", "expected a whole number, found `true`")]),
    "quoted number": (
        float,
        "5.5",
        [(("here",), "wrong-type", "expected a number, found the text `5.5`; leave out the quotes")],
    ),
    "other word": (
        Literal["keep", "empty"],
        "kep",
        [(("here",), "not-one-of", "expected `keep` or `empty`, found `kep` (did you mean `keep`?)")],
    ),
    "empty list": (
        tuple[int, ...],
        [],
        [(("here",), "empty", "this list is empty; write at least one value, or leave the setting out")],
    ),
    "each of a list": (
        tuple[int, ...],
        ["a", 1, None],
        [
            (("here", 0), "wrong-type", "expected a whole number, found the text `a`"),
            (("here", 2), "wrong-type", "expected a whole number, found nothing"),
        ],
    ),
    "no mapping": (Mapping[str, int], [], [(("here",), "wrong-type", "expected a mapping, found an empty list")]),
    "empty mapping": (
        Mapping[str, int],
        {},
        [(("here",), "empty", "this mapping is empty; write at least one value, or leave the setting out")],
    ),
    "misspelt setting": (
        Bounds,
        {"leest": 1},
        [(("here", "leest"), "unknown-setting", "there is no setting `leest` here (did you mean `least`?)")],
    ),
    "missing setting": (Bounds, {"most": 1}, [(("here",), "missing-setting", "the setting `least` is missing")]),
    "value for a group": (
        Bounds,
        "5",
        [(("here",), "wrong-type", "expected a mapping, found the text `5` (did you mean `{least: 5}`?)")],
    ),
    "problem of the whole": (
        Bounds,
        {"least": 3, "most": 2},
        [(("here", "most"), "bad-value", "it is less than `least`")],
    ),
}


@pytest.mark.parametrize(("hint", "value", "expected"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_reported_where_it_stands(hint: Any, value: object, expected: Problems) -> None:
    result, found = built(hint, value)
    assert found == expected
    assert result is INVALID


def test_a_wrong_entry_leaves_the_others_of_a_mapping() -> None:
    result, found = built(Mapping[str, int], {"a": 1, "b": "x"})
    assert dict(result) == {"a": 1}
    assert [path for path, _code, _message in found] == [("here", "b")]


def test_conditions_are_built_by_the_owner_of_the_kinds() -> None:
    assert built(Predicate, {"x": 1}) == (("condition", {"x": 1}), [])
    assert built(tuple[Predicate, ...], []) == ((), [])


TAKES = {
    "text": (str, "a text"),
    "truth": (bool, "`true` or `false`"),
    "word": (Literal["a", "b"], "`a` or `b`"),
    "list": (tuple[int, ...], "a whole number, or a list of them"),
    "mapping": (Mapping[str, float], "a mapping: a text → a number"),
    "condition": (Predicate, "a condition"),
    "group": (Bounds, "a mapping of `least`, `most`"),
    "shorthand": (Short, "a mapping of `in`, `others`; or a whole number alone, for `in`"),
}


@pytest.mark.parametrize(("hint", "words"), TAKES.values(), ids=TAKES)
def test_words_for_documents(hint: Any, words: str) -> None:
    assert form_of(hint).takes == words


def test_settings_of_a_dataclass() -> None:
    assert list(settings(Short)) == ["in", "others"]
    assert [(one.is_required, one.field.name) for one in settings(Bounds).values()] == [
        (True, "least"),
        (False, "most"),
    ]
    assert settings(Bounds)["most"].default == 9
    assert required(Bounds) == ("least",)


def test_parts_of_a_form() -> None:
    form = form_of(tuple[Bounds, ...])
    assert list(all_parts(form)) == [ListForm(GroupForm(Bounds)), GroupForm(Bounds)]
    assert group_in(form) == GroupForm(Bounds)
    assert group_in(form_of(str)) is None


def test_an_unknown_type_has_no_schema() -> None:
    with pytest.raises((KeyError, TypeError)):
        form_of(complex).schema()


@dataclass(frozen=True, slots=True)
class Sized:
    """A kind of a package, with bounds beside its types."""

    shorthand: ClassVar[str] = "names"

    names: Annotated[tuple[Annotated[str, Described(title="name", pattern="^[a-z]+$", examples=("a",))], ...], NAMES]
    size: Annotated[int, Described(ge=1, le=9)] = 1


DESCRIBED: dict[str, tuple[object, object, list[str]]] = {
    "one name": ("a", Sized(("a",)), []),
    "several": (["a", "b"], Sized(("a", "b")), []),
    "written out": ({"names": "a", "size": 9}, Sized(("a",), 9), []),
    "other text": ("A", INVALID, ["expected a name such as `a`, found `A`"]),
    "too many": ({"names": "a", "size": 10}, INVALID, ["expected a number from 1 to 9, found `10`"]),
    "too few": (
        {"names": [], "size": 0},
        INVALID,
        [
            "this list is empty; write at least one value, or leave the setting out",
            "expected a number from 1 to 9, found `0`",
        ],
    ),
}


@pytest.mark.parametrize(("value", "expected", "messages"), DESCRIBED.values(), ids=DESCRIBED)
def test_a_kind_may_describe_its_settings_as_sections_do(value: object, expected: object, messages: list[str]) -> None:
    result, found = built(Sized, value)
    assert result == expected
    assert [message for _path, _code, message in found] == messages
    assert jsonschema.Draft202012Validator(form_of(Sized).schema()).is_valid(value) is (expected is not INVALID)


def test_the_description_of_a_list_is_in_its_schema() -> None:
    assert settings(Sized)["names"].form.schema()["description"] == "Names."
    assert settings(Sized)["size"].form.takes == "1 to 9"

"""Forms of settings with no other inside: texts, conditions, truths, numbers and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from gateway.common import setting_faults as faults
from gateway.forms.building import INVALID, Building, Form, text_or_number
from gateway.forms.described import UNDESCRIBED, Described
from gateway.forms.field_types import FieldType
from gateway.model.problem import SettingPath


class Single:
    """A form with no other inside."""

    __slots__ = ()

    @property
    def parts(self) -> tuple[Form, ...]:
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class ScalarForm(Single):
    """A text, of which a row of `FIELD_TYPES` makes the value."""

    type: FieldType
    about: ClassVar[Described] = UNDESCRIBED

    @property
    def takes(self) -> str:
        return str(self.type.schema.get("description", "a text")).replace("|", "\\|")

    def schema(self) -> dict[str, Any]:
        return dict(self.type.schema)

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        kind = self.type
        if isinstance(value, str):
            text: str | None = value
        elif kind.takes_list and isinstance(value, list | tuple):
            text = self._joined(value)
        else:
            text = building.spelling.text(value, path)
        if text is None:
            hint = "; put it in quotes to mean the text" if isinstance(value, bool) else ""
            hint = "; to empty an attribute use the action `empty`" if value is None and kind.takes_list else hint
            found = building.spelling.found(value, path)
            building.fault(path, faults.wrong_type(faults.TYPE_WORDS["string"], found, hint))
            return INVALID
        try:
            return kind.build(text, building.resources) if kind.needs_resources else kind.build(text)
        except ValueError as error:
            building.problem(path, getattr(error, "code", kind.code), str(error))
            return INVALID

    def _joined(self, values: Sequence[object]) -> str | None:
        texts = [text_or_number(one) for one in values]
        return None if not texts or None in texts else "\\".join(cast(list[str], texts))


@dataclass(frozen=True, slots=True, eq=False)
class TextForm(Single):
    """A text as its description says."""

    about: Described
    _search: Callable[[str], object] | None = field(init=False, default=None)
    """Finds the pattern in a text; None without one."""

    def __post_init__(self) -> None:
        if self.about.pattern:
            object.__setattr__(self, "_search", re.compile(self.about.pattern).search)

    @property
    def takes(self) -> str:
        return self.about.title or faults.TYPE_WORDS["string"]

    def schema(self) -> dict[str, Any]:
        about = self.about
        length = {} if about.min_length is None else {"minLength": about.min_length}
        pattern = {"pattern": about.pattern} if about.pattern else {}
        return {**about.annotations, "type": "string", **length, **pattern}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        about = self.about
        text = value if isinstance(value, str) else building.spelling.text(value, path)
        if text is None:
            expected = about.noun or faults.TYPE_WORDS["string"]
            building.fault(path, faults.wrong_type(expected, building.spelling.found(value, path)))
            return INVALID
        if about.min_length and len(text) < about.min_length:
            building.fault(path, faults.empty("text"))
            return INVALID
        if self._search is not None and self._search(text) is None:
            self._report_format(text, path, building)
            return INVALID
        return text

    def _report_format(self, text: str, path: SettingPath, building: Building) -> None:
        about, shown = self.about, building.spelling.shown(text, path)
        is_secret = building.spelling.is_secret(path)
        if about.explain is not None:
            message = faults.hidden(shown) if is_secret else about.explain(text)
            building.problem(path, about.code, message)
            return
        hint = (
            ""
            if about.hint is None or is_secret
            else about.hint(text, lambda name: building.spelling.beside(path, name))
        )
        building.fault(path, faults.bad_format(about.noun, shown, hint))


@dataclass(frozen=True, slots=True)
class AnyForm(Single):
    """A value that the code which reads the setting looks at itself."""

    about: Described = UNDESCRIBED
    takes: ClassVar[str] = "anything"

    def schema(self) -> dict[str, Any]:
        name = self.about.definition
        return {**self.about.annotations, **({"$ref": f"#/$defs/{name}"} if name else {})}

    def build(self, value: object, _path: SettingPath, _building: Building) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class ConditionForm(Single):
    """A predicate with its value."""

    about: ClassVar[Described] = UNDESCRIBED
    takes: ClassVar[str] = "a condition"

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/predicate"}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        assert building.condition is not None, "conditions are built by the owner of their kinds"
        return building.condition(value, path, building)


@dataclass(frozen=True, slots=True)
class TruthForm(Single):
    """True or false."""

    about: Described = UNDESCRIBED
    takes: ClassVar[str] = faults.TYPE_WORDS["boolean"]

    def schema(self) -> dict[str, Any]:
        return {**self.about.annotations, "type": "boolean"}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if isinstance(value, bool):
            return value
        hint = faults.yes_no_hint(building.hinted(value, path))
        building.fault(path, faults.wrong_type(self.takes, building.spelling.found(value, path), hint))
        return INVALID


OTHERWISE_SPELLED = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""A number of YAML's core schema."""


@dataclass(frozen=True, slots=True)
class NumberForm(Single):
    """A number, whole or not, from the least to the most of its description."""

    type: type
    about: Described = UNDESCRIBED

    @property
    def takes(self) -> str:
        low, high = self.about.ge, self.about.le
        return self._noun if low is None or high is None else f"{low} to {high}"

    @property
    def _noun(self) -> str:
        return {int: faults.TYPE_WORDS["integer"], float: faults.TYPE_WORDS["number"]}[self.type]

    def schema(self) -> dict[str, Any]:
        given = {"minimum": self.about.ge, "maximum": self.about.le}
        bounds = {name: value for name, value in given.items() if value is not None}
        return {**self.about.annotations, "type": {int: "integer", float: "number"}[self.type], **bounds}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        number = self._number(value, building)
        if number is None:
            hint = self._hint(value, path, building)
            expected = self.about.noun or self._noun
            building.fault(path, faults.wrong_type(expected, building.spelling.found(value, path), hint))
            return INVALID
        low, high = self.about.ge, self.about.le
        if (low is not None and number < low) or (high is not None and number > high):
            expected = f"a number from {low} to {high}" if None not in (low, high) else f"at least {low}"
            building.fault(path, faults.out_of_range(expected, building.spelling.shown(value, path)))
            return INVALID
        return number

    def _number(self, value: object, building: Building) -> int | float | None:
        if self.type is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if self.type is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if self.type is float and isinstance(value, str) and building.spelling.keeps_spelling:
            return float(value) if _is_otherwise_spelled(value) else None
        return None

    def _hint(self, value: object, path: SettingPath, building: Building) -> str:
        text = building.hinted(value, path) if isinstance(value, str) else ""
        if not text:
            return ""
        own = self.about.hint
        return faults.number_hint(text) or (own(text, lambda _: "") if own else "")


def _is_otherwise_spelled(text: str) -> bool:
    """True for a number that reaches us as text, since it would lose its spelling: ``1.50``, ``1e3``."""
    return OTHERWISE_SPELLED.fullmatch(text) is not None and text not in (str(float(text)), f"{float(text):.0f}")


@dataclass(frozen=True, slots=True)
class ChoiceForm(Single):
    """One of a few words."""

    words: tuple[Any, ...]
    about: Described = UNDESCRIBED

    @property
    def takes(self) -> str:
        return faults.listed(map(str, self.words))

    def schema(self) -> dict[str, Any]:
        return {**self.about.annotations, "enum": list(self.words)}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        text = value if isinstance(value, str) else building.spelling.text(value, path)
        for word in self.words:
            if value is word or (text is not None and text == word):
                return word
        known = [str(word) for word in self.words]
        hinted = building.hinted(value, path)
        is_word = hinted[:1].isalpha()  # of numbers, as `1.1`, the nearest is hardly meant
        building.fault(path, faults.not_one_of(known, building.spelling.shown(value, path), hinted if is_word else ""))
        return INVALID

"""Forms of settings with no other inside: texts, conditions, truths, numbers and words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from gateway.common import setting_faults as faults
from gateway.model.problem import SettingPath
from gateway.routing.language.building import INVALID, Building, Form
from gateway.routing.language.fields import FieldType, text_or_number


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

    @property
    def takes(self) -> str:
        return str(self.type.schema.get("description", "a text")).replace("|", "\\|")

    def schema(self) -> dict[str, Any]:
        return dict(self.type.schema)

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        kind = self.type
        text = self._joined(value) if kind.takes_list and isinstance(value, list | tuple) else text_or_number(value)
        if text is None:
            hint = "; put it in quotes to mean the text" if isinstance(value, bool) else ""
            hint = "; to empty an attribute use the action `empty`" if value is None and kind.takes_list else hint
            building.fault(path, faults.wrong_type(faults.TYPE_WORDS["string"], faults.found(value), hint))
            return INVALID
        try:
            return kind.build(text, building.resources) if kind.needs_resources else kind.build(text)
        except ValueError as error:
            building.problem(path, getattr(error, "code", kind.code), str(error))
            return INVALID

    def _joined(self, values: Sequence[object]) -> str | None:
        texts = [text_or_number(one) for one in values]
        return None if not texts or None in texts else "\\".join(cast(list[str], texts))


@dataclass(frozen=True, slots=True)
class ConditionForm(Single):
    """A predicate with its value."""

    takes: ClassVar[str] = "a condition"

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/predicate"}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        return building.condition(value, path, building)


@dataclass(frozen=True, slots=True)
class TruthForm(Single):
    """True or false."""

    takes: ClassVar[str] = faults.TYPE_WORDS["boolean"]

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if isinstance(value, bool):
            return value
        hint = faults.yes_no_hint(value) if isinstance(value, str) else ""
        building.fault(path, faults.wrong_type(self.takes, faults.found(value), hint))
        return INVALID


OTHERWISE_SPELLED = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""A number of YAML's core schema."""


@dataclass(frozen=True, slots=True)
class NumberForm(Single):
    """A number, whole or not."""

    type: type

    @property
    def takes(self) -> str:
        return {int: faults.TYPE_WORDS["integer"], float: faults.TYPE_WORDS["number"]}[self.type]

    def schema(self) -> dict[str, Any]:
        return {"type": {int: "integer", float: "number"}[self.type]}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if self.type is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if self.type is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
            if isinstance(value, str) and _is_otherwise_spelled(value):
                return float(value)
        hint = faults.number_hint(value) if isinstance(value, str) else ""
        building.fault(path, faults.wrong_type(self.takes, faults.found(value), hint))
        return INVALID


def _is_otherwise_spelled(text: str) -> bool:
    """True for a number that reaches us as text, since it would lose its spelling: ``1.50``, ``1e3``."""
    return OTHERWISE_SPELLED.fullmatch(text) is not None and text not in (str(float(text)), f"{float(text):.0f}")


@dataclass(frozen=True, slots=True)
class ChoiceForm(Single):
    """One of a few words."""

    words: tuple[Any, ...]

    @property
    def takes(self) -> str:
        return " or ".join(f"`{word}`" for word in self.words)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        is_text = isinstance(value, str)
        if any(value is word or (is_text and value == word) for word in self.words):
            return value
        known = [str(word) for word in self.words]
        building.fault(path, faults.not_one_of(known, faults.found(value), str(value) if is_text else ""))
        return INVALID

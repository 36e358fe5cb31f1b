"""Forms of settings with several values: lists and mappings."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.common import setting_faults as faults
from gateway.forms.building import INVALID, Build, Building, Form, KeyPath
from gateway.forms.described import UNDESCRIBED, Described
from gateway.forms.single import ChoiceForm, ConditionForm, TextForm
from gateway.model.problem import SettingPath


@dataclass(frozen=True, slots=True)
class ListForm:
    """One value or a list of them; never an empty list, but of conditions."""

    item: Form
    about: Described = UNDESCRIBED

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.item,)

    @property
    def takes(self) -> str:
        return f"{self.item.takes}, or a list of them"

    def schema(self) -> dict[str, Any]:
        own = self.about.annotations
        return {**own, **{keyword: value for keyword, value in self._schema().items() if keyword not in own}}

    def _schema(self) -> dict[str, Any]:
        item = self.item.schema()
        if isinstance(self.item, TextForm):  # its bounds say nothing of a list
            return {"anyOf": [item, {"type": "array", "items": self.item.schema(), "minItems": 1}]}
        if "$ref" in item:
            return {"type": ["object", "array"], "if": {"type": "object"}, "then": item, "else": {"items": item}}
        if "enum" in item or "if" in item:
            return {"if": {"type": "array"}, "then": {"items": item, "minItems": 1}, "else": item}
        types_ = item["type"] if isinstance(item["type"], list) else [item["type"]]
        bounds = {key: value for key, value in item.items() if key not in ("type", "description", "examples")}
        described = {"description": item["description"]} if "description" in item else {}
        return {"type": [*types_, "array"], "items": {"type": types_, **bounds}, "minItems": 1, **bounds, **described}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if not isinstance(value, list | tuple):
            is_text = isinstance(value, str) or not isinstance(self.item, TextForm)
            built = self.item.build(value, path, building) if is_text else self._text_alone(value, path, building)
            return built if built is INVALID else (built,)
        if not value and not isinstance(self.item, ConditionForm):
            building.fault(path, faults.empty("list"))
            return INVALID
        return _items(self.item.build, value, path, building)

    def _text_alone(self, value: object, path: SettingPath, building: Building) -> Any:
        """A text from a value that may be none."""
        if building.spelling.text(value, path) is None:
            found = building.spelling.found(value, path)
            building.fault(path, faults.wrong_type("a text or a list of texts", found))
            return INVALID
        return self.item.build(value, path, building)


WORDS = re.compile(r"[\w.:/*-]+")


@dataclass(frozen=True, slots=True)
class SequenceForm:
    """A list, also of one value."""

    item: Form
    about: Described = UNDESCRIBED

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.item,)

    @property
    def takes(self) -> str:
        return f"a list: {self.item.takes}"

    def schema(self) -> dict[str, Any]:
        least = {"minItems": self.about.min_length} if self.about.min_length else {}
        return {**self.about.annotations, "type": "array", "items": self.item.schema(), **least}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if not isinstance(value, list | tuple):
            found = building.spelling.found(value, path)
            building.fault(
                path, faults.wrong_type(faults.TYPE_WORDS["array"], found, self._hint(value, path, building))
            )
            return INVALID
        if len(value) < (self.about.min_length or 0):
            building.fault(path, faults.empty("list"))
            return INVALID
        return _items(self.item.build, value, path, building)

    def _hint(self, value: object, path: SettingPath, building: Building) -> str:
        if isinstance(value, Mapping):
            return faults.AS_LIST if value else ""
        text = building.hinted(value, path).strip()
        if not text or not isinstance(self.item, TextForm | ChoiceForm):
            return ""
        parts = WORDS.findall(text) if re.fullmatch(rf"{WORDS.pattern}([,\s]+{WORDS.pattern})+", text) else [text]
        return faults.meant(f"[{', '.join(parts)}]")


def _items(build: Build, values: Iterable[object], path: SettingPath, building: Building) -> Any:
    """The items of a list that are right; `INVALID` when one is not, unless that is repaired and others are left."""
    built = tuple([build(one, (*path, index), building) for index, one in enumerate(values)])
    for one in built:
        if one is INVALID:
            return _right_ones(built, path, building)
    return built


def _right_ones(built: tuple[Any, ...], path: SettingPath, building: Building) -> Any:
    right = tuple(one for one in built if one is not INVALID)
    if building.repairs is None or not right:
        return INVALID
    building.repairs.left_out += [(*path, index) for index, one in enumerate(built) if one is INVALID]
    return right


@dataclass(frozen=True, slots=True)
class MappingForm:
    """A mapping; with at least one entry, unless its description says another number."""

    key: Form
    value: Form
    about: Described = UNDESCRIBED

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.key, self.value)

    @property
    def takes(self) -> str:
        return f"a mapping: {self.key.takes} → {self.value.takes}"

    def schema(self) -> dict[str, Any]:
        least = {"minProperties": self._least} if self._least else {}
        key = {name: one for name, one in self.key.schema().items() if name != "type"}
        keys = {"propertyNames": key} if isinstance(self.key, TextForm) and key else {}
        inner = self.value.schema()
        values = {"additionalProperties": inner} if inner else {}
        return {**self.about.annotations, "type": "object", **least, **keys, **values}

    @property
    def _least(self) -> int:
        return 1 if self.about is UNDESCRIBED else self.about.min_length or 0

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if not isinstance(value, Mapping):
            found = building.spelling.found(value, path)
            building.fault(path, faults.wrong_type(faults.TYPE_WORDS["object"], found))
            return INVALID
        if len(value) < self._least:
            building.fault(path, faults.empty("mapping"))
            return INVALID
        built = {}
        for written, one in value.items():
            inner = (*path, written)
            key = self.key.build(written, KeyPath(inner), building)
            made = self.value.build(one, inner, building)
            if key is not INVALID and made is not INVALID:
                built[key] = made
            elif building.repairs is not None:
                building.repairs.left_out.append(inner)
        return types.MappingProxyType(built)  # of what is right, so that `problems` sees it; the rest is reported

"""Forms of settings: how a value is built, which JSON Schema it has and what documents call it, described once each.

The annotation of a dataclass's field says its form (`form_of`): a field type of `FIELD_TYPES`, a condition, a dataclass
of further settings, ``tuple[X, ...]``, ``Mapping[X, Y]``, ``Literal[…]``, ``bool``, ``int``, ``float``; ``X | None``
is as X. Configuration, schema and reference all ask the form.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union

from gateway.common import setting_faults as faults
from gateway.model.problem import SettingPath, SettingProblem
from gateway.ports.kinds import Predicate
from gateway.routing.language.building import INVALID, Build, Building, Form
from gateway.routing.language.fields import FIELD_TYPES
from gateway.routing.language.single_forms import (
    ChoiceForm,
    ConditionForm,
    NumberForm,
    ScalarForm,
    Single,
    TruthForm,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a dataclass."""

    name: str
    """The name as it is written: the field's name without a trailing underscore."""
    field: dataclasses.Field[Any]
    annotation: Any
    form: Form

    @property
    def is_required(self) -> bool:
        missing = dataclasses.MISSING
        return self.field.default is missing and self.field.default_factory is missing

    @property
    def default(self) -> Any:
        """The default of a setting that is not required."""
        missing = dataclasses.MISSING
        return self.field.default if self.field.default_factory is missing else self.field.default_factory()


@cache
def settings(cls: type[Any]) -> Mapping[str, Setting]:
    """The settings of a dataclass by name, in order."""
    hints = typing.get_type_hints(cls)
    written = [(one.name.removesuffix("_"), one) for one in dataclasses.fields(cls) if one.init]
    return {name: Setting(name, one, hints[one.name], form_of(hints[one.name])) for name, one in written}


@cache
def form_of(hint: Any) -> Form:
    """The form of a field's annotation."""
    if hint in FIELD_TYPES:
        return ScalarForm(FIELD_TYPES[hint])
    if hint is Predicate:
        return ConditionForm()
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return GroupForm(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return ListForm(form_of(arguments[0]))
    if origin is collections.abc.Mapping:
        return MappingForm(form_of(arguments[0]), form_of(arguments[1]))
    if origin in (Union, types.UnionType):
        return form_of(next(one for one in arguments if one is not types.NoneType))
    if origin is Literal:
        return ChoiceForm(arguments)
    return TruthForm() if hint is bool else NumberForm(hint)


@dataclass(frozen=True, slots=True)
class ListForm:
    """One value or a list of them; never an empty list, but of conditions."""

    item: Form

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.item,)

    @property
    def takes(self) -> str:
        return f"{self.item.takes}, or a list of them"

    def schema(self) -> dict[str, Any]:
        item = self.item.schema()
        if "$ref" in item:
            return {"type": ["object", "array"], "if": {"type": "object"}, "then": item, "else": {"items": item}}
        if "enum" in item or "if" in item:
            return {"if": {"type": "array"}, "then": {"items": item, "minItems": 1}, "else": item}
        types_ = item["type"] if isinstance(item["type"], list) else [item["type"]]
        bounds = {key: value for key, value in item.items() if key not in ("type", "description", "examples")}
        described = {"description": item["description"]} if "description" in item else {}
        return {"type": [*types_, "array"], "items": {"type": types_, **bounds}, "minItems": 1, **bounds, **described}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        build = self.item.build
        if not isinstance(value, list | tuple):
            built = build(value, path, building)
            return built if built is INVALID else (built,)
        if not value and not isinstance(self.item, ConditionForm):
            building.fault(path, faults.empty("list"))
            return INVALID
        items = tuple([build(one, (*path, index), building) for index, one in enumerate(value)])
        for one in items:
            if one is INVALID:
                return INVALID
        return items


@dataclass(frozen=True, slots=True)
class MappingForm:
    """A mapping with at least one entry."""

    key: Form
    value: Form

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.key, self.value)

    @property
    def takes(self) -> str:
        return f"a mapping: {self.key.takes} → {self.value.takes}"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "minProperties": 1, "additionalProperties": self.value.schema()}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if not isinstance(value, Mapping):
            building.fault(path, faults.wrong_type(faults.TYPE_WORDS["object"], faults.found(value)))
            return INVALID
        if not value:
            building.fault(path, faults.empty("mapping"))
            return INVALID
        pairs = [
            (self.key.build(key, (*path, key), building), self.value.build(one, (*path, key), building))
            for key, one in value.items()
        ]
        built = {key: one for key, one in pairs if key is not INVALID and one is not INVALID}
        return types.MappingProxyType(built)  # of what is right, so that `problems` sees it; the rest is reported


@dataclass(frozen=True, slots=True)
class GroupForm(Single):
    """A dataclass of settings. With a class variable `shorthand`, the name of a setting, what is no mapping is that
    one's value: ``rows: 512`` for ``rows: {equals: 512}``."""

    cls: type

    @property
    def shorthand(self) -> Setting | None:
        name = getattr(self.cls, "shorthand", None)
        return None if name is None else settings(self.cls)[name]

    @property
    def takes(self) -> str:
        whole = f"a mapping of {', '.join(f'`{name}`' for name in settings(self.cls))}"
        short = self.shorthand
        return f"{whole}; or {short.form.takes} alone, for `{short.name}`" if short else whole

    def schema(self) -> dict[str, Any]:
        whole = {**_object_schema(self.cls), "description": documentation(self.cls)}
        if self.shorthand is None:
            return whole
        plain = self.shorthand.form.schema()
        types_ = plain["type"] if isinstance(plain["type"], list) else [plain["type"]]
        return {
            "type": [*types_, "object"],
            "description": documentation(self.cls),
            "if": {"type": "object"},
            "then": whole,
            "else": plain,
        }

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if isinstance(value, Mapping):
            return build_settings(self.cls, value, path, building)
        short = self.shorthand
        if short is not None:
            return build_instance(self.cls, {short.name: short.form.build(value, path, building)}, path, building)
        needed = required(self.cls)
        is_meant = isinstance(value, str) and len(needed) == 1
        near = faults.meant(f"{{{needed[0]}: {value}}}") if is_meant else faults.as_mapping(settings(self.cls))
        building.fault(path, faults.wrong_type(faults.TYPE_WORDS["object"], faults.found(value), near))
        return INVALID


def documentation(cls: type) -> str:
    """The docstring of a class, on one line."""
    return " ".join((cls.__doc__ or "").split())


def _object_schema(cls: type) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "",
        "properties": {name: setting.form.schema() for name, setting in settings(cls).items()},
        "required": list(required(cls)),
        "additionalProperties": False,
    }


@cache
def required(cls: type[Any]) -> tuple[str, ...]:
    """The settings without a default."""
    return tuple(name for name, setting in settings(cls).items() if setting.is_required)  # type: ignore[arg-type]


def group_in(form: Form) -> GroupForm | None:
    """The dataclass of settings that a form is, or is a list of; None without one."""
    inner = form.item if isinstance(form, ListForm) else form
    return inner if isinstance(inner, GroupForm) else None


def all_parts(form: Form) -> Iterator[Form]:
    """A form, and those inside it, but not those of a dataclass's settings."""
    yield form
    for part in form.parts:
        yield from all_parts(part)


@cache
def _builders(cls: type[Any]) -> dict[str, tuple[str, Build]]:
    """Setting → its field and how it is built, found out once: thousands of rules have the same few settings."""
    return {name: (one.field.name, one.form.build) for name, one in settings(cls).items()}  # type: ignore[arg-type]


def build_settings(cls: type, value: Mapping[Any, Any], path: SettingPath, building: Building) -> Any:
    """A dataclass from a mapping of its settings."""
    builders = _builders(cls)
    values, is_misspelt = {}, False
    for key, one in value.items():
        if key in builders:
            values[key] = builders[key][1](one, (*path, key), building)
            continue
        building.fault((*path, key), faults.unknown_setting(str(key), builders))
        is_misspelt = is_misspelt or bool(faults.did_you_mean(str(key), builders))
        values[key] = INVALID
    for key in required(cls):
        if key not in values:
            values[key] = INVALID
            if not is_misspelt:
                building.fault(path, faults.missing_setting(key))
    return build_instance(cls, values, path, building)


def build_instance(cls: type, values: Mapping[str, Any], path: SettingPath, building: Building) -> Any:
    """The dataclass from the values of its settings, unless one is `INVALID` or `problems` has something to say."""
    for value in values.values():
        if value is INVALID:
            return INVALID
    builders = _builders(cls)
    built = cls(**{builders[name][0]: value for name, value in values.items()})
    problems: Iterable[SettingProblem] = getattr(built, "problems", tuple)()
    is_right = True
    for inner, message in problems:
        is_right = False
        building.problem((*path, *inner), "bad-value", message)
    return built if is_right else INVALID

"""Dataclasses of settings: the form of each field, their building and their JSON Schema.

The annotation of a dataclass's field says its form (`form_of`): a field type of `FIELD_TYPES`, a condition, a dataclass
of further settings, ``tuple[X, ...]`` (one value or a list of them), ``ListOf[X]`` (a list alone), ``Mapping[X, Y]``,
``Literal[…]``, ``bool``, ``int``, ``float``, ``Any``; each also as ``Annotated[X, Described(…)]``. ``X | None`` is as
X.
Configuration, schema and reference all read the form.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union

from gateway.common import setting_faults as faults
from gateway.common.setting_faults import SettingFault
from gateway.forms.building import INVALID, Build, Building, Form
from gateway.forms.described import UNDESCRIBED, Described, combined
from gateway.forms.field_types import FIELD_TYPES
from gateway.forms.several import ListForm, MappingForm, SequenceForm
from gateway.forms.single import (
    AnyForm,
    ChoiceForm,
    ConditionForm,
    NumberForm,
    ScalarForm,
    Single,
    TextForm,
    TruthForm,
)
from gateway.forms.spec import Spec, meant_setting
from gateway.model.problem import SettingPath, SettingProblem
from gateway.ports.kinds import Predicate

Listed = TypeVar("Listed")


class _ListAlone:
    """Marks a tuple that is written as a list, never as one value."""


LIST_ALONE = _ListAlone()
ListOf = Annotated[tuple[Listed, ...], LIST_ALONE]
"""A setting that is written as a list; a ``tuple[X, ...]`` alone may also be written as one value."""


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
    hints = typing.get_type_hints(cls, include_extras=True)
    written = [(one.name.removesuffix("_"), one) for one in dataclasses.fields(cls) if one.init]
    return {name: Setting(name, one, hints[one.name], form_of(hints[one.name])) for name, one in written}


@cache
def form_of(hint: Any) -> Form:
    """The form of a field's annotation."""
    if hint in FIELD_TYPES:
        return ScalarForm(FIELD_TYPES[hint])
    if hint is Predicate:
        return ConditionForm()
    if typing.get_origin(hint) is Annotated:
        base, *beside = typing.get_args(hint)
        return _described(base, combined(beside), is_list=LIST_ALONE in beside)
    if typing.get_origin(hint) in (Union, types.UnionType):
        return form_of(next(one for one in typing.get_args(hint) if one is not types.NoneType))
    return _described(hint, UNDESCRIBED)


def _described(hint: Any, about: Described, *, is_list: bool = False) -> Form:
    """The form of a type with its description."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return GroupForm(hint, about)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        item = form_of(arguments[0])
        return SequenceForm(item, about) if is_list else ListForm(item, about)
    if origin is collections.abc.Mapping:
        return MappingForm(form_of(arguments[0]), form_of(arguments[1]), about)
    if origin is Literal:
        return ChoiceForm(arguments, about)
    if hint is Any:
        return AnyForm(about)
    if hint is str:
        return TextForm(about)
    return TruthForm(about) if hint is bool else NumberForm(hint, about)


@dataclass(frozen=True, slots=True)
class GroupForm(Single):
    """A dataclass of settings. With a class variable `shorthand`, the name of a setting, what is no mapping is that
    one's value: ``rows: 512`` for ``rows: {equals: 512}``."""

    cls: type
    about: Described = UNDESCRIBED

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
        if issubclass(self.cls, Spec):
            return {**self.about.annotations, "$ref": f"#/$defs/{self.cls.__name__}"}
        head = {"type": "object", "description": documentation(self.cls)}
        whole = {**head, **object_schema(self.cls)}
        if self.shorthand is None:
            return whole
        plain = self.shorthand.form.schema()
        forms = {"description": documentation(self.cls), "if": {"type": "object"}, "then": whole, "else": plain}
        if "type" not in plain:
            return forms
        types_ = plain["type"] if isinstance(plain["type"], list) else [plain["type"]]
        return {"type": [*types_, "object"], **forms}

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - most are of the first type, known at once
            return build_settings(self.cls, value, path, building)
        short = self.shorthand
        if short is not None:
            return build_instance(self.cls, {short.name: short.form.build(value, path, building)}, path, building)
        found = building.spelling.found(value, path)
        near = self._instead(value, building.hinted(value, path))
        building.fault(path, faults.wrong_type(faults.TYPE_WORDS["object"], found, near))
        return INVALID

    def _instead(self, value: object, text: str) -> str:
        """The form that is meant by a value which is no mapping."""
        cls: type = self.cls
        if issubclass(self.cls, Spec):
            return self.cls.instead_of(value, text)
        needed = required(cls)
        is_meant = isinstance(value, str) and len(needed) == 1
        return faults.meant(f"{{{needed[0]}: {value}}}") if is_meant else faults.as_mapping(settings(cls))


def documentation(cls: type) -> str:
    """The docstring of a class, on one line."""
    return " ".join((cls.__doc__ or "").split())


def object_schema(cls: type) -> dict[str, Any]:
    """The settings of a dataclass as properties of an object."""
    return {
        "type": "object",
        "properties": {name: setting.form.schema() for name, setting in settings(cls).items()},
        "required": list(required(cls)),
        "additionalProperties": False,
    }


def definitions(cls: type) -> dict[str, Any]:
    """The JSON Schema of a section and of all sections inside it, by the names of their classes."""
    found: dict[str, Any] = {}
    waiting: list[type] = [cls]
    while waiting:
        one = waiting.pop()
        if one.__name__ in found:
            continue
        forms = [setting.form for setting in settings(one).values()]
        found[one.__name__] = {
            "title": one.__name__,
            "description": documentation(one),
            **object_schema(one),
            "properties": {name: _with_default(setting) for name, setting in settings(one).items()},
        }
        inner = [part for form in forms for part in all_parts(form) if isinstance(part, GroupForm)]
        waiting += [part.cls for part in inner if issubclass(part.cls, Spec)]
    return found


def _with_default(setting: Setting) -> dict[str, Any]:
    schema = setting.form.schema()
    if setting.is_required or setting.default is None:
        return schema
    return {**schema, "default": _plain(setting.default)}


def _plain(value: Any) -> Any:
    """A default as it would be written."""
    if isinstance(value, Spec):
        cls: type = type(value)
        values = ((name, getattr(value, one.field.name)) for name, one in settings(cls).items())
        return {name: _plain(one) for name, one in values if one is not None}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


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
    values, likely = {}, set()
    for key, one in value.items():
        if key in builders:
            values[key] = builders[key][1](one, (*path, key), building)
            continue
        fault = unknown_setting(cls, str(key))
        building.fault((*path, key), fault)
        likely |= set(builders) if fault.code == NOT_YET else {faults.likely(str(key), builders)}
        values[key] = INVALID
    for key in required(cls):
        if key not in values:
            values[key] = INVALID
            if key not in likely and not building.spelling.is_lost((*path, key)):
                building.fault(path, faults.missing_setting(key))
    return build_instance(cls, values, path, building)


NOT_YET = "not-supported-yet"


def unknown_setting(cls: type, name: str) -> SettingFault:
    """The fault of a name that is no setting of a class."""
    known = _builders(cls)
    if issubclass(cls, Spec) and name in cls.not_yet:
        return SettingFault(NOT_YET, f"`{name}` {cls.not_yet[name]}")
    return faults.unknown_setting(name, known, meant_setting(name, known))


def build_instance(cls: type, values: Mapping[str, Any], path: SettingPath, building: Building) -> Any:
    """The dataclass from the values of its settings, unless one is `INVALID` or `problems` has something to say."""
    for value in values.values():
        if value is INVALID:
            repaired = _repaired(cls, values, path, building)
            if repaired is None:
                return INVALID
            values = repaired
            break
    builders = _builders(cls)
    built = cls(**{builders[name][0]: value for name, value in values.items()})
    problems: Iterable[SettingProblem] = getattr(built, "problems", tuple)()
    is_right = True
    for inner, message in problems:
        is_right = False
        building.problem((*path, *inner), "bad-value", message)
    return built if is_right else INVALID


def _repaired(cls: type, values: Mapping[str, Any], path: SettingPath, building: Building) -> Mapping[str, Any] | None:
    """The values without the wrong ones, with stand-ins for those that are required; None where there is none, and
    where nothing is repaired."""
    repairs = building.repairs
    if repairs is None:
        return None
    stand_ins: Mapping[str, Any] = getattr(cls, "stand_ins", {})
    kept, is_whole = {}, True
    for name, value in values.items():
        if value is not INVALID:
            kept[name] = value
        elif name not in required(cls):
            repairs.left_out.append((*path, name))
        elif name in stand_ins:
            kept[name] = _builders(cls)[name][1](stand_ins[name], (*path, name), building)
            repairs.stand_ins.append(((*path, name), stand_ins[name]))
        else:
            is_whole = False
    return kept if is_whole else None

"""Kinds from configuration: a dataclass's fields are its settings, its schema and its reference.

A kind is written as a single-key mapping. A kind with one field takes the field's value directly
(``modality: [MR]``), one with more takes a mapping of fields. A trailing underscore of a field's name is dropped
(`in_` is written ``in``). ``tuple[X, ...]`` takes one X or a list of them, never an empty list.

An action whose settings all have defaults may stand alone, as a text: ``hold``.

A setting may hold a dataclass of further settings. With a class variable `shorthand`, the name of a field, what is
no mapping is that one's value: ``rows: 512`` for ``rows: {equals: 512}``.

Kinds and such dataclasses may have a method ``problems() -> Iterable[(path, message)]`` for what no field says alone.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal, Union, cast
from weakref import WeakKeyDictionary

from gateway.common import setting_faults as faults
from gateway.common.setting_faults import SettingFault
from gateway.model.problem import SettingPath
from gateway.ports import kinds as port_kinds
from gateway.ports.errors import ConfigurationError
from gateway.ports.kinds import Action, DestinationKind, Predicate, Registry, Resources
from gateway.routing.language.fields import FIELD_TYPES, FieldType, text_or_number
from gateway.routing.language.named_condition import NamedCondition
from gateway.routing.language.resources import NO_RESOURCES

ReportProblem = Callable[[SettingPath, str, str], None]
"""(path inside the config value, code, message)."""

MAX_NESTING = 32
"""Levels of `all`, `any` and `not` in one condition."""


class _Invalid:
    """Stands for a value whose problem was reported."""


_INVALID = _Invalid()


class _Building:
    """What is passed down while one kind is built: a report that knows whether it was used, and the resources."""

    __slots__ = ("_report", "count", "resources")

    def __init__(self, report: ReportProblem, resources: Resources) -> None:
        self._report = report
        self.resources = resources
        self.count = 0

    def __call__(self, path: SettingPath, code: str, message: str) -> None:
        self.count += 1
        self._report(path, code, message)

    def fault(self, path: SettingPath, fault: SettingFault) -> None:
        self(path, fault.code, fault.message)


def build_predicate(config: object, report: ReportProblem, resources: Resources = NO_RESOURCES) -> Predicate | None:
    """The condition that `config` (a `when:`) says; ``{}`` and None always hold. `resources` are the configuration's.

    Returns None after reporting every problem of it.
    """
    always = config is None or (isinstance(config, Mapping) and not config)
    building = _Building(report, resources)
    built = _kind({"all": ()} if always else config, port_kinds.predicate, (), building)
    return None if building.count else cast(Predicate, built)


def build_actions(config: object, report: ReportProblem, resources: Resources = NO_RESOURCES) -> tuple[Action, ...]:
    """The actions of a `then:` list, in order; those with problems are reported and left out."""
    if config is None:
        return ()
    if not isinstance(config, list | tuple):
        hint = faults.AS_LIST if isinstance(config, Mapping) and config else ""
        fault = faults.wrong_type("a list of actions, each with one key", faults.found(config), hint)
        report((), fault.code, fault.message)
        return ()
    actions: list[Action] = []
    for index, item in enumerate(config):
        building = _Building(report, resources)
        built = _kind(item, port_kinds.action, (index,), building)
        if not building.count:
            actions.append(built)
    return tuple(actions)


def build_destination(name: str, config: object, report: ReportProblem) -> DestinationKind | None:
    """The settings of the destination kind `name`; None after reporting every problem of them."""
    building = _Building(report, NO_RESOURCES)
    built = _of_kind(port_kinds.destination.kinds[name], config, (name,), building)
    return None if building.count else cast(DestinationKind, built)


def canonical_json(config: object) -> str:
    """The `then:` list as text that is equal for equal lists; empty for an empty one."""
    if not config:
        return ""
    return json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


MAX_KEPT = 1024
"""Lists of actions that are kept compiled, for each configuration."""
_kept: WeakKeyDictionary[Resources, dict[str, tuple[Action, ...]]] = WeakKeyDictionary()


def actions_from_json(text: str, resources: Resources = NO_RESOURCES) -> tuple[Action, ...]:
    """The actions that `canonical_json` wrote, with the keys and files of the configuration in force now.

    Raises:
        ConfigurationError: this version of the gateway does not understand them, or a key or file they name is gone.
    """
    kept = _kept.setdefault(resources, {})
    actions = kept.get(text)
    if actions is None:
        actions = _from_json(text, resources)
        if len(kept) >= MAX_KEPT:
            kept.clear()
        kept[text] = actions
    return actions


def _from_json(text: str, resources: Resources) -> tuple[Action, ...]:
    if not text:
        return ()
    problems: list[str] = []
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"stored actions are not JSON: {error}") from None
    found = lambda path, code, message: problems.append(f"{_written(path)}: {code}: {message}")  # noqa: E731
    actions = build_actions(config, found, resources)
    if problems:
        raise ConfigurationError(f"stored actions are not understood any more: {'; '.join(problems)}")
    return actions


def _written(path: SettingPath) -> str:
    """As it would be looked for under a rule: ``then[0].hash.key``."""
    return "then" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def predicate_schema() -> dict[str, Any]:
    """JSON Schema of one condition. It refers to itself as ``#/$defs/predicate``: put it there."""
    return _registry_schema(port_kinds.predicate)


def actions_schema() -> dict[str, Any]:
    """JSON Schema of a `then:` list."""
    return {"type": "array", "items": _registry_schema(port_kinds.action)}


def children(kind: Any) -> Iterable[tuple[SettingPath, Predicate]]:
    """The predicates right inside a predicate, with their path from its value."""
    of_class = type(kind)
    for prefix, field in _child_fields(of_class):  # type: ignore[arg-type]  # hashable; the stub of cache doubts it
        value = getattr(kind, field)
        if isinstance(value, tuple):
            yield from (((*prefix, index), one) for index, one in enumerate(value))
        else:
            yield prefix, value.predicate if isinstance(value, NamedCondition) else value


def inside(kind: Any) -> Sequence[Predicate]:
    """The predicates right inside a predicate."""
    fields = _child_fields(type(kind))  # type: ignore[arg-type]  # as in `children`
    return [one for _path, one in children(kind)] if fields else ()


@cache
def _child_fields(cls: type[Any]) -> tuple[tuple[SettingPath, str], ...]:
    """The fields of a predicate that hold predicates, with the path to each."""
    fields = settings(cls)  # type: ignore[arg-type]  # a class is hashable; the stub of cache doubts it
    return tuple(
        (() if len(fields) == 1 else (name,), field.name)
        for name, (field, hint) in fields.items()
        if hint in (Predicate, NamedCondition)
        or (typing.get_origin(hint) is tuple and typing.get_args(hint)[0] is Predicate)
    )


def name_of_kind(kind: object, registry: Registry) -> str:
    """The name a kind is registered under; its class's name when it is not."""
    return registry.names.get(type(kind), type(kind).__name__)


@cache
def settings(cls: type[Any]) -> Mapping[str, tuple[dataclasses.Field[Any], Any]]:
    """Setting name → (field, type) of a kind, in order."""
    hints = typing.get_type_hints(cls)
    return {f.name.removesuffix("_"): (f, hints[f.name]) for f in dataclasses.fields(cls) if f.init}


# --- building ---------------------------------------------------------------------------------------------------


def _kind(config: object, registry: Registry, path: SettingPath, report: _Building) -> Any:
    if len(path) > 2 * MAX_NESTING:
        report(path, "too-deep", f"conditions are nested more than {MAX_NESTING} levels deep")
        return _INVALID
    if isinstance(config, str) and config in _bare(registry):
        return _settled(registry.kinds[config], {}, (*path, config), report)
    if not isinstance(config, Mapping):
        is_misspelt = isinstance(config, str) and config not in registry.kinds and " " not in config
        near = faults.did_you_mean(str(config), registry.kinds) if is_misspelt else ""
        if isinstance(config, str) and not near and registry is port_kinds.predicate:
            near = ", as {modality: [CT, MR]}"
        if isinstance(config, list | tuple) and config and registry is port_kinds.predicate:
            near = "; where all of them must hold write {all: […]}, where one is enough {any: […]}"
        report.fault(path, faults.wrong_type(f"one {registry.noun} with its value", faults.found(config), near))
        return _INVALID
    if not config:
        report(path, "missing-kind", f"expected one {registry.noun}, found none")
        return _INVALID
    for name, value in config.items():
        built = _named(name, value, registry, (*path, name), report)
    if len(config) == 1:
        return built
    names = faults.listed(map(str, config), "and")
    hint = (
        "all: [" + ", ".join(f"{{{name}: …}}" for name in config) + "]"
        if registry is port_kinds.predicate
        else "a list"
    )
    second = list(config)[1]
    report(
        (*path, second), "several-kinds", f"one {registry.noun} at a time, found {names}; to combine them use {hint}"
    )
    return _INVALID


def _bare(registry: Registry) -> list[str]:
    """The actions that stand alone, as they need no setting."""
    if registry is not port_kinds.action:
        return []
    return sorted(name for name, cls in registry.kinds.items() if not _required(settings(cls)))


def _named(name: object, value: object, registry: Registry, path: SettingPath, report: _Building) -> Any:
    cls = registry.kinds.get(str(name))
    if cls is None:
        report(path, f"unknown-{registry.noun}", _unknown(str(name), registry))
        return _INVALID
    if registry is not port_kinds.predicate:
        return _of_kind(cls, value, path, report)
    outside = _taken_from_outside(cls)
    if outside is None:
        return _of_kind(cls, value, path, report)
    shown = repr(value)
    if outside and any(repr(name) in shown for name in outside):
        return _of_kind(cls, value, path, report)
    known = _built.get((cls, shown))
    if known is not None:
        return known
    before = report.count
    built = _of_kind(cls, value, path, report)
    if report.count == before:
        if len(_built) >= MOST_BUILT:
            _built.clear()
        _built[cls, shown] = built
    return built


MOST_BUILT = 4096
_built: dict[tuple[type, str], Any] = {}
"""Predicates by what is written: thousands of rules ask the same few things."""


@cache
def _taken_from_outside(cls: type[Any]) -> frozenset[str] | None:
    """The settings of a predicate that name keys or files: without them it is what is written, whatever else the
    configuration says. None for one that is never so, since it holds others or is nothing but a name."""
    fields = settings(cls)  # type: ignore[arg-type]  # as in `children`
    names: set[str] = set()
    for name, (_field, hint) in fields.items():
        for one in _parts(hint):
            if one is Predicate or (one in FIELD_TYPES and FIELD_TYPES[one].needs_resources and len(fields) == 1):
                return None
            if one in FIELD_TYPES and FIELD_TYPES[one].needs_resources:
                names.add(name)
            elif _is_group(one):
                inner = _taken_from_outside(one)
                if inner is None:
                    return None
                names |= inner
    return frozenset(names)


def _parts(hint: Any) -> Iterable[Any]:
    """A type, and those inside it."""
    yield hint
    for one in _form(hint)[2]:
        yield from _parts(one)


def _of_kind(cls: type, value: object, path: SettingPath, report: _Building) -> Any:
    builders = _builders(cls)
    if len(builders) == 1:
        (only,) = builders
        return _instance(cls, {only: builders[only](value, path, report)}, path, report)
    return _group(cls, value, path, report)


def _settled(cls: type, value: Mapping[Any, Any], path: SettingPath, report: _Building) -> Any:
    """A dataclass from a mapping of its settings."""
    builders = _builders(cls)
    values, misspelt = {}, False
    for key, one in value.items():
        if key in builders:
            values[key] = builders[key](one, (*path, key), report)
            continue
        report.fault((*path, key), faults.unknown_setting(str(key), builders))
        misspelt = misspelt or bool(faults.did_you_mean(str(key), builders))
        values[key] = _INVALID
    for key in _required_of(cls):
        if key not in values:
            values[key] = _INVALID
            if not misspelt:
                report.fault(path, faults.missing_setting(key))
    return _instance(cls, values, path, report)


@cache
def _required_of(cls: type[Any]) -> tuple[str, ...]:
    return tuple(_required(settings(cls)))  # type: ignore[arg-type]  # as in `children`


def _required(fields: Mapping[str, tuple[dataclasses.Field[Any], Any]]) -> list[str]:
    missing = dataclasses.MISSING
    return [key for key, (field, _) in fields.items() if field.default is missing and field.default_factory is missing]


def _instance(cls: type, values: dict[str, Any], path: SettingPath, report: _Building) -> Any:
    for value in values.values():
        if value is _INVALID:
            return _INVALID
    built = cls(**{_fields(cls)[name]: value for name, value in values.items()})
    problems: Iterable[tuple[SettingPath, str]] = getattr(built, "problems", tuple)()
    is_right = True
    for inner, message in problems:
        is_right = False
        report((*path, *inner), "bad-value", message)
    return built if is_right else _INVALID


@cache
def _fields(cls: type[Any]) -> dict[str, str]:
    """The names of a kind's fields by those of its settings."""
    return {name: field.name for name, (field, _hint) in settings(cls).items()}  # type: ignore[arg-type]  # as above


Build = Callable[[object, SettingPath, _Building], Any]
"""One setting's value, or `_INVALID` after reporting."""


@cache
def _builders(cls: type[Any]) -> dict[str, Build]:
    """How each setting of a kind is built, found out once: thousands of rules have the same few settings."""
    return {name: _builder(hint) for name, (_field, hint) in settings(cls).items()}  # type: ignore[arg-type]  # as above


@cache
def _builder(hint: Any) -> Build:
    if hint in FIELD_TYPES:
        return partial(_scalar, FIELD_TYPES[hint])
    if hint is Predicate:
        return lambda value, path, report: _kind(value, port_kinds.predicate, path, report)
    is_group, origin, arguments = _form(hint)
    if is_group:
        return partial(_group, hint)
    if origin is tuple:
        return partial(_tuple, _builder(arguments[0]), arguments[0] is Predicate)
    if origin is collections.abc.Mapping:
        return partial(_mapping, _builder(arguments[0]), _builder(arguments[1]))
    if origin in (Union, types.UnionType):
        return _builder(next(a for a in arguments if a is not types.NoneType))
    if origin is Literal:
        return partial(_choice, arguments)
    return partial(_choice, (True, False)) if hint is bool else partial(_number, hint)


def _number(hint: Any, value: object, path: SettingPath, report: _Building) -> Any:
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    expected = faults.TYPE_WORDS["integer" if hint is int else "number"]
    near = faults.number_hint(value) if isinstance(value, str) else ""
    report.fault(path, faults.wrong_type(expected, faults.found(value), near))
    return _INVALID


@cache
def _form(hint: Any) -> tuple[bool, Any, tuple[Any, ...]]:
    """Whether a type is a dataclass of settings, its origin and its arguments."""
    return _is_group(hint), typing.get_origin(hint), typing.get_args(hint)


def _is_group(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _group(cls: type, value: object, path: SettingPath, report: _Building) -> Any:
    if isinstance(value, Mapping):
        return _settled(cls, value, path, report)
    fields, short = settings(cls), getattr(cls, "shorthand", None)
    if short is None:
        required = _required(fields)
        is_meant = isinstance(value, str) and len(required) == 1
        near = faults.meant(f"{{{required[0]}: {value}}}") if is_meant else faults.as_mapping(fields)
        report.fault(path, faults.wrong_type(faults.TYPE_WORDS["object"], faults.found(value), near))
        return _INVALID
    return _instance(cls, {short: _builder(fields[short][1])(value, path, report)}, path, report)


def _scalar(field: FieldType, value: object, path: SettingPath, report: _Building) -> Any:
    if field.takes_list and isinstance(value, list | tuple) and value:
        texts = [text_or_number(one) for one in value]
        text = None if None in texts else "\\".join(cast(list[str], texts))
    else:
        text = text_or_number(value)
    if text is None:
        hint = "; put it in quotes to mean the text" if isinstance(value, bool) else ""
        hint = "; to empty an attribute use the action `empty`" if value is None and field.takes_list else hint
        report.fault(path, faults.wrong_type(faults.TYPE_WORDS["string"], faults.found(value), hint))
        return _INVALID
    try:
        return field.build(text, report.resources) if field.needs_resources else field.build(text)
    except ValueError as error:
        report(path, getattr(error, "code", field.code), str(error))
        return _INVALID


def _tuple(build: Build, may_be_empty: bool, value: object, path: SettingPath, report: _Building) -> Any:
    if not isinstance(value, list | tuple):
        built = build(value, path, report)
        return built if built is _INVALID else (built,)
    if not value and not may_be_empty:
        report.fault(path, faults.empty("list"))
        return _INVALID
    items = []
    is_right = True
    for index, one in enumerate(value):
        built = build(one, (*path, index), report)
        is_right = is_right and built is not _INVALID
        items.append(built)
    return tuple(items) if is_right else _INVALID


def _mapping(build_key: Build, build_value: Build, value: object, path: SettingPath, report: _Building) -> Any:
    if not isinstance(value, Mapping):
        report.fault(path, faults.wrong_type(faults.TYPE_WORDS["object"], faults.found(value)))
        return _INVALID
    if not value:
        report.fault(path, faults.empty("mapping"))
        return _INVALID
    pairs = [
        (build_key(key, (*path, key), report), build_value(one, (*path, key), report)) for key, one in value.items()
    ]
    built = {key: one for key, one in pairs if key is not _INVALID and one is not _INVALID}
    return types.MappingProxyType(built)  # of what is right, so that `problems` sees it; the rest is reported


def _choice(choices: tuple[Any, ...], value: object, path: SettingPath, report: _Building) -> Any:
    if any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        return value
    text = value if isinstance(value, str) else ""
    if True in choices:
        hint = faults.yes_no_hint(text)
        report.fault(path, faults.wrong_type(faults.TYPE_WORDS["boolean"], faults.found(value), hint))
        return _INVALID
    report.fault(path, faults.not_one_of([str(one) for one in choices], faults.found(value), text))
    return _INVALID


def _unknown(name: str, registry: Registry) -> str:
    other = port_kinds.action if registry is port_kinds.predicate else port_kinds.predicate
    otherwise = f"; known are {faults.listed(sorted(registry.kinds), 'and')}"
    if name in other.kinds:
        where = "then" if other is port_kinds.action else "when"
        otherwise = f": it is {'an' if other.noun[0] in 'aeiou' else 'a'} {other.noun}, put it under `{where}:`"
    return faults.unknown_word(registry.noun, name, faults.did_you_mean(name, registry.kinds) or otherwise)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a configuration")


# --- schema -----------------------------------------------------------------------------------------------------


def _registry_schema(registry: Registry) -> dict[str, Any]:
    bare = _bare(registry)
    return {
        "type": ["object", "string"] if bare else "object",
        **({"if": {"type": "string"}, "then": {"enum": bare}} if bare else {}),
        "description": f"One {registry.noun}",
        "additionalProperties": False,
        "maxProperties": 1,
        **({"minProperties": 1} if registry is port_kinds.action else {}),  # `when: {}` always holds
        "properties": {name: kind_schema(cls) for name, cls in sorted(registry.kinds.items())},
    }


def kind_schema(cls: type) -> dict[str, Any]:
    """JSON Schema of one kind's value. Raises KeyError or TypeError for a setting of an unknown type."""
    fields = settings(cls)
    text = " ".join((cls.__doc__ or "").split())
    if len(fields) == 1:
        _field, hint = next(iter(fields.values()))
        return {**_schema(hint), "description": text}
    return _group_schema(cls)


def _object_schema(cls: type) -> dict[str, Any]:
    fields = settings(cls)
    return {
        "type": "object",
        "description": "",
        "properties": {name: _schema(hint) for name, (_field, hint) in fields.items()},
        "required": _required(fields),
        "additionalProperties": False,
    }


def _group_schema(cls: type) -> dict[str, Any]:
    text = " ".join((cls.__doc__ or "").split())
    whole = {**_object_schema(cls), "description": text}
    short = getattr(cls, "shorthand", None)
    if short is None:
        return whole
    plain = _schema(settings(cls)[short][1])
    kinds = plain["type"] if isinstance(plain["type"], list) else [plain["type"]]
    return {
        "type": [*kinds, "object"],
        "description": text,
        "if": {"type": "object"},
        "then": whole,
        "else": plain,
    }


def _schema(hint: Any) -> dict[str, Any]:
    if hint in FIELD_TYPES:
        return dict(FIELD_TYPES[hint].schema)
    if hint is Predicate:
        return {"$ref": "#/$defs/predicate"}
    if _is_group(hint):
        return _group_schema(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _one_or_list(_schema(arguments[0]))
    if origin is collections.abc.Mapping:
        return {"type": "object", "minProperties": 1, "additionalProperties": _schema(arguments[1])}
    if origin in (Union, types.UnionType):
        return _schema(next(a for a in arguments if a is not types.NoneType))
    if origin is Literal:
        return {"enum": list(arguments)}
    return {"type": {bool: "boolean", int: "integer", float: "number"}[hint]}


def _one_or_list(item: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in item:
        return {"type": ["object", "array"], "if": {"type": "object"}, "then": item, "else": {"items": item}}
    if "enum" in item or "if" in item:
        return {"if": {"type": "array"}, "then": {"items": item, "minItems": 1}, "else": item}
    kinds = item["type"] if isinstance(item["type"], list) else [item["type"]]
    bounds = {key: value for key, value in item.items() if key not in ("type", "description", "examples")}
    described = {"description": item["description"]} if "description" in item else {}
    return {"type": [*kinds, "array"], "items": {"type": kinds, **bounds}, "minItems": 1, **bounds, **described}

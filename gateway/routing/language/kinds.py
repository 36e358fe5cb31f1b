"""Kinds from configuration: predicates, actions and destinations with their values.

A kind is written as a single-key mapping. A kind with one field takes the field's value directly
(``modality: [MR]``), one with more takes a mapping of fields; `gateway.forms.groups` says how each is
built. A trailing underscore of a field's name is dropped (`in_` is written ``in``).

An action whose settings all have defaults may stand alone, as a text: ``hold``.

Kinds, and dataclasses of settings inside them, may have a method ``problems() -> Iterable[(path, message)]`` for what
no field says alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from gateway.common import setting_faults as faults
from gateway.forms.building import INVALID, Build, Building, ReportProblem
from gateway.forms.groups import (
    GroupForm,
    all_parts,
    build_instance,
    build_settings,
    required,
    settings,
)
from gateway.forms.single import ConditionForm, ScalarForm
from gateway.model.problem import SettingPath
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Action, DestinationKind, Predicate, Registry, Resources
from gateway.routing.language.resources import NO_RESOURCES

MAX_NESTING = 32
"""Levels of `all`, `any` and `not` in one condition."""


def build_predicate(config: object, report: ReportProblem, resources: Resources = NO_RESOURCES) -> Predicate | None:
    """The condition that `config` (a `when:`) says; ``{}`` and None always hold. `resources` are the configuration's.

    Returns None after reporting every problem of it.
    """
    always = config is None or (isinstance(config, Mapping) and not config)
    building = Building(report, resources, _condition)
    built = _condition({"all": ()} if always else config, (), building)
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
        building = Building(report, resources, _condition)
        built = _kind(item, port_kinds.action, (index,), building)
        if not building.count:
            actions.append(built)
    return tuple(actions)


def build_destination(name: str, config: object, report: ReportProblem) -> DestinationKind | None:
    """The settings of the destination kind `name`; None after reporting every problem of them."""
    building = Building(report, NO_RESOURCES, _condition)
    built = _builder(port_kinds.destination.kinds[name])(config, (name,), building)
    return None if building.count else cast(DestinationKind, built)


def name_of_kind(kind: object, registry: Registry) -> str:
    """The name a kind is registered under; its class's name when it is not."""
    return registry.names.get(type(kind), type(kind).__name__)


def stand_alone(registry: Registry) -> list[str]:
    """The actions that stand alone, as they need no setting."""
    if registry is not port_kinds.action:
        return []
    return sorted(name for name, cls in registry.kinds.items() if not required(cls))


def _condition(value: object, path: SettingPath, building: Building) -> Any:
    return _kind(value, port_kinds.predicate, path, building)


def _kind(config: object, registry: Registry, path: SettingPath, building: Building) -> Any:
    if len(path) > 2 * MAX_NESTING:
        building.problem(path, "too-deep", f"conditions are nested more than {MAX_NESTING} levels deep")
        return INVALID
    if isinstance(config, str) and config in stand_alone(registry):
        return build_settings(registry.kinds[config], {}, (*path, config), building)
    if not isinstance(config, Mapping):
        near = _instead_of_no_kind(config, registry)
        building.fault(path, faults.wrong_type(f"one {registry.noun} with its value", faults.found(config), near))
        return INVALID
    if not config:
        building.problem(path, "missing-kind", f"expected one {registry.noun}, found none")
        return INVALID
    for name, value in config.items():
        built = _named(name, value, registry, (*path, name), building)
    if len(config) == 1:
        return built
    names, second = faults.listed(map(str, config), "and"), list(config)[1]
    hint = f"all: [{', '.join(f'{{{name}: …}}' for name in config)}]"
    hint = hint if registry is port_kinds.predicate else "a list"
    message = f"one {registry.noun} at a time, found {names}; to combine them use {hint}"
    building.problem((*path, second), "several-kinds", message)
    return INVALID


def _instead_of_no_kind(config: object, registry: Registry) -> str:
    """The remedy for a value that is no mapping where a kind is expected."""
    is_condition = registry is port_kinds.predicate
    if isinstance(config, str):
        is_misspelt = config not in registry.kinds and " " not in config
        near = faults.did_you_mean(config, registry.kinds) if is_misspelt else ""
        return near or (", as {modality: [CT, MR]}" if is_condition else "")
    if isinstance(config, list | tuple) and config and is_condition:
        return "; where all of them must hold write {all: […]}, where one is enough {any: […]}"
    return ""


def _named(name: object, value: object, registry: Registry, path: SettingPath, building: Building) -> Any:
    cls = registry.kinds.get(str(name))
    if cls is None:
        building.problem(path, f"unknown-{registry.noun}", _unknown(str(name), registry))
        return INVALID
    build = _builder(cls)
    if registry is not port_kinds.predicate:
        return build(value, path, building)
    outside = _taken_from_outside(cls)
    if outside is None:
        return build(value, path, building)
    shown = repr(value)
    if outside and any(repr(name) in shown for name in outside):
        return build(value, path, building)
    known = _built.get((cls, shown))
    if known is not None:
        return known
    before = building.count
    built = build(value, path, building)
    if building.count == before:
        if len(_built) >= MOST_BUILT:
            _built.clear()
        _built[cls, shown] = built
    return built


MOST_BUILT = 4096
_built: dict[tuple[type, str], Any] = {}
"""Predicates by what is written: thousands of rules ask the same few things."""


def _unknown(name: str, registry: Registry) -> str:
    other = port_kinds.action if registry is port_kinds.predicate else port_kinds.predicate
    otherwise = f"; known are {faults.listed(sorted(registry.kinds), 'and')}"
    if name in other.kinds:
        where = "then" if other is port_kinds.action else "when"
        otherwise = f": it is {'an' if other.noun[0] in 'aeiou' else 'a'} {other.noun}, put it under `{where}:`"
    return faults.unknown_word(registry.noun, name, faults.did_you_mean(name, registry.kinds) or otherwise)


@cache
def _taken_from_outside(cls: type[Any]) -> frozenset[str] | None:
    """The settings of a predicate that name keys or files: without them it is what is written, whatever else the
    configuration says. None for one that is never so, since it holds others or is nothing but a name."""
    all_settings = settings(cls)  # type: ignore[arg-type]  # a class is hashable; the stub of cache doubts it
    names: set[str] = set()
    for name, setting in all_settings.items():
        for form in all_parts(setting.form):
            needs_resources = isinstance(form, ScalarForm) and form.type.needs_resources
            if isinstance(form, ConditionForm) or (needs_resources and len(all_settings) == 1):
                return None
            if needs_resources:
                names.add(name)
            if isinstance(form, GroupForm):
                inner = _taken_from_outside(form.cls)
                if inner is None:
                    return None
                names |= inner
    return frozenset(names)


@cache
def _builder(cls: type[Any]) -> Build:
    """The builder of a kind from its value: from one setting, or from a mapping of settings."""
    all_settings = settings(cls)  # type: ignore[arg-type]  # as above
    if len(all_settings) != 1:
        return GroupForm(cls).build
    ((name, only),) = all_settings.items()
    build = only.form.build
    return lambda value, path, building: build_instance(cls, {name: build(value, path, building)}, path, building)

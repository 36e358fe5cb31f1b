"""Conditions inside a condition."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from gateway.forms.groups import settings
from gateway.model.problem import SettingPath
from gateway.ports.kinds import Predicate
from gateway.routing.language.named_condition import NamedCondition


def children(condition: Any) -> Iterable[tuple[SettingPath, Predicate]]:
    """The predicates right inside a predicate, with their path from its value."""
    for path, value in _fields_with_children(condition):
        if isinstance(value, tuple):
            yield from (((*path, index), one) for index, one in enumerate(value))
        else:
            yield path, value.predicate if isinstance(value, NamedCondition) else value


def written_children(condition: Any) -> Iterable[tuple[SettingPath, Predicate]]:
    """As `children`, without what stands elsewhere and is only named here."""
    if any(isinstance(value, NamedCondition) for _path, value in _fields_with_children(condition)):
        return ()
    return children(condition)


def inside(condition: Any) -> Sequence[Predicate]:
    """The predicates right inside a predicate."""
    fields = _child_fields(type(condition))  # type: ignore[arg-type]  # a class is hashable; the stub of cache doubts it
    return [one for _path, one in children(condition)] if fields else ()


def _fields_with_children(condition: Any) -> Iterable[tuple[SettingPath, Any]]:
    of_class = type(condition)
    for path, field in _child_fields(of_class):  # type: ignore[arg-type]  # as in `inside`
        yield path, getattr(condition, field)


@cache
def _child_fields(cls: type[Any]) -> tuple[tuple[SettingPath, str], ...]:
    """The fields of a predicate that hold predicates, with the path to each."""
    all_settings = settings(cls)  # type: ignore[arg-type]  # as in `inside`
    return tuple(
        (() if len(all_settings) == 1 else (name,), setting.field.name)
        for name, setting in all_settings.items()
        if setting.annotation in (Predicate, NamedCondition)
        or (typing.get_origin(setting.annotation) is tuple and typing.get_args(setting.annotation)[0] is Predicate)
    )

"""Keys of identifiers, as they are written on a command line: ``KEY[=VALUE]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from gateway.model.attribute_path import AttributePath
from gateway.model.query import Value
from gateway.query.attributes import SPECIFIC_CHARACTER_SET
from gateway.routing.language.attribute_path import parse


def identifier_of(words: Iterable[str]) -> tuple[dict[int, Value], list[AttributePath]]:
    """The identifier, and the paths of its keys, each once, in order.

    Raises:
        click.BadParameter: a key is no attribute that can be asked for.
    """
    wanted: dict[int, Any] = {}
    paths: list[AttributePath] = []
    for word in words:
        name, _, value = word.partition("=")
        try:
            path = parse(name)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="KEY") from None
        if path.is_by_creator or path.tag == SPECIFIC_CHARACTER_SET or any(index for _, index in path.steps):
            raise click.BadParameter(f"{name} cannot be asked for", param_hint="KEY")
        if all(path.tag != other.tag or path.steps != other.steps for other in paths):
            paths.append(path)
            _put(wanted, path, tuple(value.split("\\")) if value else ())
    return wanted, paths


def _put(wanted: dict[int, Any], path: AttributePath, value: Value) -> None:
    level = wanted
    for sequence, _ in path.steps:
        (level,) = level.setdefault(sequence, ({},))
    level[path.tag] = value

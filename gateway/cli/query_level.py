"""The Query/Retrieve Level of `find`, `move` and `get`: by `--level`, or by a key as tools of others take it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gateway.model.query import QueryLevel
from gateway.query.attributes import QUERY_RETRIEVE_LEVEL
from gateway.routing.language.attribute_path import parse

LEVEL_NAMES = [level.value.lower() for level in QueryLevel]


def level_of(words: Sequence[str], option: str | None) -> tuple[QueryLevel | None, list[str]]:
    """(the level that is named; the other KEYs). Exits 2 when it is named twice in different ways, or is none."""
    named = QueryLevel(option.upper()) if option else None
    others = []
    for word in words:
        name, _, value = word.partition("=")
        if not value or not _is_level(name):
            others.append(word)
            continue
        if value.strip().lower() not in LEVEL_NAMES:
            raise click.BadParameter(f"{name}: {value!r} is not one of {', '.join(LEVEL_NAMES)}", param_hint="KEY")
        level = QueryLevel(value.strip().upper())
        if named not in (None, level):
            there = f"--level {option}" if option else "another KEY"
            raise click.UsageError(f"{word} and {there} differ: say the level once")
        named = level
    return named, others


def _is_level(name: str) -> bool:
    try:
        path = parse(name)
    except ValueError:  # said with the other keys
        return False
    return path.tag == QUERY_RETRIEVE_LEVEL and not path.steps and not path.is_by_creator

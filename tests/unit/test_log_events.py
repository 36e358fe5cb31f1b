"""Names of log events have one form: noun, verb in the past (`handler_failed`, `certificate_not_reloaded`)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gateway.leniency import EVENT
from gateway.lifecycle.log_summary import LEFT_OUT, SUMMARISED
from tests.support.source_trees import nodes_of

PACKAGE = Path(__file__).parents[2] / "gateway"

LOGGERS = re.compile(r"\b_?(log|events)\.(debug|info|warning|error|exception|critical)\b")
WRAPPERS = re.compile(r"(tell|_log|self\._warn)")
"""Functions that log the name which they are given."""
MAY_LOG = re.compile(rf"{LOGGERS.pattern}|\b{WRAPPERS.pattern}\(")
"""A file whose text does not have it logs nothing, and is not parsed."""

IRREGULAR = (
    *("cut", "found", "held", "kept", "left", "lost", "read", "sent", "set", "shrunk", "taken", "written"),
    *("begun", "bound", "done", "undone", "forgotten", "given", "hidden", "made", "put", "seen", "sought"),
)
FORM = re.compile(rf"[a-z]+(_[a-z]+)*?(_not)?_([a-z]+ed|{'|'.join(IRREGULAR)})(_[a-z]+){{0,3}}")
"""Up to three words follow the verb: `instance_held_after_recovery`, `handler_yielded_too_many`."""


def _name(argument: ast.expr) -> str:
    """The literal, with `x` for each part that the code fills in; empty for a variable."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    if isinstance(argument, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in argument.values)
    return ""


def _events(path: Path) -> Iterator[tuple[str, str]]:
    """(place, name) of each call that logs a literal."""
    if not MAY_LOG.search(path.read_text("utf-8")):
        return
    for call in nodes_of(path):
        if not isinstance(call, ast.Call) or not any(_name(argument) for argument in call.args):
            continue
        function = ast.unparse(call.func)
        if LOGGERS.search(function):
            names = [_name(argument) for argument in call.args[:1]]
        elif WRAPPERS.fullmatch(function):
            names = [_name(argument) for argument in call.args]
        else:
            continue
        place = f"{path.relative_to(PACKAGE)}:{call.lineno}"
        yield from ((place, name) for name in names if name)


@cache
def _all() -> list[tuple[str, str]]:
    found = [event for path in sorted(PACKAGE.rglob("*.py")) for event in _events(path)]
    constants = [("gateway.leniency", EVENT), ("gateway.lifecycle.log_summary", LEFT_OUT)]
    return [*found, *constants, *(("SUMMARISED", name) for name in sorted(SUMMARISED))]


def test_the_code_is_searched_for_events() -> None:
    names = {name for _, name in _all()}
    assert len(names) > 120
    assert {"gateway_started", "find_refused", "instance_held", "library_message_logged", "conversion_failed"} <= names


def test_each_name_is_a_noun_and_a_verb_in_the_past() -> None:
    assert [f"{place}: {name}" for place, name in _all() if not FORM.fullmatch(name)] == []


@pytest.mark.parametrize(
    "name", ["leniency", "spool.write_failed", "gateway_draining", "handler_missing", "Handler failed", "failed"]
)
def test_other_forms_are_refused(name: str) -> None:
    assert FORM.fullmatch(name) is None

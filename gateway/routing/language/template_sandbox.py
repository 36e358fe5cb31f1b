"""Jinja2 with what templates may use: filters, tests, methods and operators, every result under a cap.

The sandbox of Jinja2 stops access to Python's insides, not a template that runs for ever or fills the memory. Here
everything is evaluated at most once: there are no loops, macros or assignments, only the filters and methods listed
below, and every text that is made on the way stays under `MAX_RESULT_CHARACTERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.routing.language import template_filters

MAX_RESULT_CHARACTERS = template_filters.MAX_CHARACTERS

_METHODS = """
    capitalize casefold count endswith find isalnum isalpha isdigit lower lstrip partition removeprefix removesuffix
    replace rfind rpartition rsplit rstrip split startswith strip swapcase title upper
"""
METHODS = frozenset(_METHODS.split())
"""The methods that may be called: those of text that never make more than they were given, `replace` under a cap."""
_FILTERS = """
    abs capitalize d default first float int join last length lower replace string title trim truncate upper
"""
FILTERS = frozenset(_FILTERS.split()) | frozenset(template_filters.FILTERS)
_TESTS = """
    defined divisibleby eq equalto even ge gt in le lower lt ne number odd string undefined upper
"""
TESTS = frozenset(_TESTS.split())

_ALLOWED = """
    Add And Call Compare Concat CondExpr Const Div Filter FloorDiv Getattr Getitem If Keyword List Mod Mul Name Neg Not
    Operand Or Output Pos Slice Sub Template TemplateData Test Tuple
"""
NODES = frozenset(_ALLOWED.split())
"""Every other node of Jinja2's grammar is refused: loops, macros, assignments, imports, powers."""


class _Environment(ImmutableSandboxedEnvironment):
    """Operators and calls under a cap, whatever the attributes hold."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        if operator != "+" and not (_is_number(left) and _is_number(right)):
            raise SecurityError(f"{operator!r} takes numbers only")
        return capped(super().call_binop(context, operator, left, right))

    def call(__self, __context: jinja2.runtime.Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        text = getattr(__obj, "__self__", None)
        if not isinstance(text, str) or getattr(__obj, "__name__", "") not in METHODS:
            raise SecurityError("only methods of text may be called")
        if __obj.__name__ == "replace":
            return _replace(text, *args, **kwargs)
        return capped(super().call(__context, __obj, *args, **kwargs))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def capped(value: Any) -> Any:
    if isinstance(value, str | list | tuple) and len(value) > MAX_RESULT_CHARACTERS:
        raise SecurityError(f"a text of {len(value)} characters comes up; at most {MAX_RESULT_CHARACTERS} are allowed")
    return value


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    grown = len(text) + (len(text) + 1) * len(str(new))
    if grown > 100 * MAX_RESULT_CHARACTERS:
        raise SecurityError("replace would make a text over the limit")
    return str(capped(str(text).replace(str(old), str(new), -1 if count is None else count)))


def _join(values: Iterable[object], separator: str = "") -> str:
    texts = [str(value) for value in values]
    if sum(map(len, texts)) + len(texts) * len(separator) > 100 * MAX_RESULT_CHARACTERS:
        raise SecurityError("join would make a text over the limit")
    return str(capped(separator.join(texts)))


def _environment() -> _Environment:
    environment = _Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals.clear()
    checked = {name: _checked({**environment.filters, **template_filters.FILTERS}[name]) for name in FILTERS}
    environment.filters = {**checked, "replace": _replace, "join": _join}
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        return capped(function(*args, **kwargs))

    if hasattr(function, "jinja_pass_arg"):
        checked.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
    return checked


ENVIRONMENT = _environment()

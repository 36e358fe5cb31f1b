"""Value templates: Jinja2 expressions over an object's attributes, bounded in time and size.

Names are attribute keywords (text; several values joined by backslashes; empty when absent) and ``association.<field>``
(`gateway.model.association.AssociationFacts`). A template without ``{{``, ``{%`` and ``{#`` is plain text.

The sandbox of Jinja2 stops access to Python's insides, not a template that runs for ever or fills the memory. Here
everything is evaluated at most once: there are no loops, macros or assignments, only the filters and methods listed
below, and every text that is made on the way stays under `MAX_RESULT_CHARACTERS`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.common.setting_faults import did_you_mean, unknown_word
from gateway.dataset.dictionary import SEQUENCE, vr_of
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import PayloadLost, Refusal, Temporary
from gateway.ports.facts import Facts
from gateway.ports.kinds import Resources
from gateway.routing.language import template_filters
from gateway.routing.language.attribute_path import parse

MAX_RESULT_CHARACTERS = template_filters.MAX_CHARACTERS
MAX_TEMPLATE_CHARACTERS = 10_240
MAX_DEPTH = 64

NOT_THE_OBJECT = (Temporary, PayloadLost)
"""Its stored bytes cannot be read now, or are not what they were: whoever asked decides, and may ask again."""
ASSOCIATION_FIELDS = frozenset(field.name for field in dataclasses.fields(AssociationFacts))
EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
"""The part of a template that is evaluated; the rest stands as it is."""
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
_NODES = frozenset(_ALLOWED.split())
"""Every other node of Jinja2's grammar is refused: loops, macros, assignments, imports, powers."""


class _Environment(ImmutableSandboxedEnvironment):
    """Operators and calls under a cap, whatever the attributes hold."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        if operator != "+" and not (_is_number(left) and _is_number(right)):
            raise SecurityError(f"{operator!r} takes numbers only")
        return _capped(super().call_binop(context, operator, left, right))

    def call(__self, __context: jinja2.runtime.Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        text = getattr(__obj, "__self__", None)
        if not isinstance(text, str) or getattr(__obj, "__name__", "") not in METHODS:
            raise SecurityError("only methods of text may be called")
        if __obj.__name__ == "replace":
            return _replace(text, *args, **kwargs)
        return _capped(super().call(__context, __obj, *args, **kwargs))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def _capped(value: Any) -> Any:
    if isinstance(value, str | list | tuple) and len(value) > MAX_RESULT_CHARACTERS:
        raise SecurityError(f"a text of {len(value)} characters comes up; at most {MAX_RESULT_CHARACTERS} are allowed")
    return value


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    grown = len(text) + (len(text) + 1) * len(str(new))
    if grown > 100 * MAX_RESULT_CHARACTERS:
        raise SecurityError("replace would make a text over the limit")
    return str(_capped(str(text).replace(str(old), str(new), -1 if count is None else count)))


def _join(values: Iterable[object], separator: str = "") -> str:
    texts = [str(value) for value in values]
    if sum(map(len, texts)) + len(texts) * len(separator) > 100 * MAX_RESULT_CHARACTERS:
        raise SecurityError("join would make a text over the limit")
    return str(_capped(separator.join(texts)))


def _environment() -> _Environment:
    environment = _Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals.clear()
    checked = {name: _checked({**environment.filters, **template_filters.FILTERS}[name]) for name in FILTERS}
    environment.filters = {**checked, "replace": _replace, "join": _join}
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        return _capped(function(*args, **kwargs))

    if hasattr(function, "jinja_pass_arg"):
        checked.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
    return checked


_ENVIRONMENT = _environment()


class _Code:
    """A tree that was checked, and what Jinja2 makes of it when it is first rendered: of thousands of rules an object
    meets a few, and compiling takes three times as long as parsing and checking together.

    A tree deeper than `SHALLOW` is compiled at once: Python's parser has limits, which no object should be the first
    to find.
    """

    __slots__ = ("_template", "_tree")

    def __init__(self, tree: nodes.Template, depth: int) -> None:
        self._tree: nodes.Template | None = tree
        self._template: jinja2.Template | None = None
        if depth > SHALLOW:
            self.template()

    def template(self) -> jinja2.Template:
        if self._template is None:
            with _COMPILING:
                if self._tree is not None:
                    self._template = _ENVIRONMENT.from_string(self._tree)
                    self._tree = None
        assert self._template is not None
        return self._template


SHALLOW = 16
_COMPILING = Lock()
"""Jinja2 changes a tree while it compiles it."""

Known = tuple[tuple[tuple[str, AttributePath], ...], _Code]
_KNOWN: dict[str, Known] = {}
"""Templates without keys and tables by text: many rules say the same, and a reload says most of it again."""
_KNOWN_EXPRESSIONS: dict[str, Known] = {}
MOST_KNOWN = 8192


def _remember(known: dict[str, Known], text: str, what: Known) -> None:
    if len(known) >= MOST_KNOWN:
        known.clear()
    known[text] = what


class Template:
    """One compiled value template; immutable, equal by text, keys and tables."""

    __slots__ = ("_code", "_given", "attributes", "text")

    text: str
    attributes: tuple[tuple[str, AttributePath], ...]
    """(name in the template, path), each once."""

    def __init__(self, text: str, resources: Resources | None = None) -> None:
        """Raises ValueError with every name that is unknown and everything that is not allowed."""
        self.text = text
        self.attributes = ()
        self._given: dict[str, object] = {}
        self._code: _Code | None = None
        if len(text) > MAX_TEMPLATE_CHARACTERS:
            raise ValueError(f"a template of {len(text)} characters; at most {MAX_TEMPLATE_CHARACTERS} are allowed")
        if re.search(r"\{[{%#]", text) is None:
            return
        if (known := _KNOWN.get(text)) is not None:
            self.attributes, self._code = known
            return
        try:
            tree = _ENVIRONMENT.parse(text)
            self.attributes, self._given, depth = _check(tree, resources)
            self._code = _Code(tree, depth)
        except jinja2.TemplateSyntaxError as error:
            raise ValueError(f"not a template: {error.message}") from None
        except RecursionError:
            raise ValueError("the template is nested too deeply") from None
        if not self._given:
            _remember(_KNOWN, text, (self.attributes, self._code))

    @property
    def is_constant(self) -> bool:
        """True when it renders to its own text whatever the object."""
        return self._code is None

    def render(self, facts: Facts) -> str:
        """The value for this object, at most `MAX_RESULT_CHARACTERS` long.

        Raises:
            Refusal: the template fails on this object's values.
            Temporary, PayloadLost: the values cannot be read, see `gateway.ports`; the template is not to blame.
        """
        if self._code is None:
            return self.text
        try:
            names: dict[str, object] = {name: _text(facts, path) for name, path in self.attributes}
            return str(_capped(self._code.template().render(names | self._given, association=facts.association)))
        except NOT_THE_OBJECT:
            raise
        except MemoryError:
            raise Temporary(f"no memory for template {self.text!r}") from None
        except Exception as error:  # a template can fail in any way that Python can; the object is answered for
            raise Refusal(f"template {self.text!r} fails on this object: {_reason(error)}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text and other._given == self._given

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


class Expression:
    """One compiled expression of the templates' language, without braces; immutable, equal by text, keys and tables."""

    __slots__ = ("_code", "_given", "attributes", "text")

    text: str
    attributes: tuple[tuple[str, AttributePath], ...]
    """(name in the expression, path), each once."""

    def __init__(self, text: str, resources: Resources | None = None) -> None:
        """Raises ValueError with every name that is unknown and everything that is not allowed."""
        self.text = text
        if "{{" in text or "{%" in text:
            raise ValueError("an expression is written without braces")
        if len(text) > MAX_TEMPLATE_CHARACTERS:
            raise ValueError(f"an expression of {len(text)} characters; at most {MAX_TEMPLATE_CHARACTERS} are allowed")
        self._given: dict[str, object] = {}
        if (known := _KNOWN_EXPRESSIONS.get(text)) is not None:
            self.attributes, self._code = known
            return
        try:
            parsed = _parsed(text)
            self.attributes, self._given, depth = _check(nodes.Template([nodes.Output([parsed])]), resources)
            assigned = nodes.Assign(nodes.Name("result", "store"), parsed, lineno=1)  # for `TemplateExpression`
            self._code = _Code(_with_environment(nodes.Template([assigned], lineno=1)), depth)
        except jinja2.TemplateSyntaxError as error:
            raise ValueError(f"not an expression: {error.message}") from None
        except RecursionError:
            raise ValueError("the expression is nested too deeply") from None
        if not self._given:
            _remember(_KNOWN_EXPRESSIONS, text, (self.attributes, self._code))

    def holds(self, facts: Facts) -> bool:
        """True when its value counts as true: a number other than 0, a text that is not empty.

        Raises:
            Refusal: it fails on this object's values.
            Temporary, PayloadLost: as `Template.render`.
        """
        try:
            names: dict[str, object] = {name: _text(facts, path) for name, path in self.attributes}
            value_of = TemplateExpression(self._code.template(), undefined_to_none=False)
            return bool(value_of(names | self._given, association=facts.association))
        except NOT_THE_OBJECT:
            raise
        except MemoryError:
            raise Temporary("no memory for an expression") from None
        except Exception as error:  # as in `Template.render`
            raise Refusal(f"it fails on this object: {_reason(error)}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text and other._given == self._given

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _with_environment(tree: nodes.Template) -> nodes.Template:
    tree.set_environment(_ENVIRONMENT)
    return tree


def _parsed(text: str) -> nodes.Expr:
    parser = Parser(_ENVIRONMENT, text, state="variable")
    parsed = parser.parse_expression()
    if not parser.stream.eos:
        raise jinja2.TemplateSyntaxError(f"{str(parser.stream.current)!r} is left over; leave braces out", 1)
    return parsed


def _text(facts: Facts, path: AttributePath) -> str:
    return str(_capped("\\".join(facts.values(path) or ())))


def _reason(error: Exception) -> str:
    """Without the object's values: what Python's own errors say may quote them."""
    if isinstance(error, SecurityError):
        return str(error.message)
    if isinstance(error, jinja2.UndefinedError):
        return "it asks a text or a list for what is not in it"  # Jinja2 says what, and that may be a value
    if isinstance(error, template_filters.Impossible):
        return str(error)
    if isinstance(error, TypeError):
        return "TypeError; attributes are text, and |int makes a number of one"
    return type(error).__name__


@dataclasses.dataclass(slots=True)
class _Findings:
    """The findings of a look at a template's tree."""

    resources: Resources | None
    depth: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    attributes: dict[str, AttributePath] = dataclasses.field(default_factory=dict)
    keys: dict[str, bytes] = dataclasses.field(default_factory=dict)
    tables: dict[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)


def _check(
    tree: nodes.Template, resources: Resources | None
) -> tuple[tuple[tuple[str, AttributePath], ...], dict[str, object], int]:
    """The attributes, what the filters are given besides, and the depth. Raises ValueError with all problems."""
    found = _Findings(resources)
    _visit(tree, found, 0)
    if found.problems:
        raise ValueError("; ".join(dict.fromkeys(found.problems)))
    given: dict[str, object] = (
        {template_filters.KEYS: found.keys, template_filters.TABLES: found.tables} if found.keys or found.tables else {}
    )
    return tuple(found.attributes.items()), given, found.depth


def _visit(node: nodes.Node, found: _Findings, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError
    found.depth = max(found.depth, depth)
    called = node.node if isinstance(node, nodes.Call) else None
    problem = _problem(node)
    if problem:
        found.problems.append(problem)
        return
    if isinstance(node, nodes.Name) and node.name != "association":
        _add_attribute(node.name, found)
    if isinstance(node, nodes.Filter) and node.name in _FIXED_ARGUMENTS:
        _add_given(node, found)
    for child in node.iter_child_nodes():
        if child is called:  # the method's name was checked with its call; go on with the text it belongs to
            assert isinstance(called, nodes.Getattr)
            _visit(called.node, found, depth + 1)
        elif _is_association(child) and not isinstance(node, nodes.Getattr):
            found.problems.append("association needs a field: association.calling_ae_title")
        else:
            _visit(child, found, depth + 1)


_FIXED_ARGUMENTS = {"uid": ("key",), "lookup": ("table",), "regex_replace": ("pattern", "replacement")}
"""Arguments that must be written out, so that they are looked up and checked once, before any object."""


def _add_given(node: nodes.Filter, found: _Findings) -> None:
    """Add the names in the filters `uid`, `lookup` and `regex_replace`, or the reason why there is no such thing."""
    names = _FIXED_ARGUMENTS[node.name]
    written: dict[str, nodes.Node] = dict(zip(names, node.args, strict=False))
    for keyword in node.iter_child_nodes(only=("kwargs",)):
        if isinstance(keyword, nodes.Keyword) and keyword.key in names:
            written[keyword.key] = keyword.value
    texts = {name: one.value for name, one in written.items() if isinstance(one, nodes.Const)}
    if names[0] not in texts or len(texts) < len(written) or not all(isinstance(one, str) for one in texts.values()):
        found.problems.append(f"{node.name} takes its {' and '.join(names)} as quoted text, not as something computed")
        return
    try:
        if node.name == "regex_replace":
            template_filters.compiled(texts["pattern"], texts.get("replacement", ""))
        elif found.resources is None:
            found.problems.append(f"the filter {node.name!r} cannot be used here: no keys and files are known")
        elif node.name == "uid":
            found.keys[texts["key"]] = found.resources.key(texts["key"])
        else:
            found.tables[texts["table"]] = found.resources.table(texts["table"])
    except ValueError as error:
        found.problems.append(str(error))


def _problem(node: nodes.Node) -> str:
    """The problem with this node itself; empty when it is allowed."""
    match node:
        case nodes.Getattr():
            return _attribute_problem(node)
        case nodes.Call():
            return _call_problem(node)
        case nodes.Filter() if node.dyn_args is not None or node.dyn_kwargs is not None:
            return "* and ** arguments are not allowed"
        case nodes.Filter() if node.name not in FILTERS:
            return unknown_word("filter", node.name, did_you_mean(node.name, FILTERS))
        case nodes.Test() if node.name not in TESTS:
            return unknown_word("test", node.name, did_you_mean(node.name, TESTS))
        case _ if type(node).__name__ in _NODES:
            return ""
        case _:
            return f"{type(node).__name__} is not allowed in a value template; use expressions, filters and if"


def _attribute_problem(node: nodes.Getattr) -> str:
    if not _is_association(node.node):
        return _member_problem(node)
    if node.attr in ASSOCIATION_FIELDS:
        return ""
    return unknown_word("field", f"association.{node.attr}", did_you_mean(node.attr, ASSOCIATION_FIELDS))


def _member_problem(node: nodes.Getattr) -> str:
    if node.attr in METHODS:
        return f"{node.attr!r} can only be called, as .{node.attr}()"
    if node.attr in FILTERS:
        name = node.node.name if isinstance(node.node, nodes.Name) else "…"
        return f"unknown member {node.attr!r}; it is a filter: write {name} | {node.attr}"
    return unknown_word("member", node.attr, did_you_mean(node.attr, METHODS))


def _call_problem(node: nodes.Call) -> str:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return "* and ** arguments are not allowed"
    if not isinstance(node.node, nodes.Getattr):
        name = node.node.name if isinstance(node.node, nodes.Name) else "this"
        return f"{name!r} cannot be called; only methods of text can, as PatientName.upper()"
    if node.node.attr in METHODS and not _is_association(node.node.node):
        return ""
    return f"method {node.node.attr!r} is not allowed{did_you_mean(node.node.attr, METHODS)}"


def _is_association(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "association"


def _add_attribute(name: str, found: _Findings) -> None:
    try:
        path = parse(name)
    except ValueError as error:
        found.problems.append(str(error))
        return
    if vr_of(path.tag) == SEQUENCE:
        found.problems.append(f"{name} is a sequence; a template takes attributes with a text")
    found.attributes[name] = path

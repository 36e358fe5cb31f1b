"""Value templates: Jinja2 expressions over an object's attributes, bounded in time and size.

Names are attribute keywords (text; several values joined by backslashes; empty when absent) and ``association.<field>``
(`gateway.model.association.AssociationFacts`). A template without ``{{``, ``{%`` and ``{#`` is plain text.

The Jinja2 that they are compiled with is in `template_sandbox`; what is wrong with one is found by `template_check`.
"""

from __future__ import annotations

import re
from threading import Lock

import jinja2
from jinja2 import nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser

from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import PayloadLost, Refusal, Temporary
from gateway.ports.facts import Facts
from gateway.ports.kinds import Resources
from gateway.routing.language import template_filters
from gateway.routing.language.template_check import check_tree
from gateway.routing.language.template_sandbox import ENVIRONMENT, capped

MAX_TEMPLATE_CHARACTERS = 10_240

NOT_THE_OBJECT = (Temporary, PayloadLost)
"""Errors of the stored bytes, not of the object's values: the caller decides, and may try again."""
EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
"""The part of a template that is evaluated; the rest stands as it is."""


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
                    self._template = ENVIRONMENT.from_string(self._tree)
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
            tree = ENVIRONMENT.parse(text)
            self.attributes, self._given, depth = check_tree(tree, resources)
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
            return str(capped(self._code.template().render(names | self._given, association=facts.association)))
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
            self.attributes, self._given, depth = check_tree(nodes.Template([nodes.Output([parsed])]), resources)
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
    tree.set_environment(ENVIRONMENT)
    return tree


def _parsed(text: str) -> nodes.Expr:
    parser = Parser(ENVIRONMENT, text, state="variable")
    parsed = parser.parse_expression()
    if not parser.stream.eos:
        raise jinja2.TemplateSyntaxError(f"{str(parser.stream.current)!r} is left over; leave braces out", 1)
    return parsed


def _text(facts: Facts, path: AttributePath) -> str:
    return str(capped("\\".join(facts.values(path) or ())))


def _reason(error: Exception) -> str:
    """The reason without the object's values: texts of Python's own errors may quote them."""
    if isinstance(error, SecurityError):
        return str(error.message)
    if isinstance(error, jinja2.UndefinedError):
        return "it asks a text or a list for what is not in it"  # Jinja2 says what, and that may be a value
    if isinstance(error, template_filters.Impossible):
        return str(error)
    if isinstance(error, TypeError):
        return "TypeError; attributes are text, and |int makes a number of one"
    return type(error).__name__

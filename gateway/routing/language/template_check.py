"""A look at the tree of a template before any object: unknown names and what is not allowed, all of it at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from jinja2 import nodes

from gateway.common.setting_faults import did_you_mean, unknown_word
from gateway.dataset.dictionary import SEQUENCE, vr_of
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.ports.kinds import Resources
from gateway.routing.language import template_filters
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.template_sandbox import FILTERS, METHODS, NODES, TESTS

MAX_DEPTH = 64
ASSOCIATION_FIELDS = frozenset(field.name for field in dataclasses.fields(AssociationFacts))


@dataclasses.dataclass(slots=True)
class _Findings:
    """The findings of a look at a template's tree."""

    resources: Resources | None
    depth: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    attributes: dict[str, AttributePath] = dataclasses.field(default_factory=dict)
    keys: dict[str, bytes] = dataclasses.field(default_factory=dict)
    tables: dict[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)


def check_tree(
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
        case _ if type(node).__name__ in NODES:
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

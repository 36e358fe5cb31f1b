"""The texts that a template can come to whatever the object, as far as they are known before any object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jinja2 import nodes

from gateway.ports.kinds import Resources
from gateway.routing.language.fields import TableFile
from gateway.routing.language.template_sandbox import ENVIRONMENT


@dataclass(frozen=True, slots=True)
class KnownText:
    """One text."""

    text: str
    table: str = ""
    """The file that it stands in, as it is written in the template; empty for what the template itself says."""
    line: int = 0
    """Its line in the file."""


def outcomes(text: str, resources: Resources) -> tuple[KnownText, ...]:
    """Texts that the template `text`, which was checked, may come to: written ones, and the values of tables. Those
    that are made of an object's values are not among them."""
    return tuple(_of_body(ENVIRONMENT.parse(text).body, resources))


def _of_body(body: Sequence[nodes.Node], resources: Resources) -> Iterator[KnownText]:
    """Texts of one part and the constant text around it; nothing is known of several, since they may depend on each
    other."""
    parts = [part for node in body for part in (node.nodes if isinstance(node, nodes.Output) else [node])]
    others = [part for part in parts if not isinstance(part, nodes.TemplateData)]
    if not others:
        yield KnownText("".join(part.data for part in parts if isinstance(part, nodes.TemplateData)))
    if len(others) != 1:
        return
    at = parts.index(others[0])
    before, after = ("".join(one.data for one in side) for side in (_texts(parts[:at]), _texts(parts[at + 1 :])))
    for found in _of(others[0], resources):
        yield replace(found, text=f"{before}{found.text}{after}")


def _texts(parts: Sequence[nodes.Node]) -> list[nodes.TemplateData]:
    return [part for part in parts if isinstance(part, nodes.TemplateData)]


def _of(node: nodes.Node, resources: Resources) -> Iterator[KnownText]:
    match node:
        case nodes.Const(value=str(text)):
            yield KnownText(text)
        case nodes.Or():
            yield from (found for found in _of(node.left, resources) if found.text)
            yield from _of(node.right, resources)
        case nodes.CondExpr():
            yield from _of(node.expr1, resources)
            yield from _of(node.expr2, resources) if node.expr2 is not None else ()
        case nodes.If():
            yield from _of_body(node.body, resources)
            for other in node.elif_:
                yield from _of_body(other.body, resources)
            yield from _of_body(node.else_, resources) if node.else_ else ()
        case nodes.Filter(name="lookup"):
            yield from _of_lookup(node, resources)


def _of_lookup(node: nodes.Filter, resources: Resources) -> Iterator[KnownText]:
    given: dict[str, nodes.Node] = dict(zip(("table", "default"), node.args, strict=False))
    given |= {
        word.key: word.value for word in node.iter_child_nodes(only=("kwargs",)) if isinstance(word, nodes.Keyword)
    }
    name = given["table"]
    assert isinstance(name, nodes.Const)  # the check of the template says so
    table = resources.table(name.value)
    lines = table.lines if isinstance(table, TableFile) else ()
    for index, value in enumerate(table.values()):
        yield KnownText(value, name.value, lines[index] if lines else 0)
    if "default" in given:
        yield from _of(given["default"], resources)

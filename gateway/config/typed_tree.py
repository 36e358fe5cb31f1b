"""Located tree → typed settings. msgspec says quickly whether all is well; jsonschema says exactly what is not.

A wrong value is reported and taken out, so that the rest of its item is still checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gateway.config.findings import Findings
from gateway.config.tree import (
    BrokenNode,
    MappingNode,
    Node,
    Place,
    Plain,
    ScalarNode,
    SequenceNode,
    plain,
    replaced,
    without,
)
from gateway.model.problem import SettingPath

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

    from gateway.config.fault_messages import Fault

T = TypeVar("T")


def check(place: Place, kind: type[T], findings: Findings) -> tuple[T | None, Place]:
    """Fill `kind` from the tree, reporting every mistake.

    Returns the value and the tree it was made from, without what was wrong; None when a required setting is missing.
    """
    node: Node | None = unbroken(place.node) if findings.has_errors else place.node  # a broken node was an error
    while node is not None:
        try:
            return msgspec.convert(_quickly(node, kind), kind), Place(node, place.holder)
        except msgspec.ValidationError as error:
            node = _repaired(Place(node, place.holder), kind, str(error), findings)
    return None, place


def _quickly(node: Node, kind: type) -> Plain:
    """As `plain`, without what stands under settings that may be anything: conditions and actions are looked at by
    those who build them, and are most of thousands of rules."""
    if not isinstance(node, MappingNode):
        return plain(node)
    free = _free_settings(kind)
    return {key: None if key in free else plain(entry.node) for key, entry in node.entries.items()}


@cache
def _free_settings(kind: type) -> frozenset[str]:
    if not issubclass(kind, msgspec.Struct):
        return frozenset()
    return frozenset(one.encode_name for one in msgspec.structs.fields(kind) if one.type is Any)


def unbroken(node: Node) -> Node | None:
    """The tree without its broken nodes, which were reported before."""
    match node:
        case BrokenNode():
            return None
        case ScalarNode():
            return node
        case MappingNode(entries=entries):
            paths: list[SettingPath] = [
                (key, *below) for key, entry in entries.items() for below in _broken(entry.node)
            ]
        case SequenceNode(items=items):
            paths = [(index, *below) for index, item in enumerate(items) for below in _broken(item)]
    return _without_all(node, paths)


def is_broken(node: Node) -> bool:
    """True when something below `node` was unreadable."""
    return any(True for _ in _broken(node))


def _broken(node: Node) -> Iterator[SettingPath]:
    match node:
        case BrokenNode():
            yield ()
        case MappingNode(entries=entries):
            for key, entry in entries.items():
                for below in _broken(entry.node):
                    yield (key, *below)
        case SequenceNode(items=items):
            for index, item in enumerate(items):
                for below in _broken(item):
                    yield (index, *below)


def _without_all(node: Node, paths: Iterable[SettingPath]) -> Node | None:
    """Take out every path, the last ones first so that list indexes stay right."""

    def order(path: SettingPath) -> tuple[tuple[int, str], ...]:
        return tuple((step, "") if isinstance(step, int) else (-1, step) for step in path)

    kept: Node | None = node
    for path in sorted(set(paths), key=order, reverse=True):
        if kept is None:
            return None
        kept = without(kept, path)
    return kept


@cache
def _validator(kind: type) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # only where something is wrong: it takes a while to load

    from gateway.config.schema import definitions

    return Draft202012Validator({"$ref": f"#/$defs/{kind.__name__}", "$defs": definitions(kind)})


def _repaired(place: Place, kind: type, reason: str, findings: Findings) -> Node | None:
    """The tree after its wrong values were reported and taken out; None when nothing useful is left."""
    from gateway.config.fault_messages import Fault, explain  # as above

    errors = list(_validator(kind).iter_errors(plain(place.node)))
    node: Node = place.node
    removals: list[SettingPath] = []
    for error in errors:
        fault = Fault(
            tuple(error.absolute_path), str(error.validator), error.validator_value, error.instance, error.schema
        )
        if text := _as_text(place.at(*fault.path), fault):
            node = replaced(node, fault.path, text)
            continue
        for finding in explain(place, fault):
            if finding.message:
                findings.error(finding.mark, finding.code, finding.message)
            if finding.stand_in is None:
                removals.append(finding.path)
            else:
                node = replaced(node, finding.path, finding.stand_in)
    if not errors:
        findings.error(place.holder, "wrong-value", reason)
        return None
    return _without_all(node, removals)


def _as_text(place: Place, fault: Fault) -> ScalarNode | None:
    """The text for an unquoted ``1234`` or ``NO`` where a text is expected."""
    node = place.node
    if not isinstance(node, ScalarNode) or node.value is None or isinstance(node.value, str):
        return None
    if (
        (fault.keyword == "type" and fault.expected == "string")
        or (fault.keyword == "enum" and node.text in fault.expected)
        or (fault.keyword == "anyOf" and any(form.get("type") == "string" for form in fault.expected))
    ):
        return ScalarNode(node.mark, node.text, node.text, node.written, is_secret=node.is_secret)
    return None

"""Located tree → sections, with every mistake reported at its place.

A wrong value is reported and taken out, so that the rest of its item is still checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, ClassVar, TypeVar

from gateway.common.setting_faults import quoted
from gateway.config.findings import Findings
from gateway.config.reporting import mark_of
from gateway.config.tree import (
    BrokenNode,
    MappingNode,
    Node,
    Place,
    Plain,
    ScalarNode,
    SequenceNode,
    located,
    plain,
    replaced,
    without,
)
from gateway.forms.building import INVALID, Building, KeyPath, Repairs
from gateway.forms.groups import GroupForm, settings
from gateway.forms.single import AnyForm
from gateway.forms.spec import Spec
from gateway.model.problem import SettingPath

T = TypeVar("T", bound=Spec)


def check(place: Place, kind: type[T], findings: Findings) -> tuple[T | None, Place]:
    """Build `kind` from the tree, reporting every mistake.

    Returns the value and the tree it was made from, without what was wrong; None when a required setting is missing.
    """
    node = unbroken(place.node) if findings.has_errors else place.node  # a broken node was an error
    if node is None:
        return None, place
    here = Place(node, place.holder)
    repairs = Repairs()
    building = building_at(here, findings, repairs)
    built = GroupForm(kind).build(_quickly(node, kind), (), building)
    if built is INVALID:
        return None, place
    return built, Place(_repaired(here, repairs), place.holder) if building.count else here


def check_setting(place: Place, kind: type, name: str, findings: Findings) -> Any:
    """One setting of `kind` alone, which stands at `place`: its value; None when it is absent or wrong, which is
    reported."""
    below = place.child(name)
    if below is None or isinstance(below.node, BrokenNode):
        return None
    built = settings(kind)[name].form.build(plain(below.node), (name,), building_at(place, findings))
    return None if built is INVALID else built


def building_at(place: Place, findings: Findings, repairs: Repairs | None = None) -> Building:
    """The context of building what stands at `place`."""

    def report(path: SettingPath, code: str, message: str) -> None:
        findings.error(mark_of(place, path, code), code, message)

    return Building(report, spelling=TreeSpelling(place), repairs=repairs)


def _quickly(node: Node, kind: type) -> Plain:
    """As `plain`, without what stands under settings that may be anything: conditions and actions are looked at by
    those who build them, and are most of thousands of rules."""
    if not isinstance(node, MappingNode):
        return plain(node)
    free = _free_settings(kind)
    return {key: None if key in free else plain(entry.node) for key, entry in node.entries.items()}


@cache
def _free_settings(kind: type) -> frozenset[str]:
    return frozenset(name for name, one in settings(kind).items() if isinstance(one.form, AnyForm))


def _repaired(place: Place, repairs: Repairs) -> Node:
    """The tree without what is wrong, and with what stands in for it."""
    node = place.node
    for path, value in repairs.stand_ins:
        holder = place.at(*path[:-1]).holder
        node = replaced(without(node, path) or node, path, located(value, holder))
    return _without_all(node, repairs.left_out) or place.node


class TreeSpelling:
    """The spelling of values in the tree at `place`."""

    keeps_spelling: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        self._place = place

    def text(self, value: object, path: SettingPath) -> str | None:
        if isinstance(path, KeyPath):
            return str(value)
        node = self._place.at(*path).node
        return node.text if value is not None and isinstance(node, ScalarNode) else None

    def found(self, value: object, path: SettingPath) -> str:
        if self.is_secret(path):
            return self._place.at(*path).shown
        if value is None:
            return "nothing"
        text = self.shown(value, path)
        return f"the text {text}" if isinstance(value, str) and value else text

    def shown(self, value: object, path: SettingPath) -> str:
        return quoted(str(value)) if isinstance(path, KeyPath) else self._place.at(*path).shown

    def is_secret(self, path: SettingPath) -> bool:
        node = self._place.at(*path).node
        return not isinstance(path, KeyPath) and isinstance(node, ScalarNode) and node.is_secret

    def is_lost(self, path: SettingPath) -> bool:
        return path[-1] in self._place.at(*path[:-1]).lost

    def beside(self, path: SettingPath, name: str) -> str:
        place = self._place.at(*path[:-1]).child(name)
        return place.node.text if place is not None and isinstance(place.node, ScalarNode) else ""


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

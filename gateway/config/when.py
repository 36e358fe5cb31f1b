"""The condition under `when` of a rule, and where each part of it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.common import setting_faults as faults
from gateway.config.compile_context import Context
from gateway.config.reporting import reporter
from gateway.config.tree import MappingNode, Node, Place, SequenceNode, lossless
from gateway.model.problem import Mark, SettingPath
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Predicate, listeners_named_by
from gateway.routing.language.kind_tree import written_children
from gateway.routing.language.kinds import build_predicate, name_of_kind


def predicate_of(place: Place, context: Context) -> Predicate | None:
    when = place.child("when")
    if when is None:
        return build_predicate(None, reporter(place, context), context.resources)
    config = lossless(when.node)
    if config is None:
        context.fault_of_key(when, faults.wrong_type("a condition", "nothing", "; leave `when` out to mean always"))
        return None
    return condition_at(when, config, context)


def condition_at(place: Place, config: object, context: Context) -> Predicate | None:
    """The condition that stands at `place`, where `config` was read; None after reporting what is wrong with it."""
    built = build_predicate(config, reporter(place, context), context.resources_at(place))
    if built is None or (_may_name_listeners(config) and not _knows_listeners(built, place, context)):
        return None
    if context.never is not None:
        context.never.warn(built, place, context)
    return built


def _may_name_listeners(config: object) -> bool:
    """False when none of the kinds that name listeners stands in a condition, as in nearly all of thousands."""
    written = repr(config)
    return any(repr(name) in written for name in port_kinds.predicate.having("listeners"))


def _knows_listeners(condition: Predicate, place: Place, context: Context) -> bool:
    """False after reporting names of listeners that there are not: they would never hold. Named conditions are checked
    where they stand."""
    if context.listeners is None:
        return True
    unknown = list(_unknown_listeners(condition, (), context.listeners))
    for path, name in unknown:
        at = place.at(*path)
        message = faults.no_such_name("listener", at.shown, name, context.listeners, are_known_listed=True)
        context.error(at, "unknown-listener", message)
    return not unknown


def _unknown_listeners(
    condition: Predicate, path: SettingPath, known: frozenset[str]
) -> Iterator[tuple[SettingPath, str]]:
    here = (*path, name_of_kind(condition, port_kinds.predicate))
    for inner, name in listeners_named_by(condition):
        if name not in known:
            yield (*here, *inner), name
    for inner, one in written_children(condition):
        yield from _unknown_listeners(one, (*here, *inner), known)


class _Marks(Mapping[SettingPath, Mark]):
    """The place of each key inside `when`; found when an explanation needs it."""

    __slots__ = ("_root",)

    def __init__(self, root: Node) -> None:
        self._root = root

    def __getitem__(self, path: SettingPath) -> Mark:
        place: Place | None = Place(self._root, self._root.mark)
        for step in path:
            place = None if place is None else place.child(step)
        if place is None or not path or not isinstance(path[-1], str):
            raise KeyError(path)
        return place.holder

    def __iter__(self) -> Iterator[SettingPath]:
        return _keys((), self._root)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _keys(path: SettingPath, node: Node) -> Iterator[SettingPath]:
    if isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield (*path, key)
            yield from _keys((*path, key), entry.node)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from _keys((*path, index), item)


def marks_of(place: Place) -> Mapping[SettingPath, Mark]:
    when = place.child("when")
    return {} if when is None else _Marks(when.node)

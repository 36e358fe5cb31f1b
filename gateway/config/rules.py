"""The `coercions:` and `routes:` sections → `Coercion`s and `Route`s."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec import UNSET

from gateway.common import setting_faults as faults
from gateway.config.compile_context import Context
from gateway.config.fault_messages import MISSING
from gateway.config.findings import Findings
from gateway.config.reporting import KEY_CODES
from gateway.config.spec import CoercionSpec, HideSpec, RetrieveCoercionSpec, RouteSpec
from gateway.config.tree import (
    MappingNode,
    Node,
    Place,
    Plain,
    SequenceNode,
    discreet,
    lossless,
    plain,
    without,
)
from gateway.config.typed_tree import check, is_broken
from gateway.dataset.dictionary import name_of
from gateway.model.peer import Peer, PeerGroup
from gateway.model.problem import Mark, SettingPath
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Action, Predicate
from gateway.query.attributes import is_of_study
from gateway.routing.fate_decision import fate_of, is_final
from gateway.routing.language.forms import settings
from gateway.routing.language.kind_tree import children
from gateway.routing.language.kinds import build_actions, build_predicate, name_of_kind
from gateway.routing.language.stored_actions import canonical_json
from gateway.routing.predicates.association import ListenerMatch
from gateway.routing.predicates.combining import AllConditions, NamedConditionHolds
from gateway.routing.table import UNMATCHED_RULE, Coercion, RetrieveCoercion, Route
from gateway.routing.visibility_rules import VisibilityRule


@dataclass(frozen=True, slots=True)
class Names:
    """What `to` may name: everything that is written, also what is wrong or disabled."""

    peers: frozenset[str]
    groups: frozenset[str]
    not_destinations: frozenset[str]
    """Peers that only call us."""
    members: Mapping[str, tuple[str, ...]]
    """Enabled destinations behind each name; a name without entry was wrong and reported, or is disabled."""


def names_of(
    peers: Mapping[str, Peer],
    groups: Mapping[str, PeerGroup],
    written_peers: Iterable[str],
    written_groups: Iterable[str],
    not_destinations: Iterable[str],
) -> Names:
    """The names for `to`, from what is written and what of it is in force."""
    members: dict[str, tuple[str, ...]] = {name: (name,) for name, peer in peers.items() if peer.is_destination}
    members |= {name: group.members for name, group in groups.items()}
    return Names(frozenset(written_peers), frozenset(written_groups), frozenset(not_destinations), members)


def compile_coercions(place: Place, context: Context) -> tuple[Coercion, ...]:
    """The coercions that are enabled, in order."""
    coercions: list[Coercion] = []
    names: dict[str, Mark] = {}
    for index, here in enumerate(_items(place)):
        spec, at = check(_without_broken(here, context.findings), CoercionSpec, context.findings)
        if spec is None:
            continue
        name = f"coercion-{index + 1}" if spec.name is UNSET else spec.name
        _check_name(name, at, names, context)
        when = _predicate(at, context)
        then = _then(at)
        actions = _actions(at, then, context)
        _check_conversions(at, then, context)
        if spec.enabled and when is not None:
            coercions.append(Coercion(name, when, actions, at.mark, _marks(at)))
    return tuple(coercions)


def compile_routes(place: Place, names: Names, context: Context) -> tuple[Route, ...]:
    """The routes that are enabled and have an enabled destination, in order."""
    routes: list[Route] = []
    taken: dict[str, Mark] = {}
    end: tuple[str, Mark] | None = None
    for here in _items(place):
        spec, at = check(_without_broken(here, context.findings), RouteSpec, context.findings)
        if spec is None:
            continue
        _check_name(spec.name, at, taken, context)
        to = () if spec.to is UNSET else expand(spec.to, at.at("to"), names, context)
        when = _predicate(at, context)
        then = _then(at)
        actions = _actions(at, then, context)
        fate = fate_of(actions)
        _check_destinations(at, actions, context)
        if not spec.enabled or when is None:
            continue
        if end is not None:
            name, mark = end
            where = f"`{name}` at {mark.file}:{mark.line}:{mark.column}"
            message = f"the route `{spec.name}` is never asked: {where} always holds and stops"
            context.findings.warning(at.at("name").mark, "shadowed-route", message)
        if not to and not is_final(fate):
            continue
        actions_json = _stored(then, actions)
        routes.append(Route(spec.name, when, to, actions_json, actions, spec.stop, at.mark, _marks(at)))
        if spec.stop and end is None and _always_holds(when) and "when" not in _lost(at):
            end = (spec.name, at.at("name").mark)
    return tuple(routes)


def compile_retrieve_coercions(place: Place, names: Names, context: Context) -> tuple[RetrieveCoercion, ...]:
    """Changes of what is retrieved, in order. `place` holds `RetrieveCoercionSpec`s that were checked."""
    coercions: list[RetrieveCoercion] = []
    taken: dict[str, Mark] = {}
    for index, at in enumerate(_items(place)):
        spec = msgspec.convert(plain(at.node), RetrieveCoercionSpec)
        name = f"coercion-{index + 1}" if spec.name is UNSET else spec.name
        _check_name(name, at, taken, context)
        to = _recipients(spec.to, at.at("to"), names, context)
        when = _predicate(at, context)
        then = _then(at)
        actions = _actions(at, then, context)
        if fate_of(actions) is not None:
            message = "what is retrieved goes to who asked for it; it is not dropped, rejected or held here"
            context.findings.error(at.at("then").holder, "only-in-routes", message)
        elif spec.enabled and when is not None and to:
            coercions.append(RetrieveCoercion(name, when, to, actions))
    return tuple(coercions)


def compile_hide(place: Place, names: Names, context: Context) -> tuple[VisibilityRule, ...]:
    """Studies that are hidden. `place` holds `HideSpec`s that were checked."""
    rules: list[VisibilityRule] = []
    taken: dict[str, Mark] = {}
    for index, at in enumerate(_items(place)):
        spec = msgspec.convert(plain(at.node), HideSpec)
        name = f"hide-{index + 1}" if spec.name is UNSET else spec.name
        _check_name(name, at, taken, context)
        peers = () if spec.from_ is UNSET else _recipients(spec.from_, at.at("from"), names, context)
        when = _predicate(at, context)
        if when is None or not _is_about_studies(when, at, context):
            continue
        if spec.enabled and (peers or spec.from_ is UNSET):
            rules.append(VisibilityRule(name, when, peers, at.mark))
    return tuple(rules)


def _is_about_studies(when: Predicate, place: Place, context: Context) -> bool:
    """False after reporting a condition that no answer about a study can decide."""
    shipped = port_kinds.predicate.packages.keys().isdisjoint
    for one in _predicates_in(when):
        if getattr(type(one), "is_about_studies", False) is not True:
            name = name_of_kind(one, port_kinds.predicate)
            near = getattr(type(one), "instead_for_studies", "")
            message = f"`{name}` is about one object; what is hidden are studies{near}"
            if not shipped([type(one)]):
                message = (
                    f"`{name}` of another package does not say that it can decide about studies (`is_about_studies`)"
                )
            context.error(place.at("when"), "not-of-studies", message)
            return False
    unknown = [path for path in when.attributes() if not is_of_study(path)]
    for path in dict.fromkeys(path.text or name_of(path.tag) for path in unknown):
        message = f"{path} is not known of studies, so that nothing can be hidden by it"
        context.error(place.at("when"), "not-of-studies", message)
    return not unknown


def _predicates_in(condition: Predicate) -> Iterator[Predicate]:
    yield condition
    for _, inner in children(condition):
        yield from _predicates_in(inner)


def _recipients(words: Sequence[str], place: Place, names: Names, context: Context) -> tuple[str, ...]:
    """As `expand`; peers that only call us are good, since they may be who asks by C-GET."""
    callers = Names(names.peers, names.groups, frozenset(), {name: (name,) for name in names.not_destinations})
    callers = replace(callers, members={**callers.members, **names.members})
    return expand(words, place, callers, context)


def _stored(config: object, actions: Sequence[Action]) -> str:
    """What is done at delivery, as the queue keeps it: all but what is decided before. `config` is the `then:`."""
    if not actions:
        return ""
    if not isinstance(config, list) or len(config) != len(actions):
        return canonical_json(config)  # a wrong one, of which nothing is stored
    return canonical_json([one for one, action in zip(config, actions, strict=True) if fate_of((action,)) is None])


def _check_destinations(place: Place, actions: Sequence[Action], context: Context) -> None:
    """`to` is there, or the route drops or rejects."""
    is_end = is_final(fate_of(actions))
    if is_end and place.has("to"):
        message = "a route that drops or rejects sends nowhere; leave `to` out"
        context.findings.error(place.at("to").holder, "never-sent", message)
    if not is_end and not place.has("to") and _is_understood(place, actions):
        context.fault_of_key(place, faults.missing_setting("to"))


def _is_understood(place: Place, actions: Sequence[Action]) -> bool:
    then = place.child("then")
    return then is None or (isinstance(then.node, SequenceNode) and len(then.node.items) == len(actions))


def _check_order(place: Place, actions: Sequence[Action], context: Context) -> None:
    """Actions that make no sense beside each other."""
    kinds = [name_of_kind(action, port_kinds.action) for action in actions]
    for index, action in enumerate(actions):
        if is_final(fate_of((action,))) and len(actions) > 1:
            message = f"`{kinds[index]}` is the only action of its rule: nothing is left to be changed"
            context.error(place.at("then", index), "pointless-action", message)
        for earlier, why in getattr(type(action), "must_not_follow", {}).items():
            if earlier in kinds[:index]:
                context.error(place.at("then", index), "pointless-action", f"after `{earlier}` it {why}")


def expand(words: Sequence[str], place: Place, names: Names, context: Context) -> tuple[str, ...]:
    """Names of peers and groups → enabled peers, each once."""
    members: dict[str, str] = {}
    for index, word in enumerate(words):
        at = place.at(index)
        _check_destination(word, at, names, context)
        for member in names.members.get(word, ()):
            if member in members:
                message = f"{_again(member, word, members[member])}; it gets the object once"
                context.findings.warning(at.mark, "duplicate-destination", message)
            members.setdefault(member, word)
    return tuple(members)


def _again(member: str, word: str, first: str) -> str:
    if word != member:
        return f"`{word}` holds `{member}`, which stands here already"
    return f"`{member}` stands here twice" if first == member else f"`{member}` is in `{first}` already"


def _check_destination(word: str, place: Place, names: Names, context: Context) -> None:
    if word == MISSING:
        return
    if word in names.not_destinations:
        message = f"{place.shown} only calls us: it has neither `address` nor `folder`"
        context.error(place, "not-a-destination", message)
    if word not in names.peers and word not in names.groups and context.is_complete:
        message = faults.no_such_name("peer and no group", place.shown, word, names.peers | names.groups)
        context.error(place, "unknown-destination", message)


def _items(place: Place) -> list[Place]:
    items: list[Place] = []
    while (item := place.child(len(items))) is not None:
        items.append(item)
    return items


def _without_broken(place: Place, findings: Findings) -> Place:
    """A condition or change that is unreadable in part goes as a whole: the rest would mean something else."""
    if not findings.has_errors:
        return place
    node = place.node
    for name in ("when", "then"):
        part = place.child(name)
        if part is not None and is_broken(part.node):
            node = without(node, (name,)) or node
    return Place(node, place.holder)


def _lost(place: Place) -> frozenset[str]:
    return place.node.lost if isinstance(place.node, MappingNode) else frozenset()


def _always_holds(when: Predicate) -> bool:
    return isinstance(when, AllConditions) and not when.conditions


def _check_name(name: str, place: Place, taken: dict[str, Mark], context: Context) -> None:
    if name == MISSING:
        return
    at = place.at("name")
    if name == UNMATCHED_RULE:
        context.error(at, "reserved-name", f"`{name}` is the name of what no route wants; choose another")
    if name in taken:
        first = taken[name]
        message = f"`{name}` is named twice; the first is at {first.file}:{first.line}:{first.column}"
        context.error(at, "duplicate-name", message)
    taken.setdefault(name, at.mark)


def _predicate(place: Place, context: Context) -> Predicate | None:
    when = place.child("when")
    if when is None:
        return build_predicate(None, _reporter(place, context), context.resources)
    config = lossless(when.node)
    if config is None:
        context.fault_of_key(when, faults.wrong_type("a condition", "nothing", "; leave `when` out to mean always"))
        return None
    return condition_at(when, config, context)


def condition_at(place: Place, config: object, context: Context) -> Predicate | None:
    """The condition that stands at `place`, where `config` was read; None after reporting what is wrong with it."""
    built = build_predicate(config, _reporter(place, context), context.resources_at(place))
    if built is None or ("'listener'" in repr(config) and not _knows_listeners(built, place, context)):
        return None
    if context.never is not None:
        context.never.warn(built, place, context)
    return built


def _knows_listeners(condition: Predicate, place: Place, context: Context) -> bool:
    """False after reporting names of listeners that there are not: they would never hold. Named conditions are checked
    where they stand."""
    if isinstance(condition, NamedConditionHolds):
        return True
    here = place.at(name_of_kind(condition, port_kinds.predicate))
    if isinstance(condition, ListenerMatch) and context.listeners is not None:
        unknown = [(i, name) for i, name in enumerate(condition.any_of) if name not in context.listeners]
        for index, name in unknown:
            at = here.at(index)
            message = faults.no_such_name("listener", at.shown, name, context.listeners, are_known_listed=True)
            context.error(at, "unknown-listener", message)
        return not unknown
    verdicts = [_knows_listeners(inner, here.at(*path), context) for path, inner in children(condition)]
    return all(verdicts)  # a list: every one is reported


class _Marks(Mapping[SettingPath, Mark]):
    """Where each key inside `when` stands; found when an explanation asks for it."""

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


def _marks(place: Place) -> Mapping[SettingPath, Mark]:
    when = place.child("when")
    return {} if when is None else _Marks(when.node)


def _then(place: Place) -> Plain:
    """What stands under `then`; None without it."""
    then = place.child("then")
    return None if then is None else lossless(then.node)


def _actions(place: Place, config: Plain, context: Context) -> tuple[Action, ...]:
    """Of the `then:` list `config` of the rule at `place`."""
    then = place.child("then")
    if then is None:
        return ()
    if config is None or config == []:
        context.findings.error(then.holder, "empty", "expected a list of actions, found nothing; leave `then` out")
        return ()
    if config == [MISSING]:
        return ()
    actions = build_actions(config, _reporter(then, context), context.resources_at(then))
    if isinstance(config, list) and len(actions) == len(config):
        _check_order(place, actions, context)
    return actions


def _check_conversions(place: Place, config: Plain, context: Context) -> None:
    """What changes an object as a whole takes too long for the peer that waits for its answer."""
    then = place.child("then")
    for index, item in enumerate(config if isinstance(config, list) else ()):
        name = next(iter(item), "") if isinstance(item, Mapping) else ""
        if then is not None and hasattr(port_kinds.action.kinds.get(str(name)), "convert"):
            message = f"`{name}` converts objects when they are delivered: put it under a route's `then`"
            context.findings.error(then.at(index, str(name)).holder, "only-in-routes", message)


def _reporter(place: Place, context: Context) -> Callable[[SettingPath, str, str], None]:
    def report(path: SettingPath, code: str, message: str) -> None:
        at = place.at(*path)
        mark = at.holder if _is_of_key(path, code) else at.mark
        context.findings.error(mark, code, discreet(message, at))

    return report


def _is_of_key(path: SettingPath, code: str) -> bool:
    """True when a problem is about the name that stands at the end of `path`, not about its value."""
    if code in KEY_CODES:
        return True
    if code != "bad-target" or len(path) < 2 or not isinstance(path[-2], str):
        return False
    kind = port_kinds.action.kinds.get(path[-2])
    return kind is not None and path[-1] not in settings(kind)

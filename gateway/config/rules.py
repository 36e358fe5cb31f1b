"""The `coercions:` and `routes:` sections → `Coercion`s and `Route`s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.common import setting_faults as faults
from gateway.config.collections import collection_of
from gateway.config.compile_context import Context
from gateway.config.destination_names import Names, expand_some, recipients
from gateway.config.findings import Findings
from gateway.config.keep import compile_keep
from gateway.config.rule_names import check_name
from gateway.config.spec.query_retrieve import RetrieveCoercionSpec
from gateway.config.spec.rules import CoercionSpec, RouteSpec
from gateway.config.targets import compile_targets, is_template
from gateway.config.then import actions_of, check_conversions, stored_actions, then_of
from gateway.config.tree import Place, SequenceNode, without
from gateway.config.typed_tree import check, is_broken
from gateway.config.when import marks_of, predicate_of
from gateway.model.priority import WORDS, Priority
from gateway.model.problem import Mark
from gateway.model.settings import Settings
from gateway.ports.kinds import Action, Predicate
from gateway.routing.collecting import CollectionDefinition
from gateway.routing.fate_decision import fate_of, is_final
from gateway.routing.language.template import Template
from gateway.routing.predicates.combining import AllConditions
from gateway.routing.route_priority import FROM_SENDER, NORMAL, RoutePriority
from gateway.routing.table import Coercion, RetrieveCoercion, Route
from gateway.routing.targets import Targets


def compile_coercions(place: Place, context: Context) -> tuple[Coercion, ...]:
    """The coercions that are enabled, in order."""
    coercions: list[Coercion] = []
    names: dict[str, Mark] = {}
    for index, here in enumerate(place.items):
        spec, at = check(_without_broken(here, context.findings), CoercionSpec, context.findings)
        if spec is None:
            continue
        name = f"coercion-{index + 1}" if spec.name is None else spec.name
        check_name(name, at, names, context)
        when = predicate_of(at, context)
        then = then_of(at)
        actions = actions_of(at, then, context)
        check_conversions(at, then, context)
        if spec.enabled and when is not None:
            coercions.append(Coercion(name, when, actions, at.mark, marks_of(at)))
    return tuple(coercions)


def compile_routes(
    place: Place,
    names: Names,
    collections: Mapping[str, CollectionDefinition],
    context: Context,
    settings: Settings | None,
) -> tuple[Route, ...]:
    """The routes that are enabled and have an enabled destination, in order."""
    routes: list[Route] = []
    taken: dict[str, Mark] = {}
    end: tuple[str, Mark] | None = None
    for here in place.items:
        spec, at = check(_without_broken(here, context.findings), RouteSpec, context.findings)
        if spec is None:
            continue
        check_name(spec.name, at, taken, context)
        to, targets = _destinations(spec, at.at("to"), names, context)
        when = predicate_of(at, context)
        then = then_of(at)
        actions = actions_of(at, then, context)
        _check_destinations(at, actions, context)
        if not spec.enabled or when is None:
            continue
        if end is not None:
            name, mark = end
            where = f"`{name}` at {mark}"
            message = f"the route `{spec.name}` is never asked: {where} always holds and stops"
            context.findings.warning(at.at("name").mark, "shadowed-route", message)
        if not to and not targets.templates and not is_final(fate_of(actions)):
            continue
        peers = tuple(name for name in to if name not in names.choosing)
        groups = tuple(names.choosing[name] for name in to if name in names.choosing)
        actions_json = stored_actions(then, actions)
        how = _how(spec, at, collections, context, settings)
        what = (spec.name, when, peers, actions_json, actions, spec.stop, at.mark, marks_of(at), groups)
        routes.append(Route(*what, *how, targets=targets))
        if spec.stop and end is None and _always_holds(when) and "when" not in at.lost:
            end = (spec.name, at.at("name").mark)
    return tuple(routes)


def _destinations(spec: RouteSpec, at: Place, names: Names, context: Context) -> tuple[tuple[str, ...], Targets]:
    """The peers and groups that choose which `to` names, and its templates."""
    words = spec.to or ()
    named = {index: word for index, word in enumerate(words) if not is_template(word)}
    return expand_some(named, at, names, context), compile_targets(words, at, names, context)


def _how(
    spec: RouteSpec,
    at: Place,
    collections: Mapping[str, CollectionDefinition],
    context: Context,
    settings: Settings | None,
) -> tuple[RoutePriority, bool, bool, float, CollectionDefinition | None]:
    """The last fields of a route: priority, `pass_window`, `one_association`, `keep` in seconds, and its collection."""
    keep_s = compile_keep(spec.keep, at, context, settings)
    whole = collection_of(spec.collection, at, collections, context)
    return _priority(spec, at, context), spec.pass_window, spec.one_association, keep_s, whole


def compile_retrieve_coercions(
    specs: Sequence[RetrieveCoercionSpec], place: Place, names: Names, context: Context
) -> tuple[RetrieveCoercion, ...]:
    """Changes of what is retrieved, in order: `specs`, which stand at `place`."""
    coercions: list[RetrieveCoercion] = []
    taken: dict[str, Mark] = {}
    for index, (spec, at) in enumerate(zip(specs, place.items, strict=True)):
        name = f"coercion-{index + 1}" if spec.name is None else spec.name
        check_name(name, at, taken, context)
        to = recipients(spec.to, at.at("to"), names, context)
        when = predicate_of(at, context)
        then = then_of(at)
        actions = actions_of(at, then, context)
        if fate_of(actions) is not None:
            message = "what is retrieved goes to who asked for it; it is not dropped, rejected or held here"
            context.findings.error(at.at("then").holder, "only-in-routes", message)
        elif spec.enabled and when is not None and to:
            coercions.append(RetrieveCoercion(name, when, to, actions))
    return tuple(coercions)


def _priority(spec: RouteSpec, place: Place, context: Context) -> RoutePriority:
    """The priority of a route's deliveries. Problems are reported."""
    if spec.priority in WORDS:
        priority = RoutePriority(Priority[spec.priority.upper()])
    elif spec.priority == FROM_SENDER:
        priority = RoutePriority()
    else:
        at = place.at("priority")
        try:
            priority = RoutePriority(template=Template(spec.priority, context.resources_at(at)))
        except ValueError as error:
            context.error(at, "bad-template", str(error))
            return NORMAL
    if spec.pass_window and priority.fixed not in (None, Priority.URGENT):
        message = f"what is {spec.priority} passes no window; say `priority: urgent`, or leave `pass_window` out"
        context.findings.warning(place.at("pass_window").holder, "no-effect", message)
    return priority


def _check_destinations(place: Place, actions: Sequence[Action], context: Context) -> None:
    """`to` is there, or the route drops or rejects."""
    is_end = is_final(fate_of(actions))
    if is_end and place.has("to"):
        message = "a route that drops or rejects sends nowhere; leave `to` out"
        context.findings.error(place.at("to").holder, "never-sent", message)
    if is_end and place.has("collection"):
        message = "a route that drops or rejects sends nothing that could wait; leave `collection` out"
        context.findings.error(place.at("collection").holder, "never-sent", message)
    if not is_end and not place.has("to") and _is_understood(place, actions):
        context.fault_of_key(place, faults.missing_setting("to"))


def _is_understood(place: Place, actions: Sequence[Action]) -> bool:
    then = place.child("then")
    return then is None or (isinstance(then.node, SequenceNode) and len(then.node.items) == len(actions))


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


def _always_holds(when: Predicate) -> bool:
    return isinstance(when, AllConditions) and not when.conditions

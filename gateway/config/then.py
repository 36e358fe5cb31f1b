"""The actions under `then` of a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.config.compile_context import Context
from gateway.config.reporting import reporter
from gateway.config.spec.values import MISSING
from gateway.config.tree import Place, Plain, lossless
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Action
from gateway.routing.fate_decision import fate_of, is_final
from gateway.routing.language.kinds import build_actions, name_of_kind
from gateway.routing.language.stored_actions import canonical_json


def then_of(place: Place) -> Plain:
    """The value under `then`; None without it."""
    then = place.child("then")
    return None if then is None else lossless(then.node)


def actions_of(place: Place, config: Plain, context: Context) -> tuple[Action, ...]:
    """The actions of the `then:` list `config` of the rule at `place`."""
    then = place.child("then")
    if then is None:
        return ()
    if config is None or config == []:
        context.findings.error(then.holder, "empty", "expected a list of actions, found nothing; leave `then` out")
        return ()
    if config == [MISSING]:
        return ()
    actions = build_actions(config, reporter(then, context), context.resources_at(then))
    if isinstance(config, list) and len(actions) == len(config):
        _check_order(place, actions, context)
    return actions


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


def stored_actions(config: object, actions: Sequence[Action]) -> str:
    """The actions for delivery, as the queue keeps them: all but those that are decided at arrival. `config` is the
    `then:`.
    """
    if not actions:
        return ""
    if not isinstance(config, list) or len(config) != len(actions):
        return canonical_json(config)  # a wrong one, of which nothing is stored
    return canonical_json([one for one, action in zip(config, actions, strict=True) if fate_of((action,)) is None])


def check_conversions(place: Place, config: Plain, context: Context) -> None:
    """Check conversions: changing an object as a whole takes too long for a peer that waits for its answer."""
    then = place.child("then")
    for index, item in enumerate(config if isinstance(config, list) else ()):
        name = next(iter(item), "") if isinstance(item, Mapping) else ""
        if then is not None and hasattr(port_kinds.action.kinds.get(str(name)), "convert"):
            message = f"`{name}` converts objects when they are delivered: put it under a route's `then`"
            context.findings.error(then.at(index, str(name)).holder, "only-in-routes", message)

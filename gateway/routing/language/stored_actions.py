"""Actions as the queue keeps them: the `then:` list in JSON, built again when an object is delivered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from gateway.model.problem import SettingPath
from gateway.ports.errors import ConfigurationError
from gateway.ports.kinds import Action, Resources
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.resources import NO_RESOURCES


def canonical_json(config: object) -> str:
    """The `then:` list as text that is equal for equal lists; empty for an empty one."""
    if not config:
        return ""
    return json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a configuration")


MAX_KEPT = 1024
"""Lists of actions that are kept compiled, for each configuration."""
_kept: WeakKeyDictionary[Resources, dict[str, tuple[Action, ...]]] = WeakKeyDictionary()


def actions_from_json(text: str, resources: Resources = NO_RESOURCES) -> tuple[Action, ...]:
    """The actions that `canonical_json` wrote, with the keys and files of the configuration in force now.

    Raises:
        ConfigurationError: this version of the gateway does not understand them, or a key or file they name is gone.
    """
    kept = _kept.setdefault(resources, {})
    actions = kept.get(text)
    if actions is None:
        actions = _from_json(text, resources)
        if len(kept) >= MAX_KEPT:
            kept.clear()
        kept[text] = actions
    return actions


def _from_json(text: str, resources: Resources) -> tuple[Action, ...]:
    if not text:
        return ()
    problems: list[str] = []
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"stored actions are not JSON: {error}") from None

    def report(path: SettingPath, code: str, message: str) -> None:
        problems.append(f"{_written(path)}: {code}: {message}")

    actions = build_actions(config, report, resources)
    if problems:
        raise ConfigurationError(f"stored actions are not understood any more: {'; '.join(problems)}")
    return actions


def _written(path: SettingPath) -> str:
    """The path as it stands under a rule: ``then[0].hash.key``."""
    return "then" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)

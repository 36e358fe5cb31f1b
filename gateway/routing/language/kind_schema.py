"""JSON Schema of conditions and actions: from the forms of the kinds' settings."""

from __future__ import annotations

from typing import Any

from gateway.forms.groups import GroupForm, documentation, settings
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Registry
from gateway.routing.language.kinds import stand_alone


def predicate_schema() -> dict[str, Any]:
    """JSON Schema of one condition. It refers to itself as ``#/$defs/predicate``: put it there."""
    return _registry_schema(port_kinds.predicate)


def actions_schema() -> dict[str, Any]:
    """JSON Schema of a `then:` list."""
    return {"type": "array", "items": _registry_schema(port_kinds.action)}


def kind_schema(cls: type) -> dict[str, Any]:
    """JSON Schema of one kind's value. Raises KeyError or TypeError for a setting of an unknown type."""
    all_settings = settings(cls)
    if len(all_settings) == 1:
        (only,) = all_settings.values()
        return {**only.form.schema(), "description": documentation(cls)}
    return GroupForm(cls).schema()


def _registry_schema(registry: Registry) -> dict[str, Any]:
    alone = stand_alone(registry)
    return {
        "type": ["object", "string"] if alone else "object",
        **({"if": {"type": "string"}, "then": {"enum": alone}} if alone else {}),
        "description": f"One {registry.noun}",
        "additionalProperties": False,
        "maxProperties": 1,
        **({"minProperties": 1} if registry is port_kinds.action else {}),  # `when: {}` always holds
        "properties": {name: kind_schema(cls) for name, cls in sorted(registry.kinds.items())},
    }

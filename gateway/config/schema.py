"""The JSON Schema: made from the forms of sections and of registered kinds of predicates, actions and destinations."""

from __future__ import annotations

import copy
from typing import Any

from gateway.config.spec.cases import CasesSpec
from gateway.config.spec.whole import RulesSpec
from gateway.forms.groups import definitions, settings
from gateway.ports import kinds as port_kinds
from gateway.routing.language.kind_schema import actions_schema, kind_schema, predicate_schema

SECTIONS = tuple(settings(RulesSpec))
DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = r"\$\{"
"""Text that holds a substitution; its value is known only when the gateway reads it."""


def tests_schema() -> dict[str, Any]:
    """The JSON Schema of `*.test.yaml`."""
    defs = copy.deepcopy(definitions(CasesSpec))
    root = defs.pop(CasesSpec.__name__)
    for name, definition in defs.items():
        definition["title"] = name.removesuffix("Spec")
    return {"$schema": DIALECT, **root, "title": "Tests of DICOM gateway rules", "$defs": dict(sorted(defs.items()))}


def schema() -> dict[str, Any]:
    """The JSON Schema for editors.

    It is more lenient than the check itself where one file alone proves nothing: a substitution may stand for any
    scalar, and no section is required, because sections may be spread over several files.
    """
    defs = copy.deepcopy(definitions(RulesSpec))
    defs["predicate"] = predicate_schema()
    defs["actions"] = actions_schema()
    for name, cls in port_kinds.destination.of_packages().items():
        defs["PeerSpec"]["properties"][name] = kind_schema(cls)
    defs["RouteSpec"]["anyOf"] = [{"required": ["to"]}, {"required": ["then"]}]  # a route that drops has no `to`
    for name in ("RulesSpec", "GatewaySpec"):
        defs[name]["required"] = []
    root = defs.pop("RulesSpec")
    root["patternProperties"] = {"^x-": {"description": "Free room for YAML anchors."}}
    _loosen(root)
    for name, definition in defs.items():
        _loosen(definition)
        if "title" in definition:
            definition["title"] = name.removesuffix("Spec")
    return {"$schema": DIALECT, **root, "title": "DICOM gateway rules", "$defs": dict(sorted(defs.items()))}


def _loosen(schema: Any) -> None:
    """Let a substitution stand for every scalar below `schema`."""
    if isinstance(schema, list):
        for item in schema:
            _loosen(item)
        return
    if not isinstance(schema, dict):
        return
    for key, below in schema.items():
        if key not in ("default", "examples", "enum", "const", "required"):
            _loosen(below)
    match schema.get("type"):
        case "integer" | "number" | "boolean" as kind:
            schema["type"] = [kind, "string"]
            schema["pattern"] = REFERENCE
        case "string" if "pattern" in schema:
            schema["pattern"] = f"{schema['pattern']}|{REFERENCE}"
    if "enum" in schema:
        words = {"enum": schema.pop("enum")}
        schema["anyOf"] = [words, {"type": "string", "pattern": REFERENCE}]

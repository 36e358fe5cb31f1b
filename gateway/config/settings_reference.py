"""`docs/settings.md`: every section and setting of the YAML, made from the forms of their settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from gateway.config.parse import resolve_plain
from gateway.config.spec.whole import RulesSpec
from gateway.forms.groups import definitions

ROOT = RulesSpec.__name__
INTRODUCTION = """# Settings

Every section of the rules and its settings. This page is made by `gateway schema --settings`. What may stand under
`when:` and `then:` is in [rules.md](rules.md). Examples with their reasons are in [security.md](security.md) and in the
commented site in [`rules/`](../rules).

A **bold** default says that the setting must be written; *none*, that nothing stands for it. Durations are a number
with `ms`, `s`, `min`, `h` or `d`; sizes a number with `B`, `kB`, `MB`, `GB`, `TB` (powers of 1000) or
`KiB`, `MiB`, `GiB`, `TiB` (powers of 1024).

A small site, closed to strangers:

```yaml
gateway:
  ae_title: GATEWAY
  listeners:
    - {port: 11112}
  admit: known
  limits: {associations: 64, associations_per_peer: 8, object_size: 4 GiB}
  file_access: group                    # operators of the gateway's group may run `gateway queue`
  secret_folders: [/etc/gateway/keys]   # `${file:…}` reads there, besides the rules folder
  http: {address: 10.1.0.5:8080, hosts: [gateway.example.org]}
peers:
  ct1: {ae_title: CT1, may: [store], hosts: [10.1.0.7]}
  files:
    folder: {path: "/srv/images/{{ StudyInstanceUID }}/{{ SOPInstanceUID }}.dcm", access: group}
routes:
  - {name: everything to files, to: [files]}
unmatched: hold
```
"""


STATED_DEFAULT = re.compile(r" ?\bDefault: (.*?)\.(?= [A-Z]|$)")
PLAIN = re.compile(r"[A-Za-z0-9_/.][A-Za-z0-9_ /.+:-]*")


def settings_reference() -> str:
    """The page, in Markdown."""
    return "\n".join([INTRODUCTION, *_tables()])


def _tables() -> Iterator[str]:
    """A table for each kind of mapping, under the path at which it is met first."""
    defs = definitions(RulesSpec)
    places: dict[str, str] = {ROOT: ""}
    waiting = [ROOT]
    while waiting:
        name = waiting.pop(0)
        here = places[name]
        inner: list[str] = []
        rows = []
        for key, schema in defs[name]["properties"].items():
            path = f"{here}.{key}" if here else key
            below = _reference(schema)
            if below is not None and below[0] not in places:
                places[below[0]] = path + below[1]
                inner.append(below[0])
            is_required = key in defs[name].get("required", ())
            rows.append(_row(key, schema, defs, places, is_required=is_required))
        yield f"{'#' * min(2 + here.replace('.NAME', '').count('.'), 5)} `{here}`\n" if here else "## Sections\n"
        yield f"{defs[name].get('description', '')}\n"
        yield "| setting | takes | default | example | |\n|---|---|---|---|---|"
        yield from rows
        yield ""
        waiting[:0] = inner


def _row(key: str, schema: dict[str, Any], defs: dict[str, Any], places: dict[str, str], *, is_required: bool) -> str:
    text = schema.get("description", "")
    below = _reference(schema)
    if below is not None and not text:
        text = defs[below[0]].get("description", "")
    text, stated = _without_default(" ".join(text.split()))
    text = text or MEANINGS.get(key, "")
    default = "**required**" if is_required else stated or _default(schema)
    example = (
        f"`{_cell(_as_yaml(key, example_of(key, schema)))}`"
        if below is None
        else f"see [below](#{_anchor(places[below[0]])})"
    )
    return f"| `{key}` | {_takes(schema, places)} | {_cell(default)} | {example} | {_cell(text)} |"


def _without_default(text: str) -> tuple[str, str]:
    """A description without what it says of the default, and that."""
    match = STATED_DEFAULT.search(text)
    if match is None:
        return text, ""
    return f"{text[: match.start()]}{text[match.end() :]}".strip(), match[1]


def _default(schema: dict[str, Any]) -> str:
    if "default" in schema and _reference(schema) is not None and not schema["default"]:
        return "*none*" if isinstance(schema["default"], list | tuple) else "its defaults"
    value = schema.get("default")
    if value is None or (isinstance(value, list | tuple | dict) and not value) or _reference(schema) is not None:
        return "*none*"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def example_of(key: str, schema: dict[str, Any]) -> Any:
    """A value as it may be written; None when the settings say none."""
    if "examples" in schema:
        return schema["examples"][0]
    if key in EXAMPLES:
        return OF_TOKENS.get(key, EXAMPLES[key]) if "anyOf" in schema else EXAMPLES[key]
    if "enum" in schema:
        return schema["enum"][-1]
    if schema.get("type") == "array" and key in OF_RELAYS:
        return ["pacs"]
    for one in schema.get("anyOf", ()):
        if (found := example_of("", one)) is not None:
            return found
    match schema.get("type"):
        case "array" if (found := example_of("", schema.get("items", {}))) is not None:
            return [found]
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            inner = example_of("", schema["additionalProperties"])
            return None if inner is None else {"NAME": inner}
        case "boolean":
            return not schema.get("default", False)
    default = schema.get("default")
    return None if isinstance(default, list | tuple | dict) else default


EXAMPLES: dict[str, Any] = {
    "all": ["pacs", "vna"],
    "associations_of_strangers": 64,
    "audience": "gateway.example.org",
    "ca": "certificates/hospital-ca.pem",
    "certificate": "certificates/gateway.pem",
    "client_ca": "certificates/hospital-ca.pem",
    "client_crl": "certificates/hospital.crl.pem",
    "conditions": {"head": {"modality": ["CT", "MR"]}},
    "crl": "certificates/hospital.crl.pem",
    "from": ["research"],
    "invoked": 1,
    "issuer": "https://login.example.org",
    "key": "certificates/gateway.key",
    "keys": {"research": "${file:research.key}"},
    "performed": 1,
    "pid_file": "var/gateway.pid",
    "primary": "gateway",
    "root": "/srv/images",
    "secondary": "${file:passcode.txt}",
    "server_name": "pacs.example.org",
    "then": [{"set": {"StationName": "CT1"}}],
    "to": ["pacs"],
    "users": ["ct1"],
    "when": {"modality": ["CT", "MR"]},
}
"""Setting → a value, where its type gives none."""
OF_RELAYS = frozenset(
    {
        "color_palette",
        "defined_procedure_protocol",
        "hanging_protocol",
        "implant_template",
        "inventory",
        "protocol_approval",
        "relevant_patient_information",
        "repository_query",
        "substance_administration",
        "unified_procedure_step",
    }
)
MEANINGS = {
    "client_certificates": "Whether who calls must show a certificate.",
    "invoked": "Operations that we may have open at a time (PS3.7 §D.3.3.3); 0 is without limit.",
    "max_pdu": "The maximum length of a PDU that we offer to take, in bytes (PS3.8 §D.1); 0 is without limit.",
    "minimum_version": "The oldest version of TLS that is spoken.",
    "name": "Stands in logs, metrics and explanations; at most 128 characters on one line.",
    "performed": "Operations that the peer may have open at a time; 0 is without limit.",
    "positive_response_requested": "Whether the peer is asked to confirm the identity.",
    "scp_role": "Whether we may be the SCP of this SOP class (PS3.7 §D.3.3.4).",
    "scu_role": "Whether we may be the SCU of this SOP class (PS3.7 §D.3.3.4).",
    "sop_classes": "Only these SOP classes are accepted from it; all of storage by default.",
    "then": "The actions, in order.",
    "transfer_syntaxes": "Only these transfer syntaxes are accepted from it; all by default.",
    "type": "The type of identity (PS3.7 §D.3.3.7).",
    "when": "The condition; where it may be left out, always.",
}
"""Setting → what it means, where its type says only what it takes."""
OF_TOKENS = {"keys": "issuer.jwks"}
"""The same, where it is another setting of that name."""


def _as_yaml(key: str, value: Any) -> str:
    """``key: value`` on one line."""
    return f"{key}: {_flow(value)}"


def _flow(value: Any) -> str:
    match value:
        case dict():
            return f"{{{', '.join(f'{name}: {_flow(one)}' for name, one in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(_flow, value))}]"
        case str() if not PLAIN.fullmatch(value) or not isinstance(resolve_plain(value), str):
            return json.dumps(value, ensure_ascii=False)
        case str():
            return value
    return json.dumps(value)


def _takes(schema: dict[str, Any], places: dict[str, str]) -> str:
    """The values that may be written, in words."""
    below = _reference(schema)
    if below is not None:
        name, how = below
        place = places[name].removesuffix("[]").removesuffix(".NAME")
        noun = {"": "a mapping", "[]": "a list", ".NAME": "names, each with a mapping"}[how]
        return f"{noun}: [`{place}`](#{_anchor(places[name])})"
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_takes(one, places) for one in schema["anyOf"]))
    match schema.get("type"):
        case "array":
            return f"a list of {_takes(schema['items'], places)}" if schema.get("items") else "a list"
        case "object":
            inner = schema.get("additionalProperties")
            return f"names, each with {_takes(inner, places)}" if isinstance(inner, dict) and inner else "a mapping"
        case "boolean":
            return "`true` or `false`"
        case "integer" | "number":
            return _number(schema)
    if schema.get("title"):
        return str(schema["title"])
    return "text" if schema.get("type") == "string" else "see [rules.md](rules.md)"


def _number(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return "a number" if low is None else f"{low} or more"


def _reference(schema: dict[str, Any]) -> tuple[str, str] | None:
    """(kind of mapping that is meant, how its place continues: "" itself, "[]" a list of it, ".NAME" by name)."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2], ""
    found = (_reference(one) for one in schema.get("anyOf", ()))
    direct = next((one for one in found if one is not None), None)
    if direct is not None:
        return direct
    for key, how in (("items", "[]"), ("additionalProperties", ".NAME")):
        inner = schema.get(key)
        if isinstance(inner, dict) and "$ref" in inner:
            return inner["$ref"].rpartition("/")[2], how
    return None


def _anchor(place: str) -> str:
    """The anchor that Markdown viewers make of the heading."""
    return "".join(char for char in place.lower() if char.isalnum() or char in "_-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

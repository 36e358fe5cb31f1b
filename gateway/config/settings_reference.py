"""`docs/settings.md`: every section and setting of the YAML, made from the typed settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.config.schema import definitions

ROOT = "RulesSpec"
INTRODUCTION = """# Settings

Every section of the rules and its settings. This page is made by `gateway schema --settings`. What may stand under
`when:` and `then:` is in [rules.md](rules.md). Examples with their reasons are in [security.md](security.md) and in the
commented site in [`rules/`](../rules).

A **bold** default says that the setting must be written. Durations are a number with `ms`, `s`, `min`, `h` or `d`;
sizes a number with `B`, `kB`, `MB`, `GB`, `TB` (powers of 1000) or `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024).

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


def settings_reference() -> str:
    """The page, in Markdown."""
    return "\n".join([INTRODUCTION, *_tables()])


def _tables() -> Iterator[str]:
    """A table for each kind of mapping, under the path at which it is met first."""
    defs = definitions()
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
        yield f"## `{here}`\n" if here else "## Sections\n"
        yield f"{defs[name].get('description', '')}\n"
        yield "| setting | takes | default | |\n|---|---|---|---|"
        yield from rows
        yield ""
        waiting[:0] = inner


def _row(key: str, schema: dict[str, Any], defs: dict[str, Any], places: dict[str, str], *, is_required: bool) -> str:
    default = "**required**" if is_required else _default(schema)
    text = schema.get("description", "")
    below = _reference(schema)
    if below is not None and not text:
        text = defs[below[0]].get("description", "")
    return f"| `{key}` | {_takes(schema, places)} | {default} | {_cell(text)} |"


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    if value is None or isinstance(value, list | tuple | dict) or _reference(schema) is not None:
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _takes(schema: dict[str, Any], places: dict[str, str]) -> str:
    """What may be written, in words."""
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
    """As Markdown viewers make it of the heading."""
    return "".join(char for char in place.lower() if char.isalnum() or char in "_-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

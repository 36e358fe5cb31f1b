"""`docs/settings.md`: every section and setting of the YAML, made from the forms of the settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.parse import resolve_plain
from gateway.config.spec.whole import RulesSpec
from gateway.forms.building import Form
from gateway.forms.groups import GroupForm, Setting, all_parts, documentation, settings
from gateway.forms.several import ListForm, MappingForm, SequenceForm
from gateway.forms.single import AnyForm, ChoiceForm, TruthForm
from gateway.forms.spec import Spec

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
    """A table for each section, under the path at which it is met first."""
    places: dict[type, str] = {RulesSpec: ""}
    waiting: list[type] = [RulesSpec]
    while waiting:
        section = waiting.pop(0)
        here = places[section]
        inner: list[type] = []
        rows = []
        for name, setting in settings(section).items():
            below = _section_in(setting.form)
            if below is not None and below.cls not in places:
                places[below.cls] = f"{here}.{name}{below.how}" if here else f"{name}{below.how}"
                inner.append(below.cls)
            rows.append(_row(setting, places))
        yield f"{'#' * min(2 + here.replace('.NAME', '').count('.'), 5)} `{here}`\n" if here else "## Sections\n"
        yield f"{documentation(section)}\n"
        yield "| setting | takes | default | example | |\n|---|---|---|---|---|"
        yield from rows
        yield ""
        waiting[:0] = inner


@dataclass(frozen=True, slots=True)
class _Inner:
    """The section that a setting holds."""

    cls: type
    how: str
    """The end of its place: "" for itself, "[]" for a list of it, ".NAME" for one a name."""
    noun: str


def _section_in(form: Form) -> _Inner | None:
    match form:
        case GroupForm(cls=cls):
            return _Inner(cls, "", "a mapping")
        case SequenceForm(item=GroupForm(cls=cls)):
            return _Inner(cls, "[]", "a list")
        case MappingForm(value=GroupForm(cls=cls)):
            return _Inner(cls, ".NAME", "names, each with a mapping")
    return None


def _row(setting: Setting, places: Mapping[type, str]) -> str:
    below = _section_in(setting.form)
    text = setting.form.about.description or (documentation(below.cls) if below is not None else "")
    text, stated = _without_default(" ".join(text.split()))
    default = "**required**" if setting.is_required else stated or _default(setting)
    if below is None:
        example = f"`{_cell(_as_yaml(setting.name, example_of(setting)))}`"
    else:
        example = f"see [below](#{_anchor(places[below.cls])})"
    return f"| `{setting.name}` | {_takes(setting.form, places)} | {_cell(default)} | {example} | {_cell(text)} |"


def _without_default(text: str) -> tuple[str, str]:
    """A description without what it says of the default, and that."""
    match = STATED_DEFAULT.search(text)
    if match is None:
        return text, ""
    return f"{text[: match.start()]}{text[match.end() :]}".strip(), match[1]


def _default(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, Spec):
        return "its defaults"
    if value is None or (isinstance(value, tuple | Mapping) and not value):
        return "*none*"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def example_of(setting: Setting) -> Any:
    """A value as it may be written."""
    found = _example(setting.form)
    if found is not None:
        return found
    default = None if setting.is_required else setting.default
    return not default if isinstance(setting.form, TruthForm) else default


def _example(form: Form) -> Any:
    """A value that the form takes; None when it says none."""
    if form.about.examples:
        return form.about.examples[0]
    match form:
        case ChoiceForm(words=words):
            return words[-1]
        case ListForm(item=item):
            return _example(item)
        case SequenceForm(item=item):
            inner = _example(item)
            return None if inner is None else [inner]
        case MappingForm(value=value):
            inner = _example(value)
            return None if inner is None else {"NAME": inner}
    return None


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


def _takes(form: Form, places: Mapping[type, str]) -> str:
    """The values that may be written, in words."""
    below = _section_in(form)
    if below is not None:
        place = places[below.cls]
        return f"{below.noun}: [`{place.removesuffix(below.how)}`](#{_anchor(place)})"
    is_of_rules = any(isinstance(part, AnyForm) for part in all_parts(form))
    return "see [rules.md](rules.md)" if is_of_rules else form.takes


def _anchor(place: str) -> str:
    """The anchor that Markdown viewers make of the heading."""
    return "".join(char for char in place.lower() if char.isalnum() or char in "_-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

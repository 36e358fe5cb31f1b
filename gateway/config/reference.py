"""`docs/rules.md`: an introduction written by hand, and everything else from the registered kinds themselves."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from textwrap import indent

from gateway.forms.groups import Setting, group_in, settings
from gateway.forms.several import ListForm
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Registry
from gateway.routing.language import template_filters
from gateway.routing.language.template_check import ASSOCIATION_FIELDS
from gateway.routing.language.template_sandbox import FILTERS, METHODS, TESTS

TEMPLATE = "reference.md"
INDENTED = "  "


def reference() -> str:
    """The page, in Markdown."""
    text = resources.files("gateway.config").joinpath(TEMPLATE).read_text(encoding="utf-8")
    for mark, make in _PARTS.items():
        text = text.replace(f"<!-- {mark} -->\n", make())
    return text


def _kinds(registry: Registry) -> str:
    return "\n".join(_kind(name, cls, registry) for name, cls in sorted(registry.kinds.items()))


def _destinations() -> str:
    """The kinds of destinations that other packages bring; those of the gateway are in `docs/settings.md`."""
    found = port_kinds.destination
    parts = [_kind(name, cls, found) for name, cls in sorted(found.of_packages().items())]
    return "\n".join(["\n## Destinations\n", *parts]) if parts else ""


def _kind(name: str, cls: type, registry: Registry) -> str:
    lines = [f"### `{name}`", "", *(_paragraphs(cls)), ""]
    if cls in registry.packages:
        lines += [f"From the package {registry.packages[cls]}.", ""]
    all_settings = settings(cls)
    if len(all_settings) == 1:
        (only,) = all_settings.values()
        lines += [f"Takes {only.form.takes}.", ""]
        lines += _settings_inside(only)
    else:
        lines += [*_table(cls), ""]
    example = getattr(cls, "example", "").strip("\n")
    if example:
        lines += ["```yaml", *_in_place(example, registry), "```", ""]
    return "\n".join(lines)


def _in_place(example: str, registry: Registry) -> Iterator[str]:
    """The example where it stands in a rule."""
    if registry is port_kinds.predicate:
        yield "when:"
        yield from indent(example, INDENTED).splitlines()
        return
    first, *rest = example.splitlines()
    if registry is port_kinds.destination:
        yield from ("peers:", f"{INDENTED}a name:")
        yield from indent(example, 2 * INDENTED).splitlines()
        return
    yield "then:"
    yield f"{INDENTED}- {first}"
    yield from (f"{INDENTED}  {line}" if line else "" for line in rest)


def _paragraphs(cls: type) -> list[str]:
    """The docstring of a class."""
    return (inspect.cleandoc(cls.__doc__ or "")).splitlines()


def _table(cls: type) -> Iterator[str]:
    """The table of the settings of a class; inner settings stand below, once each."""
    yield "| setting | takes | default |"
    yield "|---|---|---|"
    yield from _rows(cls, "", set())


def _rows(cls: type, prefix: str, written: set[type]) -> Iterator[str]:
    for name, setting in settings(cls).items():
        yield f"| `{prefix}{name}` | {setting.form.takes} | {_default(setting)} |"
        group = group_in(setting.form)
        if group is not None and group.cls not in written:
            written.add(group.cls)
            is_list = isinstance(setting.form, ListForm)
            yield from _rows(group.cls, f"{prefix}{name}{'[]' if is_list else ''}.", written)


def _settings_inside(only: Setting) -> list[str]:
    """The settings inside the only setting of a kind."""
    group = group_in(only.form)
    return [] if group is None else [*_table(group.cls), ""]


def _default(setting: Setting) -> str:
    if setting.is_required:
        return "**required**"
    value = setting.default
    if value is None or value in ((), {}) or dataclasses.is_dataclass(value):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _dicom_filters() -> str:
    """A row a filter that knows DICOM, from its signature and docstring."""
    rows = ["| filter | gives |", "|---|---|"]
    for name, function in sorted(template_filters.FILTERS.items()):
        plain = [
            parameter.replace(annotation=inspect.Parameter.empty)
            for key, parameter in inspect.signature(function).parameters.items()
            if not key.startswith("_")
        ]
        given = 2 if hasattr(function, "jinja_pass_arg") else 1  # the value itself, after the context
        arguments = ", ".join(str(parameter) for parameter in plain[given:])
        written = f"{name}({arguments})" if arguments else name
        gives = " ".join((function.__doc__ or "").split())
        rows.append(f"| `{_escaped(written)}` | {_escaped(gives)} |")
    return "\n".join(rows) + "\n"


def _words(words: collections.abc.Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words)) + ".\n"


_PARTS: Mapping[str, Callable[[], str]] = {
    "predicates": lambda: _kinds(port_kinds.predicate),
    "actions": lambda: _kinds(port_kinds.action),
    "destinations of packages": lambda: _destinations(),
    "association fields": lambda: _words(ASSOCIATION_FIELDS),
    "DICOM filters": _dicom_filters,
    "template filters": lambda: _words(FILTERS - set(template_filters.FILTERS)),
    "template tests": lambda: _words(TESTS),
    "template methods": lambda: _words(METHODS),
}
"""Mark in the template → what stands there."""

"""The configuration as it is in force: defaults filled in, references resolved, and the origin of each value.

Values of ``${file:…}``, everything under `keys:` and secrets of TLS and user identity never leave here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gateway.config.spec.timers import TimersSpec
from gateway.config.spec.whole import RulesSpec
from gateway.config.substitution import REFERENCE
from gateway.config.tree import MappingNode, Node, Place, Plain, ScalarNode, SequenceNode, Step
from gateway.forms.building import Form
from gateway.forms.described import Described
from gateway.forms.groups import GroupForm, Setting, settings
from gateway.forms.several import ListForm, MappingForm, SequenceForm
from gateway.forms.spec import Spec
from gateway.model.listener import Timers

HIDDEN = "(hidden)"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Shown:
    """One scalar: its value and where it comes from."""

    value: bool | int | float | str | None
    origin: str
    """``file:line``, ``default``, or ``environment NAME, file:line``."""


Effective = Shown | dict[str, "Effective"] | list["Effective"]


def effective(root: Node, environ: Mapping[str, str]) -> dict[str, Effective]:
    """All sections of a configuration without errors, in the order of the reference."""
    place = Place(root, root.mark)
    timers: dict[str, Effective] = {
        setting.name.removesuffix("_s"): Shown(f"{setting.default:g} s", DEFAULT)
        for setting in dataclasses.fields(Timers)
    }
    own = place.at("gateway", "timers") if place.has("gateway", "timers") else None
    return _Filling(environ, _Filling(environ, timers).section(TimersSpec, own)).section(RulesSpec, place)


@dataclass(frozen=True, slots=True)
class _Filling:
    environ: Mapping[str, str]
    timers: Mapping[str, Effective]
    """The timers of a peer without its own."""

    def section(self, kind: type, place: Place | None) -> dict[str, Effective]:
        """Every setting of `kind`: what stands at `place`, else its default; settings without either are left out."""
        filled: dict[str, Effective] = {}
        for name, setting in settings(kind).items():
            below = place.child(name) if place is not None else None
            value: Effective | None
            if below is not None:
                value = self.value(setting.form, below, setting.form.about)
            elif kind is TimersSpec:
                value = self.timers[name]
            else:
                value = _default(self, setting)
            if value is not None:
                filled[name] = value
        return filled

    def value(self, form: Form | None, place: Place, about: Described) -> Effective:
        """The value at `place`, its inside filled by its form; None where the configuration says nothing of it. `about`
        describes the setting that it stands in."""
        match place.node:
            case MappingNode() if isinstance(form, GroupForm):
                return self.section(form.cls, place)
            case MappingNode(entries=entries):
                inner = form.value if isinstance(form, MappingForm) else None
                return {key: self.value(inner, place.at(key), about) for key in entries}
            case SequenceNode(items=items):
                inner = form.item if isinstance(form, ListForm | SequenceForm) else None
                return [self.value(inner, place.at(index), about) for index in range(len(items))]
            case ScalarNode() as scalar:
                return self.scalar(scalar, about)
            case _:
                return Shown(None, DEFAULT)

    def scalar(self, node: ScalarNode, about: Described) -> Shown:
        """A written value."""
        references = [match["body"] for match in REFERENCE.finditer(node.written) if match["body"] is not None]
        where = f"{node.mark.file}:{node.mark.line}"
        origin = ", ".join([*(self.origin(body) for body in references), where])
        is_hidden = about.is_secret or any(body.startswith("file:") for body in references)
        if is_hidden or (about.is_private_key and "-----BEGIN" in node.text):
            return Shown(HIDDEN, origin)
        return Shown(node.value, origin)

    def origin(self, body: str) -> str:
        """The origin of one reference."""
        if body.startswith("file:"):
            return f"file {body.removeprefix('file:')}"
        name, has_default, _ = body.partition(":-")
        return f"default of {name}" if has_default and not self.environ.get(name) else f"environment {name}"


def _default(filling: _Filling, setting: Setting) -> Effective | None:
    """None when it has no default, or one that is made when it is used."""
    if setting.is_required or setting.default is None:
        return None
    return _of_default(filling, setting.default)


def _of_default(filling: _Filling, value: Any) -> Effective:
    if isinstance(value, Spec):
        return filling.section(type(value), None)
    if isinstance(value, Mapping):
        return {key: _of_default(filling, one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_of_default(filling, one) for one in value]
    return Shown(value, DEFAULT)


def plain(tree: Effective) -> Plain:
    """The values alone."""
    match tree:
        case Shown():
            return tree.value
        case dict():
            return {key: plain(below) for key, below in tree.items()}
        case _:
            return [plain(item) for item in tree]


def origins(tree: Effective, path: tuple[Step, ...] = ()) -> Iterator[tuple[str, str]]:
    """(JSON pointer, origin) of every scalar."""
    match tree:
        case Shown():
            yield "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path), tree.origin
        case dict():
            for key, below in tree.items():
                yield from origins(below, (*path, key))
        case _:
            for index, item in enumerate(tree):
                yield from origins(item, (*path, index))


def as_yaml(tree: Effective) -> str:
    """YAML, with the origin of each scalar as a comment; reading it gives `plain`."""
    lines = list(_lines(tree, 0))
    width = min(max((len(text) for text, origin in lines if origin), default=0), 60)
    return "".join(f"{text:<{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in lines)


def _lines(tree: Effective, indent: int) -> Iterator[tuple[str, str]]:
    """(YAML, origin) a line."""
    space = "  " * indent
    if isinstance(tree, dict):
        for key, below in tree.items():
            yield from _entry(f"{space}{_scalar(key)}:", below, indent + 1)
    elif isinstance(tree, list):
        for item in tree:
            if isinstance(item, Shown) or not item:
                yield from _entry(f"{space}-", item, indent + 1)
                continue
            first, *rest = _lines(item, indent + 1)
            yield f"{space}- {first[0].removeprefix(space + '  ')}", first[1]
            yield from rest
    else:
        yield f"{space}{_scalar(tree.value)}", tree.origin


def _entry(head: str, below: Effective, indent: int) -> Iterator[tuple[str, str]]:
    if isinstance(below, Shown):
        yield f"{head} {_scalar(below.value)}", below.origin
    elif not below:
        yield f"{head} {'{}' if isinstance(below, dict) else '[]'}", ""
    else:
        yield head, ""
        yield from _lines(below, indent)


PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def _scalar(value: bool | int | float | str | None) -> str:
    """One scalar on one line, in quotes where YAML 1.1 or 1.2 would take it for something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if PLAIN.fullmatch(value) and value.casefold() not in WORDS:
        return value
    dumped = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return str(dumped).strip().replace("\n", " ")

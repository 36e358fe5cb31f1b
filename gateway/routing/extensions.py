"""Predicates, actions and destinations of other packages, found by their entry points.

A package names its kinds under the entry point groups `gateway.predicates`, `gateway.actions` and
`gateway.destinations`. The name of an entry point is the name of the kind in YAML, its value is the class:
``thin_slices = "example_kinds.predicates:ThinSlices"``. The class carries no decorator; the loader registers it.
`docs/extensions.md` describes the contract.

Entry points are read once a process: a package that is installed later is known after a restart.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata

from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Registry
from gateway.routing.language.kind_schema import kind_schema

GROUPS: Mapping[str, Registry] = {
    "gateway.actions": port_kinds.action,
    "gateway.destinations": port_kinds.destination,
    "gateway.predicates": port_kinds.predicate,
}
"""Entry point group → where its kinds are registered."""
METHODS: Mapping[str, tuple[str, ...]] = {
    "action": ("edits", "attributes"),
    "destination": ("open", "attributes", "place"),
    "predicate": ("__call__", "attributes"),
}
"""Noun of a registry → the methods that a kind must have."""
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class LoadedKind:
    """One kind of another package that is registered."""

    noun: str
    """`predicate`, `action` or `destination`."""
    name: str
    package: str
    """Name and version of the distribution."""


@dataclass(frozen=True, slots=True)
class ExtensionProblem:
    """One entry point that cannot be used."""

    code: str
    """`extension-not-loaded`, `extension-not-usable` or `extension-name-taken`."""
    message: str


@dataclass(frozen=True, slots=True)
class Extensions:
    """The kinds of other packages, sorted by group and name, and the entry points that cannot be used."""

    kinds: tuple[LoadedKind, ...] = ()
    problems: tuple[ExtensionProblem, ...] = ()

    def by_package(self) -> Mapping[str, tuple[str, ...]]:
        """Package → its kinds, as ``predicate thin_slices``."""
        packages = sorted({kind.package for kind in self.kinds})
        return {
            package: tuple(f"{kind.noun} {kind.name}" for kind in self.kinds if kind.package == package)
            for package in packages
        }


_lock = threading.Lock()
_loaded: list[Extensions] = []


def load_extensions() -> Extensions:
    """Import and register the kinds of all installed packages, once a process; later calls give the same result."""
    with _lock:
        if not _loaded:
            installed = metadata.entry_points()
            _loaded.append(register(entry for group in GROUPS for entry in installed.select(group=group)))
        return _loaded[0]


def register(entry_points: Iterable[metadata.EntryPoint], groups: Mapping[str, Registry] = GROUPS) -> Extensions:
    """Import the classes of `entry_points` and add them to the registries of `groups`.

    One entry point that cannot be used keeps no other from being registered.
    """
    kinds: list[LoadedKind] = []
    problems: list[ExtensionProblem] = []
    for entry in sorted(entry_points, key=lambda entry: (entry.group, entry.name, package_of(entry))):
        problem = _registered(entry, groups[entry.group])
        if problem is None:
            kinds.append(LoadedKind(groups[entry.group].noun, entry.name, package_of(entry)))
        else:
            code, message = problem
            where = f"package {package_of(entry)}, entry point {entry.name!r} of {entry.group} ({entry.value})"
            problems.append(ExtensionProblem(code, f"{where}: {message}"))
    return Extensions(tuple(kinds), tuple(problems))


def package_of(entry: metadata.EntryPoint) -> str:
    """Name and version of the distribution that brings an entry point."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "(unknown)"


def _registered(entry: metadata.EntryPoint, registry: Registry) -> tuple[str, str] | None:
    """None when the kind is registered now; else the code and text of the problem."""
    if NAME.fullmatch(entry.name) is None:
        return "extension-not-usable", "a name has small letters, digits and underscores, and begins with a letter"
    if entry.name in registry.kinds:
        owner = registry.packages.get(registry.kinds[entry.name], "the gateway itself")
        return "extension-name-taken", f"{owner} has a {registry.noun} of this name; rename or uninstall one of them"
    try:
        cls = entry.load()
    except (Exception, SystemExit) as error:
        return "extension-not-loaded", f"it cannot be imported: {type(error).__name__}: {error}"
    objection = _objection(cls, registry)
    if objection:
        return "extension-not-usable", objection
    registry(entry.name)(cls)
    registry.packages[cls] = package_of(entry)
    return None


def _objection(cls: object, registry: Registry) -> str:
    """The reason why a class cannot be a kind; empty when it can."""
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "a kind is a frozen dataclass"
    if cls in registry.names:
        return f"the class is registered as {registry.names[cls]!r} already; a class of a package has no decorator"
    if not cls.__doc__ or cls.__doc__.startswith(f"{cls.__name__}("):
        return f"{cls.__name__} has no docstring; it is the documentation of the {registry.noun}"
    missing = [name for name in METHODS[registry.noun] if not _has_method(cls, name)]
    if missing:
        return f"{cls.__name__} has no method {' and no method '.join(missing)}"
    try:
        kind_schema(cls)
    except Exception as error:
        return f"the settings of {cls.__name__} cannot be described: {type(error).__name__}: {error}"
    return ""


def _has_method(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__)

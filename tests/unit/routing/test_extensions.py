"""Kinds of other packages: what is registered, and what is said of an entry point that cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from gateway.ports.kinds import Registry
from gateway.routing.extensions import Extensions, LoadedKind, register
from tests.support.extensions import install, install_example

SOURCE = '''
from dataclasses import dataclass

@dataclass(frozen=True)
class Good:
    """True when it is."""
    value: str
    def __call__(self, facts): return True
    def attributes(self): return ()

@dataclass(frozen=True)
class Other(Good):
    """Inherits what it does."""

@dataclass
class Thawed(Good.__mro__[1]):
    """Not frozen."""

@dataclass(frozen=True)
class Silent:
    value: str
    def __call__(self, facts): return True
    def attributes(self): return ()

@dataclass(frozen=True)
class Reader:
    """Does nothing."""
    value: str

@dataclass(frozen=True)
class Odd(Good):
    """A setting of a type that no setting can have."""
    more: complex = 0j

def function(): ...
'''


class Groups:
    """Registries of a gateway that ships a predicate and an action named `shipped`."""

    def __init__(self) -> None:
        self.predicates, self.actions = Registry("predicate"), Registry("action")
        self.destinations = Registry("destination")
        self.predicates("shipped")(type("Shipped", (), {}))
        self.actions("shipped")(type("Shipped", (), {}))

    def load(self, site: Path) -> Extensions:
        groups = {
            "gateway.predicates": self.predicates,
            "gateway.actions": self.actions,
            "gateway.destinations": self.destinations,
        }
        found = [entry for one in metadata.distributions(path=[str(site)]) for entry in one.entry_points]
        return register((entry for entry in found if entry.group in groups), groups)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith(("kinds_", "example_kinds")):
            del sys.modules[name]


def test_the_example_package_is_registered_with_its_origin(site: Path) -> None:
    install_example(site)
    groups = Groups()

    found = groups.load(site)

    assert found.problems == ()
    assert found.kinds == (
        LoadedKind("action", "assign_trial", "example-kinds 1.0.0"),
        LoadedKind("destination", "ledger", "example-kinds 1.0.0"),
        LoadedKind("predicate", "thin_slices", "example-kinds 1.0.0"),
    )
    assert found.by_package() == {
        "example-kinds 1.0.0": (
            "action assign_trial",
            "destination ledger",
            "predicate thin_slices",
        )
    }
    cls = groups.predicates.kinds["thin_slices"]
    assert groups.predicates.names[cls] == "thin_slices"
    assert groups.predicates.packages == {cls: "example-kinds 1.0.0"}


@pytest.mark.parametrize(
    ("name", "value", "code", "text"),
    [
        ("shipped", "kinds_a:Good", "extension-name-taken", "the gateway itself has a predicate of this name"),
        ("good", "kinds_none:Good", "extension-not-loaded", "ModuleNotFoundError: No module named 'kinds_none'"),
        ("good", "kinds_a:Nothing", "extension-not-loaded", "AttributeError"),
        ("Good", "kinds_a:Good", "extension-not-usable", "a name has small letters, digits and underscores"),
        ("good", "kinds_a:function", "extension-not-usable", "a kind is a frozen dataclass"),
        ("good", "kinds_a:Thawed", "extension-not-usable", "a kind is a frozen dataclass"),
        ("good", "kinds_a:Silent", "extension-not-usable", "Silent has no docstring"),
        ("good", "kinds_a:Reader", "extension-not-usable", "Reader has no method __call__ and no method attributes"),
        ("good", "kinds_a:Odd", "extension-not-usable", "the settings of Odd cannot be described"),
    ],
)
def test_what_cannot_be_used_is_named_and_keeps_nothing_else_out(
    site: Path, name: str, value: str, code: str, text: str
) -> None:
    install(site, "kinds-a", SOURCE, {"gateway.predicates": {name: value, "other": "kinds_a:Other"}})
    groups = Groups()

    found = groups.load(site)

    (problem,) = found.problems
    assert problem.code == code
    assert text in problem.message
    assert problem.message.startswith(f"package kinds-a 0.1, entry point {name!r} of gateway.predicates ({value}): ")
    assert [kind.name for kind in found.kinds] == ["other"]
    assert sorted(groups.predicates.kinds) == ["other", "shipped"]


def test_two_packages_with_one_name_are_both_named(site: Path) -> None:
    for package in ("kinds-a", "kinds-b"):
        install(site, package, SOURCE, {"gateway.predicates": {"good": f"{package.replace('-', '_')}:Good"}})

    found = Groups().load(site)

    assert [kind.package for kind in found.kinds] == ["kinds-a 0.1"]
    (problem,) = found.problems
    assert problem.code == "extension-name-taken"
    assert "package kinds-b 0.1" in problem.message
    assert "kinds-a 0.1 has a predicate of this name" in problem.message


def test_a_predicate_and_an_action_may_share_a_name(site: Path) -> None:
    action = (
        SOURCE
        + '''
@dataclass(frozen=True)
class Act:
    """Changes nothing."""
    value: str
    def edits(self, facts): return ()
    def attributes(self): return ()
'''
    )
    groups = {"gateway.predicates": {"same": "kinds_a:Good"}, "gateway.actions": {"same": "kinds_a:Act"}}
    install(site, "kinds-a", action, groups)

    found = Groups().load(site)

    assert found.problems == ()
    assert [(kind.noun, kind.name) for kind in found.kinds] == [("action", "same"), ("predicate", "same")]


def test_a_module_that_ends_the_process_ends_nothing(site: Path) -> None:
    install(site, "kinds-a", "raise SystemExit(3)", {"gateway.predicates": {"good": "kinds_a:Good"}})

    (problem,) = Groups().load(site).problems

    assert problem.code == "extension-not-loaded"
    assert "SystemExit: 3" in problem.message

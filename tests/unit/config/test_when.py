"""The condition of a rule: what is said of it, and where its parts stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.model.problem import SettingPath
from gateway.ports import kinds as port_kinds
from gateway.ports.facts import Facts
from gateway.ports.kinds import Registry
from tests.support.rules_of_site import SITE, loaded, messages

ROUTE = "routes: [{name: all, to: [pacs], when: %s}]\n"


def test_an_empty_condition_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, "routes: [{name: all, to: [pacs], when: }]\n"))
    assert problem[1:] == ("wrong-type", "expected a condition, found nothing; leave `when` out to mean always")


def test_an_unknown_listener_is_named_wherever_it_stands(tmp_path: Path) -> None:
    found = messages(loaded(tmp_path, ROUTE % "{any: [{listener: [iner, inner]}, {not: {listener: outside}}]}"))
    assert [(code, message) for _line, code, message in found] == [
        ("unknown-listener", "no listener is named `iner` (did you mean `inner`?)"),
        ("unknown-listener", "no listener is named `outside`; there are `inner`"),
    ]


def test_a_named_condition_is_checked_where_it_stands(tmp_path: Path) -> None:
    found = messages(loaded(tmp_path, ROUTE % "{condition: c}" + "conditions:\n  c: {listener: iner}\n"))
    assert [line for line, code, _message in found if code == "unknown-listener"] == [3]


def test_each_key_of_a_condition_has_its_place(tmp_path: Path) -> None:
    found = loaded(tmp_path, "routes:\n- name: all\n  to: [pacs]\n  when:\n    all:\n    - modality: [MR]\n")
    assert found.table is not None
    marks = found.table.routes[0].marks
    first = SITE.count("\n")
    assert {path: mark.line - first for path, mark in marks.items()} == {("all",): 5, ("all", 0, "modality"): 6}


def test_a_kind_of_another_package_may_name_listeners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("predicate")
    registry.kinds.update(port_kinds.predicate.kinds)
    registry.names.update(port_kinds.predicate.names)
    monkeypatch.setattr(port_kinds, "predicate", registry)

    @registry("came_by")
    @dataclass(frozen=True, slots=True)
    class CameBy:
        """True when the object came in at this listener, or by way of that one."""

        here: str
        there: str = "inner"

        def __call__(self, facts: Facts) -> bool:
            return facts.association.listener in (self.here, self.there)

        def attributes(self) -> tuple[()]:
            return ()

        def listeners(self) -> list[tuple[SettingPath, str]]:
            return [(("here",), self.here), (("there",), self.there)]

    found = messages(loaded(tmp_path, ROUTE % "{not: {came_by: {here: inner, there: iner}}}"))

    assert [(code, message) for _line, code, message in found] == [
        ("unknown-listener", "no listener is named `iner` (did you mean `inner`?)")
    ]

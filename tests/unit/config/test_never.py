"""Conditions that can never hold: predicates say it themselves, those of other packages as well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingPath
from gateway.ports import kinds as port_kinds
from gateway.ports.facts import Facts
from gateway.ports.kinds import Callers, Registry
from tests.support.rules_of_site import loaded, messages

ROUTE = "routes: [{name: all, to: [pacs], when: %s}]\n"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("{modality: [CT, mr]}", "`mr` can never be: Modality has no small letters (PS3.5 §6.2, CS); write `MR`"),
        (
            "{attribute: {select: BodyPartExamined, in: [HEAD, neck]}}",
            "`neck` can never be: BodyPartExamined has no small letters (PS3.5 §6.2, CS); write `NECK`, or add "
            "`ignore_case: true`",
        ),
        (
            "{any: [{not: {attribute: {select: StudyDate, equals: 2026-11-21}}}, {modality: [CT]}]}",
            "`2026-11-21` can never be: StudyDate is written as YYYYMMDD (PS3.5 §6.2); write `20261121`",
        ),
        ("{attribute: {select: BodyPartExamined, equals: head, ignore_case: true}}", ""),
        ("{attribute: {select: StudyDate, equals: '20261121'}}", ""),
    ],
)
def test_what_the_shipped_predicates_say(tmp_path: Path, when: str, said: str) -> None:
    found = [message for _line, code, message in messages(loaded(tmp_path, ROUTE % when)) if code == "never-holds"]
    assert found == ([said] if said else [])


def test_a_predicate_of_another_package_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("predicate")
    registry.kinds.update(port_kinds.predicate.kinds)
    registry.names.update(port_kinds.predicate.names)
    monkeypatch.setattr(port_kinds, "predicate", registry)
    seen: list[Callers] = []

    @registry("sent_by")
    @dataclass(frozen=True, slots=True)
    class SentBy:
        """True when this peer, or that one, sends."""

        one: str
        other: str = "CT"

        def __call__(self, facts: Facts) -> bool:
            return facts.association.calling_ae_title in (self.one, self.other)

        def attributes(self) -> Iterable[AttributePath]:
            return ()

        def never_holds(self, callers: Callers) -> Iterable[tuple[SettingPath, str]]:
            seen.append(callers)
            if self.one not in callers.ae_titles:
                yield ("one",), "nobody has this title"

    when = "{any: [{not: {sent_by: {one: XRAY}}}, {sent_by: {one: CT}}]}"
    [(line, code, message)] = messages(loaded(tmp_path, ROUTE % when))
    assert (line, code, message) == (1, "never-holds", "`XRAY` can never be: nobody has this title")
    assert seen[0].called_ae_titles >= {"GATEWAY"}
    assert seen[0].ae_titles == {"CT"}

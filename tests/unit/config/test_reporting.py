"""A problem of a kind is reported at its value, or at the name that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.compile_context import Context
from gateway.config.findings import Findings
from gateway.config.parse import parse
from gateway.config.reporting import reporter
from gateway.config.tree import Place
from gateway.forms.building import KeyPath
from gateway.model.problem import SettingPath

TEXT = b"then:\n- set:\n    PatientNme: x\n- remove: ${SECRET}\n"

PLACES: dict[str, tuple[SettingPath, str, tuple[int, int]]] = {
    "value": ((0, "set"), "bad-value", (3, 5)),
    "name": ((0, "set"), "missing-setting", (2, 3)),
    "target as a key": (KeyPath((0, "set", "PatientNme")), "bad-target", (3, 5)),
    "value of that key": ((0, "set", "PatientNme"), "bad-template", (3, 17)),
    "target as a value": ((1, "remove"), "bad-target", (4, 11)),
}


@pytest.mark.parametrize(("path", "code", "where"), PLACES.values(), ids=PLACES)
def test_places(tmp_path: Path, path: SettingPath, code: str, where: tuple[int, int]) -> None:
    findings = Findings()
    root = parse(TEXT, tmp_path / "a.yaml", "a.yaml", {"SECRET": "s3cret"}, findings)
    assert root is not None
    then = Place(root, root.mark).at("then")

    reporter(then, Context(findings, tmp_path, True))(path, code, "no")

    (problem,) = findings.sorted()
    assert (problem.mark.line, problem.mark.column) == where
    assert problem.code == code


def test_a_message_about_a_secret_says_nothing_of_it(tmp_path: Path) -> None:
    findings = Findings()
    root = parse(TEXT, tmp_path / "a.yaml", "a.yaml", {"SECRET": "s3cret"}, findings)
    assert root is not None

    reporter(Place(root, root.mark).at("then"), Context(findings, tmp_path, True))((1, "remove"), "x", "not s3cret")

    assert [one.message for one in findings.sorted()] == ["what `${SECRET}` stands for is not valid here"]

"""A report counts what was found, so that nothing wrong is used."""

from __future__ import annotations

from gateway.common.setting_faults import missing_setting
from gateway.forms.building import INVALID, Building
from gateway.model.problem import SettingPath
from gateway.routing.language.resources import NO_RESOURCES


def test_problems_and_faults_are_reported_and_counted() -> None:
    found: list[tuple[SettingPath, str, str]] = []
    building = Building(lambda *problem: found.append(problem), NO_RESOURCES, lambda *_: INVALID)

    building.problem(("a", 0), "bad-value", "no")
    building.fault(("a",), missing_setting("b"))

    assert found == [(("a", 0), "bad-value", "no"), (("a",), "missing-setting", "the setting `b` is missing")]
    assert building.count == 2

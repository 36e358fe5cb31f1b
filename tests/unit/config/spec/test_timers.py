"""Time limits: none of them has a default of its own."""

from __future__ import annotations

import pytest

from gateway.config.spec.timers import TimersSpec
from gateway.forms.groups import settings
from tests.support.sections import built


def test_without_a_word_all_are_those_of_the_gateway() -> None:
    assert {name: one.default for name, one in settings(TimersSpec).items()} == dict.fromkeys(settings(TimersSpec))


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("10", "found `10` (did you mean `10 s`?)"),
        ("2 mins", "found `2 mins` (did you mean `2 min`?)"),
        ("soon", "found `soon`"),
        ("[1 s]", "found a list"),
    ],
)
def test_a_duration_has_a_unit(written: str, end: str) -> None:
    section, (problem,) = built(TimersSpec, f"{{idle: {written}, dimse: 5 s}}")
    assert section == TimersSpec(dimse="5 s")
    assert problem.endswith(f"expected a duration such as `10 s`, {end}")

"""The sections `coercions:` and `routes:`: what holds conditions and actions is not looked at here."""

from __future__ import annotations

from gateway.config.spec.rules import CoercionSpec, RouteSpec
from gateway.config.spec.values import MISSING
from tests.support.sections import built


def test_conditions_and_actions_are_left_to_those_who_build_them() -> None:
    section, problems = built(RouteSpec, "{name: a, to: [pacs], when: {no: such}, then: {no: such}}")
    assert problems == []
    assert section == RouteSpec(name="a", to=("pacs",))


def test_a_route_without_a_good_name_is_still_checked() -> None:
    section, problems = built(RouteSpec, "{name: '', to: [], stop: perhaps}")
    assert problems == [
        "1:8: bad-format: expected a rule name such as `CT to the archive`, found an empty text",
        "1:16: empty: this list is empty; write at least one value, or leave the setting out",
        "1:26: wrong-type: expected `true` or `false`, found the text `perhaps`",
    ]
    assert section == RouteSpec(name=MISSING)


def test_a_coercion_needs_its_actions() -> None:
    section, problems = built(CoercionSpec, "{name: a, do: []}")
    assert problems == [
        "1:1: missing-setting: the setting `then` is missing",
        "1:11: unknown-setting: there is no setting `do` here; write `then`",
    ]
    assert section == CoercionSpec(name="a", then=[MISSING])

"""The state that the parts of one courier share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.model.peer import Retry
from tests.unit.delivery.parts import Parts


@pytest.mark.parametrize(
    ("change", "is_remembered"),
    [({"associations": 3}, True), ({"host": "10.0.0.9"}, False), ({"port": 11113}, False)],
    ids=["other settings", "another host", "another port"],
)
async def test_kinds_that_a_peer_took_are_those_of_its_address(change: dict[str, Any], *, is_remembered: bool) -> None:
    parts = Parts()
    state = parts.state
    delivery = await parts.claimed()
    state.refusals.taken(delivery, state.peer.retry, lambda: 0.0)
    changed = replace(state.peer, **change)
    state.replace(changed)
    assert state.peer is changed
    assert state.refusals.took(delivery) is is_remembered


@pytest.mark.parametrize(("age_s", "is_given_up"), [(0.0, False), (59.0, False), (61.0, True)])
async def test_a_delivery_is_given_up_for_its_age(age_s: float, *, is_given_up: bool) -> None:
    parts = Parts({"retry": Retry(give_up_after_s=60.0)})
    delivery = await parts.claimed()
    parts.clock.advance(age_s)
    assert parts.state.is_given_up(delivery) is is_given_up

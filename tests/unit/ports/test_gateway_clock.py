"""What a gateway may rely on, whichever clock it has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway.common.steady_clock import SteadyClock
from gateway.ports.gateway_clock import GatewayClock
from gateway.postgresql.server_clock import ServerClock
from tests.support.samples import NOON, SecondsClock


def steady(seconds: SecondsClock) -> GatewayClock:
    return SteadyClock(lambda: NOON, seconds)


def servers(seconds: SecondsClock) -> GatewayClock:
    clock = ServerClock(seconds)
    clock.adopt(NOON, seconds(), seconds())
    return clock


@pytest.mark.parametrize("made", [steady, servers])
def test_it_goes_on_evenly_once_it_is_resumed(made: Callable[[SecondsClock], GatewayClock]) -> None:
    seconds = SecondsClock()
    clock = made(seconds)
    clock.resume(NOON)
    assert clock() == NOON
    seconds.now_s += 90.0
    assert clock() == NOON + timedelta(seconds=90)
    assert clock.on_the_wall(clock()) == clock.wall()

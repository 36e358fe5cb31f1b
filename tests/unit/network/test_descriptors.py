"""The limits that the number of descriptors allows."""

from __future__ import annotations

import pytest

from gateway.model.listener import Limits
from gateway.model.settings import HTTP, ConversionLimits, Settings, Spool
from gateway.network import descriptors
from gateway.ports.errors import ConfigurationError


def test_with_enough_descriptors_the_limits_are_as_configured() -> None:
    assert descriptors.fit(Limits(), descriptors=20_000, reserved=1000) == Limits()


@pytest.mark.parametrize("number", [256, 257, 300, 512, 1024, 1500, 2000])
@pytest.mark.parametrize("reserved", [0, 40, 100_000])
@pytest.mark.parametrize("limits", [Limits(), Limits(associations=4096, unassociated=4096)])
def test_whatever_the_limits_there_are_descriptors_left_for_our_own_work(
    number: int, reserved: int, limits: Limits
) -> None:
    if number - descriptors.FIXED - min(reserved, number // 4) < descriptors.LEAST_FOR_PEERS:
        return
    fitted = descriptors.fit(limits, descriptors=number, reserved=reserved)
    assert descriptors.needed(fitted) <= number - descriptors.FIXED - min(reserved, number // 4)
    assert fitted.associations >= 1
    assert fitted.unassociated >= 1
    assert fitted.associations_of_strangers <= fitted.associations


def test_they_are_lowered_in_proportion() -> None:
    fitted = descriptors.fit(Limits(), descriptors=1024, reserved=128)
    assert (fitted.associations, fitted.associations_of_strangers, fitted.unassociated) == (256, 64, 128)
    assert fitted.associations_per_peer == Limits().associations_per_peer


def test_too_few_for_any_use_are_reported_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"may open 150 .* at least 257 .*ulimit -Hn"):
        descriptors.fit(Limits(), descriptors=150, reserved=0)


def test_with_the_least_that_is_reported_there_is_enough() -> None:
    for reserved in (0, 50, 1000):
        descriptors.fit(Limits(), descriptors=257, reserved=reserved)


def test_raising_gives_what_there_may_be() -> None:
    assert descriptors.raise_limit() == descriptors.available() > 0


def test_a_worker_has_two_http_listeners() -> None:
    def reserved(worker: int, http: HTTP | None) -> int:
        settings = Settings("GATEWAY", (), Spool("/spool"), "/queue.db", http=http, worker=worker)
        return descriptors.reserved(settings, ()) - 8 * ConversionLimits().workers

    http = HTTP(connections=10)
    assert [reserved(0, http), reserved(3, http), reserved(3, None)] == [10, 20, 0]

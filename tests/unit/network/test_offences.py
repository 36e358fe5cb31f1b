"""The hosts that are closed at once, and the time for which they are."""

from __future__ import annotations

from gateway.network.offences import BURST, BURST_OF_ALL, MOST_HOSTS, PER_SECOND, Offences
from tests.support.samples import SecondsClock


def offend(offences: Offences, host: str, times: int) -> None:
    for _ in range(times):
        offences.add(host)


def test_a_few_offences_change_nothing() -> None:
    offences = Offences(SecondsClock())
    offend(offences, "a", int(BURST) - 1)
    assert offences.is_admitted("a", is_known=False)
    assert offences.is_admitted("b", is_known=False)


def test_a_host_that_goes_on_is_admitted_now_and_then() -> None:
    clock = SecondsClock()
    offences = Offences(clock)
    offend(offences, "a", 1000)
    assert not offences.is_admitted("a", is_known=False)
    assert not offences.is_admitted("a", is_known=True)
    heard = 0
    for _ in range(1000):
        clock.now_s += 0.01
        if offences.is_admitted("a", is_known=False):
            heard += 1
            offences.add("a")
    assert 10 * PER_SECOND - 1 <= heard <= 10 * PER_SECOND


def test_who_stops_is_forgiven() -> None:
    clock = SecondsClock()
    offences = Offences(clock)
    offend(offences, "a", 1000)
    clock.now_s += BURST / PER_SECOND
    assert offences.is_admitted("a", is_known=False)
    assert not offences._hosts


def test_of_many_hosts_those_without_an_offence_and_known_ones_are_admitted() -> None:
    offences = Offences(SecondsClock())
    for number in range(int(BURST_OF_ALL)):
        offences.add(f"host {number % 500}")
    assert not offences.is_admitted("host 1", is_known=False)
    assert offences.is_admitted("host 1", is_known=True)
    assert offences.is_admitted("new", is_known=False)


def test_memory_is_bounded() -> None:
    offences = Offences(SecondsClock())
    for number in range(2 * MOST_HOSTS):
        offences.add(f"host {number}")
    assert len(offences._hosts) == MOST_HOSTS

"""When a destination is left alone, and when it is tried again."""

from random import Random

from gateway.delivery.circuit import CLOSED, DOUBTS, Circuit
from gateway.model.peer import Retry

RETRY = Retry(first_delay_s=10, factor=2, max_delay_s=60, jitter=0.0)


def down(circuit: Circuit, now_s: float, after_s: float | None = None) -> Circuit:
    return circuit.down(RETRY, now_s, Random(1), "refused", after_s)


def doubted(circuit: Circuit, now_s: float = 0.0) -> Circuit:
    return circuit.doubted(RETRY, now_s, Random(1), "lost")


def test_closed_lets_everything_through() -> None:
    assert CLOSED.is_closed
    assert CLOSED.wait_s(123.0) == 0


def test_down_opens_for_the_first_delay_and_then_lets_one_probe() -> None:
    circuit = down(CLOSED, 100.0)
    assert (circuit.is_closed, circuit.wait_s(100.0), circuit.wait_s(109.0)) == (False, 10.0, 1.0)
    assert circuit.wait_s(110.0) == 0
    assert not circuit.is_closed
    assert circuit.reason == "refused"


def test_every_failed_probe_waits_longer_up_to_the_maximum() -> None:
    circuit, now_s, waits = CLOSED, 0.0, []
    for _ in range(5):
        circuit = down(circuit, now_s)
        waits.append(circuit.wait_s(now_s))
        now_s = circuit.open_until_s
    assert waits == [10, 20, 40, 60, 60]


def test_bad_news_of_objects_in_flight_does_not_lengthen_the_wait() -> None:
    circuit = down(CLOSED, 0.0)
    assert down(circuit, 1.0) is circuit
    assert doubted(circuit, 1.0) is circuit


def test_the_channel_may_know_the_wait_better() -> None:
    assert down(CLOSED, 0.0, after_s=3.0).wait_s(0.0) == 3.0


def test_single_deferrals_are_held_against_the_objects_until_there_are_too_many() -> None:
    circuit = CLOSED
    for _ in range(DOUBTS - 1):
        circuit = doubted(circuit)
        assert circuit.is_closed
    assert not doubted(circuit).is_closed


def test_a_deferred_probe_opens_again() -> None:
    circuit = doubted(down(CLOSED, 0.0), 10.0)
    assert circuit.openings == 2
    assert circuit.wait_s(10.0) == 20


def test_after_an_operator_acted_it_probes_at_once_but_remembers() -> None:
    circuit = down(down(CLOSED, 0.0), 10.0).probe_now()
    assert circuit.wait_s(11.0) == 0
    assert down(circuit, 11.0).wait_s(11.0) == 40

"""When a peer is too slow: a trickle at once, a pause only when there is one after the other."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.dimse.protocol.flow import MOST_PAUSES, PROGRESS_BYTES, Inflow, Outflow, enough_bytes

PROGRESS_S = 30.0


def received(flow: Inflow, number: int, at_s: float) -> None:
    flow.received_bytes += number
    flow.received_s = at_s


def test_a_byte_a_second_is_too_slow() -> None:
    flow = Inflow()
    flow.begin()
    for second in range(30):
        received(flow, 1, second)
    assert not flow.is_enough
    assert flow.is_too_slow(30.0, PROGRESS_S)


def test_a_pause_is_not() -> None:
    flow = Inflow()
    flow.begin()
    received(flow, 100, 0.0)
    assert not flow.is_too_slow(30.0, PROGRESS_S)
    received(flow, PROGRESS_BYTES, 45.0)
    assert flow.is_enough


def test_pauses_one_after_the_other_are() -> None:
    flow = Inflow()
    flow.begin()
    verdicts = []
    for window in range(1, MOST_PAUSES + 2):
        received(flow, 1, window * 30.0 - 15.0)
        verdicts.append(flow.is_too_slow(window * 30.0, PROGRESS_S))
    assert verdicts == [False] * MOST_PAUSES + [True]


def test_pauses_are_forgotten_when_enough_has_come() -> None:
    flow = Inflow()
    for _ in range(10):
        flow.begin()
        received(flow, 1, 0.0)
        assert not flow.is_too_slow(30.0, PROGRESS_S)
        received(flow, PROGRESS_BYTES, 31.0)
        assert flow.is_enough


@pytest.mark.parametrize("bytes_per_second", [1024, 8192, 10**7])
def test_lines_of_a_thousand_bytes_a_second_are_fast_enough(bytes_per_second: int) -> None:
    flow = Inflow()
    flow.begin()
    restarted_s = 0
    for second in range(1, 600):
        received(flow, bytes_per_second, second)
        if flow.is_enough:
            flow.begin()
            restarted_s = second
        assert second - restarted_s < PROGRESS_S


@pytest.mark.parametrize(
    ("seconds", "number"), [(30.0, PROGRESS_BYTES), (60.0, PROGRESS_BYTES), (15.0, PROGRESS_BYTES // 2)]
)
def test_enough_of_a_shorter_time_is_less(seconds: float, number: int) -> None:
    assert enough_bytes(seconds, PROGRESS_S) == number


async def test_what_has_arrived_is_what_the_other_side_took() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
    flow = Outflow(transport)
    flow.mark()
    data = bytes(8 * 1024**2)
    flow.written_bytes += len(data)
    transport.write(data)
    assert flow.progress_bytes() <= len(data) // 2  # the system took some of it, nobody has read
    left = len(data)
    async with asyncio.timeout(60):
        while left:
            left -= len(await loop.sock_recv(theirs, 1 << 20))
    async with asyncio.timeout(60):
        while flow.arrived_bytes < len(data):
            await asyncio.sleep(0)
    assert flow.progress_bytes() > len(data) // 2
    assert flow.progress_bytes() == 0
    transport.abort()
    theirs.close()


def test_without_a_transport_nothing_is_under_way() -> None:
    flow = Outflow()
    flow.mark()
    flow.written_bytes += 10
    assert flow.progress_bytes() == 10

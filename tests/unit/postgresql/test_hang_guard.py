"""A connection that nothing comes over is cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gateway.postgresql.hang_guard import HangGuard
from tests.support.samples import SecondsClock


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_only_a_statement_that_takes_too_long_is_cut(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    clock = SecondsClock()
    guard = HangGuard(10.0, clock)
    try:
        assert not guard.look()
        guard.begin(ours.fileno())
        clock.now_s += 9.9
        assert not guard.look()
        guard.end()
        clock.now_s += 100.0
        assert not guard.look(), "it ended in time"
        guard.begin(ours.fileno())
        clock.now_s += 10.0
        assert guard.look()
        assert theirs.recv(1) == b"", "both ends see it"
        assert ours.recv(1) == b""
        assert not guard.look(), "once is enough"
    finally:
        guard.close()


def test_a_statement_that_runs_can_be_cut_at_once_and_an_idle_connection_cannot(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    guard = HangGuard(10.0, SecondsClock())
    try:
        guard.begin(ours.fileno())
        guard.end()
        guard.cut()
        theirs.send(b"x")
        assert ours.recv(1) == b"x"
        guard.begin(ours.fileno())
        guard.cut()
        assert ours.recv(1) == b""
    finally:
        guard.close()


def test_the_thread_looks_by_itself(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    guard = HangGuard(0.0)
    try:
        guard.begin(ours.fileno())
        assert theirs.recv(1) == b""
    finally:
        guard.close()

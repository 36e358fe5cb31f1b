"""Listeners at a reload: what opens, what closes, and that a failure changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.lifecycle.listening import ListenerChange, Listening, changes
from gateway.model.listener import Listener
from gateway.model.security import TLS
from gateway.ports.errors import ConfigurationError
from tests.support.fakes.acceptor import MemoryAcceptor

LOCAL = "127.0.0.1"
UNCHANGED = ListenerChange((), (), ())
A = Listener("a", 1, LOCAL)
B = Listener("b", 2, LOCAL)
C = Listener("c", 3, LOCAL)
BAD = Listener("bad", 666, LOCAL)


MOVED = Listener("a", 9, LOCAL)
RENAMED = Listener("z", 1, LOCAL)
EVERYWHERE = Listener("w", 1, "0.0.0.0")
SWAPPED = (Listener("a", 2, LOCAL), Listener("b", 1, LOCAL))


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        pytest.param([A, B], [A, B], ListenerChange((), (), ()), id="nothing"),
        pytest.param([A], [B, A], ListenerChange((B,), (), ()), id="one more"),
        pytest.param([A, B], [B], ListenerChange((), (), (A,)), id="one less"),
        pytest.param([A], [MOVED], ListenerChange((), (((A,), MOVED),), ()), id="another port"),
        pytest.param([A], [RENAMED], ListenerChange((), (((A,), RENAMED),), ()), id="another name on the same port"),
        pytest.param([A], [EVERYWHERE], ListenerChange((), (((A,), EVERYWHERE),), ()), id="the port everywhere"),
        pytest.param([A, B], [A, C], ListenerChange((C,), (), (B,)), id="another name and port"),
        pytest.param(
            [A, B], list(SWAPPED), ListenerChange((), (((A, B), SWAPPED[0]), ((), SWAPPED[1])), ()), id="ports swapped"
        ),
    ],
)
def test_changes(current: list[Listener], wanted: list[Listener], expected: ListenerChange) -> None:
    found = changes(current, wanted)
    assert _normal(found) == _normal(expected)
    assert (found == UNCHANGED) == (current == wanted)


def _normal(change: ListenerChange) -> object:
    """A replacement without an old one is an opening that comes after the others."""
    replaced = [pair for pair in change.replaced if pair[0]]
    opened = [*change.opened, *(new for old, new in change.replaced if not old)]
    return opened, replaced, change.closed


async def test_new_listeners_open_before_old_ones_close() -> None:
    acceptor = MemoryAcceptor()
    listening = Listening(acceptor)
    await listening.start([A])
    change = listening.compare([B])
    await listening.prepare(change)
    assert set(acceptor.listeners) == {"a", "b"}
    await listening.retire(change)
    assert acceptor.done == ["+a:1", "+b:2", "-a"]


async def test_swapped_ports_can_be_taken() -> None:
    acceptor = MemoryAcceptor()
    listening = Listening(acceptor)
    await listening.start([A, B])
    change = listening.compare(SWAPPED)
    await listening.prepare(change)
    await listening.retire(change)
    assert {listener.name: listener.port for listener in acceptor.listeners.values()} == {"a": 2, "b": 1}


@pytest.mark.parametrize("wanted", [[A, C, BAD], [MOVED, C, BAD], [RENAMED, BAD], [BAD, B]], ids=str)
async def test_a_listener_that_cannot_open_changes_nothing(wanted: list[Listener]) -> None:
    acceptor = MemoryAcceptor()
    listening = Listening(acceptor)
    await listening.start([A, B])
    with pytest.raises(ConfigurationError, match="666"):
        await listening.prepare(listening.compare(wanted))
    assert acceptor.listeners == {"a": A, "b": B}
    assert listening.compare([A, B]) == UNCHANGED


async def test_a_fault_in_opening_changes_nothing() -> None:
    acceptor = MemoryAcceptor()
    listening = Listening(acceptor)
    await listening.start([A, B])
    with pytest.raises(RuntimeError):
        await listening.prepare(listening.compare([MOVED, C, Listener("odd", 667, LOCAL)]))
    assert acceptor.listeners == {"a": A, "b": B}


async def test_a_renewed_certificate_opens_the_listener_again(tmp_path: Path) -> None:
    certificate = tmp_path / "gateway.pem"
    certificate.write_text("old")
    listener = Listener("tls", 5, LOCAL, TLS(certificate=str(certificate)))
    listening = Listening(MemoryAcceptor(), check=lambda listener: None)
    await listening.start([listener])
    assert listening.compare([listener]) == UNCHANGED
    certificate.write_text("new")
    os.utime(certificate, ns=(1, 1))
    change = listening.compare([listener])
    assert change.replaced == (((listener,), listener),)
    await listening.prepare(change)
    assert listening.compare([listener]) == UNCHANGED


async def test_a_broken_new_certificate_leaves_the_listener_open(tmp_path: Path) -> None:
    certificate = tmp_path / "gateway.pem"
    certificate.write_text("old")
    listener = Listener("tls", 5, LOCAL, TLS(certificate=str(certificate)))
    acceptor = MemoryAcceptor()

    def refuse(listener: Listener) -> None:
        raise ConfigurationError("no certificate in it")

    listening = Listening(acceptor, check=refuse)
    await listening.start([listener])
    os.utime(certificate, ns=(1, 1))
    with pytest.raises(ConfigurationError, match="no certificate"):
        await listening.prepare(listening.compare([listener]))
    assert acceptor.done == ["+tls:5"]

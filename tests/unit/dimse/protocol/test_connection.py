"""Bytes and their order on a transport, whatever the system gives or takes of them at once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket

import pytest

from gateway.dimse.protocol.connection import (
    FIRST_READ_BYTES,
    GATHERED_BYTES,
    MORE_BYTES,
    AssociationTransport,
    ReadingHeld,
    after,
)
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.pdata import PDUReader


class Sender(AssociationTransport):
    holds_reading_while_writing = False

    def _pump(self) -> None: ...

    def _expired(self, timer: AssociationTimer) -> None: ...


class Listener(Sender):
    """Keeps what is fed, read by read; holds reading behind the first one when it is `full`."""

    def __init__(self) -> None:
        super().__init__(PDUReader(0), 60.0)
        self.reads: list[bytes | memoryview] = []
        self.is_full = False

    def _pump(self) -> None:
        view = self._reader._view
        self.reads.append(view if isinstance(view.obj, bytes) else bytes(view))
        self._reader._release()
        if self.is_full:
            self._hold(ReadingHeld.RECEIVER)


async def listening(listener: Listener) -> socket.socket:
    """The socket of a peer that `listener` reads from."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 1024**2)
    await asyncio.get_running_loop().create_connection(lambda: listener, sock=ours)
    return theirs


async def until_read(listener: Listener, size_bytes: int) -> None:
    async with asyncio.timeout(60):
        while sum(map(len, listener.reads)) < size_bytes:
            await asyncio.sleep(0)


def part(size_bytes: int) -> bytes:
    return bytes(range(256)) * (size_bytes // 256)


READS = {
    "little": (part(FIRST_READ_BYTES - 256), [FIRST_READ_BYTES - 256]),
    "one full read": (part(FIRST_READ_BYTES), [FIRST_READ_BYTES]),
    "one more": (part(FIRST_READ_BYTES + 256), [FIRST_READ_BYTES, 256]),
    "as much as two reads take": (part(FIRST_READ_BYTES + MORE_BYTES), [FIRST_READ_BYTES, MORE_BYTES]),
    "more": (part(2 * FIRST_READ_BYTES + MORE_BYTES + 256), [FIRST_READ_BYTES, MORE_BYTES, FIRST_READ_BYTES, 256]),
}


@pytest.mark.parametrize(("data", "sizes"), READS.values(), ids=READS)
async def test_what_is_there_behind_a_full_read_is_read_at_once_into_bytes_of_its_own(
    data: bytes, sizes: list[int]
) -> None:
    listener = Listener()
    listener._hold(ReadingHeld.WRITE)  # until all of it is there
    peer = await listening(listener)
    listener._unhold(ReadingHeld.TRANSPORT)
    assert peer.send(data) == len(data)
    listener._unhold(ReadingHeld.WRITE)
    listener.reads.clear()
    await until_read(listener, len(data))
    assert [len(each) for each in listener.reads] == sizes
    assert b"".join(listener.reads) == data
    assert listener._inflow.received_bytes == len(data)
    listener._abort_transport()
    peer.close()


async def test_nothing_more_is_read_while_reading_is_held() -> None:
    listener = Listener()
    peer = await listening(listener)
    listener._unhold(ReadingHeld.TRANSPORT)
    listener.reads.clear()
    listener.is_full = True
    peer.send(part(2 * FIRST_READ_BYTES))
    await until_read(listener, 1)
    assert [len(each) for each in listener.reads] == [FIRST_READ_BYTES]
    listener._abort_transport()
    peer.close()


async def connected(send_buffer_bytes: int = 0) -> tuple[Sender, socket.socket]:
    """A sender, and the socket of its peer."""
    ours, theirs = socket.socketpair()
    if send_buffer_bytes:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    theirs.setblocking(False)
    _, sender = await asyncio.get_running_loop().create_connection(lambda: Sender(PDUReader(0), 60.0), sock=ours)
    return sender, theirs


async def received(peer: socket.socket, size_bytes: int) -> bytes:
    found = bytearray()
    while len(found) < size_bytes:
        data = await asyncio.get_running_loop().sock_recv(peer, size_bytes)
        assert data
        found += data
    return bytes(found)


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the system took of each group of pieces."""
    taken: list[int] = []
    really = os.writev

    def writev(descriptor: int, pieces: list[bytes | memoryview]) -> int:
        taken.append(really(descriptor, pieces))
        return taken[-1]

    monkeypatch.setattr(os, "writev", writev)
    return taken


def pieces_of(size_bytes: int, number: int) -> list[bytes | memoryview]:
    """Bytes and views of `number` different contents by turns."""
    made = [bytes([each & 255]) * size_bytes for each in range(number)]
    return [piece if each % 2 else memoryview(piece) for each, piece in enumerate(made)]


async def test_pieces_that_the_system_takes_are_not_copied(gathered: list[int]) -> None:
    sender, peer = await connected(1024**2)
    pieces = pieces_of(GATHERED_BYTES // 4, 4)
    sender._write_pieces(pieces)
    assert gathered == [GATHERED_BYTES]
    assert await received(peer, GATHERED_BYTES) == b"".join(pieces)
    assert sender._outflow.written_bytes == GATHERED_BYTES
    sender._abort_transport()
    peer.close()


async def test_what_the_system_does_not_take_is_copied_and_follows(gathered: list[int]) -> None:
    sender, peer = await connected(8 * 1024)
    changing = bytearray(b"a" * 1024**2)
    expected = b"head" + bytes(changing) + b"tail" + b"next"
    sender._write_pieces([b"head", memoryview(changing), b"tail"])
    assert 0 < gathered[0] < 1024**2
    changing[:] = b"b" * len(changing)  # the owner is done with its bytes
    sender._write_pieces([b"next"])
    found = await received(peer, len(expected))
    assert hashlib.sha256(found).digest() == hashlib.sha256(expected).digest()
    assert sender._outflow.written_bytes == len(expected)
    sender._abort_transport()
    peer.close()


async def test_pieces_stand_behind_those_that_the_transport_still_has(gathered: list[int]) -> None:
    sender, peer = await connected(8 * 1024)
    first, second = pieces_of(GATHERED_BYTES, 8), pieces_of(GATHERED_BYTES, 3)
    sender._write_pieces(first)
    sender._write_pieces(second)
    assert len(gathered) == 1
    assert await received(peer, 11 * GATHERED_BYTES) == b"".join(first + second)
    sender._abort_transport()
    peer.close()


@pytest.mark.parametrize("pieces", [pieces_of(100, 3), pieces_of(100, 2000)], ids=["few bytes", "many pieces"])
async def test_few_bytes_and_many_pieces_leave_joined(pieces: list[bytes | memoryview], gathered: list[int]) -> None:
    sender, peer = await connected(1024**2)
    sender._write_pieces(pieces)
    assert gathered == []
    assert await received(peer, sum(map(len, pieces))) == b"".join(pieces)
    sender._abort_transport()
    peer.close()


async def test_a_peer_that_is_gone_is_the_transport_s_to_find() -> None:
    sender, peer = await connected()
    peer.close()
    sender._write_pieces(pieces_of(GATHERED_BYTES, 2))
    await sender.wait_closed()
    sender._write_pieces(pieces_of(GATHERED_BYTES, 2))  # to nobody
    assert sender.is_closed


@pytest.mark.parametrize("done_bytes", [0, 1, 3, 4, 5, 9, 10, 12])
def test_after(done_bytes: int) -> None:
    assert after([b"abc", memoryview(b"defghi"), b"", b"jkl"], done_bytes) == b"abcdefghijkl"[done_bytes:]

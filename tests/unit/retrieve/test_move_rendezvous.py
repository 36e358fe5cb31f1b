"""Instances handed over between those who receive them and those who asked for them, in one process and in two."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.ports.errors import Refusal
from gateway.retrieve.expected_sender import ExpectedSender
from gateway.retrieve.get_fetcher import Arrived
from gateway.retrieve.move_rendezvous import (
    ExpectedMove,
    IncomingInstance,
    MoveRendezvous,
    NotHandedOver,
    RefusedByTaker,
)
from tests.support.processes import REPOSITORY

DATA = bytes(range(256)) * 4096
OFFER = IncomingInstance("pacs", "10.1.0.5", "1.2", "1.3.1", "1.2.840.10008.1.2.1", len(DATA), "GATEWAY", 7)


class Taker:
    """Keeps what it gets, or answers with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[tuple[Arrived, bytes]] = []
        self.touched = 0
        self._error = error

    async def __call__(self, arrived: Arrived) -> int:
        if self._error is not None:
            raise self._error
        self.taken.append((arrived, bytes(arrived.body.view())))
        return 0x0000

    def touch(self) -> None:
        self.touched += 1


def expectation(taker: Taker, *uids: str, source: str = "PACS") -> ExpectedMove:
    sender = ExpectedSender(source.lower(), ("10.1.0.5", "10.2.0.0/24"))
    return ExpectedMove(sender, "GATEWAY", frozenset(uids or ("1.3.1", "1.3.2")), taker, taker.touch, 7)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[MoveRendezvous, MoveRendezvous]]:
    """One that waits and one that receives; they share nothing but the folder."""
    folder = tmp_path / "retrieves"
    waiting, receiving = MoveRendezvous(folder, MemoryReceiver), MoveRendezvous(folder, MemoryReceiver)
    yield waiting, receiving
    await waiting.close()
    await receiving.close()
    assert not folder.exists() or not list(folder.iterdir())


async def give(rendezvous: MoveRendezvous, **changes: object) -> int | None:
    offer = dataclasses.replace(OFFER, **changes)  # type: ignore[arg-type]
    return await rendezvous.hand_over(offer, MemoryDataSet(DATA))


async def test_handed_over(pair: tuple[MoveRendezvous, MoveRendezvous]) -> None:
    waiting, receiving = pair
    taker = Taker()
    async with waiting.expecting(expectation(taker)):
        assert await give(receiving) == 0x0000
        assert await give(waiting, sop_instance_uid="1.3.2") == 0x0000  # by oneself, the same way
    (first, data), (second, _) = taker.taken
    assert data == DATA
    assert (first.sop_class_uid, first.sop_instance_uid, first.transfer_syntax_uid) == (
        "1.2",
        "1.3.1",
        OFFER.transfer_syntax_uid,
    )
    assert second.sop_instance_uid == "1.3.2"
    assert taker.touched == 2


MEANT: dict[str, tuple[dict[str, object], bool]] = {
    "as it should be": ({}, True),
    "without originator": ({"originator_ae_title": "", "originator_message_id": None}, True),
    "with an odd originator": ({"originator_ae_title": "PACS", "originator_message_id": 1}, True),
    "from another of its hosts": ({"remote_host": "10.2.0.77"}, True),
    "over IPv6 as IPv4": ({"remote_host": "::ffff:10.1.0.5"}, True),
    "another instance": ({"sop_instance_uid": "1.3.9"}, False),
    "from elsewhere under its title": ({"remote_host": "10.9.9.9"}, False),
    "from nowhere": ({"remote_host": ""}, False),
    "a stranger from its host": ({"peer": ""}, False),
    "a stranger that names the C-MOVE": ({"peer": "", "remote_host": "10.9.9.9"}, False),
    "another peer from its host": ({"peer": "ct"}, False),
    "another peer that names the C-MOVE": ({"peer": "ct", "remote_host": "10.9.9.9"}, False),
}


@pytest.mark.parametrize("name", MEANT)
async def test_what_is_meant(pair: tuple[MoveRendezvous, MoveRendezvous], name: str) -> None:
    changes, is_meant = MEANT[name]
    waiting, receiving = pair
    taker = Taker()
    async with waiting.expecting(expectation(taker)):
        assert await give(receiving, **changes) == (0x0000 if is_meant else None)
    assert len(taker.taken) == is_meant


async def test_nobody_waits(pair: tuple[MoveRendezvous, MoveRendezvous]) -> None:
    assert await give(pair[1]) is None


async def test_after_the_end_only_what_names_the_retrieve_is_refused(
    pair: tuple[MoveRendezvous, MoveRendezvous],
) -> None:
    waiting, receiving = pair
    async with waiting.expecting(expectation(Taker())):
        pass
    with pytest.raises(RefusedByTaker, match="has ended") as refused:
        await give(receiving)
    assert refused.value.dimse_status == 0xA700
    assert await give(receiving, originator_ae_title="", originator_message_id=None) is None


async def test_what_the_taker_says_is_the_answer(pair: tuple[MoveRendezvous, MoveRendezvous]) -> None:
    waiting, receiving = pair
    error = RefusedByTaker(0xA900, "not in this form")
    async with waiting.expecting(expectation(Taker(error))):
        with pytest.raises(RefusedByTaker, match="not in this form") as refused:
            await give(receiving)
    assert refused.value.dimse_status == 0xA900


async def test_several_who_wait(pair: tuple[MoveRendezvous, MoveRendezvous]) -> None:
    waiting, receiving = pair
    one, two, three = Taker(), Taker(), Taker()
    async with (
        waiting.expecting(expectation(one, "1.3.1")),
        waiting.expecting(expectation(two, "1.3.2")),
        receiving.expecting(expectation(three, "1.3.3")),
    ):
        for uid in ("1.3.3", "1.3.2", "1.3.1"):
            assert await give(receiving, sop_instance_uid=uid) == 0x0000
    assert [taker.taken[0][0].sop_instance_uid for taker in (one, two, three)] == ["1.3.1", "1.3.2", "1.3.3"]


async def test_the_same_instance_for_several_in_several_processes(pair: tuple[MoveRendezvous, MoveRendezvous]) -> None:
    """Each copy goes to the retrieve that it was sent for; one that does not say so is as good for all of them."""
    waiting, receiving = pair
    takers = [Taker() for _ in range(3)]
    places = (waiting, waiting, receiving)
    async with contextlib.AsyncExitStack() as stack:
        for number, (place, taker) in enumerate(zip(places, takers, strict=True)):
            wanted = dataclasses.replace(expectation(taker), message_id=20 + number)
            await stack.enter_async_context(place.expecting(wanted))
        for number, title in ((21, "GATEWAY"), (22, "PACS"), (20, "GATEWAY")):
            assert await give(receiving, originator_ae_title=title, originator_message_id=number) == 0x0000
            assert [len(taker.taken) for taker in takers] == {21: [0, 1, 0], 22: [0, 1, 1], 20: [1, 1, 1]}[number]
        assert await give(waiting, originator_ae_title="", originator_message_id=None) == 0x0000
        told = [len(taker.taken) for taker in takers]
    assert told in ([2, 2, 1], [1, 1, 2])  # all of one process


async def test_message_ids_differ(pair: tuple[MoveRendezvous, MoveRendezvous]) -> None:
    ids = [pair[0].next_message_id() for _ in range(0x10001)]
    assert set(ids) == set(range(1, 0x10000))
    assert len(set(ids[:0xFFFF])) == 0xFFFF


async def test_a_long_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    rendezvous = MoveRendezvous(folder, MemoryReceiver)
    taker = Taker()
    async with rendezvous.expecting(expectation(taker)):
        assert await give(rendezvous) == 0x0000
    await rendezvous.close()
    assert taker.taken


async def test_who_waited_was_killed(pair: tuple[MoveRendezvous, MoveRendezvous], tmp_path: Path) -> None:
    folder = tmp_path / "retrieves"
    folder.mkdir()
    notice = folder / "pacs@0123"
    notice.write_text(str(folder / ".gone.socket"))

    assert await give(pair[1]) is None
    assert not notice.exists()


async def test_who_cannot_be_asked_is_not_taken_for_dead(
    pair: tuple[MoveRendezvous, MoveRendezvous], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process is short of descriptors for a moment: that says nothing of who waits."""

    async def short(path: str) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    taker = Taker()
    async with pair[0].expecting(expectation(taker)):
        with monkeypatch.context() as crowded:
            crowded.setattr(asyncio, "open_unix_connection", short)
            with pytest.raises(NotHandedOver, match="cannot be asked"):
                await give(pair[1])
        assert await give(pair[1]) == 0x0000
    assert taker.taken


async def test_no_spool_is_made_where_there_is_none(tmp_path: Path) -> None:
    rendezvous = MoveRendezvous(tmp_path / "spool" / "retrieves", MemoryReceiver)
    with pytest.raises(OSError, match="spool"):
        async with rendezvous.expecting(expectation(Taker())):
            pass
    assert not (tmp_path / "spool").exists()


async def test_who_waits_dies_in_the_middle(pair: tuple[MoveRendezvous, MoveRendezvous], tmp_path: Path) -> None:
    folder = tmp_path / "retrieves"
    folder.mkdir()

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        writer.write(len(b'{"is_wanted": true}').to_bytes(4, "big") + b'{"is_wanted": true}')
        await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_unix_server(die, str(tmp_path / "s"))
    notice = folder / "pacs@0123"
    notice.write_text(str(tmp_path / "s"))
    try:
        with pytest.raises(NotHandedOver):
            await give(pair[1])
    finally:
        server.close()
        notice.unlink()


OTHER = """
import asyncio, sys
from pathlib import Path
from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.retrieve.move_rendezvous import MoveRendezvous, IncomingInstance

async def main():
    data = bytes(range(256)) * 4096
    mailbox = MoveRendezvous(Path(sys.argv[1]), MemoryReceiver)
    offer = IncomingInstance("pacs", "10.1.0.5", "1.2", "1.3.1", "1.2.840.10008.1.2.1", len(data), "GATEWAY", 7)
    print(await mailbox.hand_over(offer, MemoryDataSet(data)))

asyncio.run(main())
"""


@pytest.mark.process
async def test_another_process_receives(pair: tuple[MoveRendezvous, MoveRendezvous], tmp_path: Path) -> None:
    taker = Taker()
    async with pair[0].expecting(expectation(taker)):
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER, str(tmp_path / "retrieves"), stdout=-1, cwd=REPOSITORY
        )
        said, _ = await other.communicate()
    assert said == b"0\n"
    assert taker.taken[0][1] == DATA


async def test_a_refusal_of_another_kind(pair: tuple[MoveRendezvous, MoveRendezvous]) -> None:
    async with pair[0].expecting(expectation(Taker(Refusal("no")))):
        with pytest.raises(RefusedByTaker) as refused:
            await give(pair[1])
    assert refused.value.dimse_status == Refusal.dimse_status

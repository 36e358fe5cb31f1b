"""Instances handed over between the C-STORE handler that receives them and the retrieves that asked for them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.ports.errors import Refusal
from gateway.retrieve.expected_sender import ExpectedSender
from gateway.retrieve.get_fetcher import FetchedInstance
from gateway.retrieve.move_rendezvous import ExpectedMove, IncomingInstance, MoveRendezvous, RefusedByRetrieve
from gateway.retrieve.rendezvous_table import RendezvousTable

DATA = bytes(range(256)) * 4096
OFFER = IncomingInstance("pacs", "10.1.0.5", "1.2", "1.3.1", "1.2.840.10008.1.2.1", {"pacs", "ct"}, "GATEWAY", 7)


class Taker:
    """Keeps what it gets, or answers with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[tuple[FetchedInstance, bytes]] = []
        self.touched = 0
        self._error = error

    async def __call__(self, arrived: FetchedInstance) -> int:
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
def rendezvous() -> Iterator[RendezvousTable]:
    table = RendezvousTable()
    yield table
    table.close()
    assert not table.is_expected("1.3.1")


class Body(MemoryDataSet):
    """Counts how often it is closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


async def give(rendezvous: MoveRendezvous, body: MemoryDataSet | None = None, **changes: Any) -> int | None:
    incoming = dataclasses.replace(OFFER, **changes)
    return await rendezvous.deliver(incoming, lambda: body or MemoryDataSet(DATA))


async def test_nothing_that_may_be_meant_goes_by_rules_that_do_not_have_the_source(rendezvous: RendezvousTable) -> None:
    """Rules of a node that is not reloaded yet, or of after the source was renamed."""
    taker = Taker()
    with rendezvous.expecting(expectation(taker)):
        for peer in ("archive", ""):
            with pytest.raises(RefusedByRetrieve, match="no peer pacs") as refused:
                await give(rendezvous, peer=peer, known_peers={"archive"})
            assert refused.value.dimse_status == 0xA700
        assert await give(rendezvous, peer="archive", known_peers={"archive"}, remote_host="10.9.9.9") is None
        assert await give(rendezvous, peer="archive", known_peers={"archive", "pacs"}) is None
    with pytest.raises(RefusedByRetrieve):
        await give(rendezvous, peer="archive", known_peers={"archive"})
    unnamed: dict[str, Any] = {"originator_ae_title": "", "originator_message_id": None}
    assert await give(rendezvous, peer="archive", known_peers={"archive"}, **unnamed) is None
    assert taker.taken == []


async def test_handed_over(rendezvous: RendezvousTable) -> None:
    taker = Taker()
    with rendezvous.expecting(expectation(taker)):
        assert await give(rendezvous) == 0x0000
        assert await give(rendezvous, sop_instance_uid="1.3.2") == 0x0000  # by oneself, the same way
    (first, data), (second, _) = taker.taken
    assert data == DATA
    assert (first.sop_class_uid, first.sop_instance_uid, first.transfer_syntax_uid) == (
        "1.2",
        "1.3.1",
        OFFER.transfer_syntax_uid,
    )
    assert second.sop_instance_uid == "1.3.2"
    assert taker.touched == 2


MEANT: dict[str, tuple[dict[str, Any], bool]] = {
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
async def test_what_is_meant(rendezvous: RendezvousTable, name: str) -> None:
    changes, is_meant = MEANT[name]
    taker = Taker()
    with rendezvous.expecting(expectation(taker)):
        assert await give(rendezvous, **changes) == (0x0000 if is_meant else None)
    assert len(taker.taken) == is_meant


async def test_nobody_waits(rendezvous: RendezvousTable) -> None:
    assert await give(rendezvous) is None


async def test_after_the_end_only_what_names_the_retrieve_is_refused(rendezvous: RendezvousTable) -> None:
    with rendezvous.expecting(expectation(Taker())):
        pass
    with pytest.raises(RefusedByRetrieve, match="has ended") as refused:
        await give(rendezvous)
    assert refused.value.dimse_status == 0xA700
    assert await give(rendezvous, originator_ae_title="", originator_message_id=None) is None


async def test_what_the_taker_says_is_the_answer(rendezvous: RendezvousTable) -> None:
    error = RefusedByRetrieve(0xA900, "not in this form")
    waiting = rendezvous.expecting(expectation(Taker(error)))
    with waiting, pytest.raises(RefusedByRetrieve, match="not in this form") as refused:
        await give(rendezvous)
    assert refused.value.dimse_status == 0xA900


async def test_several_who_wait(rendezvous: RendezvousTable) -> None:
    one, two, three = Taker(), Taker(), Taker()
    with (
        rendezvous.expecting(expectation(one, "1.3.1")),
        rendezvous.expecting(expectation(two, "1.3.2")),
        rendezvous.expecting(expectation(three, "1.3.3")),
    ):
        for uid in ("1.3.3", "1.3.2", "1.3.1"):
            assert await give(rendezvous, sop_instance_uid=uid) == 0x0000
    assert [taker.taken[0][0].sop_instance_uid for taker in (one, two, three)] == ["1.3.1", "1.3.2", "1.3.3"]


async def test_the_same_instance_for_several(rendezvous: RendezvousTable) -> None:
    """Each copy goes to the retrieve that it was sent for; one that does not say so is as good for all of them."""
    takers = [Taker() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for number, taker in enumerate(takers):
            wanted = dataclasses.replace(expectation(taker), message_id=20 + number)
            stack.enter_context(rendezvous.expecting(wanted))
        for number, title in ((21, "GATEWAY"), (22, "PACS"), (20, "GATEWAY")):
            assert await give(rendezvous, originator_ae_title=title, originator_message_id=number) == 0x0000
            assert [len(taker.taken) for taker in takers] == {21: [0, 1, 0], 22: [0, 1, 1], 20: [1, 1, 1]}[number]
        assert await give(rendezvous, originator_ae_title="", originator_message_id=None) == 0x0000
    assert [len(taker.taken) for taker in takers] == [2, 2, 2]


async def test_one_that_refuses_does_not_count_beside_one_that_takes(rendezvous: RendezvousTable) -> None:
    taker = Taker()
    with rendezvous.expecting(expectation(Taker(Refusal("no")))), rendezvous.expecting(expectation(taker)):
        assert await give(rendezvous, originator_ae_title="", originator_message_id=None) == 0x0000
    assert len(taker.taken) == 1


async def test_a_refusal_of_another_kind(rendezvous: RendezvousTable) -> None:
    with rendezvous.expecting(expectation(Taker(Refusal("no")))), pytest.raises(RefusedByRetrieve) as refused:
        await give(rendezvous)
    assert refused.value.dimse_status == Refusal.dimse_status

"""Rules that change while an association is open: each request has those in force when it had arrived, and a requestor
that is admitted no longer is aborted after its request in work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.dimse.acceptor.admission import Admitted, Rejected
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer as Sender
from gateway.model.security import IdentityCheck, Requirements
from tests.support.dimse.rig import CT_ID, ECHO_ID, Peer, echo_command, message, serving, store_command
from tests.support.fakes.meter import MemoryMeter

STORER = Sender("ct1", may=frozenset({"store", "echo"}))


@dataclass
class Site:
    """The rules in force, and what a C-STORE handler saw of them."""

    rules: str = "first"
    admission: Callable[[AssociationFacts], Admitted] = lambda facts: Admitted(STORER)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[tuple[int, str, str]] = field(default_factory=list)
    meter: MemoryMeter = field(default_factory=MemoryMeter)

    async def store(self, event: Any) -> int:
        self.begun.set()
        await self.gate.wait()
        self.seen.append((event.message_id, event.assoc.table, event.facts.peer))
        return 0x0000

    def serving(self) -> Any:
        return serving(
            self.store, admission=lambda facts: self.admission(facts), table=lambda: self.rules, meter=self.meter
        )


def rejecting(facts: AssociationFacts) -> Admitted:
    raise Rejected(1, 1, 3, "not any more")


async def test_a_request_has_the_rules_of_when_it_had_arrived() -> None:
    site = Site()
    async with site.serving() as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(1), b"data") + message(CT_ID, store_command(2), b"data"))
        whole = message(CT_ID, store_command(3), b"data")
        await site.begun.wait()
        peer.send(whole[:-1])
        (association,) = running.server.associations
        while len(association._queue) < 1 or not association._assembler.is_mid_message:
            await asyncio.sleep(0)
        site.rules = "second"
        running.server.rules_changed()
        peer.send(whole[-1:])
        while len(association._queue) < 2:
            await asyncio.sleep(0)
        site.rules = "third"
        running.server.rules_changed()
        site.gate.set()
        for _ in range(3):
            assert (await peer.response())["Status"] == 0x0000
    assert site.seen == [(1, "first", "ct1"), (2, "first", "ct1"), (3, "second", "ct1")]


@pytest.mark.parametrize("moment", ["idle", "in work", "half arrived"])
async def test_a_requestor_that_is_admitted_no_longer_is_answered_and_aborted(moment: str) -> None:
    site = Site()
    whole = message(CT_ID, store_command(1), b"data")
    async with site.serving() as running, await Peer.associated(running.port) as peer:
        (association,) = running.server.associations
        if moment == "in work":
            peer.send(whole + message(CT_ID, store_command(2), b"data"))
            await site.begun.wait()
        elif moment == "half arrived":
            peer.send(whole[:-1])
            while not association._assembler.is_mid_message:
                await asyncio.sleep(0)
        site.admission = rejecting
        running.server.rules_changed()
        if moment == "half arrived":
            peer.send(whole[-1:])
        site.gate.set()
        if moment != "idle":
            response = await peer.response()
            assert (response["Status"], response["MessageIDBeingRespondedTo"]) == (0x0000, 1)
        abort = await peer.pdu()
        assert (abort[0], abort[8]) == (7, 0), "A-ABORT by the service user"
        assert not running.server.associations
    assert len(site.seen) == (moment != "idle")


@pytest.mark.parametrize(
    ("after", "stays"),
    [
        (Sender("ct1", may=frozenset({"store", "echo", "find"})), True),
        (Sender("ct1", may=frozenset({"store"})), False),
        (Sender("other", may=frozenset({"store", "echo"})), True),
        (None, True),
        (
            Sender(
                "ct1",
                may=frozenset({"store", "echo"}),
                requires=Requirements(user_identity=IdentityCheck(methods=("staff",))),
            ),
            False,
        ),
    ],
    ids=["may do more", "may do less", "another peer", "a stranger", "a user identity is demanded"],
)
async def test_what_a_requestor_may_under_other_rules(after: Sender | None, stays: bool) -> None:
    site = Site()
    site.gate.set()
    async with site.serving() as running, await Peer.associated(running.port) as peer:
        site.admission = lambda facts: Admitted(after)
        running.server.rules_changed()
        if not stays:
            assert (await peer.pdu())[0] == 7
            return
        peer.send(message(CT_ID, store_command(1), b"data"))
        assert (await peer.response())["Status"] == 0x0000
        name = after.name if after is not None else ""
        assert site.seen == [(1, "first", name)]
        open_now = {key[2]: value for key, value in site.meter.counted.items() if key[0] == "gateway_associations_open"}
        assert {peer: value for peer, value in open_now.items() if value} == {name or "(stranger)": 1}
    assert sum(value for key, value in site.meter.counted.items() if key[0] == "gateway_associations_open") == 0


async def test_a_fault_in_deciding_ends_that_association_and_no_other() -> None:
    site = Site()
    site.gate.set()

    def failing(facts: AssociationFacts) -> Admitted:
        if facts.calling_ae_title == "ODD":
            raise KeyError("a fault of ours")
        return Admitted(STORER)

    async with (
        site.serving() as running,
        await Peer.associated(running.port, calling="ODD") as odd,
        await Peer.associated(running.port) as other,
    ):
        site.admission = failing
        running.server.rules_changed()
        assert (await odd.pdu())[0] == 7
        other.send(message(ECHO_ID, echo_command()))
        assert (await other.response())["Status"] == 0x0000

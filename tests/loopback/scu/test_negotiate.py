"""Presentation contexts that are only proposed."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.dimse.acceptor.admission import Admitted, Rejected
from gateway.dimse.requestor.query_contexts import as_store_scp
from gateway.model.associate import ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationRefuses
from gateway.scu.negotiate import AcceptedSOPClasses, negotiate
from tests.support.dimse.rig import CT, IMPLICIT, MR, VERIFICATION, serving

PROPOSED = [ProposedContext(uid, (IMPLICIT,)) for uid in (VERIFICATION, CT, MR)]


def peer_at(port: int) -> Peer:
    return Peer("pacs", "PACS", "127.0.0.1", port)


async def test_what_is_accepted_and_what_not() -> None:
    taker = Peer("us", may=frozenset({"echo", "store"}), accept_sop_classes=(VERIFICATION, CT))
    async with serving(admission=lambda facts: Admitted(taker)) as server:
        accepted = await negotiate(peer_at(server.port), "GATEWAY", PROPOSED)
    assert accepted == AcceptedSOPClasses(frozenset({VERIFICATION, CT}), frozenset())


async def test_nothing_is_accepted() -> None:
    taker = Peer("us", may=frozenset({"store"}), accept_sop_classes=(CT,))
    async with serving(admission=lambda facts: Admitted(taker)) as server:
        assert await negotiate(peer_at(server.port), "GATEWAY", PROPOSED[2:]) == AcceptedSOPClasses()


async def test_the_scp_role_that_a_peer_agrees_to() -> None:
    taker = Peer("us", may=frozenset({"echo", "store", "get"}))
    async with serving(admission=lambda facts: Admitted(taker)) as server:
        peer = as_store_scp(peer_at(server.port), [CT])
        accepted = await negotiate(dataclasses.replace(peer, may=frozenset()), "GATEWAY", PROPOSED[1:])
    assert CT in accepted.as_scp
    assert MR not in accepted.as_scp


async def test_no_association() -> None:
    def reject(facts: AssociationFacts) -> Admitted:
        raise Rejected(1, 1, 3, "unknown")

    async with serving(admission=reject) as server:
        with pytest.raises(DestinationRefuses):
            await negotiate(peer_at(server.port), "GATEWAY", PROPOSED)

"""Admission by the table in force, before and after a reload."""

from __future__ import annotations

import pytest

from gateway.dimse.acceptor.admission import Rejected
from gateway.identity.values import NotVerified, OfferedIdentity
from gateway.lifecycle.admission_in_force import AdmissionInForce
from gateway.lifecycle.reload import TableInForce
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.model.security import IdentityCheck
from gateway.model.settings import Settings, Spool
from gateway.routing.table import RoutingTable
from tests.support.fakes.meter import MemoryMeter

SETTINGS = Settings("GATEWAY", (), Spool("spool"), "queue.db")
CT1 = Peer("ct1", "CT1", may=frozenset({"store"}), hosts=("10.0.0.7",))
FACTS = AssociationFacts("CT1", "GATEWAY", "10.0.0.7")


def table(*peers: Peer) -> RoutingTable:
    known = {peer.name: peer for peer in peers}
    return RoutingTable("1", SETTINGS, coercions=(), routes=(), peers=known, groups={}, unmatched="hold")


def test_a_requestor_is_admitted_by_the_table_of_now() -> None:
    live = TableInForce(table())
    admission = AdmissionInForce(live, MemoryMeter())
    with pytest.raises(Rejected):
        admission.admit(FACTS)
    live.current = table(CT1)
    assert admission.admit(FACTS).peer == CT1


def test_known_hosts_are_those_of_the_table_of_now() -> None:
    live = TableInForce(table(CT1))
    admission = AdmissionInForce(live, MemoryMeter())
    assert admission.is_known_host("10.0.0.7")
    live.current = table()
    assert not admission.is_known_host("10.0.0.7")


def test_prepared_hosts_are_in_force_when_their_table_is() -> None:
    live, other = TableInForce(table()), table(CT1)
    admission = AdmissionInForce(live, MemoryMeter())
    put_in_force = admission.prepare(other)
    assert not admission.is_known_host("10.0.0.7")
    live.current = other
    put_in_force()
    assert admission.is_known_host("10.0.0.7")


async def test_an_identity_is_verified_by_the_methods_of_the_table() -> None:
    meter = MemoryMeter()
    admission = AdmissionInForce(TableInForce(table()), meter)
    with pytest.raises(NotVerified):
        await admission.verify_identity(IdentityCheck(()), OfferedIdentity("username", b"x", b""))
    assert [name for name, *_ in meter.counted] == ["gateway_user_identities_total"]

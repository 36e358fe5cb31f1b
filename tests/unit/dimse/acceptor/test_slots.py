"""Which connection makes room, and which association is one too many."""

from __future__ import annotations

import pytest

from gateway.dimse.acceptor.known_hosts import MOST_REMEMBERED, HostsOfPeers, KnownHosts
from gateway.dimse.acceptor.slots import Associations, Slots, Unassociated
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits
from gateway.model.peer import Peer


def test_the_oldest_of_a_host_makes_room_for_the_next_of_it() -> None:
    connections: Unassociated[str] = Unassociated(10, 2)
    assert [connections.enter(name, "a") for name in ("a1", "a2", "a3", "a4")] == [None, None, "a1", "a2"]
    assert len(connections) == 2
    assert "a1" not in connections
    assert "a4" in connections


def test_one_whose_association_is_over_goes_before_one_that_has_had_none() -> None:
    connections: Unassociated[str] = Unassociated(10, 2)
    connections.enter("opening", "a")
    connections.enter("over", "a", is_over=True)
    assert connections.enter("new", "a") == "over"


def test_when_all_are_too_many_the_host_with_the_most_makes_room() -> None:
    connections: Unassociated[str] = Unassociated(4, 3)
    for name in ("b1", "a1", "a2", "a3"):
        assert connections.enter(name, name[0]) is None
    assert connections.enter("c1", "c") == "a1"
    assert connections.enter("c2", "c") == "a2"
    assert len(connections) == 4


def test_who_left_takes_no_room() -> None:
    connections: Unassociated[str] = Unassociated(1, 1)
    connections.enter("a1", "a")
    connections.leave("a1")
    connections.leave("a1")
    assert connections.enter("a2", "a") is None
    assert connections.enter("b1", "b") == "a2"
    assert connections.enter("b2", "b") == "b1"


def test_many_silent_connections_of_one_host_never_displace_another_host() -> None:
    slots: Slots[str] = Slots(Limits())
    assert slots.enter("honest", "10.0.0.1", is_known=False) is None
    assert slots.enter("modality", "10.0.0.2", is_known=True) is None
    displaced = [slots.enter(f"x{number}", "10.0.0.66", is_known=False) for number in range(2600)]
    assert not {"honest", "modality"} & set(displaced)
    assert slots.unassociated == 64 + 2


def test_connections_of_many_hosts_leave_the_room_of_known_ones_alone() -> None:
    slots: Slots[str] = Slots(Limits())
    assert slots.enter("modality", "10.0.0.2", is_known=True) is None
    displaced = {
        slots.enter(f"x{number}", f"10.1.{number // 250}.{number % 250}", is_known=False) for number in range(2000)
    }
    assert "modality" not in displaced
    assert slots.unassociated == 256 + 1


def facts(calling: str = "X", host: str = "10.0.0.66", peer: str = "") -> AssociationFacts:
    return AssociationFacts(calling, "GATEWAY", host, peer=peer)


@pytest.mark.parametrize(
    ("open_already", "new", "setting"),
    [
        pytest.param([facts(f"X{n}") for n in range(4)], facts("XX"), "associations_per_host", id="host"),
        pytest.param([facts("X"), facts("X")], facts("X"), "associations_per_peer", id="title and host"),
        pytest.param(
            [facts(f"X{n}", f"10.0.0.{n}") for n in range(6)], facts("XX"), "associations_of_strangers", id="strangers"
        ),
        pytest.param(
            [facts(f"P{n}", f"10.0.1.{n}", "p") for n in range(8)], facts("XX"), "limits.associations)", id="all"
        ),
        pytest.param([facts(f"X{n}", f"10.0.0.{n}") for n in range(6)], facts("P", peer="p"), "", id="reserved"),
        pytest.param([facts(f"P{n}", peer="p") for n in range(6)], facts("P", peer="p"), "", id="known ones of a host"),
        pytest.param([], facts(), "", id="none yet"),
    ],
)
def test_objections(open_already: list[AssociationFacts], new: AssociationFacts, setting: str) -> None:
    limits = Limits(associations=8, associations_of_strangers=6, associations_per_host=4, associations_per_peer=2)
    associations = Associations(limits)
    for one in open_already:
        assert associations.objection(one, is_stranger=not one.peer) == ""
        associations.joined(one)
    found = associations.objection(new, is_stranger=not new.peer)
    assert setting in found
    assert bool(found) == bool(setting)
    for one in open_already:
        associations.left(one)
    assert associations.objection(new, is_stranger=not new.peer) == ""


PEERS = [
    Peer("ct", ae_title="CT", may=frozenset({"store"}), hosts=("10.1.0.0/16", "10.2.0.1")),
    Peer("pacs", ae_title="PACS", host="10.3.0.1", port=104, may=frozenset({"echo"})),
    Peer("vna", ae_title="VNA", host="10.4.0.1", port=104),
    Peer("named", ae_title="NAMED", host="archive.example.org", port=104, may=frozenset({"echo"})),
    Peer("six", ae_title="SIX", hosts=("2001:db8::/32",), may=frozenset({"echo"})),
]


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("10.1.200.3", True),
        ("10.2.0.1", True),
        ("10.2.0.2", False),
        ("10.3.0.1", True),
        ("10.4.0.1", False),  # a destination only: it does not call
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("::ffff:10.2.0.1", True),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_hosts_of_peers(host: str, is_known: bool) -> None:
    assert (host in HostsOfPeers(PEERS)) is is_known


def test_a_host_that_a_known_peer_associated_from_is_known_from_then_on() -> None:
    hosts = KnownHosts(lambda host: False)
    assert "10.9.0.1" not in hosts
    hosts.add("10.9.0.1")
    assert "10.9.0.1" in hosts
    for number in range(MOST_REMEMBERED):
        hosts.add(f"host {number}")
    assert "10.9.0.1" not in hosts  # bounded: the oldest is forgotten

"""Open connections of a server: which are taken, which are displaced, and when none is left."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, cast

from structlog.testing import capture_logs

from gateway.dimse.acceptor.connection_table import ConnectionTable
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits
from gateway.network.offences import BURST, Offences
from tests.support.fakes.meter import MemoryMeter

LIMITS = Limits(unassociated=2, unassociated_per_host=2, associations_per_peer=1)
REFUSED, DISPLACED = "gateway_connections_refused_total", "gateway_connections_displaced_total"


class Association:
    is_closed = False

    def __init__(self, peer: str = "") -> None:
        self.facts = AssociationFacts("CT1", "GATEWAY", "10.0.0.7", peer=peer)


def new(peer: str = "") -> Any:
    return cast(Any, Association(peer))


def table(known: str = "") -> tuple[ConnectionTable, MemoryMeter]:
    """Its clock stands."""
    meter = MemoryMeter()
    made = ConnectionTable(LIMITS, lambda host: host == known, meter)
    made._offences = Offences(lambda: 0.0)
    return made, meter


def test_the_oldest_connection_without_an_association_is_displaced() -> None:
    connections, meter = table()
    first, second, third = new(), new(), new()
    assert connections.add(first, "10.0.0.7") is None
    assert connections.add(second, "10.0.0.7") is None
    with capture_logs() as events:
        assert connections.add(third, "10.0.0.8") is first
    assert [(event["event"], event["remote_host"]) for event in events] == [("connection_displaced", "10.0.0.7")]
    assert meter.counted == {(DISPLACED,): 1}
    assert list(connections) == [first, second, third]  # it is there until it is closed


def test_an_association_makes_room_and_takes_it_again_when_it_is_over() -> None:
    connections, _ = table()
    first, second, third = new("ct1"), new(), new()
    connections.add(first, "10.0.0.7")
    connections.joined(first)
    assert connections.associations.objection(first.facts, is_stranger=False)
    assert connections.add(second, "10.0.0.8") is None
    assert connections.add(third, "10.0.0.9") is None
    # `first` was of a known peer: its host has room of its own now
    assert connections.left(first) is None
    assert not connections.associations.objection(first.facts, is_stranger=False)


def test_an_association_whose_connection_is_gone_takes_no_room() -> None:
    connections, _ = table()
    first, others = new(), [new(), new()]
    connections.add(first, "10.0.0.7")
    connections.joined(first)
    for number, other in enumerate(others):
        connections.add(other, f"10.0.0.{number}")
    first.is_closed = True
    assert connections.left(first) is None


def test_associations_are_counted_for_the_peer_that_the_requestor_is_now() -> None:
    connections, _ = table()
    one = new("ct1")
    connections.joined(one)
    after = dataclasses.replace(one.facts, calling_ae_title="CT2")
    connections.known_as(one.facts, after)
    assert not connections.associations.objection(one.facts, is_stranger=False)
    assert connections.associations.objection(after, is_stranger=False)


def test_a_host_that_is_rejected_again_and_again_is_refused_but_not_one_of_known_peers() -> None:
    connections, meter = table(known="10.0.0.9")
    bad, good = new(), new()
    connections.add(bad, "10.0.0.7")
    connections.add(good, "10.0.0.9")
    for _ in range(int(BURST)):
        connections.rejected(bad)
        connections.rejected(good)
    assert connections.takes("10.0.0.9")
    with capture_logs() as events:
        assert not connections.takes("10.0.0.7")
    assert [event["event"] for event in events] == ["connection_refused"]
    assert meter.counted == {(REFUSED,): 1}


async def test_the_end_of_the_last_connection_is_waited_for() -> None:
    connections, _ = table()
    one, other = new(), new()
    await connections.until_empty()  # none is open
    connections.add(one, "10.0.0.7")
    connections.add(other, "10.0.0.7")
    waiting = asyncio.ensure_future(connections.until_empty())
    await asyncio.sleep(0)
    connections.remove(one)
    await asyncio.sleep(0)
    assert (len(connections), waiting.done()) == (1, False)
    connections.remove(other)
    await asyncio.wait_for(waiting, 60)
    connections.remove(other)  # a second time is nothing


def test_a_balancer_has_its_own_room_until_it_names_the_caller() -> None:
    connections, meter = table()
    proxied = [new() for _ in range(2)]
    stranger = new()
    connections.add(stranger, "10.0.0.9")
    for one in proxied:
        assert connections.add(one, "10.0.0.5", is_proxy=True) is None
    assert connections.named(proxied[0], "10.1.0.1") is None
    with capture_logs() as events:
        assert connections.named(proxied[1], "10.1.0.2") is stranger
    assert [(event["event"], event["remote_host"]) for event in events] == [("connection_displaced", "10.0.0.9")]
    assert meter.counted == {(DISPLACED,): 1}
    assert len(connections) == 3


def test_offences_are_those_of_the_caller_that_a_balancer_named() -> None:
    connections, _ = table()
    for _ in range(int(BURST)):
        one = new()
        connections.add(one, "10.0.0.5", is_proxy=True)
        connections.named(one, "10.1.0.1")
        connections.rejected(one)
        connections.remove(one)
    assert not connections.takes("10.1.0.1")
    assert connections.takes("10.0.0.5")
    assert connections.takes("10.1.0.2")

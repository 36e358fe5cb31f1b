"""Listeners, bound handlers, and what is measured."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pynetdicom import evt

from gateway.dimse.acceptor.admission import Admitted, Rejected
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.requestor.requestor_association import associate
from gateway.dimse.server import Server
from gateway.metrics import METRICS
from gateway.model.association import AssociationFacts
from gateway.model.listener import Listener
from gateway.model.peer import Peer as ConfiguredPeer
from gateway.ports.errors import ConfigurationError, DestinationRefuses
from gateway.ports.meter import Meter
from tests.support.dimse.rig import CONTEXTS, CT, IMPLICIT, Peer, serving
from tests.support.processes import until


async def test_listeners_open_and_close_by_name() -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        server = running.server
        second = await server.listen(Listener("second", 0, "127.0.0.1"))
        assert set(server.listeners) == {"main", "second"}
        with pytest.raises(ConfigurationError, match="'second' is open already"):
            await server.listen(Listener("second", 0, "127.0.0.1"))
        with pytest.raises(ConfigurationError, match=f"'third' cannot bind 127.0.0.1:{second}"):
            await server.listen(Listener("third", second, "127.0.0.1"))
        async with await Peer.associated(second):
            await server.close("main")
            with pytest.raises(ConnectionRefusedError):
                await Peer.connect(running.port)
            assert set(server.listeners) == {"second"}
            assert {association.facts.listener for association in server.associations} == {"main", "second"}
        assert not peer.reader.at_eof()


def test_a_handler_that_nothing_would_call_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="EVT_N_CREATE"):
        Server(
            handlers=[(evt.EVT_N_CREATE, lambda event: 0)], admission=lambda facts: Admitted(None), ae_title="GATEWAY"
        )


class Counting(Meter):
    """A meter that takes only what the gateway's table of metrics has."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.labels = {metric.name: set(metric.labels) for metric in METRICS}

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        assert self.labels[name] == set(labels)
        self.counts[name, *sorted(labels.values())] += int(amount)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        assert value >= 0
        self.count(name, **labels)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        raise AssertionError(name)


async def test_what_is_measured() -> None:
    meter, ours = Counting(), Counting()
    known = ConfiguredPeer("ct", "CT", may=frozenset({"echo", "store"}))

    def admission(facts: AssociationFacts) -> Admitted:
        if facts.calling_ae_title != "CT":
            raise Rejected(1, 1, 3, "who?")
        return Admitted(known)

    statuses = iter([0x0000, 0xB000, 0xA700])

    def store(event: Any) -> int:
        return next(statuses)

    async with serving(store, admission=admission, meter=meter) as running:
        pacs = ConfiguredPeer("pacs", "GATEWAY", "127.0.0.1", running.port)
        with pytest.raises(DestinationRefuses):
            await associate(pacs, own_ae_title="STRANGER", contexts=CONTEXTS, meter=ours)
        association = await associate(pacs, own_ae_title="CT", contexts=CONTEXTS, meter=ours)
        for _ in range(3):
            await association.c_store(
                sop_class_uid=CT, sop_instance_uid="1.2", transfer_syntax_uid=IMPLICIT, body=MemoryDataSet(b"data")
            )
        open_now = meter.counts["gateway_associations_open", "ct", "in"]
        await association.release()
        await until(lambda: not running.server.has_connections)
    assert open_now == 1
    assert {key: value for key, value in meter.counts.items() if value} == {
        ("gateway_connections_total", "main"): 2,
        ("gateway_associations_total", "(stranger)", "in", "rejected"): 1,
        ("gateway_associations_total", "accepted", "ct", "in"): 1,
        ("gateway_associations_total", "ct", "in", "released"): 1,
        ("gateway_received_instances_total", "0x0000", "ct"): 1,
        ("gateway_received_instances_total", "0xB000", "ct"): 1,
        ("gateway_received_instances_total", "0xA700", "ct"): 1,
        ("gateway_received_bytes_total", "ct"): 8,
        ("gateway_store_seconds", "ct"): 3,
    }
    assert {key: value for key, value in ours.counts.items() if value} == {
        ("gateway_associations_total", "out", "pacs", "rejected"): 1,
        ("gateway_associations_total", "accepted", "out", "pacs"): 1,
        ("gateway_associations_total", "out", "pacs", "released"): 1,
    }

"""The parts of a gateway, built and not started."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt

from gateway.app.parts import GatewayParts, build_parts
from gateway.common.file_modes import FOLDER
from gateway.dimse.acceptor.admission import Rejected
from gateway.model.association import AssociationFacts
from gateway.model.node import ClusterView, DestinationLease
from gateway.model.peer import Peer
from gateway.model.settings import ObjectStoreSettings, Settings, Spool
from gateway.ports.errors import ConfigurationError
from gateway.routing.table import RoutingTable
from gateway.stores.opening import claim_of

CT1 = Peer("ct1", "CT1", may=frozenset({"store"}))
FACTS = AssociationFacts("CT1", "GATEWAY", "10.0.0.7")


def table(folder: Path, *peers: Peer, **more: Any) -> RoutingTable:
    settings = Settings("GATEWAY", (), Spool(str(folder / "spool")), str(folder / "queue.db"), **more)
    known = {peer.name: peer for peer in peers}
    return RoutingTable("1", settings, coercions=(), routes=(), peers=known, groups={}, unmatched="hold")


async def test_nothing_is_written_before_the_start(tmp_path: Path) -> None:
    build_parts(table(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert len(asyncio.all_tasks()) == 1


async def test_each_part_sees_the_table_in_force(tmp_path: Path) -> None:
    parts = build_parts(table(tmp_path))
    with pytest.raises(Rejected):
        parts.server.admit(FACTS)
    parts.common.live.current = other = table(tmp_path, CT1)
    assert parts.server.admit(FACTS).peer == CT1
    assert parts.server.table() is other


async def test_parts_share_what_is_one(tmp_path: Path) -> None:
    parts: GatewayParts = build_parts(table(tmp_path))
    assert parts.server.pool is parts.associations
    assert parts.server.meter is parts.common.metrics
    assert parts.server.receiver == parts.storage.journal.receiver
    assert parts.server.limits == parts.common.settings.limits


async def test_a_node_has_leases_and_a_gateway_that_is_alone_has_none(tmp_path: Path) -> None:
    of_node = table(tmp_path)
    settings = replace(
        of_node.settings, node="north", postgresql="postgresql:///none", objects=ObjectStoreSettings(str(tmp_path))
    )
    alone, node = build_parts(table(tmp_path)), build_parts(replace(of_node, settings=settings))
    assert alone.leases is None
    assert node.leases is not None
    assert alone.nodes_seen() == node.nodes_seen() == ClusterView()
    node.leases.view = ClusterView((), (DestinationLease("pacs", "other-run", 1, is_over=False),))
    assert node.nodes_seen() is node.leases.view


async def test_the_sites_handlers_take_their_events_in_place_of_the_gateways_own(tmp_path: Path) -> None:
    def store(event: Any) -> int:
        return 0

    own = build_parts(table(tmp_path)).server.handlers
    found = build_parts(table(tmp_path), [(evt.EVT_C_STORE, store)]).server.handlers
    assert found[evt.EVT_C_STORE].handler is store
    assert own[evt.EVT_C_STORE].handler is not store
    assert found.keys() == own.keys()


def test_a_queue_is_claimed_by_one_gateway(tmp_path: Path) -> None:
    settings = table(tmp_path).settings
    tmp_path.chmod(FOLDER)
    first, second = claim_of(settings), claim_of(settings)
    first.take()
    assert first.gone() == ""
    with pytest.raises(ConfigurationError, match="another gateway uses it"):
        second.take()
    first.release()
    second.take()
    second.release()

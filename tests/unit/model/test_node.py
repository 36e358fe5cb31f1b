"""Nodes as they see each other."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.model.node import ClusterView, GatewayNode, NodeSeen

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def seen(name: str, version: str, configuration: str, *, is_live: bool = True) -> NodeSeen:
    node = GatewayNode(f"{name}-run", name, version, "host", 7, NOON)
    return NodeSeen(node, "running", configuration, frozenset(), NOON, is_live, 0)


def test_nodes_are_alike_when_those_that_run_have_the_same_version_and_rules() -> None:
    one, gone = seen("one", "1", "a"), seen("gone", "0", "z", is_live=False)
    assert ClusterView().are_alike
    assert ClusterView((one, gone)).live == (one,)
    assert ClusterView((one, gone, seen("two", "1", "a"))).are_alike
    assert not ClusterView((one, seen("two", "2", "a"))).are_alike
    assert not ClusterView((one, seen("two", "1", "b"))).are_alike

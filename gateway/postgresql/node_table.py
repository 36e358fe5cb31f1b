"""The tables of nodes and leases on PostgreSQL, over a connection of their own: they wait for no other transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gateway.model.node import ClusterView, DestinationLease, DestinationStanding, GatewayNode, NodeSeen, NodeState
from gateway.postgresql.step_connection import StepConnection
from gateway.relational.rows import batch, microseconds, moment

LIVE_S = 5.0
"""A node that was seen within this time is live."""
KEPT_S = 86_400.0
"""A node that is gone stays in the table for this long."""


class PostgreSQLNodeTable(StepConnection):
    """The `NodeTable` port."""

    def beat(
        self, node: GatewayNode, state: NodeState, configuration: str, destinations: Collection[str]
    ) -> ClusterView:
        self._run(
            "beat",
            instance=node.instance,
            node_name=node.name,
            version=node.version,
            configuration=configuration,
            host=node.host,
            pid=node.pid,
            state=state,
            destinations=batch(sorted(destinations)),
            started_at=microseconds(node.started_at),
        )
        nodes, leases, standings = self._rows("read_cluster")
        return ClusterView(
            tuple(map(_node, nodes)),
            tuple(DestinationLease(*row) for row in leases),
            dict(map(_standing, standings)),
        )

    def renew(self, leases: Mapping[str, int], lease_s: float) -> Collection[str]:
        return self._rows("renew_leases", leases=batch([*leases.items()]), lease_us=round(lease_s * 1_000_000))

    def take(self, instance: str, destinations: Collection[str], lease_s: float) -> Mapping[str, int]:
        names = batch(sorted(destinations))
        with self._transaction():
            self._run("add_leases", destinations=names)
            taken: dict[str, int] = dict(
                self._rows("take_leases", destinations=names, instance=instance, lease_us=round(lease_s * 1_000_000))
            )
            if taken:
                self._run("free_claimed", destinations=batch(sorted(taken)))
        return taken

    def write_standings(self, standings: Mapping[str, tuple[int, DestinationStanding]]) -> None:
        rows = [
            (
                *(name, token, each.is_up, each.reason, each.failures, round(each.wait_s * 1_000_000), each.refusals),
                None if each.is_up else round(each.down_s * 1_000_000),
            )
            for name, (token, each) in sorted(standings.items())
        ]
        self._run("write_circuits", circuits=batch(rows))

    def read_standings(self, destinations: Collection[str]) -> Mapping[str, DestinationStanding]:
        return dict(map(_standing, self._rows("read_circuits_of", destinations=batch(sorted(destinations)))))

    def release(self, leases: Mapping[str, int]) -> None:
        self._run("release_leases", leases=batch([*leases.items()]))

    def leave(self, instance: str) -> None:
        with self._transaction():
            self._run("release_leases_of", instance=instance)
            self._run("delete_node", instance=instance)

    def tidy(self) -> None:
        self._run("tidy_nodes", kept_us=round(KEPT_S * 1_000_000), live_us=round(LIVE_S * 1_000_000))
        self._run("tidy_leases", kept_us=round(KEPT_S * 1_000_000))
        self._run("tidy_circuits")


def _standing(row: list[Any]) -> tuple[str, DestinationStanding]:
    destination, is_up, reason, failures, wait_us, down_us, *others = row
    refusals = others[0] if others else ""
    return destination, DestinationStanding(
        is_up, reason, failures, wait_us / 1_000_000, refusals, (down_us or 0) / 1_000_000
    )


def _node(row: list[Any]) -> NodeSeen:
    instance, name, version, configuration, host, pid, state, destinations, started_at, seen_at, unseen_us, leases = row
    return NodeSeen(
        node=GatewayNode(instance, name, version, host, pid, moment(started_at)),
        state=state,
        configuration=configuration,
        destinations=frozenset(destinations),
        seen_at=moment(seen_at),
        is_live=unseen_us < LIVE_S * 1_000_000,
        leases=leases,
    )

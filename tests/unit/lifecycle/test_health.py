"""The conditions of a gateway at each stage, and its queue as it is now."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from structlog.testing import capture_logs

from gateway.delivery.courier_status import CourierStatus
from gateway.lifecycle.health import Health, ProcessStage
from gateway.lifecycle.reload import ReloadReport
from gateway.model.collection import CollectionState
from gateway.model.delivery import DeliveryState
from gateway.model.node import ClusterView, GatewayNode, NodeSeen
from gateway.model.settings import Settings, Spool
from gateway.ports.collections import CollectionCount
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.errors import Temporary
from gateway.ports.pauses import Pause

NOW = datetime(2026, 1, 2, tzinfo=UTC)
COLLECTIONS = [CollectionCount("chest", CollectionState.OPEN, "", 1, NOW)]
DEPTHS = [QueueDepth("pacs", DeliveryState.PENDING, 3, 300, NOW), QueueDepth("pacs", DeliveryState.DEAD, 1, 100, NOW)]


class Journal:
    """Has the conditions that a test gives it."""

    def __init__(self) -> None:
        self.broken = ""
        self.full: dict[str, str] = {}
        self.waits = ""
        self.fails = False

    def health(self) -> str:
        return self.broken

    def refusal(self) -> str:
        return ""

    def shortages(self) -> dict[str, str]:
        return self.full

    def write_problems(self) -> dict[str, str]:
        return {}

    def backlog(self) -> str:
        return self.waits

    async def depths(self) -> list[QueueDepth]:
        if self.fails:
            raise Temporary("disk I/O error")
        return DEPTHS

    async def collection_counts(self) -> list[CollectionCount]:
        if self.fails:
            raise Temporary("disk I/O error")
        return COLLECTIONS


class Bench:
    def __init__(self, spool: str = "spool", stage: ProcessStage = "running") -> None:
        self.journal = Journal()
        self.listening = SimpleNamespace(down={})
        self.reloader = SimpleNamespace(last=None)
        self.couriers: list[CourierStatus] = []
        self.nodes = ClusterView()
        self.pauses: list[Pause] = []
        parts: dict[str, Any] = {
            "settings": Settings("GATEWAY", (), Spool(spool), "queue.db"),
            "journal": self.journal,
            "server": SimpleNamespace(handler_failures=SimpleNamespace(failing={})),
            "listening": self.listening,
            "reloader": self.reloader,
            "certificates": SimpleNamespace(ended=[("listener main", "server.pem", NOW)]),
            "delivery": SimpleNamespace(status=lambda: self.couriers),
            "nodes": lambda: self.nodes,
            "pauses": lambda: self.pauses,
        }
        self.health = Health(**cast(Any, parts))
        self.health.stage = stage

    def codes(self, depths: list[QueueDepth] | None = None) -> list[str]:
        return [each.code for each in self.health.conditions(depths or [])]


def test_a_gateway_begins_as_starting_and_each_stage_but_running_blocks() -> None:
    assert Bench().health.blocking() == []
    stages: list[ProcessStage] = ["starting", "recovering", "draining"]
    for stage in stages:
        bench = Bench(stage=stage)
        bench.journal.full = {"spool": "full"}  # of no interest at these stages
        assert [each.code for each in bench.health.blocking()] == [stage]


def test_conditions_that_block_come_first() -> None:
    bench = Bench()
    bench.journal.full = {"spool": "10 MB are free"}
    bench.listening.down = {"main": "port 104 is taken"}
    bench.reloader.last = ReloadReport(1, NOW, False, "1", ("no such peer",))
    bench.couriers = [CourierStatus("pacs", False, "refused", 5.0, 0, 1)]
    assert [each.code for each in bench.health.blocking()] == ["spool_full", "listener_down"]
    assert bench.codes(DEPTHS) == [
        *("spool_full", "listener_down", "reload_refused", "certificate_expired", "destination_down", "dead_letters")
    ]


def test_a_paused_destination_is_a_condition_that_blocks_nothing() -> None:
    bench = Bench()
    bench.couriers = [CourierStatus("pacs", None, "", 0.0, 0, 0, paused_since=NOW, paused_by="anna")]
    [condition] = [each for each in bench.health.conditions(DEPTHS) if each.code == "destination_paused"]
    assert "by anna; " in condition.text
    assert "`gateway queue resume --destination pacs`" in condition.text
    assert not condition.is_blocking


def test_a_paused_sender_is_a_condition_that_blocks_nothing() -> None:
    bench = Bench()
    bench.pauses = [Pause("destination", "pacs", "anna", "", NOW), Pause("sender", "CT 1", "anna", "it floods", NOW)]
    [condition] = [each for each in bench.health.conditions([]) if each.code.endswith("_paused")]
    assert (condition.code, condition.is_blocking) == ("sender_paused", False)
    assert condition.text.startswith(f"CT 1: paused since {NOW:%Y-%m-%d %H:%M} UTC by anna; ")
    assert condition.text.endswith("refused with 0xA700; `gateway queue resume --sender 'CT 1'`")


def test_a_paused_rule_is_a_condition_that_blocks_nothing() -> None:
    bench = Bench()
    bench.pauses = [Pause("rule", "chest", "anna", "", NOW)]
    [condition] = [each for each in bench.health.conditions([]) if each.code.endswith("_paused")]
    assert (condition.code, condition.is_blocking) == ("rule_paused", False)
    assert condition.text.endswith("waits, pending and held; `gateway queue resume --rule chest`")


def test_an_applied_reload_is_no_condition() -> None:
    bench = Bench()
    bench.reloader.last = ReloadReport(1, NOW, True, "2", ("a warning",))
    assert bench.codes() == ["certificate_expired"]


def seen(name: str, configuration: str, version: str = "1.0", *, is_live: bool = True) -> NodeSeen:
    node = GatewayNode(f"{name}-run", name, version, "host", 7, NOW)
    return NodeSeen(node, "running", configuration, frozenset(), NOW, is_live, 0)


def test_nodes_that_run_with_other_rules_or_another_version_are_a_condition() -> None:
    bench = Bench()
    alike = seen("a", "rules-1"), seen("b", "rules-1")
    bench.nodes = ClusterView((*alike, seen("gone", "rules-0", is_live=False)))
    assert "nodes_differ" not in bench.codes()
    for other in (seen("c", "rules-2"), seen("c", "rules-1", "1.1")):
        bench.nodes = ClusterView((*alike, other))
        [condition] = [each for each in bench.health.conditions([]) if each.code == "nodes_differ"]
        assert f"c: version {other.node.version}, rules {other.configuration}" in condition.text
        assert not condition.is_blocking


def test_payloads_that_wait_for_the_object_store_are_a_condition_that_keeps_nothing_out() -> None:
    bench = Bench()
    bench.journal.waits = "the object store is away"
    [condition] = [each for each in bench.health.conditions([]) if each.code == "payloads_not_sealed"]
    assert (condition.text, condition.is_blocking) == ("the object store is away", False)
    bench.journal.full = {"journal": "it holds too much"}
    assert [each.code for each in bench.health.blocking()] == ["journal_full"]


async def test_the_queue_is_empty_while_it_cannot_be_counted() -> None:
    bench = Bench()
    assert await bench.health.depths() == DEPTHS
    bench.journal.fails = True
    with capture_logs() as events:
        assert await bench.health.depths() == []
    assert [event["event"] for event in events] == ["queue_not_counted"]
    bench.journal.broken = "it is closed"
    with capture_logs() as events:
        assert await bench.health.depths() == []
    assert events == []


async def test_there_are_no_collections_while_they_cannot_be_counted() -> None:
    bench = Bench()
    assert await bench.health.collections() == COLLECTIONS
    bench.journal.fails = True
    with capture_logs() as events:
        assert await bench.health.collections() == []
    assert [event["event"] for event in events] == ["collections_not_counted"]
    bench.journal.broken = "it is closed"
    with capture_logs() as events:
        assert await bench.health.collections() == []
    assert events == []


def test_the_spool_has_no_free_bytes_while_it_is_not_there(tmp_path: Path) -> None:
    assert Bench(str(tmp_path)).health.spool_free_bytes() > 0
    assert Bench(str(tmp_path / "none")).health.spool_free_bytes() == 0

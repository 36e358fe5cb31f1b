"""The status document of a gateway."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from gateway import __version__
from gateway.cli.status import status_text
from gateway.delivery.courier_status import CourierStatus
from gateway.delivery.group_keeper import GroupStatus, MemberStatus
from gateway.dimse.acceptor.handler_failures import FailingHandler
from gateway.lifecycle.conditions import OperatingCondition
from gateway.lifecycle.reload import ReloadReport
from gateway.model.association import AssociationFacts
from gateway.model.collection import CollectionState
from gateway.model.delivery import DeliveryState
from gateway.model.listener import Listener
from gateway.model.node import ClusterView, GatewayNode, NodeSeen
from gateway.model.settings import HTTP, Settings, Spool
from gateway.operations.status import (
    StatusSources,
    destinations_json,
    nodes_json,
    queue_json,
    status,
    unsealed_json,
    worker_json,
)
from gateway.ports.collections import CollectionCount
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.kept_copies import KeptTotal
from gateway.ports.pauses import Pause
from gateway.ports.shared_payloads import UnsealedPayloads

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DEPTHS = [
    QueueDepth("gone", DeliveryState.PENDING, 3, 300, NOW),
    QueueDepth("", DeliveryState.HELD, 1, 100, None),
]
PACS = CourierStatus("pacs", True, "", 0.0, 1, 2)
FULL = OperatingCondition("spool_full", "10 MB are free", is_blocking=True)


class Health:
    stage = "running"

    def blocking(self) -> list[OperatingCondition]:
        return [FULL]

    def conditions(self, depths: list[QueueDepth]) -> list[OperatingCondition]:
        assert depths == DEPTHS
        return [FULL, OperatingCondition("dead_letters", "1 delivery")]

    async def depths(self) -> list[QueueDepth]:
        return DEPTHS

    async def kept(self) -> KeptTotal:
        return KeptTotal(7, 3_000_000, False, NOW, NOW + timedelta(hours=1))

    async def collections(self) -> list[CollectionCount]:
        opened_at = NOW - timedelta(hours=2)
        return [
            CollectionCount("chest", CollectionState.CLOSED, "overdue", 2, NOW, 0, 3, 1),
            CollectionCount("chest", CollectionState.COMPLETE, "overdue", 1, NOW, 0, 1, 0),
            CollectionCount("chest", CollectionState.COMPLETE, "forced", 1, NOW),
            CollectionCount("chest", CollectionState.OPEN, "", 4, opened_at, overdue=1),
            CollectionCount("heads", CollectionState.UNREADABLE, "", 1, opened_at),
        ]

    def spool_free_bytes(self) -> int:
        return 10


def association(peer: str) -> Any:
    return SimpleNamespace(facts=AssociationFacts("CT1", "GATEWAY", "10.0.0.7", peer=peer))


def sources(**more: Any) -> StatusSources:
    failing = FailingHandler("EVT_C_STORE", "site.store", "KeyError", "site.py:7", 2, NOW)
    parts = {
        "settings": Settings("GATEWAY", (), Spool("/spool", min_free_bytes=5), "/queue.db", queue_min_free_bytes=6),
        "started_at": NOW,
        "replaced_events": ("EVT_C_STORE",),
        "health": Health(),
        "live": SimpleNamespace(current=SimpleNamespace(version="abc")),
        "reloader": SimpleNamespace(last=None, is_reloading=False),
        "server": SimpleNamespace(
            handler_failures=SimpleNamespace(failing={"EVT_C_STORE": failing}),
            listeners={"main": Listener("main", 0, "127.0.0.1")},
            associations=[association("ct1"), association(""), association("ct1")],
        ),
        "listening": SimpleNamespace(ports={"main": 11112}),
        "loops": SimpleNamespace(held=4),
        "delivery": SimpleNamespace(status=lambda: [PACS], groups=list),
        "journal": SimpleNamespace(spool_id="s1", forgotten_early=2, kept_copies_dropped=3, unsealed=lambda: None),
        "room": SimpleNamespace(free_or_none=lambda: 20, reserved_bytes=3),
        "nodes": ClusterView,
        "pauses": lambda: [Pause("sender", "ct1", "anna", "it floods", NOW)],
        "clock": SimpleNamespace(on_the_wall=lambda at: at + timedelta(hours=1)),
    }
    return StatusSources(**cast(Any, {**parts, **more}))


async def test_the_document_has_each_part_of_the_gateway() -> None:
    found: Any = json.loads(json.dumps(await status(sources())))
    assert found["version"] == __version__
    assert (found["state"], found["config"], found["is_reloading"]) == ("running", "abc", False)
    assert found["started_at"] == "2026-01-02T00:00:00+00:00"
    assert found["not_ready"] == ["spool_full: 10 MB are free"]
    assert [row["code"] for row in found["conditions"]] == ["spool_full", "dead_letters"]
    assert found["handlers_of_the_site"] == ["EVT_C_STORE"]
    (failing,) = found["failing_handlers"]
    assert (failing["handler"], failing["count"], failing["since"]) == ("site.store", 2, NOW.isoformat())
    assert found["last_reload"] is None
    assert found["listeners"] == [{"name": "main", "address": "127.0.0.1", "port": 11112, "tls": False}]
    assert found["associations"] == {"(stranger)": 1, "ct1": 2}
    assert found["loops"] == 4
    assert found["pauses"] == [{"kind": "sender", "name": "ct1", "operator": "anna", "began_at": NOW.isoformat()}]
    assert found["spool"] == {
        **{"path": "/spool", "id": "s1", "free_bytes": 10, "min_free_bytes": 5},
        "forgotten_early": 2,
    }
    assert found["unsealed"] is None
    assert found["kept"] == {
        **{"copies": 7, "size_bytes": 3_000_000, "is_exact": False, "dropped": 3},
        **{"first_until": "2026-01-02T01:00:00+00:00", "last_until": "2026-01-02T02:00:00+00:00"},
    }
    assert found["collections"] == [
        {
            **{"name": "chest", "open": 4, "overdue": 1, "oldest_at": "2026-01-01T23:00:00+00:00", "unreadable": 0},
            **{"ended": {"forced": 1, "overdue": 3}, "left_out": {"late": 4, "again": 1}},
        },
        {
            **{"name": "heads", "open": 0, "overdue": 0, "oldest_at": None, "unreadable": 1},
            **{"ended": {}, "left_out": {"late": 0, "again": 0}},
        },
    ]
    text = status_text(found)
    assert re.search(r"^chest +4 +1 .* 1 forced, 3 overdue +4 +1$", text, re.MULTILINE)
    assert re.search(r"^heads \(1 of another version\) +0 +0 ", text, re.MULTILINE)
    assert "at least 7 copies (2.9 MiB) are kept after delivery, until " in text
    assert "3 kept copies were given up before their time was over, for want of room\n" in text
    database = {"path": "/queue.db", "free_bytes": 20, "min_free_bytes": 6, "reserved_bytes": 3}
    assert found["database"] == database


async def test_the_last_reload_is_shown() -> None:
    reloader = SimpleNamespace(last=ReloadReport(1, NOW, False, "abc", ("no such peer",)), is_reloading=True)
    found: Any = await status(sources(reloader=reloader))
    assert found["is_reloading"]
    assert (found["last_reload"]["result"], found["last_reload"]["problems"]) == ("refused", ["no such peer"])


def test_destinations_that_the_rules_do_not_know_are_shown_while_deliveries_wait() -> None:
    rows: Any = destinations_json([PACS], DEPTHS)
    assert [(row["destination"], row["is_configured"]) for row in rows] == [("pacs", True), ("gone", False)]


async def test_a_paused_destination_is_shown_with_the_operator() -> None:
    paused = replace(PACS, is_up=False, reason="refused", paused_since=NOW, paused_by="anna")
    (row, _) = destinations_json([paused], DEPTHS)
    assert (row["paused_since"], row["paused_by"]) == (NOW.isoformat(), "anna")
    text = status_text({**json.loads(json.dumps(await status(sources()))), "destinations": [row]})
    assert re.search(r"^pacs +paused .* by anna since .*; refused$", text, re.MULTILINE)


def test_times_of_the_queue_are_those_of_the_wall_clock() -> None:
    first, second = queue_json(DEPTHS, lambda at: at + timedelta(hours=1))
    assert (first["oldest_at"], second["oldest_at"]) == ("2026-01-02T01:00:00+00:00", None)


async def test_what_waits_for_the_object_store_is_shown() -> None:
    unsealed = UnsealedPayloads(7, 3_000_000, NOW, "the object store is away", NOW)
    journal = SimpleNamespace(
        spool_id="s1", forgotten_early=0, kept_copies_dropped=0, unsealed=lambda: (unsealed, 10_000_000)
    )
    found: Any = json.loads(json.dumps(await status(sources(journal=journal))))
    at = NOW.isoformat()
    assert found["unsealed"] == {
        **{"groups": 7, "size_bytes": 3_000_000, "limit_bytes": 10_000_000},
        **{"oldest_at": at, "counted_at": at, "problem": "the object store is away"},
    }
    text = status_text(found)
    assert "not in the object store yet: 2.9 MiB in 7 groups, at most 9.5 MiB, the oldest since " in text
    assert "; the object store is away\n" in text
    assert unsealed_json((UnsealedPayloads(), 5)) == {
        **{"groups": 0, "size_bytes": 0, "limit_bytes": 5, "oldest_at": None, "counted_at": None, "problem": ""}
    }


def test_nodes_are_shown_and_those_that_differ_from_most_are_marked() -> None:
    def seen(name: str, configuration: str, *, is_live: bool = True) -> NodeSeen:
        node = GatewayNode(f"{name}-run", name, "1.0", "host", 7, NOW)
        return NodeSeen(node, "running", configuration, frozenset(), NOW, is_live, 3)

    nodes = (seen("a", "1"), seen("b", "2"), seen("c", "2"), seen("gone", "0", is_live=False))
    rows: Any = json.loads(json.dumps(nodes_json(ClusterView(nodes))))
    assert [(row["name"], row["state"], row["differs"]) for row in rows] == [
        ("a", "running", True),
        ("b", "running", False),
        ("c", "running", False),
        ("gone", "gone", False),
    ]
    assert (rows[0]["destinations"], rows[0]["seen_at"]) == (3, NOW.isoformat())
    assert nodes_json(ClusterView()) == []


async def test_the_text_has_a_table_of_nodes_where_there_are_any() -> None:
    found: Any = json.loads(json.dumps(await status(sources())))
    assert "last seen" not in status_text(found)
    node = GatewayNode("a-run", "north", "1.0", "host", 7, NOW)
    view = ClusterView((NodeSeen(node, "running", "abc", frozenset(), NOW, True, 3),))
    pacs = CourierStatus("pacs", None, "", 0.0, 0, 0, is_here=False, node="north")
    couriers = SimpleNamespace(status=lambda: [pacs], groups=list)
    text = status_text(json.loads(json.dumps(await status(sources(nodes=lambda: view, delivery=couriers)))))
    assert [line.split()[:5] for line in text.splitlines() if line.startswith("north")] == [
        ["north", "running", "1.0", "abc", "3"]
    ]
    assert [line.split() for line in text.splitlines() if line.startswith("pacs")] == [
        ["pacs", "elsewhere", "0", "0", "north"]
    ]


async def test_groups_are_shown_with_the_member_that_is_chosen() -> None:
    found: Any = json.loads(json.dumps(await status(sources())))
    assert found["groups"] == []
    assert "doubtful" not in status_text(found)
    members = (MemberStatus("a", True, "connection refused", 3), MemberStatus("b", False, "", 0))
    archives = GroupStatus("archives", "failover", "b", "a is given up: connection refused", members)
    delivery = SimpleNamespace(status=lambda: [PACS], groups=lambda: (archives,))
    found = json.loads(json.dumps(await status(sources(delivery=delivery))))
    assert found["groups"][0]["members"][0] == {
        **{"destination": "a", "is_given_up": True, "reason": "connection refused", "doubtful": 3, "waiting": None},
    }
    (line,) = [line for line in status_text(found).splitlines() if line.startswith("archives")]
    assert " ".join(line.split()) == "archives failover b a 3 a is given up: connection refused"


async def test_balance_groups_are_shown_with_what_waits_for_each_member() -> None:
    members = (MemberStatus("ai1", False, "", 0, 12), MemberStatus("ai2", False, "", 0, 3))
    readers = GroupStatus("readers", "balance", "ai2", "the one with the fewest that wait", members)
    delivery = SimpleNamespace(status=lambda: [PACS], groups=lambda: (readers,))
    found = json.loads(json.dumps(await status(sources(delivery=delivery))))
    (line,) = [line for line in status_text(found).splitlines() if line.startswith("readers")]
    assert " ".join(line.split()) == "readers balance ai2 0 ai1 12, ai2 3 the one with the fewest that wait"


async def test_a_worker_names_itself_and_its_own_pages() -> None:
    alone = Settings("GATEWAY", (), Spool("/spool"), "/queue.db", node="north-2", http=HTTP("10.0.0.7", 8080))
    assert worker_json(alone) is None
    worker = worker_json(replace(alone, worker=2))
    assert worker == {"number": 2, "node": "north-2", "http": "10.0.0.7:8082"}
    document = json.loads(json.dumps(await status(sources())))
    assert document["worker"] is None
    assert "own pages" not in status_text(document)
    assert "worker 2 (north-2) answered; its own pages: 10.0.0.7:8082" in status_text({**document, "worker": worker})

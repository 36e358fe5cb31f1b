"""Groups of a configuration. Every mistake in one: `tests/golden/bad/200-failover-groups.yaml`,
`204-balance-groups.yaml`."""

from __future__ import annotations

from pathlib import Path

from gateway.model.delivery import Dispatch
from gateway.model.peer import PeerGroup
from gateway.routing.table import RoutingTable
from tests.support.rules_of_site import loaded, messages

PEERS = """
  a: {ae_title: A, address: "a.example.org:104"}
  b: {ae_title: B, address: "b.example.org:104"}
  c: {ae_title: C, address: "c.example.org:104"}
"""


def table_of(folder: Path, rules: str) -> RoutingTable:
    found = loaded(folder, PEERS + rules)
    assert found.table is not None, messages(found)
    return found.table


def test_a_failover_group_has_its_settings_and_its_members_in_order(tmp_path: Path) -> None:
    table = table_of(
        tmp_path, "groups: {g: {failover: [b, old, a], after: 2 min, back: never}}\nroutes: [{name: r, to: [g]}]\n"
    )
    assert table.groups == {"g": PeerGroup("g", ("b", "a"), "failover", 120.0, is_moved_back=False)}
    assert table.is_choosing


def test_the_members_of_a_failover_group_stand_in_its_place(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        "groups: {outer: {failover: [c, inner]}, inner: {failover: [b, a]}}\nroutes: [{name: r, to: [outer]}]\n",
    )
    assert table.groups["outer"].members == ("c", "b", "a")


def test_a_route_has_one_dispatch_to_a_group_of_failover_and_one_to_each_peer_of_all(tmp_path: Path) -> None:
    groups = "groups: {two: {all: [archives, c]}, archives: {failover: [a, b]}}\n"
    table = table_of(tmp_path, groups + "routes: [{name: r, to: [two, pacs]}]\n")
    (route,) = table.routes
    assert route.to == ("c", "pacs")
    assert route.names == ("c", "pacs", "archives")
    assert route.dispatches == (Dispatch("r", "c"), Dispatch("r", "pacs"), Dispatch("r", "a", group_name="archives"))


def test_a_route_to_peers_alone_chooses_nothing(tmp_path: Path) -> None:
    groups = "groups: {both: {all: [a, b]}, unused: {failover: [a, b]}}\n"
    table = table_of(tmp_path, groups + "routes: [{name: r, to: [both]}]\n")
    assert not table.is_choosing
    assert table.routes[0].to == ("a", "b")


def test_a_failover_group_of_disabled_peers_is_no_destination(tmp_path: Path) -> None:
    table = table_of(tmp_path, "groups: {g: {failover: [old]}}\nroutes: [{name: r, to: [g, a]}]\n")
    assert table.groups == {}
    assert table.routes[0].names == ("a",)


def test_move_destinations_and_hidden_studies_mean_all_members(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        "groups: {g: {failover: [a, b]}}\nroutes: [{name: r, to: [g]}]\n"
        "query_retrieve: {sources: [pacs], move_destinations: {BOTH: [g]}}\n",
    )
    assert table.query_retrieve.move_destinations == {"BOTH": ("a", "b")}


def test_a_balance_group_has_its_settings_and_all_members_of_those_that_it_holds(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        "groups: {outer: {balance: [c, inner], by: object, after: 2 min, remember: 1 d}, "
        "inner: {balance: [b, old, a]}}\n"
        "routes: [{name: r, to: [outer]}]\n",
    )
    assert table.groups["outer"] == PeerGroup(
        "outer", ("c", "b", "a"), "balance", 120.0, is_by_study=False, remember_s=86400.0
    )
    assert table.groups["inner"].is_by_study
    assert table.is_choosing
    assert table.routes[0].dispatches == (Dispatch("r", "c", group_name="outer"),)


def test_a_failover_group_may_give_up_doubts(tmp_path: Path) -> None:
    rules = "groups: {{g: {{failover: [a, b], after_doubt: {}}}}}\nroutes: [{{name: r, to: [g]}}]\n"
    assert table_of(tmp_path, rules.format("1 h")).groups["g"].after_doubt_s == 3600.0
    found = loaded(tmp_path, PEERS + rules.format("10 s"))
    assert "expected at least `after`, which is 30 s, found `10 s`" in "\n".join(map(str, messages(found)))

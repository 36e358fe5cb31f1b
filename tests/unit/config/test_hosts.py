"""Lists of hosts: numeric addresses and networks alone, of peers and of balancers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Loaded, load

RULES = """
gateway: {ae_title: GATEWAY, listeners: [{port: 0, proxy_protocol: {from: [%s]}}], admit: any}
unmatched: hold
peers: {ct1: {ae_title: CT1, may: [store], hosts: [%s]}}
"""


def with_hosts(folder: Path, hosts: str) -> Loaded:
    path = folder / "site.yaml"
    path.write_text(RULES % (hosts, hosts))
    return load(path, {})


def test_addresses_and_networks_stand_in_their_shortest_form(tmp_path: Path) -> None:
    found = with_hosts(tmp_path, "10.0.0.1, 10.1.0.0/16, '2001:DB8:0::1', 'fe80::/10'")
    assert found.table is not None, found.problems
    hosts = ("10.0.0.1", "10.1.0.0/16", "2001:db8::1", "fe80::/10")
    assert found.table.peers["ct1"].hosts == hosts
    assert found.table.settings.listeners[0].proxies == hosts


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("ct1.example.org", ""),
        ("10.0.0.*", ""),
        ("10.0.0.0/33", ""),
        ("10.0.0.1/24", " (did you mean `10.0.0.0/24`?)"),
    ],
)
def test_what_is_neither_is_said_with_what_is_meant(tmp_path: Path, text: str, near: str) -> None:
    message = f"`{text}` is neither an address nor a network such as `10.1.0.0/16`{near}"
    found = [(one.code, one.message) for one in with_hosts(tmp_path, text).problems]
    assert found == [("bad-host", message)] * 2


BALANCED = """
gateway:
  ae_title: GATEWAY
  listeners:
    - {port: 0, name: balanced, proxy_protocol: {from: [10.0.0.0/24, "fd00::5"]}}
    %s
  admit: any
unmatched: hold
peers: {ct1: {ae_title: CT1, may: [store], hosts: [%s]%s}}
"""
DIRECT = "- {port: 1, name: direct}"
ONLY_BALANCED = ", requires: {listener: balanced}"


@pytest.mark.parametrize(
    ("hosts", "listener", "requires", "found"),
    [
        ("10.0.0.5", "", "", ["10.0.0.5"]),
        ("10.1.0.7, 10.0.0.0/28, 'fd00::5'", "", "", ["10.0.0.0/28", "fd00::5"]),
        ("10.0.0.0/8, 10.1.0.7, 'fd00::/8'", "", "", []),
        ("10.0.0.5", DIRECT, "", []),
        ("10.0.0.5", DIRECT, ONLY_BALANCED, ["10.0.0.5"]),
    ],
    ids=["a balancer", "among others", "more than balancers", "calls directly too", "calls through it alone"],
)
def test_a_balancer_among_the_hosts_of_a_peer_has_a_warning(
    tmp_path: Path, hosts: str, listener: str, requires: str, found: list[str]
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(BALANCED % (listener, hosts, requires))
    problems = [one for one in load(path, {}).problems if one.code == "host-of-balancer"]
    assert [one.message.split("`")[1] for one in problems] == found
    assert {one.severity for one in problems} <= {"warning"}

"""Rules, ports and folders: a table of states and the finding that each gives."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.destinations.folder import Folder
from gateway.doctor import configuration, folders, ports
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.model.settings import HTTP
from tests.unit.doctor.rig import as_nobody, codes, site_in, unused_port

NOTHING_OPEN: frozenset[tuple[str, int]] = frozenset()


def test_a_port_that_is_free() -> None:
    with unused_port() as port:
        one = Listener("a", port, "127.0.0.1")
        assert codes(ports.listener(one, NOTHING_OPEN)) == ["port-free"]
        assert codes(ports.listener(one, NOTHING_OPEN)) == ["port-free"]


def test_a_port_that_another_program_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert codes(ports.listener(Listener("a", port, "127.0.0.1"), NOTHING_OPEN)) == ["port-taken"]
        assert codes(ports.listener(Listener("a", port, "0.0.0.0"), NOTHING_OPEN)) == ["port-taken"]
        assert codes(ports.http(HTTP("127.0.0.1", port), is_open=False)) == ["port-taken"]


def test_a_port_that_our_own_gateway_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        open_ports = frozenset({("127.0.0.1", port)})
        assert codes(ports.listener(Listener("a", port, "127.0.0.1"), open_ports)) == ["port-open"]
        assert codes(ports.http(HTTP("127.0.0.1", port), is_open=True)) == ["port-open"]


def test_an_address_of_another_machine() -> None:
    assert codes(ports.listener(Listener("a", 11112, "192.0.2.1"), NOTHING_OPEN)) == ["address-not-ours"]


def test_a_port_that_this_user_may_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, place: Any) -> None:
        raise PermissionError(13, "Permission denied")

    class Refusing(socket.socket):
        bind = refuse

    monkeypatch.setattr(socket, "socket", Refusing)
    [finding] = ports.listener(Listener("a", 104, "127.0.0.1"), NOTHING_OPEN)
    assert finding.code == "port-not-permitted"
    assert "CAP_NET_BIND_SERVICE" in finding.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_privileged_port_of_a_user_without_the_right() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 104:
        pytest.skip("every user may listen on every port here")
    with as_nobody():
        assert codes(ports.listener(Listener("a", 104, "127.0.0.1"), NOTHING_OPEN)) == ["port-not-permitted"]


def test_whoever_wants_to_listen_meanwhile_still_can() -> None:
    with socket.socket() as gateway:
        gateway.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        gateway.bind(("127.0.0.1", 0))
        port = gateway.getsockname()[1]
        assert codes(ports.listener(Listener("a", port, "127.0.0.1"), NOTHING_OPEN)) == ["port-free"]
        gateway.listen()


# --- folders ----------------------------------------------------------------------------------------------------


def missing(root: Path) -> None: ...


def there(root: Path) -> None:
    root.mkdir(mode=0o700)


def in_the_way(root: Path) -> None:
    root.write_text("")


@pytest.mark.parametrize(
    ("made", "expected"),
    [(missing, "folder-not-there"), (there, "folder-usable"), (in_the_way, "folder-not-writable")],
    ids=["not there", "fine", "a file in the way"],
)
def test_a_folder_destination(tmp_path: Path, made: Callable[[Path], None], expected: str) -> None:
    root = tmp_path / "files"
    made(root)
    before = sorted(tmp_path.rglob("*"))
    destination = Folder("{{ SOPInstanceUID }}.dcm", str(root))
    assert codes(folders.folder(Peer("files", destination=destination), destination)) == [expected]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_everybody_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "files"
    root.mkdir()
    root.chmod(0o755)
    monkeypatch.setattr(folders, "is_reachable_by_others", lambda path: path == str(root))
    destination = Folder("{{ SOPInstanceUID }}.dcm", str(root))
    assert codes(folders.folder(Peer("files", destination=destination), destination)) == ["folder-open-to-others"]
    for_all = Folder("{{ SOPInstanceUID }}.dcm", str(root), access="others")
    assert codes(folders.folder(Peer("files", destination=for_all), for_all)) == ["folder-usable"]


def test_a_folder_that_this_user_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "files"
    root.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode, **more: False)  # as root the tests may write everywhere
    destination = Folder("{{ SOPInstanceUID }}.dcm", str(root))
    assert codes(folders.folder(Peer("files", destination=destination), destination)) == ["folder-not-writable"]


# --- rules ------------------------------------------------------------------------------------------------------


def test_rules_that_everybody_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_in(tmp_path)
    path = tmp_path / "rules" / "site.yaml"
    assert codes(configuration.writers(site.rules)) == []
    path.chmod(0o666)
    monkeypatch.setattr("gateway.common.file_modes._is_way_open", lambda real: True)
    [finding] = configuration.writers(site.rules)
    assert (finding.code, finding.subject) == ("rules-writable-by-others", str(path))


def test_problems_keep_their_codes_and_say_what_to_do(tmp_path: Path) -> None:
    routes = [{"name": "a", "to": ["nobody"]}]
    site = site_in(tmp_path, routes=routes)
    assert site.loaded.table is None
    [finding] = configuration.problem_findings(site.loaded.problems, site.rules)
    assert (finding.severity, finding.area, finding.code) == ("error", "configuration", "unknown-destination")
    assert finding.subject.startswith(f"{tmp_path / 'rules' / 'site.yaml'}:")
    assert finding.remedy


def test_a_valid_configuration_is_said_to_be(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    assert codes(configuration.problem_findings(site.loaded.problems, site.rules)) == ["valid"]

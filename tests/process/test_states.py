"""Each row of docs/states.md is brought about: what /readyz answers, what /status and `gateway status` say, and what a
C-STORE gets. Further states: test_life_database_room.py, test_campaign_replaced.py.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.lifecycle.conditions import CODES
from gateway.ports.errors import DestinationDown
from tests.support.caller import Paused, call, data_set, new_uid, store
from tests.support.certificates import Authority
from tests.support.gateway_process import GatewayProcess
from tests.support.mounts import CAN_MOUNT, GatewayInNamespace, MountNamespace
from tests.support.peers import StockSCP
from tests.support.processes import REPOSITORY, Finished, free_port, is_listening, run, until

DOCUMENT = REPOSITORY / "docs" / "states.md"
HOLD: dict[str, Any] = {"unmatched": "hold"}
LARGE_BYTES = 8 * 1024**2


class Site(GatewayProcess):
    """A gateway with faults, and the questions of these tests."""

    def __init__(self, folder: Path, rules: Mapping[str, Any] = HOLD, **options: Any) -> None:
        self.faults = folder / "faults"
        self.faults.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.support.faulty_gateway", "run", "--log-format", "json"]
        super().__init__(folder, rules, command=command, variables={"GATEWAY_FAULTS": str(self.faults)}, **options)

    def fault(self, name: str) -> None:
        (self.faults / name).touch()

    def mend(self, name: str) -> None:
        (self.faults / name).unlink()

    async def readiness(self) -> tuple[int, list[str]]:
        """Status and codes of /readyz."""
        status, text = await self.http("GET", "/readyz")
        return status, [line.partition(": ")[0] for line in text.splitlines()]

    async def codes(self) -> list[str]:
        """The state of /status, which must agree with /readyz and with the metrics."""
        await until(self._metrics_agree)
        found = json.loads((await self.http("GET", "/status"))[1])
        blocking = [row["code"] for row in found["conditions"] if row["is_blocking"]]
        assert blocking == [line.partition(": ")[0] for line in found["not_ready"]]
        return [row["code"] for row in found["conditions"]]

    async def _metrics_agree(self) -> bool:
        found = json.loads((await self.http("GET", "/status"))[1])
        metrics = await self.metrics()
        there = {labels["code"]: int(value) for labels, value in metrics["gateway_conditions"]}
        assert set(there) == set(CODES)
        ready = metrics["gateway_ready"][0][1]
        counts = Counter(row["code"] for row in found["conditions"])
        return +Counter(there) == counts and ready == (not found["not_ready"])

    async def told(self) -> str:
        """`gateway status`: the one command that an operator needs."""
        done = await gateway_command("status", rules=self.rules_folder)
        assert done.returncode == 0, done.output
        return done.output

    async def stored(self, size_bytes: int = 1000) -> int:
        """The status of a C-STORE."""
        association = await call(self.port)
        uid = new_uid()
        try:
            return (await store(association, MemoryDataSet(data_set(uid, size_bytes)), uid)).status
        finally:
            await association.release()

    async def comes_to(self, *codes: str) -> None:
        """Wait until /readyz answers 503 with these codes; 200 without any."""
        expected = (503, list(codes)) if codes else (200, ["ok"])
        found: tuple[int, list[str]] = (0, [])

        async def is_there() -> bool:
            nonlocal found
            found = await self.readiness()
            return found == expected

        try:
            await until(is_there)
        except TimeoutError:
            raise AssertionError(f"expected {expected}, found {found}\n{self.log[-3000:]}") from None


async def gateway_command(*arguments: object, rules: Path) -> Finished:
    return await run([sys.executable, "-m", "gateway", *map(str, arguments)], environment={"GATEWAY_RULES": str(rules)})


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path) as gateway:
        yield gateway


def to(port: int, **settings: Any) -> dict[str, Any]:
    """Rules with one destination."""
    retry = {"first": "200 ms", "max": "1 s"}
    peer = {"ae_title": "PACS", "address": f"127.0.0.1:{port}", "delivery": {"retry": retry}, **settings}
    return {"peers": {"pacs": peer}, "routes": [{"name": "all", "to": ["pacs"]}], "unmatched": "hold"}


# --- life -----------------------------------------------------------------------------------------------------------


@pytest.mark.quick
async def test_ready(site: Site) -> None:
    assert await site.readiness() == (200, ["ok"])
    assert await site.codes() == []
    assert re.search(r"running, takes objects; started ", await site.told())
    assert await site.stored() == 0x0000


async def test_recovering(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = Site(tmp_path)
    running.callback(gateway.stop)
    gateway.fault("recovery")
    gateway.launch()
    await until(lambda: is_listening(gateway.http_port))
    await gateway.comes_to("recovering")
    assert await gateway.codes() == ["recovering"]
    assert "! recovering: spool and database are read" in await gateway.told()
    with pytest.raises(DestinationDown):
        await call(gateway.port)
    gateway.mend("recovery")
    await gateway.comes_to()
    assert await gateway.stored() == 0x0000


async def test_reloading(site: Site) -> None:
    site.fault("rules")
    site.reload()

    async def is_reloading() -> bool:
        return bool(json.loads((await site.http("GET", "/status"))[1])["is_reloading"])

    await until(is_reloading)
    assert await site.readiness() == (200, ["ok"])
    assert "running, reloading, takes objects" in await site.told()
    assert await site.stored() == 0x0000
    site.mend("rules")
    await until(lambda: "config_reloaded" in site.log)


async def test_draining(site: Site) -> None:
    association = await call(site.port)
    answers: list[tuple[int, bytes]] = []
    uid = new_uid()
    body = Paused(data_set(uid, LARGE_BYTES), lambda: answers.append(asked_while_draining(site)))
    assert (await store(association, body, uid)).status == 0x0000, "what is in flight is finished"
    ((status, text),) = answers
    assert (status, text.partition(b": ")[0]) == (503, b"draining")
    assert await site.wait() == 0


def asked_while_draining(site: Site) -> tuple[int, bytes]:
    """In the middle of an object, with nothing else going on here: ask for the end, wait for its beginning, look."""
    site.signal(signal.SIGTERM)
    give_up_s = time.monotonic() + 60.0
    while "gateway_drain_started" not in site.log and time.monotonic() < give_up_s:
        time.sleep(0.005)
    connection = http.client.HTTPConnection("127.0.0.1", site.http_port, timeout=60.0)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


async def test_not_running(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(Site(tmp_path))
    assert await gateway.drain() == 0
    done = await gateway_command("status", rules=gateway.rules_folder)
    assert done.returncode == 1
    assert "no gateway holds the spool: it is not running" in done.output


async def test_hanging_or_starting_without_an_answer(site: Site) -> None:
    """Something else has its HTTP port, or it is stopped by a debugger."""
    site.settings = {"http": {"address": f"127.0.0.1:{free_port()}"}}
    site.write_rules(HOLD)
    done = await gateway_command("status", rules=site.rules_folder)
    assert done.returncode == 1
    assert "a gateway holds the spool all the same" in done.output


async def test_another_gateway_at_the_address(running: AsyncExitStack, site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = await running.enter_async_context(Site(tmp_path / "other"))
    other.settings = {"http": {"address": f"127.0.0.1:{site.http_port}"}}
    other.write_rules({"unmatched": "reject"})
    for command in ("status", "reload"):
        done = await gateway_command(command, rules=other.rules_folder)
        assert done.returncode == 1
        assert "another gateway answers at" in done.output
        assert str(site.spool_folder) in done.output
    assert "config_reloaded" not in site.log
    asked = await run([sys.executable, "-m", "gateway", "status", "--http", f"127.0.0.1:{site.http_port}"])
    assert (asked.returncode, str(site.spool_folder) in asked.output) == (0, True)


# --- storage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "cause", "status"),
    [
        ("spool-sync", "spool_not_writable", "Input/output error", 0xA700),
        ("database-sync", "database_not_writable", "the disk takes no more", None),
        ("database-write", "database_not_writable", "the disk takes no more", 0xA700),
    ],
    ids=["all syncs of the spool fail", "all syncs of the database fail", "database read-only"],
)
async def test_a_disk_that_takes_nothing(site: Site, fault: str, code: str, cause: str, status: int | None) -> None:
    """Noticed without any object too, and over without any.

    The database follows the acknowledgements: objects are refused once it has not taken one, be it the one before the
    fault or the next.
    """

    async def is_refused() -> bool:
        return await site.stored() == status

    assert await site.stored() == 0x0000
    site.fault(fault)
    await site.comes_to(code)
    if status is not None:
        await until(is_refused)
    assert code in await site.codes()
    told = await site.told()
    assert f"! {code}: " in told
    assert cause in told
    site.mend(fault)
    await site.comes_to()
    assert await site.stored() == 0x0000


async def test_spool_replaced(site: Site) -> None:
    shutil.move(site.spool_folder, site.folder / "aside")
    await site.comes_to("not_in_place")
    assert await site.stored() == 0xA700
    assert "! not_in_place: the folder" in await site.told()
    shutil.move(site.folder / "aside", site.spool_folder)
    await site.comes_to()


async def test_database_deleted(site: Site) -> None:
    (site.folder / "gateway.db").rename(site.folder / "aside.db")
    await site.comes_to("not_in_place")
    assert await site.stored() == 0xA700
    assert "gateway.db was deleted" in await site.told()
    (site.folder / "aside.db").rename(site.folder / "gateway.db")
    await site.comes_to()


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs root and mount namespaces")
@pytest.mark.parametrize(
    ("min_free", "code"), [("4 MiB", "spool_full"), ("0 B", "spool_not_writable")], ids=["below min_free", "no room"]
)
async def test_spool_full(running: AsyncExitStack, tmp_path: Path, min_free: str, code: str) -> None:
    namespace = await running.enter_async_context(MountNamespace())
    namespace.mount(tmp_path / "volume", "16m")

    class InNamespace(Site, GatewayInNamespace):
        pass

    spool = tmp_path / "volume" / "spool"
    gateway = InNamespace(tmp_path, HOLD, settings={"spool": {"path": str(spool), "min_free": min_free}})
    gateway.namespace = namespace
    await running.enter_async_context(gateway)
    assert await gateway.stored() == 0x0000
    namespace.fill(tmp_path / "volume")
    await gateway.comes_to(code)
    assert await gateway.stored(3_000_000) == 0xA700
    assert code in await gateway.codes()
    namespace.free(tmp_path / "volume")
    await gateway.comes_to()
    assert await gateway.stored() == 0x0000


# --- listeners ------------------------------------------------------------------------------------------------------


async def test_listener_down(running: AsyncExitStack, tmp_path: Path) -> None:
    """A reload moves it, neither the new port nor the old one can be opened."""
    site = await running.enter_async_context(Site(tmp_path, settings=named_listener(port := free_port()), port=port))
    site.fault("bind")
    site.settings = named_listener(free_port())
    site.write_rules(HOLD)
    site.reload()
    await site.comes_to("listener_down")
    assert await site.codes() == ["listener_down", "reload_refused"]
    told = await site.told()
    assert f"! listener_down: listener main is not open: listener 'main' cannot bind 127.0.0.1:{port}" in told
    assert not is_listening(port)
    site.mend("bind")
    await site.comes_to()
    assert await site.stored() == 0x0000


def named_listener(port: int) -> dict[str, Any]:
    return {"listeners": [{"name": "main", "port": port, "address": "127.0.0.1"}]}


async def test_certificate_expired(running: AsyncExitStack, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    old = authority.issue("old", "/CN=gateway", days=-1)
    port = free_port()
    gateway = Site(tmp_path)
    gateway.settings = {
        "listeners": [
            {"port": gateway.port, "address": "127.0.0.1"},
            {"port": port, "address": "127.0.0.1", "tls": {"certificate": old.certificate, "key": old.key}},
        ]
    }
    gateway.write_rules(HOLD)
    await running.enter_async_context(gateway)

    async def is_told() -> bool:
        return await gateway.codes() == ["certificate_expired"]

    await until(is_told)
    assert await gateway.readiness() == (200, ["ok"])
    assert f"{old.certificate} is out of date since" in await gateway.told()
    assert await gateway.stored() == 0x0000


# --- rules and destinations -----------------------------------------------------------------------------------------


async def test_reload_refused(site: Site) -> None:
    site.write_rules({"unmatched": "sometimes"})
    site.reload()
    await until(lambda: "config_reload_refused" in site.log)
    assert await site.readiness() == (200, ["ok"])
    assert await site.codes() == ["reload_refused"]
    assert "- reload_refused: the last reload was refused (" in await site.told()
    assert await site.stored() == 0x0000
    site.write_rules(HOLD)
    site.reload()
    await until(lambda: "config_reloaded" in site.log)
    assert "reload_refused" not in await site.codes()


async def test_reload_refused_for_a_port_that_is_taken(site: Site) -> None:
    """The rules have no mistake: `validate` finds nothing, and the doctor, who is named, does."""
    taken = free_port()  # which no connection of others takes when it is given back
    with socket.create_server(("127.0.0.1", taken)):
        site.settings = named_listener(taken)
        site.write_rules(HOLD)
        site.reload()
        await until(lambda: "config_reload_refused" in site.log)
        told = await site.told()
        assert f"cannot bind 127.0.0.1:{taken}" in told
        assert "`gateway doctor` looks at ports" in told
        assert (await gateway_command("validate", rules=site.rules_folder)).returncode == 0
        looked = await gateway_command("doctor", rules=site.rules_folder)
        assert "port-taken" in looked.output
    done = await gateway_command("reload", rules=site.rules_folder)
    assert done.returncode == 0, done.output
    assert "reload_refused" not in await site.codes()


async def test_destination_down_held_and_gone(running: AsyncExitStack, tmp_path: Path) -> None:
    port = free_port()
    gateway = await running.enter_async_context(Site(tmp_path, to(port)))
    assert await gateway.stored() == 0x0000
    await until(lambda: "destination_failed" in gateway.log)
    assert await gateway.readiness() == (200, ["ok"])
    assert await gateway.codes() == ["destination_down"]
    told = await gateway.told()
    assert re.search(rf"- destination_down: pacs: .*127\.0\.0\.1:{port}.*; 1 delivery waits; ", told)
    gateway.write_rules(to(port, enabled=False))
    done = await gateway_command("validate", rules=gateway.rules_folder)
    assert "1 delivery waits for 'pacs', which the rules do not name or have disabled" in done.output
    done = await gateway_command("reload", rules=gateway.rules_folder)
    assert done.returncode == 0
    assert "1 delivery waits for 'pacs', which the rules do not name or have disabled" in done.output
    assert await gateway.codes() == ["destination_not_configured"]
    told = await gateway.told()
    assert re.search(r"^pacs +unconfigured ", told, re.MULTILINE)
    assert re.search(r"^pacs +pending +1 ", told, re.MULTILINE)
    assert "destination_not_configured" in gateway.log
    done = await gateway_command("queue", "hold", "--destination", "pacs", rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    assert await gateway.codes() == ["deliveries_held"]


async def test_paused(running: AsyncExitStack, tmp_path: Path) -> None:
    """An operator's pause holds over a restart, and nothing is sent or refused meanwhile."""
    peer = await running.enter_async_context(StockSCP(tmp_path / "stock"))
    gateway = await running.enter_async_context(Site(tmp_path, to(peer.port)))
    done = await gateway_command("queue", "pause", "--destination", "pacs", rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    await until(lambda: '"pause_begun"' in gateway.log)
    assert await gateway.stored() == 0x0000
    assert await gateway.readiness() == (200, ["ok"])
    assert await gateway.codes() == ["destination_paused"]
    assert await gateway.drain() == 0
    await gateway.restart()
    assert await gateway.stored() == 0x0000
    assert await gateway.codes() == ["destination_paused"]
    told = await gateway.told()
    assert re.search(r"- destination_paused: pacs: paused since .* by .*; 2 deliveries wait; ", told)
    assert re.search(r"^pacs +paused ", told, re.MULTILINE)
    assert [labels for labels, _ in (await gateway.metrics())["gateway_paused_seconds"]] == [
        {"kind": "destination", "name": "pacs"}
    ]
    assert await gateway.metric("gateway_queue_deliveries", destination="pacs", state="pending") == 2
    done = await gateway_command("queue", "resume", "--destination", "pacs", rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    await gateway.idle()
    assert await gateway.codes() == []


CALLER = "CALLER"


async def test_sender_paused(running: AsyncExitStack, tmp_path: Path) -> None:
    """What it sends is refused over a restart, until it is resumed; it is told as long."""
    gateway = await running.enter_async_context(Site(tmp_path))
    assert await gateway.stored() == 0x0000
    done = await gateway_command("queue", "pause", "--sender", CALLER, rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    await until(lambda: '"pause_begun"' in gateway.log)
    assert await gateway.stored() == 0xA700
    assert await gateway.drain() == 0
    await gateway.restart()
    assert await gateway.stored() == 0xA700
    assert await gateway.readiness() == (200, ["ok"])
    assert "sender_paused" in await gateway.codes()
    assert re.search(
        rf"- sender_paused: {CALLER}: paused since .* by .*; what it sends is refused", await gateway.told()
    )
    assert [labels for labels, _ in (await gateway.metrics())["gateway_paused_seconds"]] == [
        {"kind": "sender", "name": CALLER}
    ]
    done = await gateway_command("queue", "resume", "--sender", CALLER, rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    await until(lambda: '"pause_ended"' in gateway.log)
    assert await gateway.stored() == 0x0000


async def test_rule_paused(running: AsyncExitStack, tmp_path: Path) -> None:
    """What it wants waits over a kill, and is delivered after it is resumed, each object once."""
    peer = await running.enter_async_context(StockSCP(tmp_path / "stock"))
    gateway = await running.enter_async_context(Site(tmp_path, to(peer.port)))
    rule = "all"
    done = await gateway_command("queue", "pause", "--rule", rule, rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    await until(lambda: '"pause_begun"' in gateway.log)
    assert await gateway.stored() == 0x0000
    await until(lambda: _has_held(gateway, 1))
    assert await gateway.codes() == ["rule_paused", "deliveries_held"]
    gateway.kill()
    await gateway.restart()
    assert await gateway.stored() == 0x0000
    await until(lambda: _has_held(gateway, 2))
    told = await gateway.told()
    assert re.search(rf"- rule_paused: {rule}: paused since .* by .*; what it wants waits", told)
    done = await gateway_command("queue", "resume", "--rule", rule, rules=gateway.rules_folder)
    assert done.output == f"{rule} resumed; 2 deliveries wait for it\n"
    await until(lambda: '"rule_resumed"' in gateway.log)
    await gateway.idle()
    assert await gateway.codes() == []


async def _has_held(gateway: Site, number: int) -> bool:
    found = (await gateway.metrics()).get("gateway_queue_deliveries", [])
    return sum(value for labels, value in found if labels["state"] == "held") == number


async def test_held_without_a_destination(site: Site) -> None:
    assert await site.stored() == 0x0000
    assert await site.readiness() == (200, ["ok"])
    assert await site.codes() == ["deliveries_held"]
    assert "1 delivery without a destination wait" in await site.told()


async def test_dead_letters(running: AsyncExitStack, tmp_path: Path) -> None:
    peer = await running.enter_async_context(StockSCP(tmp_path / "stock", status=0xC000))
    gateway = await running.enter_async_context(Site(tmp_path, to(peer.port)))
    assert await gateway.stored() == 0x0000
    await until(lambda: "delivery_dead_lettered" in gateway.log)

    async def is_told() -> bool:
        return await gateway.codes() == ["dead_letters"]

    await until(is_told)
    assert await gateway.readiness() == (200, ["ok"])
    told = await gateway.told()
    assert "gateway queue list --state dead --destination pacs" in told
    done = await gateway_command(
        "queue", "list", "--state", "dead", "--destination", "pacs", rules=gateway.rules_folder
    )
    assert "0xC000" in done.output


# --- the document ---------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_every_state_of_the_code_has_a_row() -> None:
    source = (REPOSITORY / "gateway" / "lifecycle" / "conditions.py").read_text()
    codes = set(re.findall(r'Condition\(\s*"([a-z_]+)"', source))
    codes |= set(re.findall(r'^    "([a-z_]+)": "', source, re.MULTILINE))
    codes |= {f"{place}_{what}" for place in ("spool", "database") for what in ("full", "not_writable")}
    codes |= {"journal_full"}
    rows = re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted({*codes, "ok"}) == sorted({*CODES, "ok"})

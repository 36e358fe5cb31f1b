"""Reload by real signals: all or nothing, in force for the next request of every association, listeners come and go."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from gateway.ports.errors import DestinationDown
from tests.support.caller import Paused, call, data_set, new_uid, store, store_new
from tests.support.dimse.rig import Peer, associate_rq
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import GUARD_S, free_port, until
from tests.support.proxy_protocol import line

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve Information Model - FIND."""


def to_folder(folder: Path) -> dict[str, Any]:
    """Rules that write everything below `folder`."""
    return {
        "peers": {"files": {"folder": {"path": f"{folder}/{{{{ SOPInstanceUID }}}}.dcm"}}},
        "routes": [{"name": "all", "to": ["files"]}],
        "unmatched": "reject",
    }


async def reloads(gateway: GatewayProcess, result: str) -> float:
    return await gateway.metric("gateway_config_reloads_total", result=result)


async def hang_up(gateway: GatewayProcess, result: str) -> None:
    """SIGHUP, and wait for one more `result`."""
    before = await reloads(gateway, result)
    gateway.reload()

    async def is_told() -> bool:
        return await reloads(gateway, result) == before + 1

    await until(is_told, what=f"a reload that is {result}")


@pytest.mark.quick
async def test_a_good_reload_is_in_force_for_the_next_object_of_every_association(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "reject"}))
    old = await call(gateway.port)
    assert (await store_new(old)).status == 0x0124
    gateway.write_rules({"unmatched": "discard"})
    await hang_up(gateway, "applied")
    assert await gateway.metric("gateway_config_last_reload_successful") == 1
    new = await call(gateway.port)
    assert (await store_new(new)).status == 0x0000
    assert (await store_new(old)).status == 0x0000
    gateway.write_rules(to_folder(tmp_path / "files"))
    await hang_up(gateway, "applied")
    assert (await store_new(old)).status == 0x0000
    await gateway.idle()
    assert len(list((tmp_path / "files").iterdir())) == 1
    await old.release()
    await new.release()


@pytest.mark.parametrize("is_sending", [False, True], ids=["idle", "in the middle of an object"])
async def test_a_requestor_that_is_not_admitted_any_more_is_aborted_after_its_message(
    running: AsyncExitStack, tmp_path: Path, is_sending: bool
) -> None:
    rules = to_folder(tmp_path / "files")
    both = {"mr1": {"ae_title": "MR1", "may": ["store"]}, "ct1": {"ae_title": "CT1", "may": ["store"]}}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {**rules, "peers": both | rules["peers"]}))
    moved = await call(gateway.port, calling="MR1")
    stays = await call(gateway.port, calling="CT1")

    def move_elsewhere() -> None:
        both["mr1"]["hosts"] = ["192.0.2.1"]
        gateway.write_rules({**rules, "peers": both | rules["peers"]})
        gateway.reload()
        deadline_s = time.monotonic() + GUARD_S
        while "config_reloaded" not in gateway.log:
            assert time.monotonic() < deadline_s, gateway.log
            time.sleep(0.01)

    if is_sending:
        uid = new_uid()
        body = Paused(data_set(uid, 8_000_000), move_elsewhere)
        assert (await store(moved, body, uid)).status == 0x0000
    else:
        await asyncio.to_thread(move_elsewhere)
    await until(lambda: not moved.is_open, what="the abort of a requestor that is not admitted")
    with pytest.raises(DestinationDown):
        await store_new(moved)
    (told,) = [line for line in gateway.events() if line["event"] == "association_admission_ended"]
    assert (told["peer"], told["calling_ae_title"]) == ("mr1", "MR1")
    assert "not from 127.0.0.1" in told["reason"]
    assert (await store_new(stays)).status == 0x0000
    await stays.release()
    await gateway.idle()
    assert len(list((tmp_path / "files").iterdir())) == 1 + is_sending


async def test_a_stranger_that_becomes_a_peer_is_one_for_its_next_object(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    rules = to_folder(tmp_path / "files")
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "reject"}))
    caller = await call(gateway.port)
    assert (await store_new(caller)).status == 0x0124
    peers = {"mr1": {"ae_title": "CALLER", "may": ["store"]}, **rules["peers"]}
    gateway.write_rules({**rules, "peers": peers})
    await hang_up(gateway, "applied")
    assert (await store_new(caller)).status == 0x0000
    assert await gateway.metric("gateway_received_instances_total", peer="mr1", status="0x0000") == 1
    assert await gateway.metric("gateway_associations_open", direction="in", peer="mr1") == 1
    assert await gateway.metric("gateway_associations_open", direction="in", peer="(stranger)") == 0
    await caller.release()

    async def is_over() -> bool:
        return await gateway.metric("gateway_associations_open", direction="in") == 0

    await until(is_over)


async def test_queries_use_the_rules_in_force(running: AsyncExitStack, tmp_path: Path) -> None:
    """A C-FIND on an association that was opened before the reload, from stock pynetdicom."""
    viewer = {"viewer": {"ae_title": "VIEWER", "may": ["find", "store"]}}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "discard", "peers": viewer}))
    ae = AE("VIEWER")
    ae.add_requested_context(FIND)

    def ask() -> list[int]:
        keys = Dataset()
        keys.QueryRetrieveLevel, keys.StudyInstanceUID, keys.PatientID = "STUDY", "", ""
        answers = association.send_c_find(keys, FIND)
        return [status.Status for status, _ in answers]

    association = await asyncio.to_thread(ae.associate, "127.0.0.1", gateway.port, ae_title="GATEWAY")
    try:
        assert association.is_established
        assert await asyncio.to_thread(ask) == [0x0122]
        gateway.write_rules({"unmatched": "discard", "peers": viewer, "query_retrieve": {"sources": ["local"]}})
        await hang_up(gateway, "applied")
        assert await asyncio.to_thread(ask) == [0x0000]
        viewer["viewer"]["may"] = ["store"]
        gateway.write_rules({"unmatched": "discard", "peers": viewer, "query_retrieve": {"sources": ["local"]}})
        await hang_up(gateway, "applied")
        assert await asyncio.to_thread(ask) == [0x0124]
    finally:
        await asyncio.to_thread(association.release)


async def test_a_bad_reload_changes_nothing_and_says_why(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, to_folder(tmp_path / "files")))
    rules = to_folder(tmp_path / "files")
    gateway.write_rules({**rules, "routes": [{"name": "all", "to": ["file"]}, {"name": "two", "to": ["nowhere"]}]})
    await hang_up(gateway, "refused")
    assert await gateway.metric("gateway_config_last_reload_successful") == 0
    assert gateway.log.count("config_problem_found") == 2
    assert "10-site.yaml:" in gateway.log
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    await association.release()
    await gateway.idle()
    assert len(list((tmp_path / "files").iterdir())) == 1
    gateway.write_rules(rules)
    await hang_up(gateway, "applied")
    assert await gateway.metric("gateway_config_last_reload_successful") == 1


async def test_process_settings_are_refused_by_name_with_all_the_rest(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "reject"}))
    gateway.settings = {"ae_title": "OTHER", "drain": "5 s", "limits": {"associations": 7}}
    gateway.write_rules({"unmatched": "discard"})
    status, body = await gateway.http("POST", "/-/reload")
    answer = json.loads(body)
    assert status == 422
    assert answer["result"] == "refused"
    named = [problem for problem in answer["problems"] if "restart" in problem]
    assert [problem.split()[0] for problem in named] == [
        "gateway.ae_title",
        "gateway.drain",
        "gateway.limits.associations",
    ]
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0x0124
    await association.release()


async def test_listeners_come_and_go_while_an_association_goes_on(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "discard"}))
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    more = free_port()
    both = [{"port": gateway.port, "address": "127.0.0.1"}, {"port": more, "address": "127.0.0.1"}]
    gateway.settings = {"listeners": both}
    gateway.write_rules({"unmatched": "discard"})
    await hang_up(gateway, "applied")
    over_new = await call(more)
    assert (await store_new(over_new)).status == 0
    gateway.settings = {"listeners": both[1:]}
    gateway.write_rules({"unmatched": "discard"})
    await hang_up(gateway, "applied")
    with pytest.raises(DestinationDown):
        await call(gateway.port)
    assert (await store_new(association)).status == 0
    assert (await store_new(over_new)).status == 0
    await association.release()
    await over_new.release()


async def echo_behind(port: int, header: bytes) -> bytes:
    """The first PDU that an A-ASSOCIATE-RQ behind `header` is answered with; empty when the connection is closed."""
    async with await Peer.connect(port) as peer:
        peer.send(header + associate_rq())
        return await peer.pdu()


async def test_balancers_come_and_go_while_an_association_goes_on(running: AsyncExitStack, tmp_path: Path) -> None:
    """`proxy_protocol` of the same listener: each new connection is served as the rules in force say."""
    rules = {"unmatched": "discard"}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules))
    plain = {"port": gateway.port, "address": "127.0.0.1"}
    association = await call(gateway.port)
    assert (await echo_behind(gateway.port, line("10.1.2.3")))[:1] == b"\7"
    gateway.settings = {"listeners": [{**plain, "proxy_protocol": {"from": ["127.0.0.0/8"]}}]}
    gateway.write_rules(rules)
    await hang_up(gateway, "applied")
    assert (await echo_behind(gateway.port, line("10.1.2.3")))[:1] == b"\2"
    assert await echo_behind(gateway.port, b"") == b""
    assert await gateway.metric("gateway_proxy_headers_rejected_total") == 1
    accepted = [event for event in gateway.events() if event["event"] == "association_accepted"]
    assert [(event["remote_host"], event.get("proxy_host")) for event in accepted] == [
        ("127.0.0.1", None),
        ("10.1.2.3", "127.0.0.1"),
    ]
    assert (await store_new(association)).status == 0
    gateway.settings = {"listeners": [plain]}
    gateway.write_rules(rules)
    await hang_up(gateway, "applied")
    assert (await echo_behind(gateway.port, line("10.1.2.3")))[:1] == b"\7"
    assert (await echo_behind(gateway.port, b""))[:1] == b"\2"
    assert (await store_new(association)).status == 0
    await association.release()


async def test_a_listener_that_cannot_open_changes_nothing(running: AsyncExitStack, tmp_path: Path) -> None:
    other = await running.enter_async_context(GatewayProcess(tmp_path / "other", {"unmatched": "discard"}))
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "one", {"unmatched": "reject"}))
    addresses = [{"port": port, "address": "127.0.0.1"} for port in (gateway.port, free_port(), other.port)]
    gateway.settings = {"listeners": addresses}
    gateway.write_rules({"unmatched": "discard"})
    await hang_up(gateway, "refused")
    assert str(other.port) in gateway.log
    with pytest.raises(DestinationDown):
        await call(addresses[1]["port"])  # type: ignore[arg-type]
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0x0124
    await association.release()


async def test_the_last_of_many_signals_has_effect(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "reject"}))
    for number in range(20):
        gateway.write_rules({"unmatched": "reject" if number % 2 else "discard"})
        gateway.signal(signal.SIGHUP)
    gateway.write_rules({"unmatched": "discard"})
    gateway.signal(signal.SIGHUP)

    async def is_discarding() -> bool:
        association = await call(gateway.port)
        try:
            return (await store_new(association)).status == 0
        finally:
            await association.release()

    await until(is_discarding)
    assert gateway.is_running


async def test_a_hangup_right_after_the_start_does_not_kill(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "hold"}))
    for _ in range(3):
        gateway.reload()
    assert (await gateway.http("GET", "/readyz"))[0] == 200

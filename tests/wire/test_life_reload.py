"""Reload by real signals: all or nothing, running associations keep their table, listeners come and go."""

from __future__ import annotations

import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.ports import DestinationDown
from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import free_port, until


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


async def test_a_good_reload_is_in_force_for_new_associations_only(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "reject"}))
    old = await call(gateway.port)
    assert (await store_new(old)).status == 0x0124
    gateway.write_rules({"unmatched": "discard"})
    await hang_up(gateway, "applied")
    assert await gateway.metric("gateway_config_last_reload_successful") == 1
    new = await call(gateway.port)
    assert (await store_new(new)).status == 0x0000
    assert (await store_new(old)).status == 0x0124
    await old.release()
    await new.release()


async def test_a_bad_reload_changes_nothing_and_says_why(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, to_folder(tmp_path / "files")))
    rules = to_folder(tmp_path / "files")
    gateway.write_rules({**rules, "routes": [{"name": "all", "to": ["file"]}, {"name": "two", "to": ["nowhere"]}]})
    await hang_up(gateway, "refused")
    assert await gateway.metric("gateway_config_last_reload_successful") == 0
    assert gateway.log.count("config_problem") == 2
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

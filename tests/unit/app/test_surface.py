"""The gateway's side of its HTTP pages, on parts that were not started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from gateway.app.parts import build_parts
from gateway.app.surface import GatewaySurface
from gateway.lifecycle.health import Health, ProcessStage
from gateway.lifecycle.log_summary import SUMMARY
from gateway.lifecycle.reload import ReloadReport
from tests.unit.app.test_parts import table

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Reloader:
    """Applies whatever it is asked for."""

    last = None
    is_reloading = False

    async def reload(self) -> ReloadReport:
        return ReloadReport(1, NOW, True, "2")


class Link:
    """Reloads all workers."""

    async def reload_all(self) -> Mapping[str, object]:
        return {"result": "refused", "version": "1, 2"}


def surface(folder: Path, stage: ProcessStage = "running", link: Any = None) -> tuple[GatewaySurface, Any]:
    parts, reloader = build_parts(table(folder)), cast(Any, Reloader())
    health = Health(
        settings=parts.common.settings,
        journal=parts.storage.journal,
        server=parts.server,
        listening=parts.listening,
        reloader=reloader,
        certificates=parts.certificates,
        delivery=parts.delivery,
        nodes=parts.nodes_seen,
        pauses=lambda: parts.pauses.going_on,
    )
    health.stage = stage
    return GatewaySurface(parts, health, reloader, ("EVT_C_STORE",), NOW, link), parts


async def test_a_reload_is_refused_until_the_gateway_runs(tmp_path: Path) -> None:
    shown, _ = surface(tmp_path, "recovering")
    refused = {"result": "refused", "version": "1", "problems": ["the gateway is starting"]}
    assert await shown.reload() == refused
    stages: list[ProcessStage] = ["running", "draining"]
    for stage in stages:
        shown, _ = surface(tmp_path, stage)
        assert (await shown.reload())["result"] == "applied"


async def test_the_reload_of_a_worker_is_one_of_all(tmp_path: Path) -> None:
    shown, _ = surface(tmp_path, link=Link())
    assert await shown.reload() == {"result": "refused", "version": "1, 2"}
    starting, _ = surface(tmp_path, "starting", Link())
    assert (await starting.reload())["problems"] == ["the gateway is starting"]


async def test_the_reasons_of_a_gateway_that_is_not_ready(tmp_path: Path) -> None:
    shown, _ = surface(tmp_path, "draining")
    (reason,) = shown.not_ready()
    assert reason.startswith("draining: ")


async def test_the_metrics_page_has_gauges_of_now(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(SUMMARY, "take_counts", lambda: {"association_accepted": 7})
    shown, parts = surface(tmp_path, "draining")
    shown.count_start()
    page, content_type = await shown.metrics_page()
    lines = page.decode().splitlines()
    assert content_type.startswith("text/plain")
    for line in (
        "gateway_ready 0.0",
        "gateway_listeners 0.0",
        'gateway_conditions{code="draining"} 1.0',
        'gateway_conditions{code="starting"} 0.0',
        "gateway_config_last_reload_successful 1.0",
        'gateway_config_info{version="1"} 1.0',
        'gateway_log_lines_left_out_total{event="association_accepted"} 7.0',
    ):
        assert line in lines, line
    name = "gateway_config_last_reload_success_timestamp_seconds"
    assert parts.common.metrics.registry.get_sample_value(name) == NOW.timestamp()


async def test_the_status_is_that_of_the_operation(tmp_path: Path) -> None:
    shown, _ = surface(tmp_path, "starting")
    found = await shown.status()
    assert (found["state"], found["handlers_of_the_site"]) == ("starting", ["EVT_C_STORE"])
    assert found["started_at"] == NOW.isoformat()

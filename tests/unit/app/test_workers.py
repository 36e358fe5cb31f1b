"""The settings of workers, and what cannot be run by several."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.app.workers import load_of_worker, log_result, refuse_workers, settings_of_worker, supervise
from gateway.config import Loaded, load
from gateway.lifecycle import exit_code
from gateway.lifecycle.reload import ReloadReport, changed_process_settings
from gateway.model.settings import Settings, Spool
from gateway.ports.errors import ConfigurationError
from tests.unit.app.test_parts import table
from tests.unit.lifecycle.test_workers_reload import NOW

SETTINGS = Settings("GATEWAY", (), Spool("/var/spool"), "/queue.db", node="north", pid_file="/run/gateway.pid")


def test_a_worker_is_a_node_with_a_spool_of_its_own_and_no_pid_file() -> None:
    first, second = (settings_of_worker(SETTINGS, number) for number in (1, 2))
    assert (first.node, second.node) == ("north-1", "north-2")
    assert (first.spool.path, second.spool.path) == ("/var/spool/north-1", "/var/spool/north-2")
    assert (first.pid_file, first.worker) == ("", 1)
    unchanged = dataclasses.replace(
        first, worker=0, node=SETTINGS.node, spool=SETTINGS.spool, pid_file=SETTINGS.pid_file
    )
    assert unchanged == SETTINGS


def test_each_reload_has_the_same_settings(tmp_path: Path) -> None:
    found = table(tmp_path)
    of_worker = load_of_worker(lambda: Loaded(found.settings, found, ()), 2)
    first, second = of_worker(), of_worker()
    assert first.table is not None
    assert second.table is not None
    assert first.table.settings == first.settings == settings_of_worker(found.settings, 2)
    assert changed_process_settings(first.table.settings, second.table.settings) == ()
    nothing = Loaded(None, None, ())
    assert load_of_worker(lambda: nothing, 2)() is nothing


async def test_without_a_common_place_of_payloads_several_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"--workers 2: several processes need `gateway.store.objects`"):
        await refuse_workers(SETTINGS, 2)


def test_a_configuration_that_cannot_be_used_ends_with_its_code(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("gateway: {ae_title: GATEWAY}\nunmatched: nothing\n")
    with capture_logs() as events:
        assert supervise(lambda: load(path, {}), 2, ["never started"]) == exit_code.CONFIGURATION
    path.write_text("gateway: {ae_title: GATEWAY, listeners: [{port: 11112}]}\nunmatched: hold\n")
    with capture_logs() as more:
        assert supervise(lambda: load(path, {}), 2, ["never started"]) == exit_code.CONFIGURATION
    assert [found[-1]["event"] for found in (events, more)] == ["gateway_not_started"] * 2


def test_a_fault_of_ours_ends_with_its_code() -> None:
    def read() -> Loaded:
        raise KeyError("x")

    with capture_logs() as events:
        assert supervise(read, 2, ["never started"]) == exit_code.SOFTWARE
    assert [event["event"] for event in events] == ["gateway_failed"]


def test_the_log_has_the_result_of_all() -> None:
    with capture_logs() as events:
        log_result(ReloadReport(3, NOW, True, "2"))
        log_result(ReloadReport(4, NOW, False, "2", ("odd", "wrong"), "wrong", "mend it"))
    assert events == [
        {"event": "workers_reloaded", "version": "2", "reload": 3, "log_level": "info"},
        {
            "event": "workers_reload_refused",
            "version": "2",
            "reload": 4,
            "reason": "wrong",
            "problems": 2,
            "remedy": "mend it",
            "log_level": "error",
        },
    ]

"""The rules that a process starts with, and what the log has of them."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from gateway.app.first_table import first_table, log_problems
from gateway.config import Loaded, load
from gateway.lifecycle import exit_code
from gateway.lifecycle.loading import Loading
from gateway.lifecycle.signals import Stop
from gateway.model.problem import Mark, Problem
from tests.unit.app.test_parts import table


async def test_the_table_of_good_rules(tmp_path: Path) -> None:
    found = table(tmp_path)
    assert await first_table(Loading(lambda: Loaded(found.settings, found, ())), Stop()) is found


async def test_rules_with_errors_have_an_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("unmatched: nothing\n")
    with capture_logs() as events:
        assert await first_table(Loading(lambda: load(path, {})), Stop()) == exit_code.CONFIGURATION
    assert events[-1]["event"] == "gateway_not_started"
    assert events[-1]["problems"] == len(events) - 1 > 0


async def test_a_file_that_is_never_read_has_one_too_and_a_stop_ends_the_wait(tmp_path: Path) -> None:
    with capture_logs() as events:
        late = Loading(lambda: load(tmp_path, {}), limit_s=0.0)
        assert await first_table(late, Stop()) == exit_code.CONFIGURATION
        stop = Stop()
        stop.request("SIGTERM")
        never = Loading(lambda: load(tmp_path, {}))
        never._abandoned = late._abandoned
        assert await first_table(never, stop) in (exit_code.SUCCESS, exit_code.CONFIGURATION)
    assert "gateway_not_started" in [event["event"] for event in events]


def test_a_problem_is_logged_by_its_severity() -> None:
    mark = Mark("site.yaml", 1, 1)
    problems = (Problem(mark, "unknown", "wrong"), Problem(mark, "unused", "odd", "warning"))
    with capture_logs() as events:
        log_problems(Loaded(None, None, problems))
    assert [event["log_level"] for event in events] == ["error", "warning"]

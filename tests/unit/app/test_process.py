"""Exit codes of `gateway run`, and what the log has of its start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt
from structlog.testing import capture_logs

from gateway.app import process
from gateway.config import Loaded, load
from gateway.lifecycle import exit_code
from gateway.ports.errors import ConfigurationError, QueueBroken, Temporary


def failing(error: Exception) -> Callable[[], Loaded]:
    def read() -> Loaded:
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "code", "event"),
    [
        (ConfigurationError("no such folder"), exit_code.CONFIGURATION, "gateway_not_started"),
        (QueueBroken("damaged"), exit_code.CONFIGURATION, "gateway_not_started"),
        (Temporary("locked"), exit_code.SOFTWARE, "gateway_failed"),
        (KeyError("x"), exit_code.SOFTWARE, "gateway_failed"),
    ],
)
def test_each_failure_has_its_exit_code(error: Exception, code: int, event: str) -> None:
    with capture_logs() as events:
        assert process.run(failing(error)) == code
    assert [each["event"] for each in events] == [event]


def test_rules_with_errors_are_not_started(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("gateway: {ae_title: GATEWAY}\nunmatched: nothing\n")
    with capture_logs() as events:
        assert process.run(lambda: load(path, {})) == exit_code.CONFIGURATION
    assert events[-1]["event"] == "gateway_not_started"
    assert events[-1]["problems"] == len(events) - 1 > 0
    assert {each["event"] for each in events[:-1]} == {"config_problem_found"}


HANDLERS: list[Any] = [(evt.EVT_C_STORE, lambda event: 0), (evt.EVT_ABORTED, lambda event: None)]
"""Of a site."""


def test_handlers_of_the_site_are_logged_with_what_they_replace() -> None:
    with capture_logs() as events:
        found = process.own_handlers(f"{__name__}:HANDLERS")
    assert [event for event, *_ in found] == [evt.EVT_C_STORE, evt.EVT_ABORTED]
    notified, replaced = events
    assert (notified["event"], notified["events"]) == ("site_notifications_bound", ["EVT_ABORTED"])
    assert (replaced["event"], replaced["events"]) == ("site_handlers_bound", ["EVT_C_STORE"])
    assert "neither spooled nor forwarded" in replaced["reason"]


def test_a_damaged_queue_is_found_within_groups_and_causes() -> None:
    broken = QueueBroken("damaged")
    outer = RuntimeError("a part died")
    outer.__cause__ = broken
    assert process.broken_queue(ExceptionGroup("x", [ValueError(), ExceptionGroup("y", [outer])])) is broken
    assert process.broken_queue(ExceptionGroup("x", [ValueError()])) is None

"""Log lines of one kind: the first ones whole, the others counted, and nothing in silence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.lifecycle.log_summary import LEFT_OUT, MOST_KINDS, SUMMARISED, LogSummary
from tests.support.samples import SecondsClock

PACKAGE = Path(__file__).parents[3] / "gateway"


class Log:
    """A summary with everything that came through it."""

    def __init__(self) -> None:
        self.clock = SecondsClock()
        self.summary = LogSummary({"rejected", "failed"}, whole=3, routine=5, interval_s=60.0, now=self.clock)
        self.lines: list[dict[str, Any]] = []
        structlog.configure(
            processors=[structlog.processors.add_log_level, self.summary, self._keep], cache_logger_on_first_use=False
        )

    def _keep(self, logger: object, name: str, event: Any) -> Any:
        self.lines.append(dict(event))
        raise structlog.DropEvent

    def write(self, event: str, number: int = 1, **fields: Any) -> None:
        for _ in range(number):
            structlog.get_logger().warning(event, **fields)

    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.summary.write_due()

    def take(self) -> list[dict[str, Any]]:
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def log() -> Iterator[Log]:
    before = structlog.get_config()
    yield Log()
    structlog.configure(**before)


def test_the_end_of_an_association_that_stored_objects_is_never_left_out(log: Log) -> None:
    log.write("failed", 100, c_store={"0x0000": 3, "0xA700": 1})
    assert len(log.take()) == 100
    log.write("failed", 100, c_store={"0xA700": 1})
    assert len(log.take()) == 3


def test_the_first_ones_stand_whole_and_the_others_are_counted(log: Log) -> None:
    log.write("rejected", 100, remote_host="10.0.0.9", reason="why")
    assert len(log.take()) == 3
    log.pass_time(59)
    assert log.take() == []
    log.pass_time(1)
    assert log.take() == [
        {
            "event": LEFT_OUT,
            "level": "warning",
            "of": "rejected",
            "lines": 97,
            "seconds": 60,
            "by": "10.0.0.9: 97",
            "last_remote_host": "10.0.0.9",
            "last_reason": "why",
        }
    ]


def test_other_events_are_not_touched(log: Log) -> None:
    log.write("damaged", 50)
    assert len(log.take()) == 50
    log.pass_time(1000)
    assert log.take() == []


def test_what_goes_well_with_a_known_peer_has_more_room(log: Log) -> None:
    for _ in range(10):
        structlog.get_logger().info("rejected", peer="ct")
        structlog.get_logger().info("rejected", remote_host="10.0.0.9")
    assert Counter(line.get("peer") for line in log.take()) == {"ct": 5, None: 3}


def test_few_lines_have_no_summary(log: Log) -> None:
    log.write("rejected", 3)
    log.pass_time(60)
    assert [line["event"] for line in log.take()] == ["rejected"] * 3
    log.write("rejected", 3)
    assert [line["event"] for line in log.take()] == ["rejected"] * 3


def test_a_name_of_ours_has_an_allowance_of_its_own(log: Log) -> None:
    log.write("failed", 100, destination="pacs")
    log.write("failed", 100, remote_host="10.0.0.9")
    log.write("failed", 2, destination="vna")
    assert Counter(line.get("destination") for line in log.take()) == {"pacs": 3, None: 3, "vna": 2}


def test_the_source_of_a_rejection_is_no_source_of_ours(log: Log) -> None:
    log.write("rejected", 10, source=3, remote_host="10.0.0.9")
    log.take()
    log.pass_time(60)
    assert [line["by"] for line in log.take()] == ["10.0.0.9: 7"]


def test_hosts_share_one_allowance(log: Log) -> None:
    for number in range(1000):
        log.write("rejected", remote_host=f"10.0.{number // 250}.{number % 250}", peer="")
    assert len(log.take()) == 3
    log.pass_time(60)
    (line,) = log.take()
    assert line["lines"] == 997
    assert line["by"].endswith("and 992 others")


def test_who_goes_on_gets_summaries_alone(log: Log) -> None:
    log.write("rejected", 10, peer="ct")
    log.take()
    log.pass_time(60)
    log.take()
    log.write("rejected", 10, peer="ct")
    log.write("rejected", 2, peer="mr")
    assert [line["peer"] for line in log.take()] == ["mr", "mr"]
    log.pass_time(60)
    assert [(line["lines"], line["by"]) for line in log.take()] == [(10, "ct: 10")]
    log.pass_time(60)
    assert log.take() == []
    log.write("rejected", 1, peer="ct")  # an interval without: from here on as at first
    assert [line["peer"] for line in log.take()] == ["ct"]


def test_the_summary_has_the_gravest_level(log: Log) -> None:
    logger = structlog.get_logger()
    for level in ("info", "error", "warning", "info"):
        for _ in range(3):
            getattr(logger, level)("failed")
    log.take()
    log.pass_time(60)
    assert [line["level"] for line in log.take()] == ["error"]


def test_at_the_end_everything_is_reported(log: Log) -> None:
    log.write("rejected", 10)
    log.write("failed", 10)
    log.take()
    log.summary.write_due(is_final=True)
    assert sorted((line["of"], line["lines"]) for line in log.take()) == [("failed", 7), ("rejected", 7)]
    log.summary.write_due(is_final=True)
    assert log.take() == []


def test_every_line_is_logged_or_counted(log: Log) -> None:
    total, told, counted = 0, 0, 0
    for minute in range(20):
        log.write("rejected", minute * 3, peer=f"p{minute % 4}")
        total += minute * 3
        log.pass_time(20)
        counted += log.summary.take_counts().get("rejected", 0)
        told += sum(line["lines"] if line["event"] == LEFT_OUT else 1 for line in log.lines)
        whole = sum(line["event"] != LEFT_OUT for line in log.take())
        total -= whole
        told -= whole
    log.summary.write_due(is_final=True)
    told += sum(line["lines"] for line in log.take())
    assert told == counted == total


def test_memory_is_bounded(log: Log) -> None:
    for number in range(3 * MOST_KINDS):
        log.write("rejected", 4, peer=f"p{number}")
        log.write("failed", 4, remote_host=f"h{number}")
    for interval in log.summary._intervals.values():
        assert len(interval.lines) <= MOST_KINDS + 1
        assert len(interval.left_out) <= MOST_KINDS + 1


def test_exceptions_and_times_do_not_stand_in_a_summary(log: Log) -> None:
    for _ in range(4):
        log.write("failed", timestamp="t", exc_info=ValueError("x"))
    log.take()
    log.pass_time(60)
    (line,) = log.take()
    assert not {key for key in line if "exc_info" in key or "timestamp" in key}


def test_every_event_of_the_table_exists() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "log_summary.py")
    assert [name for name in sorted(SUMMARISED) if not re.search(f'"{re.escape(name)}"', source)] == []

"""`gateway queue` says what deliveries wait for, by the rules as they stand."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.cli.render import local_time
from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.ports.pauses import Pause
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, instance, settlement

IN_THREE_DAYS = datetime.now(UTC) + timedelta(days=3)
CLOSED = f"{{window: {IN_THREE_DAYS:%a}, time_zone: UTC, rate: 50 MB/s}}"
UNTIL = f"its window is closed until {IN_THREE_DAYS:%a %Y-%m-%d} 00:00 UTC"
RULES = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
peers:
  pacs: {ae_title: PACS, address: "127.0.0.1:104", delivery: %s}
  vna: {ae_title: VNA, address: "127.0.0.1:104"}
routes: [{name: all, to: [pacs, vna]}]
unmatched: hold
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """To `pacs` one that is dead, one that was tried and one that was not; to `vna` one that was not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    with contextlib.closing(SQLiteStore(tmp_path / "var/gateway.db", now=lambda: NOON)) as queue:
        for number, name in enumerate(("pacs", "pacs", "pacs", "vna")):
            with queue.transaction():
                queue.deliveries.accept([(instance(number), [Dispatch("all", name)])], NOON)
        with queue.transaction():
            dead, tried = queue.deliveries.claim("pacs", 2, 60.0, NOON)
            queue.deliveries.settle(
                [
                    settlement(dead, DeliveryState.DEAD, reason="refused"),
                    settlement(tried, DeliveryState.PENDING, reason="connection refused"),
                ]
            )
    return tmp_path


def reasons(folder: Path, rules: str) -> list[str]:
    (folder / "rules.yaml").write_text(rules)
    done = CliRunner().invoke(main, ["queue", "list", "--rules", str(folder / "rules.yaml"), "--format", "json"])
    assert done.exit_code == 0, done.output
    return [row["reason"] for row in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        (CLOSED, ["refused", f"{UNTIL}; before: connection refused", UNTIL, ""]),
        (
            "{objects: 90/min}",
            [
                "refused",
                "no more than 1.5 objects/s are sent; before: connection refused",
                "no more than 1.5 objects/s are sent",
                "",
            ],
        ),
        ("{associations: 3}", ["refused", "connection refused", "", ""]),
        ("{window: never}", ["refused", "connection refused", "", ""]),
    ],
)
def test_what_is_pending_has_the_reason_of_its_destination(folder: Path, delivery: str, expected: list[str]) -> None:
    assert reasons(folder, RULES % delivery) == expected


def test_mistakes_elsewhere_hide_nothing(folder: Path) -> None:
    assert reasons(folder, RULES % CLOSED + "coercions: 7\n")[2] == UNTIL


def test_one_delivery_says_it_too(folder: Path) -> None:
    (folder / "rules.yaml").write_text(RULES % CLOSED)
    for number, expected in ((1, "refused"), (3, UNTIL)):
        command = ["queue", "show", str(number), "--rules", str(folder / "rules.yaml"), "--format", "json"]
        assert json.loads(CliRunner().invoke(main, command).stdout)["reason"] == expected


def test_the_table_says_it(folder: Path) -> None:
    (folder / "rules.yaml").write_text(RULES % CLOSED)
    done = CliRunner().invoke(main, ["queue", "list", "--rules", str(folder / "rules.yaml"), "--wide"])
    assert done.output.count(UNTIL) == 2


def test_what_waits_for_a_paused_destination_says_so_before_its_window(folder: Path) -> None:
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        queue.pauses.begin_pause(Pause("destination", "pacs", "anna", "", NOON))
    paused = f"paused since {local_time(NOON)} by anna"
    expected = ["refused", f"{paused}; before: connection refused", paused, ""]
    assert reasons(folder, RULES % CLOSED) == expected
    shown = CliRunner().invoke(main, ["queue", "show", "3", "--rules", str(folder / "rules.yaml"), "--format", "json"])
    assert json.loads(shown.stdout)["reason"] == paused
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        queue.pauses.end_pause("destination", "pacs", NOON)
    assert reasons(folder, RULES % CLOSED)[2] == UNTIL


def test_what_waits_for_its_collection_says_so_and_is_due_at_no_time(folder: Path) -> None:
    (folder / "rules.yaml").write_text(RULES % CLOSED)
    waiting = Dispatch("all", "pacs", collection=Membership(CollectionTerms("chest"), "1.2.3", patient="p"))
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        queue.deliveries.accept([(instance(9), [waiting])], NOON)
    rules = ["--rules", str(folder / "rules.yaml"), "--format", "json"]
    listed = json.loads(CliRunner().invoke(main, ["queue", "list", *rules]).stdout)[-1]
    shown = json.loads(CliRunner().invoke(main, ["queue", "show", str(listed["id"]), *rules]).stdout)
    for row in (listed, shown):
        assert (row["state"], row["due_at"]) == ("pending", None)
        assert row["reason"] == f"waits for the end of collection {row['collection']}"

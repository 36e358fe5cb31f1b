"""`gateway trace`."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.sqlite.store import SQLiteStore
from tests.contract.test_index import held
from tests.support.samples import NOON, instance, settlement

RULES = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
peers:
  pacs: {ae_title: PACS, address: "127.0.0.1:104"}
  vna: {ae_title: VNA, address: "127.0.0.1:105"}
routes:
  - {name: all, to: [pacs, vna]}
unmatched: hold
"""
WITH_INDEX = RULES + "query_retrieve: {sources: [local]}\n"
SENDER = AssociationFacts("CT1", "GATEWAY", "10.0.0.7")
INDEXED = replace(held(100, StudyInstanceUID="1.5"), study_instance_uid="1.5")


WAITING = ("pending", "held", "dead")


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Study 1.1 has two objects, of which pacs has one and said no to the other, once; vna has none. Another study is
    in the index."""
    monkeypatch.chdir(tmp_path)
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    (tmp_path / "var").mkdir()
    with contextlib.closing(SQLiteStore(tmp_path / "var/gateway.db", now=lambda: NOON)) as queue:
        to = [Dispatch("all", "pacs"), Dispatch("all", "vna")]
        for number in (1, 2):
            at = NOON + timedelta(minutes=number)
            arriving = replace(instance(number, study_instance_uid="1.1"), association=SENDER, received_at=at)
            with queue.transaction():
                queue.deliveries.accept([(arriving, to)], NOON)
        with queue.transaction():
            queue.deliveries.accept([(INDEXED, [Dispatch("all", "vna")])], NOON)
        with queue.transaction():
            first, second = queue.deliveries.claim("pacs", 2, 60.0, NOON)
            done = [
                settlement(first, status=0x0000),
                settlement(second, DeliveryState.DEAD, reason="0xC000; the peer says: Doe", status=0xC000),
            ]
            queue.deliveries.settle(done)
    return rules


def traced(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["trace", "--rules", "rules.yaml", *arguments])


def as_json(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(traced(*arguments, "--format", "json").stdout)
    return found


def test_a_study_is_one_line_a_destination() -> None:
    result = traced("StudyInstanceUID=1.1")
    assert result.exit_code == 0, result.output
    _, sender, heads, *rows = (line.split() for line in result.stdout.splitlines())
    assert sender[:3] == ["1.1", "CT1", "2"]
    assert heads[:8] == [*("study_instance_uid", "destination", "received", "delivered", "expected"), *WAITING]
    assert [row[:8] for row in rows] == [
        ["1.1", "pacs", "2", "1", "2", "0", "0", "1"],
        ["1.1", "vna", "2", "0", "2", "2", "0", "0"],
    ]


def test_each_delivery_has_its_rule_its_place_and_its_attempts() -> None:
    found = as_json("StudyInstanceUID=1.1")
    deliveries = {(row["sop_instance_uid"], row["destination"]): row for row in found["deliveries"]}
    assert len(deliveries) == 4
    there = deliveries["1.2.3.4.5.1", "pacs"]
    assert (there["state"], there["delivered_at"]) == ("delivered", "2026-03-01T12:00:00.250000+00:00")
    assert (there["rule"], there["rule_place"], there["calling_ae_title"]) == ("all", "rules.yaml:6", "CT1")
    assert there["created_at"] == "2026-03-01T12:01:00+00:00"
    assert [attempt["status"] for attempt in there["attempts"]] == ["0x0000"]
    dead = deliveries["1.2.3.4.5.2", "pacs"]
    assert (dead["state"], dead["delivered_at"], dead["attempts"][0]["status"]) == ("dead", None, "0xC000")
    assert deliveries["1.2.3.4.5.2", "vna"]["attempts"] == []
    shown = traced("StudyInstanceUID=1.1", "--deliveries").stdout
    assert "rules.yaml:6" in shown
    assert "0xC000" in shown


def test_an_object_is_shown_with_its_deliveries() -> None:
    result = traced("SOPInstanceUID=1.2.3.4.5.2")
    assert "rules.yaml:6" in result.stdout
    assert "1.2.3.4.5.1" not in result.stdout
    assert {row["expected"] for row in as_json("SOPInstanceUID=1.2.3.4.5.2")["studies"]} == {1}


def test_a_limit_is_told() -> None:
    assert "the first 1 delivery; see --limit" in traced("StudyInstanceUID=1.1", "--deliveries", "--limit", "1").stderr
    assert len(as_json("StudyInstanceUID=1.1", "--limit", "3")["deliveries"]) == 3


def test_a_study_is_known_when_nothing_of_it_is_there_any_more(tmp_path: Path) -> None:
    with contextlib.closing(SQLiteStore(tmp_path / "var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        queue.administration.discard(DeliveryFilter(study_instance_uid="1.1", destination="vna"))
        queue.administration.discard(DeliveryFilter(study_instance_uid="1.1", state=DeliveryState.DEAD))
        assert queue.deliveries.forget(NOON + timedelta(days=1), 9) == 2
    found = as_json("StudyInstanceUID=1.1")
    assert found["deliveries"] == []
    (sender,) = found["senders"]
    assert (sender["calling_ae_title"], sender["received"]) == ("CT1", 2)
    assert (sender["first_received_at"], sender["last_received_at"]) == (
        "2026-03-01T12:01:00+00:00",
        "2026-03-01T12:02:00+00:00",
    )
    numbers = ("destination", "received", "delivered", "expected", "forgotten", "pending", "dead")
    assert [[row[name] for name in numbers] for row in found["studies"]] == [
        ["pacs", 2, 1, 1, 1, 0, 0],
    ]
    assert traced("StudyInstanceUID=1.1", "--deliveries").exit_code == 0


def test_several_studies_share_the_limit() -> None:
    found = as_json("StudyInstanceUID=1.1\\1.5")
    assert {row["study_instance_uid"] for row in found["studies"]} == {"1.1", "1.5"}
    assert len(as_json("StudyInstanceUID=1.1\\1.5", "--limit", "4")["deliveries"]) == 4


def test_other_keys_are_asked_of_the_index(site: Path) -> None:
    without = traced("PatientID=P1")
    assert without.exit_code == 2
    assert "without the local index" in without.stderr
    site.write_text(WITH_INDEX)
    found = as_json("PatientID=P1")
    assert [row["study_instance_uid"] for row in found["studies"]] == ["1.5"]
    assert traced("PatientID=nobody").exit_code == 1


WRONG = {
    "nothing": ([], "Missing argument"),
    "no value": (["StudyInstanceUID="], "has no value"),
    "no key": (["1.2.3"], "1.2.3"),
    "no UID": (["StudyInstanceUID=Doe^Jane"], "is no UID"),
    "an unknown key": (["Nonsense=1"], "Nonsense"),
    "an object and more": (["SOPInstanceUID=1.2", "PatientID=1"], "leave the other keys out"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    result = traced(*arguments)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split())


def test_what_is_unknown_is_no_success() -> None:
    result = traced("StudyInstanceUID=9.9.9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing is known of it" in result.stderr


def test_what_peers_say_is_shown_where_it_is_asked_for() -> None:
    assert "Doe" not in traced("StudyInstanceUID=1.1", "--deliveries").stdout
    assert "Doe" in traced("StudyInstanceUID=1.1", "--deliveries", "--show-values").stdout

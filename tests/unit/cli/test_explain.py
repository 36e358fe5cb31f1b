"""`gateway explain`: every fact of an association that rules can read can be described on the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain
from gateway.config.spec.cases import SenderSpec
from gateway.forms.groups import settings
from gateway.model.association import AssociationFacts
from tests.support.caller import write_file

RULES = """
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], spool: {path: spool}, queue: {sqlite: q.db}, admit: any}
unmatched: hold
peers: {pacs: {ae_title: PACS, address: "127.0.0.1:104"}}
routes: [{name: one, to: [pacs], when: %s}]
"""
FACTS = {
    "calling_ae_title": ("--calling-ae", "CT1"),
    "called_ae_title": ("--called-ae", "GATEWAY"),
    "remote_host": ("--host", "10.1.0.7"),
    "remote_port": ("--remote-port", "40001"),
    "listener": ("--listener", "port-11112"),
    "tls_subject": ("--tls-subject", "CN=ct1"),
    "tls_names": ("--tls-name", "DNS:ct1"),
    "tls_fingerprint": ("--tls-fingerprint", "ab" * 32),
    "user_identity": ("--user", "jane"),
    "claimed_user_identity": ("--claimed-user", "jane"),
    "implementation_class_uid": ("--implementation-class", "1.2.3"),
    "implementation_version_name": ("--implementation-version", "OFFIS_DCMTK_367"),
}
FOLLOWING = {"is_tls", "peer", "association_id"}
"""Facts that follow from the others and the rules, or name an association that there is not."""


def explained(folder: Path, when: str, *words: str) -> Any:
    """The one object of the JSON of `gateway explain`, with exit code 0."""
    (folder / "site.yaml").write_text(RULES % when)
    image = write_file(folder, "1.2.3")
    arguments = [str(image), "--rules", str(folder / "site.yaml"), "--calling-ae", "CT1", "--format", "json", *words]
    done = CliRunner().invoke(explain, arguments)
    assert done.exit_code == 0, done.output
    (one,) = json.loads(done.stdout)["objects"]
    return one


def test_no_fact_is_left_out() -> None:
    fields = {field.name for field in dataclasses.fields(AssociationFacts)}
    assert fields == FACTS.keys() | FOLLOWING
    assert settings(SenderSpec).keys() == FACTS.keys()


@pytest.mark.parametrize("fact", FACTS)
def test_a_rule_sees_the_fact(tmp_path: Path, fact: str) -> None:
    option, value = FACTS[fact]
    text = f"association.{fact} | string" if fact == "remote_port" else f"association.{fact}"
    condition = f"'{value}' in association.tls_names" if fact == "tls_names" else f"({text}) == '{value}'"
    one = explained(tmp_path, json.dumps({"expression": condition}), option, value)
    assert one["destinations"] == ["pacs"], one["routes"]


def test_a_user_that_nobody_verified(tmp_path: Path) -> None:
    assert explained(tmp_path, "{user_identity: jane}", "--claimed-user", "jane")["destinations"] == []
    assert explained(tmp_path, "{user_identity: jane}", "--user", "jane")["destinations"] == ["pacs"]
    unverified = "{user_identity: {any_of: [jane], verified: false}}"
    assert explained(tmp_path, unverified, "--claimed-user", "jane")["destinations"] == ["pacs"]


@pytest.mark.parametrize(
    ("at", "destinations"),
    [("2026-11-21T22:00+00:00", ["pacs"]), ("2026-11-21 10:00Z", []), ("2026-11-22T00:30+02:00", ["pacs"])],
)
def test_files_may_arrive_at_another_time(tmp_path: Path, at: str, destinations: list[str]) -> None:
    night = "{time: {between: ['18:00-06:00'], time_zone: UTC}}"
    assert explained(tmp_path, night, "--received-at", at)["destinations"] == destinations


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["image.dcm", "--received-at", "tonight"], "is no date and time"),
        (["--delivery", "1", "--received-at", "2026-11-21"], "--received-at is for files"),
        (["--query", "find", "--received-at", "2026-11-21"], "--received-at is for files"),
    ],
)
def test_times_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "1.2.3").rename(tmp_path / "image.dcm")
    done = CliRunner().invoke(explain, [*words, "--calling-ae", "CT1"])
    assert (done.exit_code, said in done.output) == (2, True), done.output


@pytest.mark.parametrize(
    ("template", "to", "destinations"),
    [("{{ 'pacs' }}", ["pacs"], ["pacs"]), ("{{ SOPInstanceUID }}", [], [])],
    ids=["a peer", "no peer"],
)
def test_a_template_under_to_is_explained(
    tmp_path: Path, template: str, to: list[str], destinations: list[str]
) -> None:
    (tmp_path / "site.yaml").write_text(RULES.replace("[pacs]", f'["{template}"]') % "{}")
    command = [str(write_file(tmp_path, "1.2.3")), "--rules", str(tmp_path / "site.yaml"), "--calling-ae", "CT1"]
    done = CliRunner().invoke(explain, [*command, "--format", "json"])
    assert done.exit_code == 0, done.output
    (one,) = json.loads(done.stdout)["objects"]
    assert one["routes"][0]["to"] == to
    assert one["destinations"] == destinations
    text = CliRunner().invoke(explain, command).stdout
    reason = "gives a name that no enabled destination and no group has"
    assert (reason in text) is (not destinations)
    assert ("site.yaml:5" in text.partition(reason)[0].rpartition("\n")[2]) is (not destinations)
    assert [reason in delivery.get("reason", "") for delivery in one["deliveries"]] == [not destinations]

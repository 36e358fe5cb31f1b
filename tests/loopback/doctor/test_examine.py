"""All checks together: nothing is locked, and what hangs holds nobody up."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from pathlib import Path

import pytest

from gateway.doctor.examine import examine
from gateway.doctor.finding import DoctorFinding
from tests.support.processes import until
from tests.support.steady_loop import let_pass, turns
from tests.unit.doctor.rig import codes, on, site_in


def of(findings: list[DoctorFinding], area: str) -> list[str]:
    return codes(finding for finding in findings if finding.area == area)


async def test_no_lock_is_taken_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_in(tmp_path, {"http": {"address": "127.0.0.1:9"}})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def refuse(*arguments: object) -> None:
        raise AssertionError("a lock is asked for")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    findings = await examine(site)
    assert [finding for finding in findings if finding.severity != "note" and finding.area != "http"] == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


async def test_a_file_that_is_never_read_holds_nobody_up(tmp_path: Path) -> None:
    """A pipe without a writer, as a file on a dead mount."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    site, before = on(site_in(tmp_path), mounts=pipe), threading.enumerate()

    def are_left() -> bool:
        return {thread.name for thread in threading.enumerate() if thread not in before} == {"spool", "database"}

    async def are_left_at_last() -> bool:
        """One check begins when another one has ended."""
        if are_left():
            await turns()
        return are_left()

    try:
        examining = asyncio.create_task(examine(site))
        await until(are_left_at_last)
        await let_pass(site.limit_s)
        findings = await examining
    finally:
        holder = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # whoever waits at the pipe has it open now
        pipe.unlink()
        os.close(holder)  # and sees its end
    assert [finding.subject for finding in findings if finding.code == "check-not-finished"] == ["spool", "database"]
    assert of(findings, "clock") == ["clock"]
    assert of(findings, "configuration") == ["valid"]


async def test_rules_that_can_never_hold_are_findings(tmp_path: Path) -> None:
    routes = [{"name": "heads", "when": {"calling_ae_title": ["NOBODY"]}, "to": ["pacs"]}]
    peers = {
        "pacs": {"folder": {"path": f"{tmp_path}/files/{{{{ SOPInstanceUID }}}}.dcm"}},
        "ct1": {"ae_title": "CT1", "may": ["store"]},
    }
    site = site_in(tmp_path, {"admit": "known"}, peers=peers, routes=routes)
    findings = [finding for finding in await examine(site) if finding.area == "configuration"]
    assert [(finding.severity, "NOBODY" in finding.what) for finding in findings] == [("warning", True)]


async def test_what_rules_with_errors_do_not_name_is_said_to_be_left_out(tmp_path: Path) -> None:
    routes = [{"name": "all", "to": ["nowhere"]}]
    findings = await examine(site_in(tmp_path, routes=routes))
    [finding] = [finding for finding in findings if finding.code == "not-looked-at"]
    assert (finding.severity, finding.what) == (
        "warning",
        "peers and folders were not looked at, for the rules have errors",
    )
    (tmp_path / "right").mkdir()
    assert "not-looked-at" not in [finding.code for finding in await examine(site_in(tmp_path / "right"))]

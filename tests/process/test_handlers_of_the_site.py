"""`gateway run --handlers`: a site's own handler beside the YAML's."""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.status import status_text
from tests.support.caller import call, store_new
from tests.support.dimse.query_rig import IDENTIFIER, Requestor
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import StoreSCP, echoscu
from tests.support.processes import run, until

SITE = """
from pynetdicom import evt
from pydicom.dataset import Dataset

def find(event, name):
    match = Dataset()
    match.QueryRetrieveLevel = "STUDY"
    match.StudyInstanceUID = event.identifier.StudyInstanceUID
    match.PatientName = f"{name}^{event.assoc.requestor.ae_title}^{event.facts.peer}"
    yield 0xFF00, match

def released(event, path):
    with open(path, "a") as file:
        print(event.assoc.requestor.ae_title, event.assoc.is_released, file=file)

def handlers():
    return [(evt.EVT_C_FIND, find, ["SITE"]), (evt.EVT_RELEASED, released, ["RELEASES"])]
"""


@pytest.mark.peers
async def test_the_site_answers_one_service_and_the_rules_the_others(running: AsyncExitStack, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    (tmp_path / "site_handlers.py").write_text(SITE.replace("RELEASES", str(releases)))
    peer = await running.enter_async_context(StoreSCP(tmp_path / "storescp", ae_title="STORESCP"))
    rules = {
        "peers": {
            "viewer": {"ae_title": "TESTER", "may": ["echo", "store", "find"]},
            "pacs": {"ae_title": "STORESCP", "address": f"127.0.0.1:{peer.port}"},
        },
        "routes": [{"name": "all", "to": ["pacs"]}],
        "unmatched": "hold",
    }
    command = [sys.executable, "-m", "gateway", "run", "--log-format", "json", "--handlers", "site_handlers:handlers"]
    gateway = await running.enter_async_context(
        GatewayProcess(tmp_path, rules, command=command, variables={"PYTHONPATH": str(tmp_path)})
    )
    async with await Requestor.open(gateway.port) as requestor:
        requestor.ask("find", 1, IDENTIFIER)
        match, final = await requestor.answers()
        assert (match.status, final.status) == (0xFF00, 0x0000)
        assert b"SITE^TESTER^viewer" in match.identifier
    association = await call(gateway.port, calling="TESTER")
    assert (await store_new(association)).status == 0x0000
    await association.release()
    await until(lambda: len(peer.files()) == 1)
    await until(lambda: releases.exists() and releases.read_text() == "TESTER True\n")
    assert '"site_handlers_bound"' in gateway.log
    assert '"site_notifications_bound"' in gateway.log
    assert "EVT_C_FIND" in gateway.log
    status = json.loads((await gateway.http("GET", "/status"))[1])
    assert status["handlers_of_the_site"] == ["EVT_C_FIND"]
    assert "handlers of the site take EVT_C_FIND: the rules have no part in them\n" in status_text(status)
    stored = status_text({**status, "handlers_of_the_site": ["EVT_C_STORE"]})
    assert "handlers of the site take EVT_C_STORE: the rules have no part in them; what is stored is neither" in stored
    assert "handlers of the site" not in status_text({**status, "handlers_of_the_site": []})


async def test_a_bad_reference_ends_the_start_and_validate_says_the_same(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "site.yaml").write_text("gateway:\n  ae_title: GATEWAY\n  listeners:\n    dicom: {port: 11112}\n")
    for verb, code in (("run", 78), ("validate", 1)):
        done = await run([sys.executable, "-m", "gateway", verb, str(rules), "--handlers", "nowhere_at_all:HANDLERS"])
        assert done.returncode == code, done.output
        assert "there is no module nowhere_at_all" in done.output
        done = await run([sys.executable, "-m", "gateway", verb, str(rules), "--handlers", ""])
        assert done.returncode == code, done.output  # of an environment variable that is not set, most often
        assert "expected module:NAME" in done.output


FAILING = """
from pathlib import Path
from pynetdicom import evt

HERE = Path(__file__).parent

def store(event):
    if (HERE / "mended").exists():
        return 0x0000
    if (HERE / "forgetful").exists():
        return None
    raise KeyError(str(event.dataset.PatientName))

def find(event):
    yield 0xFF00, None
    raise ValueError(str(event.identifier))

def echo(event):
    raise RuntimeError("Nobody")

HANDLERS = [(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, find), (evt.EVT_C_ECHO, echo)]
"""


async def test_a_handler_that_fails_is_seen_until_it_succeeds(running: AsyncExitStack, tmp_path: Path) -> None:
    (tmp_path / "site_handlers.py").write_text(FAILING)
    rules = {"peers": {"viewer": {"ae_title": "TESTER", "may": ["echo", "store", "find"]}}, "unmatched": "hold"}
    command = [sys.executable, "-m", "gateway", "run", "--log-format", "json", "--handlers", "site_handlers:HANDLERS"]
    gateway = await running.enter_async_context(
        GatewayProcess(tmp_path, rules, command=command, variables={"PYTHONPATH": str(tmp_path)})
    )

    async def status() -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await gateway.http("GET", "/status"))[1])
        return found

    assert (await status())["failing_handlers"] == []
    association = await call(gateway.port, calling="TESTER")
    for _ in range(3):
        assert (await store_new(association)).status == 0xC211
    (row,) = (await status())["failing_handlers"]
    place = f"{tmp_path / 'site_handlers.py'}:{FAILING[: FAILING.index('raise KeyError')].count(chr(10)) + 1} store"
    assert (row["event"], row["handler"], row["count"]) == ("EVT_C_STORE", "site_handlers.store", 3)
    assert (row["error"], row["where"]) == ("KeyError", place)
    (tmp_path / "forgetful").touch()
    assert (await store_new(association)).status == 0xC002
    shown = await status()
    (condition,) = shown["conditions"]
    assert (condition["code"], condition["is_blocking"]) == ("handler_failing", False)
    assert "site_handlers.store, which takes EVT_C_STORE, has failed 4 times since " in condition["text"]
    assert "NoneType in place of a status" in condition["text"]
    assert f"  - handler_failing: {condition['text']}" in status_text(shown)
    assert await gateway.metric("gateway_handler_failures_total", handler="EVT_C_STORE") == 4
    assert (await gateway.http("GET", "/readyz"))[0] == 200
    doctor = await run([sys.executable, "-m", "gateway", "doctor", str(gateway.rules_folder), "--json"])
    assert '"handler_failing"' in doctor.output
    assert json.dumps(condition["text"]) in doctor.output
    (tmp_path / "mended").touch()
    assert (await store_new(association)).status == 0x0000
    assert (await status())["conditions"] == []
    await association.release()
    async with await Requestor.open(gateway.port) as requestor:
        requestor.ask("find", 1, IDENTIFIER)
        assert (await requestor.answers())[-1].status == 0xC312
    assert [row["event"] for row in (await status())["failing_handlers"]] == ["EVT_C_FIND"]
    assert "Nobody" not in gateway.log


@pytest.mark.peers
async def test_an_echo_handler_that_fails_is_answered_and_seen(running: AsyncExitStack, tmp_path: Path) -> None:
    """Its contract answers with Success whatever it raises: only the status says that it fails."""
    (tmp_path / "site_handlers.py").write_text(FAILING)
    command = [sys.executable, "-m", "gateway", "run", "--log-format", "json", "--handlers", "site_handlers:HANDLERS"]
    gateway = await running.enter_async_context(
        GatewayProcess(tmp_path, {"unmatched": "hold"}, command=command, variables={"PYTHONPATH": str(tmp_path)})
    )
    done = await echoscu(gateway.port)
    assert done.returncode == 0, done.output
    found = json.loads((await gateway.http("GET", "/status"))[1])
    assert [(row["event"], row["error"]) for row in found["failing_handlers"]] == [("EVT_C_ECHO", "RuntimeError")]

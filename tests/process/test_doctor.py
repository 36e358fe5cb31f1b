"""`gateway doctor` as its users run it: real peers, a running gateway, JSON and exit codes."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.archive import QRSCP
from tests.support.caller import call, store_new
from tests.support.certificates import Authority
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import Modality, Orthanc, StoreSCP
from tests.support.processes import REPOSITORY, free_port, run

OURS = {"PYTHONPATH": str(REPOSITORY), "GATEWAY_RULES": ""}


async def doctor(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of `gateway doctor`."""
    command = [sys.executable, "-m", "gateway", "doctor", "--json", "--timeout", "60", *words]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={"PATH": "/usr/bin", **OURS}, stdout=-1, stderr=-1
    )
    output, errors = await process.communicate()
    assert errors == b"", errors
    return process.returncode or 0, json.loads(output)


def of(found: Mapping[str, Any], area: str, name: str = "") -> list[str]:
    """The codes of one area, or of one subject of it."""
    return [
        row["code"]
        for row in found["findings"]
        if row["area"] == area and (row["subject"].partition(" ")[0] == name or not name)
    ]


def write_site(
    folder: Path, peers: Mapping[str, Any], query_retrieve: Mapping[str, Any] | None = None, **gateway: Any
) -> None:
    (folder / "rules").mkdir()
    site = {
        "gateway": {
            "ae_title": "GATEWAY",
            "listeners": [{"port": free_port(), "address": "127.0.0.1"}],
            "spool": {"path": "var/spool", "min_free": "1 MiB"},
            "queue": {"sqlite": "var/gateway.db", "min_free": "1 MiB"},
            "http": {"address": f"127.0.0.1:{free_port()}"},
            "admit": "any",
            **gateway,
        },
        "peers": dict(peers),
        **({"query_retrieve": dict(query_retrieve)} if query_retrieve else {}),
        "unmatched": "hold",
    }
    (folder / "rules" / "site.yaml").write_text(yaml.safe_dump(site, sort_keys=False))


def at(port: int, ae_title: str, host: str = "127.0.0.1", **more: Any) -> dict[str, Any]:
    return {"ae_title": ae_title, "address": f"{host}:{port}", **more}


@pytest.mark.peers
async def test_real_peers(running: AsyncExitStack, tmp_path: Path) -> None:
    good = StoreSCP(tmp_path / "good", ae_title="GOOD")
    refusing = StoreSCP(tmp_path / "refusing", options=["--refuse"])
    aborting = StoreSCP(tmp_path / "aborting", options=["--abort-after"])
    archive = QRSCP(tmp_path / "archive", ae_title="QRSCP")
    settings = {"DicomCheckCalledAet": True, "DicomAlwaysAllowEcho": False}
    orthanc = Orthanc(
        tmp_path / "orthanc", settings=settings, modalities={"gateway": Modality("GATEWAY", 104, host="127.0.0.1")}
    )
    for one in (good, refusing, aborting, archive, orthanc):
        await running.enter_async_context(one)
    silent = running.enter_context(socket.create_server(("127.0.0.1", 0)))  # the system takes connections, nobody reads
    write_site(
        tmp_path,
        {
            "good": at(good.port, "GOOD"),
            "refusing": at(refusing.port, "STORESCP"),
            "aborting": at(aborting.port, "STORESCP"),
            "archive": at(archive.port, "QRSCP"),
            "misnamed": at(archive.port, "WRONG"),
            "orthanc": at(orthanc.port, "ORTHANC"),
            "orthanc-misnamed": at(orthanc.port, "WRONG"),
            "orthanc-stranger": at(orthanc.port, "ORTHANC", calling_ae_title="STRANGER"),
            "closed": at(free_port(), "CLOSED"),
            "unknown": at(104, "UNKNOWN", host="pacs.invalid"),
            "silent": at(silent.getsockname()[1], "SILENT", timers={"association": "1 s"}),
        },
    )
    code, found = await doctor(tmp_path)
    assert code == 1
    assert found["result"] == "findings"
    expected = {
        "good": ["echo-answered"],
        "refusing": ["rejected-without-reason"],
        "aborting": ["echo-answered"],
        "archive": ["echo-answered"],
        "misnamed": ["called-ae-title-not-recognized"],
        "orthanc": ["echo-answered"],
        "orthanc-misnamed": ["called-ae-title-not-recognized"],
        "closed": ["connection-refused"],
        "silent": ["no-answer"],
    }
    assert {name: of(found, "peer", name) for name in expected} == expected
    assert of(found, "peer", "unknown")[0] in ("name-not-found", "name-not-looked-up")
    assert of(found, "peer", "orthanc-stranger") == ["echo-aborted"]


@pytest.mark.peers
async def test_real_sources(running: AsyncExitStack, tmp_path: Path) -> None:
    """Archives with their default settings serve queries and retrieves; a plain store does not."""
    store = StoreSCP(tmp_path / "store", ae_title="STORE")
    archive = QRSCP(tmp_path / "archive", ae_title="QRSCP")
    orthanc = Orthanc(tmp_path / "orthanc", modalities={"gateway": Modality("GATEWAY", 104, host="127.0.0.1")})
    for one in (store, archive, orthanc):
        await running.enter_async_context(one)
    peers = {
        "store": at(store.port, "STORE"),
        "archive": at(archive.port, "QRSCP"),
        "orthanc": at(orthanc.port, "ORTHANC"),
        "by-move": at(orthanc.port, "ORTHANC", retrieve="move", may=["store"]),
    }
    write_site(tmp_path, peers, {"sources": list(peers), "relay": {"worklist": ["orthanc"]}})
    code, found = await doctor(tmp_path)
    assert code == 1
    served = ["echo-answered", "source-contexts"]
    assert {name: of(found, "peer", name) for name in peers} == {
        "store": ["echo-answered", "query-refused", "retrieve-refused", "source-contexts"],
        "archive": served,
        "orthanc": ["echo-answered", "relay-refused", "source-contexts"],  # it has no plugin of worklists here
        "by-move": served,
    }


async def test_a_running_gateway_and_its_rules(running: AsyncExitStack, tmp_path: Path) -> None:
    archive = free_port()
    rules = {
        "peers": {"pacs": at(archive, "PACS"), "itself": at(0, "GATEWAY")},
        "routes": [{"name": "all", "to": ["pacs"]}],
        "unmatched": "hold",
    }
    gateway = GatewayProcess(tmp_path, rules)
    rules["peers"]["itself"] = at(gateway.port, "GATEWAY")  # type: ignore[index]
    gateway.write_rules(rules)
    code, found = await doctor(tmp_path)
    assert (of(found, "running"), of(found, "listener"), of(found, "http")) == (
        ["not-running"],
        ["port-free"],
        ["port-free"],
    )
    await running.enter_async_context(gateway)
    # It notes its own time in the database each 10 s, and takes the reserve soon after its start.
    of_the_gateway = {"gateway.db", "gateway.db-wal", "gateway.db-shm", "gateway.db.reserve"}
    before = {
        path: path.stat().st_mtime_ns
        for path in tmp_path.rglob("*")
        if path.is_file() and "log" not in path.name and path.name not in of_the_gateway
    }
    code, found = await doctor(tmp_path)
    assert code == 1
    assert (of(found, "running"), of(found, "listener"), of(found, "http")) == (
        ["running"],
        ["port-open"],
        ["port-open"],
    )
    assert of(found, "peer") == ["connection-refused", "this-gateway"]
    assert {path: path.stat().st_mtime_ns for path in before} == before

    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    await association.release()
    gateway.write_rules({**rules, "unmatched": "reject"})
    code, found = await doctor(tmp_path)
    assert "not-in-force" in of(found, "running")

    other = tmp_path / "other"
    other.mkdir()
    write_site(other, {}, http={"address": f"127.0.0.1:{gateway.http_port}"})
    code, found = await doctor(other)
    assert (code, of(found, "running")) == (1, ["another-gateway"])


async def test_a_gateway_that_hangs(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "hold"}))
    gateway.pause()
    try:
        command = [sys.executable, "-m", "gateway", "doctor", "--timeout", "1"]
        done = await run(command, folder=tmp_path, environment=OURS)
    finally:
        gateway.resume()
    assert done.returncode == 1
    assert "not-answering" in done.output


@pytest.mark.quick
async def test_all_is_fine_and_said_to_be(tmp_path: Path) -> None:
    write_site(tmp_path, {"ct1": {"ae_title": "CT1", "may": ["store"]}})
    code, found = await doctor(tmp_path)
    assert (code, found["result"], found["errors"], found["warnings"]) == (0, "fine", 0, 0)
    assert {row["severity"] for row in found["findings"]} == {"note"}
    fields = {"severity", "area", "code", "subject", "what", "remedy"}
    assert all(
        row.keys() == fields and all(isinstance(text, str) for text in row.values()) for row in found["findings"]
    )
    assert found.keys() == {"result", "rules", "errors", "warnings", "findings"}
    assert not (tmp_path / "var").exists()
    done = await run([sys.executable, "-m", "gateway", "doctor"], folder=tmp_path, environment=OURS)
    assert done.returncode == 0
    assert "rules: all is fine" in done.output


async def test_a_configuration_with_errors(tmp_path: Path) -> None:
    """What `gateway:` names is checked all the same; without a usable `gateway:` there is nothing to look at."""
    write_site(tmp_path, {"pacs": at(104, "A" * 17)})
    code, found = await doctor(tmp_path)
    assert (code, found["result"]) == (78, "bad_configuration")
    assert of(found, "listener") == ["port-free"]
    assert [row["severity"] for row in found["findings"] if row["area"] == "configuration"] == ["error"]
    (tmp_path / "rules" / "site.yaml").write_text("gateway: {}\n")
    code, found = await doctor(tmp_path)
    assert (code, {row["area"] for row in found["findings"]}) == (78, {"configuration", "doctor"})
    code, found = await doctor(tmp_path, "nowhere")
    assert (code, found["result"]) == (78, "bad_configuration")


async def test_dates_of_certificates(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    old = authority.issue("old", "/CN=localhost", days=-1)
    soon = authority.issue("soon", "/CN=localhost", days=10)
    listeners = [
        {"port": free_port(), "address": "127.0.0.1", "tls": {"certificate": old.certificate, "key": old.key}},
        {"port": free_port(), "address": "127.0.0.1", "tls": {"certificate": soon.certificate, "key": soon.key}},
    ]
    write_site(tmp_path, {}, listeners=listeners)
    code, found = await doctor(tmp_path)
    assert code == 1
    assert {"out-of-date", "ends-soon"} <= set(of(found, "configuration"))
    assert of(found, "listener") == ["port-free", "port-free"]

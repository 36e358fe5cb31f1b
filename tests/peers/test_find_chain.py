"""Gateways behind gateways, in a circle: everything is found once, and the question comes to an end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.sources.sources import MOST_HOPS
from tests.support.archive import findscu
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import storescu
from tests.support.processes import free_port
from tests.support.query_table import DOE, MUELLER, OBJECTS, ROE, write_object

pytestmark = pytest.mark.peers

STUDIES = [each["StudyInstanceUID"] for each in (ROE, DOE, MUELLER)]
NAMES = ("one", "two", "three")
AROUND = {"one": ["two"], "two": ["three"], "three": ["one"]}
EVERYBODY = {name: [other for other in NAMES if other != name] for name in NAMES}


def rules(name: str, ports: dict[str, int], asked: list[str]) -> dict[str, Any]:
    others = {
        other: {"ae_title": other.upper(), "address": f"127.0.0.1:{port}", "may": ["find"]}
        for other, port in ports.items()
        if other != name
    }
    return {
        "peers": {"viewer": {"ae_title": "FINDSCU", "may": ["find"]}, **others},
        "unmatched": "hold",
        "query_retrieve": {"sources": ["local", *asked], "timeout": "60 s"},
    }


@pytest.mark.parametrize("sources", [AROUND, EVERYBODY], ids=["around", "everybody asks everybody"])
async def test_gateways_in_a_circle(tmp_path: Path, sources: dict[str, list[str]]) -> None:
    ports = {name: free_port() for name in NAMES}
    async with AsyncExitStack() as stack:
        gateways = {
            name: GatewayProcess(tmp_path / name, rules(name, ports, sources[name]), port=port, ae_title=name.upper())
            for name, port in ports.items()
        }
        await asyncio.gather(*(stack.enter_async_context(gateway) for gateway in gateways.values()))
        for (name, gateway), uid in zip(gateways.items(), STUDIES, strict=True):
            held = [each for each in OBJECTS if each["StudyInstanceUID"] == uid]
            files = [write_object(tmp_path / f"{name}-{at}.dcm", each) for at, each in enumerate(held)]
            sent = await storescu(gateway.port, files, called=name.upper())
            assert sent.returncode == 0, sent.output
        keys = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=")
        found = await asyncio.to_thread(findscu, gateways["one"].port, "study", keys, called="ONE")
    # a line is written after its answer, and before the end of its gateway
    served = [event for gateway in gateways.values() for event in gateway.events() if event["event"] == "find_served"]
    assert found.is_success, found.log
    assert sorted(str(answer.StudyInstanceUID) for answer in found.answers) == sorted(STUDIES)
    # each question goes on to one other gateway, or to two less whoever asked
    assert len(served) == 1 + MOST_HOPS if sources is AROUND else len(served) <= 1 + 2 * MOST_HOPS

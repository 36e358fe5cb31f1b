"""`gateway find` as people use it: a peer, all sources merged, the gateway's own index, a worklist."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.support.federation import Source, filled
from tests.support.processes import REPOSITORY, free_port, run
from tests.support.query_table import DOE, OBJECTS, ROE, ROE_AGAIN

pytestmark = pytest.mark.quick

R1, R2, D1 = (each["StudyInstanceUID"] for each in (ROE, ROE_AGAIN, DOE))


def of(*studies: str) -> list[Any]:
    return [each for each in OBJECTS if each["StudyInstanceUID"] in studies]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Path]:
    """Rules with two sources, the index, and a peer that is gone."""
    async with AsyncExitStack() as stack:
        sources = [Source("one", of(R1)), Source("two", of(R1, R2))]
        for source in sources:
            await stack.enter_async_context(source.running())
        filled(tmp_path / "gateway.db", of(D1)).close()
        peers = {source.name: {"ae_title": source.name, "address": f"127.0.0.1:{source.port}"} for source in sources}
        rules: dict[str, Any] = {
            "gateway": {
                "ae_title": "GATEWAY",
                "listeners": [{"port": 11112}],
                "queue": {"sqlite": str(tmp_path / "gateway.db")},
                "spool": {"path": str(tmp_path / "spool")},
                "admit": "any",
            },
            "unmatched": "hold",
            "peers": {**peers, "gone": {"ae_title": "GONE", "address": f"127.0.0.1:{free_port()}"}},
            "query_retrieve": {"sources": ["one", "local", "two"], "relay": {"worklist": ["gone"]}},
        }
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
        yield tmp_path / "rules.yaml"


async def find(site: Path, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["find", *words, "--rules", str(site)])


ROWS: dict[str, tuple[tuple[str, ...], str, list[str]]] = {
    "a peer": (("one",), "StudyInstanceUID", [R1]),
    "all": (("all",), "StudyInstanceUID", [R1, R2, D1]),
    "the index": (("local",), "StudyInstanceUID", [D1]),
    "a key": (("all", "PatientID=P-001"), "StudyInstanceUID", [R1, R2]),
    "wild cards": (("all", "PatientName=DOE*"), "StudyInstanceUID", [D1]),
    "a tag": (("all", "(0010,0020)=P-002"), "PatientID", ["P-002"]),
    "patients": (("all", "--level", "patient"), "PatientID", ["P-001", "P-002"]),
    "series": (("all", f"StudyInstanceUID={R1}", "--level", "SERIES"), "SeriesInstanceUID", [f"{R1}.1", f"{R1}.2"]),
    "series by a key": (
        ("all", f"StudyInstanceUID={R1}", "QueryRetrieveLevel=SERIES"),
        "SeriesInstanceUID",
        [f"{R1}.1", f"{R1}.2"],
    ),
    "images of a modality": (("all", "Modality=SR", "--level", "image"), "SOPInstanceUID", [f"{R2}.3.1"]),
    "patient root": (("two", "PatientID=P-001", "--model", "patient"), "StudyInstanceUID", [R1, R2]),
    "several values": (("all", f"StudyInstanceUID={R1}\\{D1}"), "StudyInstanceUID", [R1, D1]),
    "nothing": (("all", "PatientID=NOBODY"), "StudyInstanceUID", []),
}


@pytest.mark.parametrize("name", ROWS)
async def test_json(site: Path, name: str) -> None:
    words, keyword, expected = ROWS[name]
    result = await find(site, *words, "--format", "json")
    assert result.exit_code == 0, result.output
    assert sorted(answer[keyword] for answer in json.loads(result.stdout)) == sorted(expected)


async def test_table(site: Path) -> None:
    result = await find(site, "all", "PatientName=roe*", "StudyDescription", "PatientID")
    assert result.exit_code == 0, result.output
    heads, *rows = result.stdout.splitlines()
    assert heads.split() == ["PatientName", "StudyDescription", "PatientID"]
    assert sorted(row.split()[-1] for row in rows) == ["P-001", "P-001"]
    assert result.stderr == "2 answers\n"


async def test_limit(site: Path) -> None:
    result = await find(site, "all", "--limit", "1", "--format", "json")
    assert len(json.loads(result.stdout)) == 1


async def test_places_that_do_not_answer_are_reported(site: Path) -> None:
    alone = await find(site, "gone")
    assert alone.exit_code == 1
    assert "gone: " in alone.stderr
    assert "incomplete: 1 place did not answer" in alone.stderr
    worklist = await find(site, "all", "--model", "worklist")
    assert worklist.exit_code == 1
    assert "gone: " in worklist.stderr


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown keyword": (("one", "PatientNane=X"), "did you mean `PatientName`"),
    "an unknown peer": (("three",), "no peer 'three'"),
    "a level that the model lacks": (("one", "--level", "patient", "--model", "study"), "has no level patient"),
    "a worklist of the index": (("local", "--model", "worklist"), "knows nothing of --model worklist"),
    "a service that nobody serves": (("all", "--model", "ups"), "name nobody to ask"),
    "a private attribute by creator": (("one", "(0029,[SIEMENS CSA HEADER],10)=1"), "cannot be asked for"),
    "an empty key": (("one", "=1"), "is not an attribute"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_usage(site: Path, name: str) -> None:
    words, told = WRONG[name]
    result = await find(site, *words)
    assert result.exit_code == 2, result.output
    assert told in " ".join(result.stderr.split())


async def test_by_address_without_rules(tmp_path: Path) -> None:
    async with Source("pacs", of(R1)).running() as source:
        command = [sys.executable, "-m", "gateway", "find", f"127.0.0.1:{source.port}", "--called-ae", "PACS"]
        finished = await run(
            [*command, "PatientID"], environment={"PYTHONPATH": str(REPOSITORY)}, folder=tmp_path, timeout_s=120
        )
    assert finished.returncode == 0, finished.output
    assert finished.output.splitlines()[:2] == ["PatientID", "P-001"]

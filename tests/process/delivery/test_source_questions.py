"""A study of which a source knows the whole: it is asked, also after a kill while the question is open."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.dimse.protocol.memory import MemoryDataSet
from tests.support.caller import call, data_set, new_uid, store
from tests.support.federation import LOOPBACK, Source
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import until

LIMIT_S = 120.0
STUDY, SERIES = "1.2.3.1", "1.2.3.2"
"""Those of `data_set`."""


def rules(folder: Path, source: Source) -> dict[str, Any]:
    return {
        "peers": {
            "disk": {"folder": {"path": f"{folder}/{{{{ SOPInstanceUID }}}}.dcm"}},
            "others": {"folder": {"path": f"{folder}-others/{{{{ SOPInstanceUID }}}}.dcm"}},
            "vna": {"ae_title": "VNA", "address": f"{LOOPBACK}:{source.port}"},
        },
        "collections": {
            "asking": {
                **{"quiet": "1 s", "at_most": "6 h", "if_incomplete": "hold"},
                "expect": {"from": "vna", "every": "1 s", "timeout": "1 s"},
            },
            "others": {"quiet": "1 s"},
        },
        "routes": [
            {"name": "asked", "collection": "asking", "to": ["disk"]},
            {"name": "not asked", "collection": "others", "to": ["others"]},
        ],
        "unmatched": "reject",
    }


def known(uid: str) -> dict[str, str]:
    """An instance as the source has it."""
    return {
        **{"SOPInstanceUID": uid, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "PatientID": "P", "PatientName": "N"},
        **{"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "Modality": "MR"},
    }


async def send(gateway: GatewayProcess, uid: str) -> None:
    association = await call(gateway.port)
    assert (await store(association, MemoryDataSet(data_set(uid)), uid)).status == 0x0000
    await association.release()


def completed(gateway: GatewayProcess) -> dict[str, dict[str, Any]]:
    """What the log says of ends, by definition; each ends once."""
    found = [event for event in gateway.events() if event.get("event") == "collection_completed"]
    assert len({event["collection_id"] for event in found}) == len(found)
    return {event["collection"]: event for event in found}


async def test_a_kill_while_a_source_is_asked(running: AsyncExitStack, tmp_path: Path) -> None:
    received = tmp_path / "received"
    for folder in (received, tmp_path / "received-others"):
        folder.mkdir()
    uids = [new_uid(), new_uid()]
    source = await running.enter_async_context(Source("vna", [known(uid) for uid in uids]).running())
    source.go.clear()  # it hangs
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", rules(received, source)))
    await send(gateway, uids[0])
    await until(lambda: bool(source.asked), LIMIT_S, "the question")
    await until(lambda: "others" in completed(gateway), LIMIT_S, "the end of the one that asks nobody")
    assert "asking" not in completed(gateway)
    gateway.kill()
    asked = len(source.asked)
    await gateway.restart()
    await until(lambda: len(source.asked) > asked, LIMIT_S, "the question once more")
    source.go.set()
    await send(gateway, uids[1])
    await until(lambda: "asking" in completed(gateway), LIMIT_S, "the end of the one that asks")
    event = completed(gateway)["asking"]
    assert (event["result"], event["outcome"], event["instances"]) == ("verified", "send", 2)
    assert (event["expected"], event["missing"], event["why"]) == (2, 0, "")
    await gateway.idle()
    assert sorted(path.stem for path in received.rglob("*.dcm")) == sorted(uids)

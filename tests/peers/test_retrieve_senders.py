"""What a source sends for a C-MOVE to ourselves is taken from where the source was asked, or from its `hosts`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.support.archive import QRSCP
from tests.support.peers import GatewayProcess, free_port
from tests.support.retrieving import getscu
from tests.support.spread import WHOLE_STUDY, all_uids, give, write_study

pytestmark = pytest.mark.peers

ASKED_AT = "127.0.0.2"
"""dcmqrscp answers there as well, and sends from 127.0.0.1."""

HOSTS: dict[str, tuple[list[str], bool]] = {
    "from elsewhere": ([], False),
    "from one of its hosts": (["127.0.0.1"], True),
    "from a network of its": (["127.0.0.0/30"], True),
}


@pytest.mark.parametrize("name", HOSTS)
async def test_where_instances_may_come_from(tmp_path: Path, name: str) -> None:
    hosts, is_taken = HOSTS[name]
    port = free_port()
    files = [path for paths in write_study(tmp_path / "files").values() for path in paths]
    async with AsyncExitStack() as stack:
        archive = await stack.enter_async_context(QRSCP(tmp_path / "qrscp", destinations={"GATEWAY": port}))
        await give(archive, files)
        source: dict[str, Any] = {
            "ae_title": archive.ae_title,
            "address": f"{ASKED_AT}:{archive.port}",
            "may": ["store"],
            "retrieve": "move",
        }
        rules = {
            "peers": {
                "viewer": {"ae_title": "VIEWER", "may": ["get"]},
                "pacs": source | ({"hosts": hosts} if hosts else {}),
            },
            "routes": [],
            "unmatched": "hold",
            "query_retrieve": {"sources": ["pacs"]},
        }
        gateway = await stack.enter_async_context(GatewayProcess(tmp_path / "gateway", rules, port=port))
        got = await getscu(port, "study", WHOLE_STUDY, tmp_path / "got")
        held = await gateway.metric("gateway_queue_deliveries", state="held")
        refused = [event for event in gateway.events() if event["event"] == "retrieve_instance_not_taken"]
    found = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in (tmp_path / "got").iterdir()}
    if is_taken:
        assert got.is_success, got.log
        assert (found, held, refused) == (all_uids(), 0, [])
        return
    assert (got.status, found) == (0xA702, set())
    assert held == len(files), "they are objects like any others"
    reason = "127.0.0.1 is neither the address at which pacs was asked nor one of its `hosts`"
    assert {event["reason"] for event in refused} == {reason}

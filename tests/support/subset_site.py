"""Orthanc and dcmqrscp with the same objects, and three gateways: over each of them, and with the objects itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.support.archive import QRSCP
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import Orthanc, storescu
from tests.support.query_table import write_objects
from tests.support.subsets import Asked, Requestor, differences

PLACES = ("local", "orthanc", "dcmqrscp")
"""What a gateway asks."""


class Site:
    """Requestors of each gateway, and of what is behind it; dcmqrscp is what the index is compared with."""

    def __init__(self, pairs: dict[str, tuple[Requestor, Requestor]]) -> None:
        self._pairs = pairs

    def differences(self, place: str, asked: Sequence[Asked]) -> list[str]:
        """The differences between the gateway before `place` and the place itself."""
        return differences(asked, *self._pairs[place])


TO_THE_LETTER = {"strict": True}
"""What the archives refuse is refused: what the gateway makes of it otherwise has tests of its own."""


def _rules(sources: list[str], **peers: Any) -> dict[str, Any]:
    return {
        "peers": {
            "findscu": {"ae_title": "FINDSCU", "may": ["find"]},
            "sender": {"ae_title": "STORESCU", "may": ["store"]},
            **peers,
        },
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {"sources": sources},
    }


@contextlib.contextmanager
def site_of(folder: Path) -> Iterator[Site]:
    """Everything runs until it is left."""
    archive = QRSCP(folder / "qrscp", ae_title="QRSCP")
    may = {"DicomAlwaysAllowFind": True, "DefaultEncoding": "Utf8", "DicomScpTimeout": 600}
    orthanc = Orthanc(folder / "orthanc", ae_title="ORTHANC", settings=may)
    sources: dict[str, QRSCP | Orthanc] = {"orthanc": orthanc, "dcmqrscp": archive}
    gateways = {"local": GatewayProcess(folder / "local", _rules(["local"]), settings=TO_THE_LETTER)}
    for name, source in sources.items():
        peer = {"ae_title": source.ae_title, "address": f"127.0.0.1:{source.port}"}
        gateways[name] = GatewayProcess(
            folder / f"before-{name}", _rules([name], **{name: peer}), settings=TO_THE_LETTER
        )
    running = AsyncExitStack()

    async def start() -> None:
        for daemon in (*sources.values(), *gateways.values()):
            await running.enter_async_context(daemon)
        files = write_objects(folder / "objects")
        holders: list[QRSCP | Orthanc | GatewayProcess] = [*sources.values(), gateways["local"]]
        for each in holders:
            sent = await storescu(each.port, files, called=each.ae_title)
            assert sent.returncode == 0, sent.output

    try:
        asyncio.run(start())
        there = {name: Requestor(each.port, each.ae_title) for name, each in sources.items()}
        there["local"] = Requestor(archive.port, archive.ae_title)
        here = {name: Requestor(each.port, each.ae_title) for name, each in gateways.items()}
        try:
            yield Site({name: (there[name], here[name]) for name in PLACES})
        finally:
            for each in (*there.values(), *here.values()):
                each.close()
    finally:
        asyncio.run(running.aclose())

"""The test peers work against each other; without this, a failure further up says nothing."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.gateway_process import parse_metrics
from tests.support.peers import (
    Modality,
    Orthanc,
    StockSCP,
    StoreSCP,
    dcmsend,
    echoscu,
    read_part10,
    stock_scu,
    storescu,
)

pytestmark = pytest.mark.peers


def digest(path: Path) -> str:
    return hashlib.sha256(read_part10(path).data_set).hexdigest()


@pytest.fixture
def ct_small(corpus: tuple[Path, ...]) -> Path:
    return next(path for path in corpus if path.name == "CT_small.dcm")


@pytest.mark.parametrize("sender", [storescu, dcmsend, stock_scu], ids=lambda sender: str(sender.__name__))
async def test_senders_reach_storescp(sender: object, storescp: StoreSCP, ct_small: Path) -> None:
    assert callable(sender)
    finished = await sender(storescp.port, [ct_small])
    assert finished.returncode == 0, finished.output
    assert [read_part10(path).sop_instance_uid for path in await storescp.received(1)] == [
        read_part10(ct_small).sop_instance_uid
    ]


async def test_stock_peers_keep_the_bytes(stock_scp: StockSCP, ct_small: Path) -> None:
    assert (await echoscu(stock_scp.port)).returncode == 0
    assert (await stock_scu(stock_scp.port, [ct_small])).output.startswith("0000\t")
    assert [digest(path) for path in await stock_scp.received(1)] == [digest(ct_small)]


async def test_orthanc_sends_what_it_was_given(running: AsyncExitStack, tmp_path: Path, ct_small: Path) -> None:
    sink = await running.enter_async_context(StoreSCP(tmp_path / "sink"))
    modalities = {"sink": Modality("SINK", sink.port)}
    orthanc = await running.enter_async_context(Orthanc(tmp_path / "orthanc", modalities=modalities))
    assert (await stock_scu(orthanc.port, [ct_small])).output.startswith("0000\t")
    (instance,) = await orthanc.received(1)
    await orthanc.send("sink", [instance])
    assert len(await sink.received(1)) == 1


async def test_a_peer_that_cannot_start_says_why(tmp_path: Path) -> None:
    peer = StoreSCP(tmp_path / "scp", options=["--no-such-option"])
    with pytest.raises(AssertionError, match="no-such-option"):
        await peer.start()
    assert not peer.is_running


def test_corpus_is_there(corpus: tuple[Path, ...]) -> None:
    assert len(corpus) > 150
    assert {"CT_small.dcm", "MR_small.dcm"} <= {path.name for path in corpus}


def test_metrics_are_parsed() -> None:
    text = '# HELP a_total b\n# TYPE a_total counter\na_total{peer="p \\"q\\"",x="1"} 3.0\nb 1e-3\n'
    assert parse_metrics(text) == {"a_total": [({"peer": 'p \\"q\\"', "x": "1"}, 3.0)], "b": [({}, 0.001)]}

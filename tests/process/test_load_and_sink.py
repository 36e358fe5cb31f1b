"""The load generator and the sink count right, also against peers that are not theirs."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread

from tests.support.links import Links, LinkState
from tests.support.load.generator import AssociationFailed, Load, Target
from tests.support.load.get import get_study
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess, StockSCP, StoreSCP, read_part10, storescu
from tests.support.processes import until


@pytest.mark.quick
@pytest.mark.parametrize(
    ("size_bytes", "associations", "objects"),
    [(8192, 1, 50), (8192, 8, 200), (131072, 3, 30), (600_000, 2, 10)],
    ids=["8 KB", "8 KB on 8 associations", "about one PDU", "several PDUs"],
)
async def test_load_reaches_the_sink(tmp_path: Path, size_bytes: int, associations: int, objects: int) -> None:
    async with Sink(tmp_path / "sink.log") as sink:
        report = Load(Target(sink.port), size_bytes=size_bytes, associations=associations, objects=objects).run()
        assert report.statuses == {0x0000: objects}
        assert len(set(report.acknowledged)) == objects
        stats = sink.ask("objects")
        assert sorted(stats["objects"]) == sorted(report.acknowledged)
        assert stats["size_bytes"] == objects * size_bytes
        assert stats["associations"] == associations


@pytest.mark.peers
async def test_load_is_real_dicom(storescp: StoreSCP) -> None:
    report = Load(Target(storescp.port), size_bytes=8192, objects=3).run()
    files = await storescp.received(3)
    assert {str(dcmread(path).SOPInstanceUID) for path in files} == set(report.acknowledged)
    assert {len(read_part10(path).data_set) for path in files} == {8192}


@pytest.mark.peers
async def test_sink_digests_what_a_real_sender_sends(tmp_path: Path, corpus: tuple[Path, ...]) -> None:
    path = next(path for path in corpus if path.name == "MR_small.dcm")
    async with Sink(tmp_path / "sink.log", digest=True, marks=("MR",)) as sink, StoreSCP(tmp_path / "scp") as scp:
        for port in (sink.port, scp.port):
            finished = await storescu(port, [path])
            assert finished.returncode == 0, finished.output
        (file,) = await scp.received(1)
        arrived = sink.ask("objects")["objects"]
    assert arrived == {read_part10(path).sop_instance_uid: [hashlib.sha256(read_part10(file).data_set).hexdigest()]}


async def test_marks_are_found(tmp_path: Path) -> None:
    async with Sink(tmp_path / "sink.log", marks=("North Hospital", "South Hospital")) as sink:
        Load(Target(sink.port), objects=1).run()
        assert list(sink.ask("objects")["objects"].values()) == [["North Hospital"]]


@pytest.mark.peers
async def test_failures_are_counted_not_acknowledged(tmp_path: Path) -> None:
    async with StockSCP(tmp_path / "stock", status=0xA700) as peer:
        report = Load(Target(peer.port), objects=3).run()
    assert report.statuses == {0xA700: 3}
    assert report.acknowledged == []


class Impatient(Load):
    """Waits long for its association, and a second for an answer."""

    def _serve(self) -> None:
        self.target = replace(self.target, timeout_s=1.0)
        super()._serve()


async def test_a_lost_association_is_no_acknowledgement(tmp_path: Path) -> None:
    async with Sink(tmp_path / "sink.log", silent=True) as sink:
        with pytest.raises(TimeoutError, match="no answer"):
            Impatient(Target(sink.port), objects=2).run()
        assert sink.ask()["total"] == 0


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        Load(Target(9), objects=1).run()
    assert issubclass(AssociationFailed, ConnectionError)


@pytest.mark.quick
def test_samples_have_their_size() -> None:
    for size_bytes in (2048, 8192, 524288):
        assert len(sample(size_bytes).data_set) == size_bytes


@pytest.mark.parametrize("size_bytes", [8192, 524288])
async def test_the_raw_c_get_counts_what_comes(tmp_path: Path, size_bytes: int) -> None:
    peers = {"load": {"ae_title": "LOAD", "may": ["store"]}, "viewer": {"ae_title": "VIEWER", "may": ["get"]}}
    rules = {"peers": peers, "unmatched": "hold", "query_retrieve": {"sources": ["local"]}}
    async with GatewayProcess(tmp_path / "gateway", rules) as gateway:
        load = Load(Target(gateway.port), size_bytes=size_bytes, objects=12)
        assert (await asyncio.to_thread(load.run)).statuses == {0x0000: 12}
        study = pydicom.dcmread(BytesIO(sample(size_bytes).data_set), force=True).StudyInstanceUID
        got = await asyncio.to_thread(get_study, Target(gateway.port, calling="VIEWER"), study)
        assert (got.status, got.objects, got.size_bytes) == (0x0000, 12, 12 * size_bytes)
        nothing = await asyncio.to_thread(get_study, Target(gateway.port, calling="VIEWER"), "1.2.3")
        assert (nothing.status, nothing.objects) == (0x0000, 0)


@pytest.mark.parametrize(("elements", "found"), [(0, 47), (47, 47), (100, 100), (300, 300)])
def test_samples_have_as_many_elements_as_is_said(elements: int, found: int) -> None:
    one = sample(16384, elements)
    read = pydicom.dcmread(BytesIO(one.data_set), force=True)
    assert len(one.data_set) == 16384
    assert [element.tag for element in read] == sorted(element.tag for element in read)
    assert len(read) == found + 1, "Pixel Data beside them"
    assert one.data_set[one.uid_at :].startswith(read.SOPInstanceUID.encode())


@pytest.mark.parametrize("states", [("frozen", "whole"), ("frozen", "reset"), ("refused", "whole"), ("reset",)])
async def test_objects_are_sent_again_after_a_link_was_cut(tmp_path: Path, states: tuple[LinkState, ...]) -> None:
    async with Sink(tmp_path / "sink.log") as sink, Links(tmp_path / "links.log", {"sink": sink.port}) as links:
        load = Load(Target(links.ports["sink"]), seconds=1e9, reconnect=True, again=True)
        sending = asyncio.create_task(asyncio.to_thread(load.run))
        await until(lambda: len(load.report.acknowledged) > 5)
        for state in states:
            await links.change("sink", state)
        after = len(load.report.acknowledged)
        await until(lambda: len(load.report.acknowledged) > after + 5)
        load.stop()
        report = await sending
        assert {*report.acknowledged} <= {*sink.ask("objects")["objects"]}
        assert {*report.unanswered} <= {*report.acknowledged}
        assert bool(report.unanswered) is (states != ("frozen", "whole"))

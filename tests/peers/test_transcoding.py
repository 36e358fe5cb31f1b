"""Transcoding on the wire: the gateway as it runs, real senders, receivers that are choosy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID

from gateway.dataset.codecs import CODECS, missing
from tests.support.corpus import Part10, read_part10
from tests.support.peers import GatewayProcess, StockSCP, StoreSCP, stock_scu, stored
from tests.support.pixels import EXPLICIT, IMPLICIT, JPEG_2000, JPEG_2000_LOSSLESS, JPEG_LS, RLE, dataset, pixels
from tests.support.processes import run, until

pytestmark = [pytest.mark.peers, pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")]

NAMES = [
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
    "JPEG2000.dcm",
]


class ChoosySCP(StoreSCP):
    """dcmtk's storescp with the transfer syntaxes that `takes` says; without, the native ones."""

    def __init__(self, folder: Path, *takes: str) -> None:
        super().__init__(folder)
        self.takes = takes

    def command(self) -> list[str]:
        program, *rest = (word for word in super().command() if word != "+xa")
        return [program, *self.takes, *rest]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def chosen(corpus: tuple[Path, ...], folder: Path, names: list[str]) -> dict[str, Path]:
    """SOP Instance UID → a copy of each file under a UID of its own: some files share theirs."""
    folder.mkdir()
    found = {}
    for number, name in enumerate(names):
        data = dcmread(next(path for path in corpus if path.name == name))
        uid = UID(f"1.2.826.0.1.3680043.9.99.{number}")
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
        path = folder / f"{number}-{name}"
        data.save_as(path)
        found[str(data.SOPInstanceUID)] = path
    return found


def rules(scp: Any, *, then: Sequence[Mapping[str, Any]] | None = None, **delivery: Any) -> dict[str, Any]:
    peer = {
        "ae_title": scp.ae_title,
        "address": f"127.0.0.1:{scp.port}",
        "delivery": {"associations": 1, "retry": {"first": "100 ms", "max": "100 ms"}, **delivery},
    }
    route: dict[str, Any] = {"name": "all", "to": ["scp"]}
    if then is not None:
        route["then"] = list(then)
    return {"peers": {"scp": peer}, "routes": [route], "unmatched": "discard"}


@asynccontextmanager
async def gateway(folder: Path, site: Mapping[str, Any], **settings: Any) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(folder / "gateway", site, settings=settings) as running:
        yield running


async def send(running: GatewayProcess, paths: list[Path]) -> None:
    finished = await stock_scu(running.port, paths)
    assert finished.returncode == 0, finished.output


async def all_of(running: GatewayProcess, scp: StoreSCP, count: int) -> dict[str, Part10]:
    """What arrived, by SOP Instance UID; files are complete once the gateway was answered."""
    await scp.received(count)
    await running.idle()
    return by_uid(scp.files())


def by_uid(files: list[Path]) -> dict[str, Part10]:
    return {part.sop_instance_uid: part for part in map(read_part10, files)}


def assert_same_pixels(arrived: Part10, original: Path) -> None:
    before = dcmread(original)
    lossy = str(before.file_meta.TransferSyntaxUID) == "1.2.840.10008.1.2.4.50"
    ours = pixels(dataset(arrived.data_set, arrived.transfer_syntax_uid))
    np.testing.assert_array_equal(ours, pixels(before, as_rgb=lossy))


@pytest.mark.parametrize(
    ("options", "fallback", "takes"),
    [
        (("+xi",), ["ImplicitVRLittleEndian"], {IMPLICIT}),
        ((), ["JPEG2000Lossless", "ExplicitVRLittleEndian"], {IMPLICIT, EXPLICIT}),
        (("+xr",), ["JPEG2000Lossless", "RLELossless"], {IMPLICIT, EXPLICIT, RLE}),
    ],
    ids=["implicit alone", "native", "RLE and native"],
)
async def test_what_a_peer_does_not_take_arrives_in_the_fallback(
    tmp_path: Path, corpus: tuple[Path, ...], options: tuple[str, ...], fallback: list[str], takes: set[str]
) -> None:
    originals = chosen(corpus, tmp_path / "originals", NAMES)
    async with (
        ChoosySCP(tmp_path / "scp", *options) as scp,
        gateway(tmp_path, rules(scp, fallback=fallback)) as running,
    ):
        await send(running, list(originals.values()))
        arrived = await all_of(running, scp, len(originals))
        assert await running.metric("gateway_deliveries_total", outcome="refused") == 0
        converted = await running.metric("gateway_conversions_total", outcome="converted")
    assert arrived.keys() == originals.keys()
    assert {part.transfer_syntax_uid for part in arrived.values()} <= takes
    for uid, path in originals.items():
        before = read_part10(path)
        if before.transfer_syntax_uid in takes:
            assert arrived[uid].data_set == before.data_set  # as it came
            converted += 1
        elif before.transfer_syntax_uid in {IMPLICIT, EXPLICIT}:
            converted += 1  # written in the other native form, which is no conversion of the pixels
        assert_same_pixels(arrived[uid], path)
    assert converted == len(originals)


async def test_a_peer_that_refuses_by_status_gets_the_fallback(tmp_path: Path, corpus: tuple[Path, ...]) -> None:
    """Some peers accept every context, and then cannot decode what comes."""
    originals = chosen(corpus, tmp_path / "originals", ["MR_small_jp2klossless.dcm"])
    async with (
        StockSCP(tmp_path / "scp", status=0xC000) as scp,
        gateway(tmp_path, rules(scp, fallback=["ExplicitVRLittleEndian", "RLELossless"])) as running,
    ):
        await send(running, list(originals.values()))
        await until_metric(running, "gateway_deliveries_total", 1, outcome="refused")
        converted = (await running.metrics())["gateway_conversions_total"]
        (row,) = await dead_letters(running)
    assert {labels["to"] for labels, _ in converted} == {
        "ExplicitVRLittleEndian",
        "ImplicitVRLittleEndian",
        "RLELossless",
    }
    assert row["reason"].count("0xC000") == 4  # Implicit VR Little Endian is offered beside each native form


async def test_without_fallback_what_a_peer_does_not_take_is_a_dead_letter(
    tmp_path: Path, corpus: tuple[Path, ...]
) -> None:
    """It says what was not accepted, and arrives once the peer has a fallback."""
    originals = chosen(corpus, tmp_path / "originals", ["MR_small_jp2klossless.dcm", "MR_small.dcm"])
    (refused, taken) = originals
    async with ChoosySCP(tmp_path / "scp") as scp, gateway(tmp_path, rules(scp)) as running:
        await send(running, list(originals.values()))
        assert (await all_of(running, scp, 1)).keys() == {taken}
        (row,) = await dead_letters(running)
        assert row["sop_instance_uid"] == refused
        assert row["reason"] == (
            "scp accepted no presentation context for MR Image Storage (1.2.840.10008.5.1.4.1.1.4) in "
            "JPEG 2000 Image Compression (Lossless Only) (1.2.840.10008.1.2.4.90)"
        )
        assert await running.metric("gateway_conversion_workers") == 0
        running.write_rules(rules(scp, fallback=["ExplicitVRLittleEndian"]))
        running.reload()
        await until_metric(running, "gateway_config_reloads_total", 1, result="applied")
        await command(running, "retry", "--state", "dead")
        arrived = await all_of(running, scp, 2)
    assert_same_pixels(arrived[refused], originals[refused])


@pytest.mark.parametrize(
    ("options", "to", "becomes"),
    [
        (("+xv",), ["JPEG2000Lossless"], JPEG_2000_LOSSLESS),
        (("+xt",), ["JPEGLSLossless"], JPEG_LS),
        (("+xr",), ["RLELossless"], RLE),
        ((), ["ExplicitVRLittleEndian"], EXPLICIT),
        (("+xi",), ["ImplicitVRLittleEndian"], IMPLICIT),
    ],
    ids=["JPEG 2000", "JPEG-LS", "RLE", "explicit", "implicit"],
)
async def test_a_route_transcodes(
    tmp_path: Path, corpus: tuple[Path, ...], options: tuple[str, ...], to: list[str], becomes: str
) -> None:
    originals = chosen(corpus, tmp_path / "originals", NAMES)
    then: list[dict[str, Any]] = [{"transcode": {"to": to}}, {"set": {"InstitutionName": "North"}}]
    async with ChoosySCP(tmp_path / "scp", *options) as scp, gateway(tmp_path, rules(scp, then=then)) as running:
        await send(running, list(originals.values()))
        arrived = await all_of(running, scp, len(originals))
    assert arrived.keys() == originals.keys()
    for uid, path in originals.items():
        assert arrived[uid].transfer_syntax_uid == becomes, path.name
        assert dataset(arrived[uid].data_set, becomes).InstitutionName == "North"
        assert_same_pixels(arrived[uid], path)


async def test_into_a_folder(tmp_path: Path, corpus: tuple[Path, ...]) -> None:
    originals = chosen(corpus, tmp_path / "originals", ["MR_small.dcm", "SC_rgb_jpeg_dcmtk.dcm"])
    files = tmp_path / "files"
    then = [{"transcode": {"to": ["JPEG2000"], "ratio": 5}}]
    site = {
        "peers": {"files": {"folder": {"path": f"{files}/{{{{ SOPInstanceUID }}}}.dcm"}}},
        "routes": [{"name": "all", "to": ["files"], "then": then}],
        "unmatched": "discard",
    }
    async with gateway(tmp_path, site) as running:
        await send(running, list(originals.values()))
        await until_metric(running, "gateway_deliveries_total", 2, outcome="delivered")
    for path in stored(files):
        found = dcmread(path)
        assert path.stem == found.SOPInstanceUID == found.file_meta.MediaStorageSOPInstanceUID
        assert found.SourceImageSequence[-1].ReferencedSOPInstanceUID in originals
        assert found.file_meta.TransferSyntaxUID == JPEG_2000


async def test_workers_that_are_killed_lose_nothing(tmp_path: Path, corpus: tuple[Path, ...]) -> None:
    """kill -9 at the workers all the time: every object arrives, or is a dead letter that arrives when tried again."""
    originals = chosen(corpus, tmp_path / "originals", NAMES * 3)
    then = [{"transcode": {"to": ["JPEGLSLossless"]}}]
    async with (
        ChoosySCP(tmp_path / "scp", "+xt") as scp,
        gateway(tmp_path, rules(scp, then=then, associations=2)) as running,
    ):
        murderer = Murderer(running.pid)
        murdering = asyncio.create_task(murderer.run())
        await send(running, list(originals.values()))
        await running.idle()
        await until(lambda: murderer.killed, what="a worker that was killed")
        murdering.cancel()
        for row in await dead_letters(running):
            assert "crashed, 2 times (SIGKILL)" in row["reason"]
        await command(running, "retry", "--state", "dead")
        arrived = await all_of(running, scp, len(originals))
    assert murderer.killed > 0
    assert arrived.keys() == originals.keys()
    assert {part.transfer_syntax_uid for part in arrived.values()} == {JPEG_LS}


class Murderer:
    """Kills the workers of the gateway now and then, once they have started: on a busy machine none would else."""

    def __init__(self, gateway_pid: int) -> None:
        self._children = Path(f"/proc/{gateway_pid}/task/{gateway_pid}/children")
        self.killed = 0

    async def run(self) -> None:
        while True:
            for pid in self._children.read_text().split():
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/2") == os.devnull:  # it says nothing more
                        os.kill(int(pid), signal.SIGKILL)
                        self.killed += 1
            await asyncio.sleep(0.5)


async def test_workers_end_with_the_gateway(tmp_path: Path, corpus: tuple[Path, ...]) -> None:
    originals = chosen(corpus, tmp_path / "originals", ["MR_small.dcm"])
    then = [{"transcode": {"to": ["RLELossless"]}}]
    async with ChoosySCP(tmp_path / "scp", "+xr") as scp, gateway(tmp_path, rules(scp, then=then)) as running:
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        assert children.read_text() == ""  # nothing starts before it is needed
        await send(running, list(originals.values()))
        await all_of(running, scp, 1)
        workers = children.read_text().split()
        assert len(workers) == 1
        assert await running.metric("gateway_conversion_workers") == 1
        assert await running.drain() == 0
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), what="the worker is gone")


# --- helpers ---


async def command(running: GatewayProcess, *words: str) -> str:
    """`gateway queue …` of the running gateway."""
    line = [sys.executable, "-m", "gateway", "queue", *words, "--rules", str(running.rules_folder)]
    finished = await run(line)
    return finished.output


async def dead_letters(running: GatewayProcess) -> list[dict[str, Any]]:
    output = await command(running, "list", "--state", "dead", "--format", "json")
    rows: list[dict[str, Any]] = json.loads(output[output.index("[") : output.rindex("]") + 1])
    return rows


async def until_metric(running: GatewayProcess, name: str, value: float, **labels: str) -> None:
    async def is_there() -> bool:
        return await running.metric(name, **labels) >= value

    await until(is_there, what=f"{name} {labels}")

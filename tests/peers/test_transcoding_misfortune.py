"""Codecs that crash, hang or eat memory, in the gateway as it runs: no object is lost, and the reason is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.dataset.codecs import CODECS, missing
from tests.peers.test_transcoding import command, dead_letters, until_metric
from tests.support.corpus import Part10, read_part10
from tests.support.peers import GatewayProcess, StoreSCP, stock_scu
from tests.support.pixels import EXPLICIT, JPEG_2000_LOSSLESS, Made, dataset, gradient, pixels
from tests.support.processes import until
from tests.support.transcoding import assert_same, native_file

pytestmark = [pytest.mark.peers, pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")]

ENOUGH = {"workers": 1, "memory": "2 GiB", "time_limit": "2 min"}


def _uid(tag: int, value: str) -> bytes:
    raw = value.encode() + b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"UI", len(raw)) + raw


UIDS = _uid(0x0020000D, "1.2.3") + _uid(0x0020000E, "1.2.3.4")
LARGE = Made(gradient(1, 1200, 1200, 1, "u2", 16), 16, extra=UIDS)
"""The JPEG 2000 encoder is at it for some tenths of a second."""
LARGER = Made(gradient(1, 2500, 2500, 1, "u2", 16), 16, extra=UIDS)
"""And takes more than 64 MiB for this."""


@dataclass
class Site:
    """One object for two peers: of one the route compresses or refuses, of the other it compresses or lets be."""

    running: GatewayProcess
    strict: StoreSCP
    lenient: StoreSCP

    async def send(self, original: Path) -> None:
        finished = await stock_scu(self.running.port, [original])
        assert finished.returncode == 0, finished.output

    async def enough(self) -> None:
        """Start again, with limits that are enough."""
        assert await self.running.drain() == 0
        self.running.settings["conversion"] = ENOUGH
        self.running.write_rules(_rules(self.strict, self.lenient))
        await self.running.restart()


def _rules(strict: StoreSCP, lenient: StoreSCP) -> dict[str, Any]:
    def peer(scp: StoreSCP) -> dict[str, Any]:
        return {
            "ae_title": scp.ae_title,
            "address": f"127.0.0.1:{scp.port}",
            "delivery": {"retry": {"first": "100 ms", "max": "100 ms"}},
        }

    def route(name: str, **more: str) -> dict[str, Any]:
        return {"name": name, "to": [name], "then": [{"transcode": {"to": ["JPEG2000Lossless"], **more}}]}

    return {
        "peers": {"strict": peer(strict), "lenient": peer(lenient)},
        "routes": [route("strict"), route("lenient", otherwise="keep")],
        "unmatched": "discard",
    }


@asynccontextmanager
async def site(folder: Path, **conversion: Any) -> AsyncIterator[Site]:
    settings = {"conversion": ENOUGH | conversion}
    async with (
        StoreSCP(folder / "strict", ae_title="STRICT") as strict,
        StoreSCP(folder / "lenient", ae_title="LENIENT") as lenient,
        GatewayProcess(folder / "gateway", _rules(strict, lenient), settings=settings) as running,
    ):
        yield Site(running, strict, lenient)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return native_file(LARGE, tmp_path / "large.dcm")


def workers(running: GatewayProcess) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()]


def is_at_work(pid: int, spool: Path) -> bool:
    """True when a worker holds an object, in a file of the spool folder that has no name."""
    with contextlib.suppress(OSError):
        if b"conversion.child" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return False  # on its way: until then it has what the gateway has
        links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
        return any(link.startswith(f"{spool}/") and link.endswith("(deleted)") for link in links)
    return False


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    return False


def only(scp: StoreSCP) -> Part10:
    (path,) = scp.files()
    return read_part10(path)


def assert_as_it_was(arrived: Part10, original: Path) -> None:
    sent = read_part10(original)
    assert (arrived.transfer_syntax_uid, arrived.data_set) == (EXPLICIT, sent.data_set)


def assert_compressed(arrived: Part10, made: Made = LARGE) -> None:
    assert arrived.transfer_syntax_uid == JPEG_2000_LOSSLESS
    assert_same(pixels(dataset(arrived.data_set, JPEG_2000_LOSSLESS)), made.array[0])


@pytest.mark.parametrize(
    ("made", "conversion", "reason", "outcome"),
    [
        (LARGE, {"time_limit": "20 ms"}, "not done in 0.02 s; see `gateway.conversion.time_limit`", "timed_out"),
        (LARGER, {"memory": "64 MiB"}, "MiB of the 64 MiB that `gateway.conversion.memory` allows", "refused"),
    ],
    ids=["too slow", "too much memory"],
)
async def test_what_a_limit_stops_is_a_dead_letter_that_can_be_tried_again(
    tmp_path: Path, made: Made, conversion: dict[str, str], reason: str, outcome: str
) -> None:
    original = native_file(made, tmp_path / "made.dcm")
    async with site(tmp_path, **conversion) as here:
        await here.send(original)
        await here.running.idle()
        assert await here.running.metric("gateway_conversions_total", outcome=outcome) == 2
        assert here.strict.files() == []
        assert_as_it_was(only(here.lenient), original)
        (row,) = await dead_letters(here.running)
        assert row["destination"] == "strict"
        assert reason in row["reason"]
        await here.enough()
        await command(here.running, "retry", "--state", "dead")
        await here.strict.received(1)
        await here.running.idle()
        assert_compressed(only(here.strict), made)


@asynccontextmanager
async def crashing(running: GatewayProcess, number: signal.Signals) -> AsyncIterator[list[int]]:
    """Every worker that is at work gets this signal."""
    hit: list[int] = []

    async def go_on() -> None:
        while True:
            for pid in workers(running):
                if pid not in hit and is_at_work(pid, running.spool_folder):
                    os.kill(pid, number)
                    hit.append(pid)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(go_on())
    try:
        yield hit
    finally:
        task.cancel()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL], ids=lambda number: number.name)
async def test_what_crashes_a_codec_is_a_dead_letter_that_can_be_tried_again(
    tmp_path: Path, number: signal.Signals
) -> None:
    original = native_file(LARGER, tmp_path / "larger.dcm")  # gives time to hit
    async with site(tmp_path) as here:
        async with crashing(here.running, number) as hit:
            await here.send(original)
            await here.running.idle()
        assert len(hit) == 4  # each of the two deliveries is tried twice
        assert await here.running.metric("gateway_conversions_total", outcome="crashed") == 2
        assert here.strict.files() == []
        assert_as_it_was(only(here.lenient), original)
        (row,) = await dead_letters(here.running)
        assert f"the codec crashed, 2 times ({number.name})" in row["reason"]
        await command(here.running, "retry", "--state", "dead")
        await here.strict.received(1)
        await here.running.idle()
        assert_compressed(only(here.strict), LARGER)


async def test_what_needs_no_codec_does_not_wait_for_one_that_hangs(tmp_path: Path, original: Path) -> None:
    async with site(tmp_path, time_limit="4 s") as here:
        rules = _rules(here.strict, here.lenient)
        del rules["routes"][1]["then"]
        here.running.write_rules(rules)
        here.running.reload()
        await until_metric(here.running, "gateway_config_reloads_total", 1, result="applied")
        async with crashing(here.running, signal.SIGSTOP) as hit:
            sending = asyncio.create_task(here.send(original))  # its end is not waited for: the limit runs
            await here.lenient.received(1)
            assert await here.running.metric("gateway_conversions_total") == 0  # it still hangs, or has not begun
            await sending
            await here.running.idle()
        assert len(hit) == 1
        assert_as_it_was(only(here.lenient), original)
        (row,) = await dead_letters(here.running)
        assert "not done in 4 s" in row["reason"]
        assert not any(map(is_alive, hit))


async def test_a_gateway_that_is_killed_leaves_no_workers_and_loses_nothing(tmp_path: Path) -> None:
    original = native_file(LARGER, tmp_path / "larger.dcm")  # gives time to look
    async with site(tmp_path) as here:
        sending = asyncio.create_task(here.send(original))
        await until(
            lambda: any(is_at_work(pid, here.running.spool_folder) for pid in workers(here.running)), what="work"
        )
        pids = workers(here.running)
        await sending
        here.running.signal(signal.SIGKILL)
        await here.running.wait()
        await until(lambda: not any(map(is_alive, pids)), what="the workers are gone")
        await here.running.restart()
        for scp in (here.strict, here.lenient):
            await scp.received(1)
        await here.running.idle()
        for scp in (here.strict, here.lenient):
            assert_compressed(only(scp), LARGER)


def _libraries(pid: int) -> set[str]:
    names = ("numpy", "openjpeg", "gdcm", "_CharLS", "pylibjpeg")
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in names if name in maps}


async def test_only_workers_load_codecs(tmp_path: Path, original: Path) -> None:
    async with site(tmp_path) as here:
        await here.send(original)
        await here.running.idle()
        (worker,) = workers(here.running)
        assert {"numpy", "openjpeg"} <= _libraries(worker)
        assert _libraries(here.running.pid) == set()

"""The floors of the benchmarks keep what they answer, so that what the gateway is measured against is honest."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.support.load.floor import Floor
from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.processes import until

SIZES = pytest.mark.parametrize(("size_bytes", "objects"), [(8192, 200), (524288, 20)])


@SIZES
async def test_every_acknowledged_object_is_in_the_log_and_in_the_table(
    tmp_path: Path, size_bytes: int, objects: int
) -> None:
    async with Floor(tmp_path / "floor") as floor:
        load = Load(Target(floor.port), size_bytes=size_bytes, associations=4, objects=objects)
        report = await asyncio.to_thread(load.run)
        assert report.statuses == {0x0000: objects}
        floor.kill()  # what is kept is on disk when the answer is out, not at an orderly end
        sent = {uid: sample(size_bytes).digest(uid) for uid in report.acknowledged}
        assert {uid: hashlib.sha256(data).hexdigest() for uid, data in floor.objects()} == sent
        assert {uid: hashlib.sha256(data).hexdigest() for uid, data in floor.rows()} == sent
        assert floor.queued() == sorted(sent)


@SIZES
async def test_the_relay_floor_delivers_each_object_once_and_empties_its_queue(
    tmp_path: Path, size_bytes: int, objects: int
) -> None:
    async with Sink(tmp_path / "sink.log", digest=True) as sink, Floor(tmp_path / "floor", sink.port) as floor:
        load = Load(Target(floor.port), size_bytes=size_bytes, associations=4, objects=objects)
        report = await asyncio.to_thread(load.run)
        assert report.statuses == {0x0000: objects}
        stats = await sink.received(objects)
        await until(lambda: not floor.queued(), what="an empty queue")
        assert 1 <= stats["associations"] <= 4
        arrived = (await asyncio.to_thread(sink.ask, "objects"))["objects"]
        assert arrived == {uid: [sample(size_bytes).digest(uid)] for uid in report.acknowledged}
        assert [uid for uid, _ in floor.rows()] == [uid for uid, _ in floor.objects()]


async def test_what_the_sink_has_not_acknowledged_stays_in_the_queue(tmp_path: Path) -> None:
    async with Sink(tmp_path / "sink.log", silent=True) as sink, Floor(tmp_path / "floor", sink.port) as floor:
        load = Load(Target(floor.port), associations=2, objects=20)
        report = await asyncio.to_thread(load.run)
        assert report.statuses == {0x0000: 20}
        assert floor.queued() == sorted(report.acknowledged)

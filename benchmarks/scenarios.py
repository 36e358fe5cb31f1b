"""What is measured. Each scenario starts what it needs fresh, returns one figure, and leaves nothing running."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom import AllStoragePresentationContexts

from benchmarks.systems import Contender, System, gateway
from tests.support.load.generator import Load, Report, Target, open_association, receive_pdu
from tests.support.load.measure import cpu_seconds, memory_bytes, reset_peak, tree_cpu_seconds
from tests.support.load.objects import MR_IMAGE_STORAGE, element, header, sample
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.load.wire import (
    C_STORE_RQ,
    COMMAND,
    EXPLICIT_VR_LITTLE_ENDIAN,
    LAST,
    RELEASE_RQ_PDU,
    Context,
    associate_rq,
    command_set,
    instance_uid,
    p_data,
    read_command,
    us,
)

UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")


@asynccontextmanager
async def running(system: System) -> AsyncIterator[System]:
    """The system, started; stopped afterwards."""
    await system.start()
    try:
        yield system
    finally:
        await asyncio.to_thread(system.stop)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: objects a second, the latency of the 0x0000 as the sender sees it, and the processor's share."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Processor time of an object, user and system, of the system's processes."""

    @staticmethod
    def of(report: Report, cpu_s: float, per_second: float | None = None) -> Figure:
        rate = report.per_second if per_second is None else per_second
        cpu_ms = 1000 * cpu_s / len(report.acknowledged)
        return Figure(rate, report.percentile_ms(0.5), report.percentile_ms(0.99), cpu_ms)


async def sink_alone(root: Path, size_bytes: int, associations: int, seconds: float) -> Figure:
    """Generator against sink: what the tools themselves reach."""
    async with scratch(root) as folder, Sink(folder / "sink.log") as sink:
        load = Load(Target(sink.port), size_bytes=size_bytes, associations=associations, seconds=seconds)
        used = tree_cpu_seconds(sink.pid)
        report = await asyncio.to_thread(load.run)
        return Figure.of(report, tree_cpu_seconds(sink.pid) - used)


async def ingest(
    root: Path, contender: Contender, size_bytes: int, associations: int, seconds: float, elements: int = 0
) -> Figure:
    """Objects acknowledged a second, nothing sent on; `elements` as `sample` takes them."""
    what = sample(size_bytes, elements)
    async with scratch(root) as folder, running(contender.make(folder / "system", 0)) as system:
        target = Target(system.port)
        await asyncio.to_thread(Load(target, what=what, associations=associations, objects=20).run)
        load = Load(target, what=what, associations=associations, seconds=seconds)
        used = tree_cpu_seconds(system.pid)
        report = await asyncio.to_thread(load.run)
        used = tree_cpu_seconds(system.pid) - used
        assert set(report.statuses) == {0x0000}, report.summary()
        return Figure.of(report, used)


async def forward(
    root: Path, contender: Contender, size_bytes: int, associations: int, objects: int, elements: int = 0
) -> Figure:
    """Objects a second from the first request until the last object reached the sink; see `ingest`."""
    what = sample(size_bytes, elements)
    async with (
        scratch(root) as folder,
        Sink(folder / "sink.log") as sink,
        running(contender.make(folder / "system", sink.port)) as system,
    ):
        target = Target(system.port)
        await asyncio.to_thread(Load(target, what=what, associations=1, objects=1).run)
        await sink.received(1)
        await asyncio.to_thread(sink.ask, "clear")
        used = tree_cpu_seconds(system.pid)
        started = time.monotonic()
        load = Load(target, what=what, associations=associations, objects=objects)
        report = await asyncio.to_thread(load.run)
        assert report.statuses == {0x0000: objects}, report.summary()
        stats = await sink.received(objects, timeout_s=120.0)
        return Figure.of(report, tree_cpu_seconds(system.pid) - used, objects / (stats["last_at"] - started))


# --- associations -----------------------------------------------------------------------------------------------


def storage_contexts() -> list[Context]:
    """128 storage SOP classes, each with the uncompressed transfer syntaxes."""
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts[:128]]
    assert len(classes) == 128
    return [Context(2 * number + 1, uid, UNCOMPRESSED) for number, uid in enumerate(classes)]


async def associations_per_second(root: Path, contender: Contender, seconds: float) -> float:
    """Associations with 128 contexts opened (all accepted) and released, one after the other."""
    async with scratch(root) as folder, running(contender.make(folder / "system", 0)) as system:
        return await asyncio.to_thread(_open_and_release, system.port, seconds)


def _open_and_release(port: int, seconds: float) -> float:
    request = associate_rq("GATEWAY", "LOAD", storage_contexts())
    count = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        connection, negotiated = open_association(Target(port), request)
        with connection:
            refused = [number for number, (result, _) in negotiated.results.items() if result]
            assert len(negotiated.results) == 128, "contexts are missing in the answer"
            assert not refused, f"contexts {refused} were refused"
            connection.sendall(RELEASE_RQ_PDU)
            receive_pdu(connection, bytearray())
        count += 1
    return count / (time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Idle:
    """What associations cost that only stay open."""

    associations: int
    cpu_share: float
    """The share of one core."""
    rss_bytes_each: float


async def idle(root: Path, contender: Contender, associations: int, seconds: float) -> Idle:
    """Open associations with 128 contexts, let them be, and see what they cost."""
    async with scratch(root) as folder, running(contender.make(folder / "system", 0)) as system:
        await asyncio.to_thread(_open_and_release, system.port, 1.0)  # warm: what is allocated once is not theirs
        before = memory_bytes(system.pid)["rss"]
        request = associate_rq("GATEWAY", "LOAD", storage_contexts())
        lines: list[socket.socket] = []
        try:
            await asyncio.to_thread(_open_all, system.port, request, associations, lines)
            await asyncio.sleep(1.0)
            used = cpu_seconds(system.pid)
            await asyncio.sleep(seconds)
            used = cpu_seconds(system.pid) - used
            after = memory_bytes(system.pid)["rss"]
            return Idle(associations, used / seconds, (after - before) / associations)
        finally:
            for line in lines:
                line.close()


def _open_all(port: int, request: bytes, count: int, lines: list[socket.socket]) -> None:
    lines.extend(open_association(Target(port), request)[0] for _ in range(count))


# --- one large object -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Large:
    """One large object through the gateway, to the sink."""

    size_bytes: int
    peak_rss_bytes: int
    seconds: float


async def large_object(root: Path, size_bytes: int) -> Large:
    """Send one object of about `size_bytes`; the sink's digest must be the sender's."""
    async with (
        scratch(root) as folder,
        Sink(folder / "sink.log", digest=True) as sink,
        running(gateway(folder / "system", sink.port)) as system,
    ):
        reset_peak(system.pid)
        started = time.monotonic()
        uid, digest = await asyncio.to_thread(_send_large, system.port, size_bytes)
        stats = await sink.received(1, timeout_s=300.0)
        peak = memory_bytes(system.pid)["peak"]
        arrived: dict[str, Any] = sink.ask("objects")["objects"]
        assert arrived == {uid: [digest]}, "the object did not arrive as it was sent"
        return Large(size_bytes, peak, stats["last_at"] - started)


def _send_large(port: int, size_bytes: int) -> tuple[str, str]:
    """Send PDU by PDU without ever holding the object; (SOP Instance UID, SHA-256 of the data set)."""
    uid = instance_uid(1, 1)
    contexts = [Context(1, MR_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,))]
    connection, negotiated = open_association(Target(port, timeout_s=300.0), associate_rq("GATEWAY", "LOAD", contexts))
    fragment_bytes = (negotiated.max_pdu_bytes or 131072) - 6
    head = header().replace(instance_uid(0, 0), uid) + element(0x7FE00010, b"OW", b"")[:-4]
    block = hashlib.sha256(b"pixels").digest() * (fragment_bytes // 32 + 1)
    blocks = size_bytes // len(block)
    head += struct.pack("<I", blocks * len(block))
    command = command_set(
        [
            (0x0002, MR_IMAGE_STORAGE.encode() + b"\0"),
            (0x0100, struct.pack("<H", C_STORE_RQ)),
            (0x0110, struct.pack("<H", 1)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 0)),
            (0x1000, uid),
        ]
    )
    digest = hashlib.sha256(head)
    with connection:
        connection.sendall(p_data(1, COMMAND | LAST, command) + p_data(1, 0, head))
        for _ in range(blocks):
            digest.update(block)
            for start in range(0, len(block), fragment_bytes):
                connection.sendall(p_data(1, 0, block[start : start + fragment_bytes]))
        connection.sendall(p_data(1, LAST, b""))
        _, body = receive_pdu(connection, bytearray())
        status = us(read_command(body[6:]), 0x0900)
        assert status == 0x0000, f"status 0x{status:04X}"
        connection.sendall(RELEASE_RQ_PDU)
        receive_pdu(connection, bytearray())
    return uid.decode(), digest.hexdigest()

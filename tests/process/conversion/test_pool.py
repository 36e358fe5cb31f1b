"""Worker processes: whatever a codec does, no object is lost and the others go on."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.conversion.pool import ConversionPool
from gateway.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from gateway.metrics import METRICS
from gateway.model.settings import ConversionLimits
from gateway.ports.errors import Refusal, Temporary
from gateway.ports.kinds import Conversion
from gateway.ports.meter import NoMeter
from gateway.spool.body import FileDataSet, InMemoryDataSet
from tests.support.data_set_writer import Write
from tests.support.pixels import EXPLICIT, IMPLICIT
from tests.support.processes import until

BAD = "tests.support.bad_conversions"
SOURCE = Write(EXPLICIT_LITTLE).element("PatientName", "PN", "Doe^Jane")
TO_IMPLICIT = Conversion("transcode", {"to": [IMPLICIT]})
COPY = Conversion("copy")


class Meter(NoMeter):
    """Remembers, and knows the table of metrics."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, ...]] = Counter()
        self.observed: Counter[tuple[str, ...]] = Counter()
        self.values: dict[str, float] = {}
        self._labels = {row.name: row.labels for row in METRICS}

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        self.counted[tuple(labels[label] for label in self._labels[name])] += int(amount)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        self.observed[tuple(labels[label] for label in self._labels[name])] += 1

    def set(self, name: str, value: float, /, **labels: str) -> None:
        assert not self._labels[name]
        self.values[name] = value


@pytest.fixture
def meter() -> Meter:
    return Meter()


Start = Callable[..., ConversionPool]


@pytest.fixture
async def start(tmp_path: Path, meter: Meter) -> AsyncIterator[Start]:
    """Makes pools, and closes them."""
    pools: list[ConversionPool] = []

    def make(
        module: str = BAD, *, workers: int = 1, time_limit_s: float = 120.0, idle_s: float = 60.0
    ) -> ConversionPool:
        limits = ConversionLimits(workers, 128 * 1024**2, time_limit_s)
        pools.append(ConversionPool(limits, str(tmp_path), meter, idle_s=idle_s, module=module))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


def body(data: bytes = SOURCE) -> InMemoryDataSet:
    return InMemoryDataSet([data])


async def copied(pool: ConversionPool, **settings: object) -> bytes:
    made = await pool.convert(body(), EXPLICIT, Conversion("copy", settings))
    data = bytes(made.body.view())
    made.body.close()
    return data


def is_alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.quick
async def test_nothing_starts_before_it_is_asked_for(start: Start) -> None:
    assert start().pids == ()


async def test_a_conversion(start: Start, meter: Meter, tmp_path: Path) -> None:
    pool = start("gateway.conversion.child")
    source = body()
    made = await pool.convert(source, EXPLICIT, TO_IMPLICIT)
    assert (made.transfer_syntax_uid, made.sop_instance_uid) == (IMPLICIT, "")
    assert bytes(made.body.view()) == Write(IMPLICIT_LITTLE).element("PatientName", "PN", "Doe^Jane")
    assert bytes(source.view()) == SOURCE
    made.body.close()
    assert meter.counted == {("ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "converted"): 1}
    assert meter.observed == {("ExplicitVRLittleEndian", "ImplicitVRLittleEndian"): 1}
    assert meter.values == {"gateway_conversion_workers": 1}
    assert list(tmp_path.iterdir()) == []


async def test_one_worker_does_one_after_the_other(start: Start) -> None:
    pool = start()
    assert await copied(pool) == SOURCE
    before = pool.pids
    assert await asyncio.gather(*(copied(pool) for _ in range(20))) == [SOURCE] * 20
    assert pool.pids == before


async def test_workers_are_bounded(start: Start) -> None:
    pool = start(workers=2)
    most = 0

    async def watched() -> None:
        nonlocal most
        await copied(pool, takes_s=0.05)
        most = max(most, len(pool.pids))

    await asyncio.gather(*(watched() for _ in range(8)))
    assert most == 2


async def test_what_cannot_be_converted_is_refused(start: Start, meter: Meter) -> None:
    pool = start("gateway.conversion.child")
    with pytest.raises(Refusal, match="ends at byte"):
        await pool.convert(body(SOURCE[:-1]), EXPLICIT, TO_IMPLICIT)
    assert meter.counted == {("ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "refused"): 1}
    assert len(pool.pids) == 1  # it is well


@pytest.mark.parametrize(
    ("kind", "time_limit_s", "reason", "outcome"),
    [
        ("crash", 120.0, r"crashed, 2 times \(SIGSEGV\)", "crashed"),
        ("hang", 1.0, "not done in 1 s", "timed_out"),
        ("eat", 120.0, "more memory", "out_of_memory"),
        ("fail", 120.0, "a fault of this gateway", "failed"),
    ],
)
async def test_a_codec_gone_wrong_costs_its_object_alone(
    start: Start, meter: Meter, kind: str, time_limit_s: float, reason: str, outcome: str
) -> None:
    pool = start(time_limit_s=time_limit_s, workers=2)

    async def bad() -> None:
        with pytest.raises(Refusal, match=reason):
            await pool.convert(body(), EXPLICIT, Conversion(kind))

    with capture_logs() as logs:
        done = await asyncio.gather(*(copied(pool) if number % 3 else bad() for number in range(9)))
    assert done == [None, SOURCE, SOURCE] * 3
    assert meter.counted == {
        ("ExplicitVRLittleEndian", kind, outcome): 3,
        ("ExplicitVRLittleEndian", "ExplicitVRLittleEndian", "converted"): 6,
    }
    assert "Doe" not in str(logs)
    await until(lambda: all(map(is_alive, pool.pids)), what="no dead worker is kept")


async def test_a_crash_that_does_not_come_again_is_made_good(start: Start, tmp_path: Path) -> None:
    made = await start().convert(body(), EXPLICIT, Conversion("crash", {"once": str(tmp_path / "marker")}))
    assert bytes(made.body.view()) == SOURCE
    made.body.close()


@pytest.mark.quick
async def test_a_worker_that_was_killed_while_idle_is_replaced(start: Start) -> None:
    pool = start()
    await copied(pool)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid), what="the worker is gone")
    assert await copied(pool) == SOURCE
    assert pool.pids != (pid,)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_for_the_gateway_leave_workers_at_work(start: Start, number: signal.Signals) -> None:
    pool = start()
    await copied(pool)
    (pid,) = pool.pids
    working = asyncio.create_task(copied(pool, takes_s=0.2))
    os.kill(pid, number)
    assert await working == SOURCE
    assert pool.pids == (pid,)


async def test_workers_go_home_when_nothing_comes(start: Start, meter: Meter) -> None:
    pool = start(idle_s=0.05)
    await copied(pool)
    (pid,) = pool.pids
    await until(lambda: not is_alive(pid), what="the worker is gone")
    assert pool.pids == ()
    assert meter.values["gateway_conversion_workers"] == 0
    assert await copied(pool) == SOURCE


async def test_a_conversion_that_is_given_up_ends_its_worker(start: Start, tmp_path: Path) -> None:
    pool = start()
    marker = tmp_path / "begun"
    working = asyncio.create_task(copied(pool, takes_s=100.0, marker=str(marker)))
    await until(marker.exists, what="it works")
    (pid,) = pool.pids
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await until(lambda: not is_alive(pid), what="the worker is gone")
    assert await copied(pool) == SOURCE


class SlowBody(InMemoryDataSet):
    """Comes in two pieces; the second when it is let go."""

    def __init__(self) -> None:
        super().__init__([SOURCE])
        self.is_begun, self.may_end, self.has_ended = threading.Event(), threading.Event(), False

    def chunks(self, size_bytes: int) -> Iterator[memoryview | bytes]:
        yield SOURCE[:4]
        self.is_begun.set()
        self.may_end.wait(60.0)
        yield SOURCE[4:]
        self.has_ended = True


async def test_a_conversion_that_is_given_up_while_its_source_is_read_waits_for_the_reader(start: Start) -> None:
    """An abandoned body is closed: it may not be read any more."""
    pool, slow = start(), SlowBody()
    copying = asyncio.create_task(pool.convert(slow, EXPLICIT, COPY))
    await until(slow.is_begun.is_set, what="it is read")
    copying.cancel()
    await asyncio.sleep(0)
    assert not copying.done()
    slow.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert slow.has_ended
    assert pool.pids == ()


async def test_closing_ends_everything(start: Start) -> None:
    pool = start(workers=2)
    await copied(pool)
    working = [asyncio.create_task(copied(pool, takes_s=100.0)) for _ in range(3)]
    await until(lambda: len(pool.pids) == 2, what="both work")
    pids = pool.pids
    await pool.close()
    for ended in await asyncio.gather(*working, return_exceptions=True):
        assert isinstance(ended, Temporary)
    await until(lambda: not any(map(is_alive, pids)), what="the workers are gone")
    with pytest.raises(Temporary, match="stopping"):
        await copied(pool)


async def test_no_worker_can_be_started(start: Start) -> None:
    with pytest.raises(Temporary, match="No module named"):
        await copied(start("tests.support.no_such_module"))


async def test_no_room(meter: Meter, tmp_path: Path) -> None:
    pool = ConversionPool(ConversionLimits(), str(tmp_path / "gone"), meter, module=BAD)
    with pytest.raises(Temporary, match="no room"):
        await copied(pool)
    assert meter.counted == {("ExplicitVRLittleEndian", "copy", "deferred"): 1}


async def test_room_that_is_kept_for_others(meter: Meter, tmp_path: Path) -> None:
    """The disk is not full, but this far conversions do not go."""
    pool = ConversionPool(ConversionLimits(), str(tmp_path), meter, module=BAD, min_free_bytes=1 << 62)
    with pytest.raises(Temporary, match="no room for a conversion: No space left"):
        await copied(pool)
    assert pool.pids == ()


async def test_a_worker_that_finds_no_room_leaves_it_for_later(start: Start, meter: Meter) -> None:
    pool = start()
    with pytest.raises(Temporary, match="no room for a conversion: No space left"):
        await pool.convert(body(), EXPLICIT, Conversion("swell"))
    assert meter.counted == {("ExplicitVRLittleEndian", "swell", "deferred"): 1}
    assert await copied(pool) == SOURCE


async def test_workers_know_no_secrets(start: Start) -> None:
    os.environ["TEST_POOL_SECRET"] = "s3cret"
    try:
        made = await start().convert(body(), EXPLICIT, Conversion("environment"))
    finally:
        del os.environ["TEST_POOL_SECRET"]
    seen = json.loads(bytes(made.body.view()))
    made.body.close()
    assert "TEST_POOL_SECRET" not in seen["environment"]
    files = [name for name in seen["files"] if name != "/dev/null" and not name.startswith("/proc/")]
    assert len([name for name in files if name.startswith("socket:")]) == 1
    assert len(files) <= 4, files  # the socket, source, result


async def test_memory_of_the_gateway_stays_flat(start: Start, tmp_path: Path) -> None:
    size_bytes = 150 * 1024**2
    path = tmp_path / "large"
    head = Write(EXPLICIT_LITTLE).header(0x7FE00010, "OW", size_bytes)
    path.write_bytes(head)
    os.truncate(path, size_bytes + len(head))
    source = FileDataSet(os.open(path, os.O_RDONLY), 0, size_bytes + len(head), "large")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = await start("gateway.conversion.child").convert(source, EXPLICIT, TO_IMPLICIT)
    assert made.body.length_bytes == size_bytes + 8
    made.body.close()
    source.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


ORPHANS = f"""
import asyncio
from gateway.conversion.pool import ConversionPool
from gateway.model.settings import ConversionLimits
from gateway.ports.kinds import Conversion
from gateway.ports.meter import NoMeter
from gateway.spool.body import InMemoryDataSet

async def main():
    pool = ConversionPool(ConversionLimits(2), "/tmp", NoMeter(), module="{BAD}")
    jobs = [Conversion("copy", {{"takes_s": 60}}), Conversion("hang")]
    tasks = [asyncio.create_task(pool.convert(InMemoryDataSet([b""]), "{EXPLICIT}", job)) for job in jobs]
    while len(pool._busy) < 2:
        await asyncio.sleep(0.01)
    print("pids", *pool.pids, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is told by the kernel")
async def test_no_worker_outlives_a_gateway_that_was_killed() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ORPHANS,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    try:
        assert process.stdout is not None
        while not (line := await process.stdout.readline()).startswith(b"pids "):
            assert line, "it ended"
        pids = [int(word) for word in line.split()[1:]]
        assert len(pids) == 2
    finally:
        process.kill()
        await process.wait()
    await until(lambda: not any(map(is_alive, pids)), what="the workers are gone")

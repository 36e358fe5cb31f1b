"""A bounded number of worker processes, started when something is to be converted, gone when nothing is for a while.

A conversion that crashes is tried once more in a fresh process: the crash may have been an earlier object's doing. One
that takes too long or too much memory is not. Either way the object is refused with the reason, and others go on.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from typing import IO, Any

import structlog

from gateway.conversion.process import WorkerDied, WorkerProcess, WorkerReply, WorkerTooSlow
from gateway.dataset.codecs import short_name
from gateway.dataset.scratch import Scratch
from gateway.model.settings import ConversionLimits
from gateway.ports.converter import Converted
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import Refusal, Temporary
from gateway.ports.kinds import Conversion
from gateway.ports.meter import Meter
from gateway.spool.body import FileDataSet

log = structlog.get_logger()

CHUNK_BYTES = 1024**2
CHECKED_CHUNKS = 32
"""The number of chunks after which the free space is checked again."""
IDLE_S = 60.0
"""A worker without a job is kept this long: starting one costs half a second and holds up to 100 MB."""
MOST_JOBS = 1000
"""The number of jobs after which a worker is replaced: native code leaks."""
TRIES = 2
CHILD = "gateway.conversion.child"

_REASONS = {
    "out_of_memory": "it takes more memory than `gateway.conversion.memory` allows",
    "failed": "a fault of this gateway",
}


class ConversionPool:
    """`gateway.ports.converter.Converter` by worker processes; `folder` is for objects on their way, in files without
    names.

    Conversions leave half of the `min_free_bytes` of their file system alone. Incoming objects stop at all of it, thus
    sooner, so that stored objects can still be converted, sent and removed.
    """

    def __init__(
        self,
        limits: ConversionLimits,
        folder: str,
        meter: Meter,
        *,
        min_free_bytes: int = 0,
        idle_s: float = IDLE_S,
        module: str = CHILD,
        events: Any = log,
    ) -> None:
        self._limits = limits
        self._folder = folder
        self._meter = meter
        self._keep_free_bytes = min_free_bytes // 2
        self._idle_s = idle_s
        self._module = module
        self._log = events
        self._places = asyncio.Semaphore(limits.workers)
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._retiring: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """Process IDs of the workers there are."""
        return tuple(worker.pid for worker in (*self._idle, *self._busy))

    async def convert(self, body: EncodedDataSet, transfer_syntax_uid: str, conversion: Conversion) -> Converted:
        """See `gateway.ports.converter.Converter`."""
        async with self._places:
            begun_s = time.monotonic()
            to, outcome = _wanted(conversion), "failed"
            try:
                converted = await self._converted(body, transfer_syntax_uid, conversion)
                to, outcome = short_name(converted.transfer_syntax_uid), "converted"
                return converted
            except ConversionFailed as error:
                outcome = error.outcome
                raise
            except Temporary:
                outcome = "deferred"
                raise
            finally:
                labels = {"from": _label(transfer_syntax_uid), "to": to}
                self._meter.count("gateway_conversions_total", outcome=outcome, **labels)
                self._meter.observe("gateway_conversion_seconds", time.monotonic() - begun_s, **labels)

    async def close(self) -> None:
        """End all workers; conversions that are going on fail."""
        self._is_closed = True
        if self._retiring is not None:
            self._retiring.cancel()
        for worker in self._busy:
            worker.end()
        await asyncio.gather(*(worker.kill() for worker in self._idle))
        self._idle.clear()
        self._count()

    # --- one conversion -------------------------------------------------------------------------------------------

    async def _converted(self, body: EncodedDataSet, transfer_syntax_uid: str, conversion: Conversion) -> Converted:
        job = {
            "kind": conversion.kind,
            "settings": dict(conversion.settings),
            "transfer_syntax_uid": transfer_syntax_uid,
            "memory_bytes": self._limits.memory_bytes,
            "time_limit_s": self._limits.time_limit_s,
            "keep_free_bytes": self._keep_free_bytes,
        }
        with await self._source(body) as source:
            for _ in range(TRIES):
                with self._result() as result:
                    try:
                        answer = await self._done(job, source, result)
                    except WorkerDied as error:
                        died = error
                        self._log.warning("conversion_worker_died", how=str(error), kind=conversion.kind)
                        continue
                    return _read(answer, result, self._log)
        raise ConversionFailed("crashed", f"the codec crashed, {TRIES} times ({died})")

    def _result(self) -> IO[bytes]:
        """Raises Temporary."""
        try:
            return _file(self._folder)
        except OSError as error:
            raise Temporary(f"no room for a conversion: {error.strerror}") from error

    async def _source(self, body: EncodedDataSet) -> IO[bytes]:
        copying = asyncio.ensure_future(asyncio.to_thread(_copied, body, self._folder, self._keep_free_bytes))
        try:
            return await asyncio.shield(copying)
        except OSError as error:
            raise Temporary(f"no room for a conversion: {error.strerror}") from error
        except asyncio.CancelledError:
            copying.add_done_callback(_closed)
            await asyncio.wait([copying])  # a thread cannot be stopped, and it reads the body
            raise

    async def _done(self, job: Mapping[str, Any], source: IO[bytes], result: IO[bytes]) -> WorkerReply:
        worker = await self._take()
        try:
            answer = await worker.run(job, (source.fileno(), result.fileno()), self._limits.time_limit_s)
        except WorkerTooSlow as error:
            self._log.warning("conversion_timed_out", kind=job["kind"], limit_s=self._limits.time_limit_s)
            reason = f"the conversion was {error}; see `gateway.conversion.time_limit`"
            raise ConversionFailed("timed_out", reason) from None
        finally:
            self._busy.discard(worker)
            self._count()
        await self._give_back(worker, answer)
        return answer

    # --- workers --------------------------------------------------------------------------------------------------

    async def _take(self) -> WorkerProcess:
        self._check_open()
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                break
            await worker.kill()
        else:
            worker = await WorkerProcess.start(self._folder, self._module)
            self._log.info("conversion_worker_started", pid=worker.pid)
        try:
            self._check_open()  # it may have ended while this one started
        except Temporary:
            await worker.kill()
            raise
        self._busy.add(worker)
        self._count()
        return worker

    def _check_open(self) -> None:
        if self._is_closed:
            raise Temporary("conversions have ended: the gateway is stopping")

    async def _give_back(self, worker: WorkerProcess, answer: WorkerReply) -> None:
        if self._is_closed or worker.jobs >= MOST_JOBS or answer["outcome"] == "out_of_memory":
            await worker.kill()
            return
        self._idle.append(worker)
        self._count()
        if self._retiring is not None:
            self._retiring.cancel()
        self._retiring = asyncio.get_running_loop().call_later(self._idle_s, self._retire)

    def _retire(self) -> None:
        """Dismiss the idle workers after a time without a job."""
        self._retiring = None
        for worker in self._idle:
            worker.dismiss()
        self._idle.clear()
        self._count()

    def _count(self) -> None:
        self._meter.set("gateway_conversion_workers", len(self._idle) + len(self._busy))


def _label(transfer_syntax_uid: str) -> str:
    """The label for the metrics. Senders may make up UIDs, and must not make labels."""
    name = short_name(transfer_syntax_uid)
    return name if name != transfer_syntax_uid else "(other)"


class ConversionFailed(Refusal):
    """The object cannot be converted. `outcome` is for the metrics: refused, crashed, timed_out, failed."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def _wanted(conversion: Conversion) -> str:
    to = conversion.settings.get("to")
    return short_name(str(to[0])) if isinstance(to, list | tuple) and to else conversion.kind


def _file(folder: str) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def _copied(body: EncodedDataSet, folder: str, keep_free_bytes: int) -> IO[bytes]:
    """A file with all of `body`, so that the worker needs nothing of the spool; stored bytes are checked on the way."""
    file = _file(folder)
    scratch = Scratch(folder, keep_free_bytes=keep_free_bytes)
    try:
        for index, chunk in enumerate(body.chunks(CHUNK_BYTES)):
            if index % CHECKED_CHUNKS == 0:
                scratch.check_room()
            view = memoryview(chunk)
            while view:
                view = view[os.write(file.fileno(), view) :]
    except BaseException:
        file.close()
        raise
    return file


def _closed(copying: asyncio.Future[IO[bytes]]) -> None:
    """Close a copy that no caller waits for any more."""
    if not copying.cancelled() and copying.exception() is None:
        copying.result().close()


def _read(answer: WorkerReply, result: IO[bytes], events: Any) -> Converted:
    """The result that the worker's answer stands for. Raises ConversionFailed and Temporary."""
    outcome = answer["outcome"]
    if outcome == "converted":
        descriptor = os.dup(result.fileno())
        body = FileDataSet(descriptor, 0, answer["length_bytes"], "converted object")
        return Converted(body, answer["transfer_syntax_uid"], answer["sop_instance_uid"])
    if outcome == "refused":
        raise ConversionFailed("refused", answer["reason"])
    if outcome == "short":
        raise Temporary(f"no room for a conversion: {answer['reason']}")
    if outcome == "failed":
        events.error("conversion_failed", error=answer["reason"])
    raise ConversionFailed(outcome, f"it cannot be converted: {_REASONS[outcome]}")

"""One worker process, seen from the parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from gateway.ports.errors import GatewayError, Temporary

START_S = 30.0
"""Time for loading its code, on a machine that is busy."""
LINE_BYTES = 1 << 20
KEPT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")
"""The variables of our environment that the worker gets; the environment holds secrets, so it gets no others."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}

WorkerReply = Mapping[str, Any]


class WorkerDied(GatewayError):
    """The process ended in the middle of a job; the message says how."""


class WorkerTooSlow(GatewayError):
    """The job was not done in time; the process is gone."""


class WorkerProcess:
    """Does one job at a time. After an exception it is gone."""

    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self._rest = b""
        self.jobs = 0
        """The number of jobs that it has done."""

    @property
    def pid(self) -> int:
        """The process ID of the worker."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """False once it ended."""
        return self._process.returncode is None

    @classmethod
    async def start(cls, folder: str, module: str) -> WorkerProcess:
        """Start `python -m module`. Raises Temporary when that fails."""
        try:
            error_output = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        except OSError as error:
            raise Temporary(f"no process for conversions can be started: {error.strerror}") from error
        with error_output:
            try:
                process, ours = await _spawn_connected(module, folder, error_output)
            except OSError as error:
                raise Temporary(f"no process for conversions can be started: {error.strerror}") from error
            worker = cls(process, ours)
            try:
                async with asyncio.timeout(START_S):
                    await worker._answer()
            except (TimeoutError, WorkerDied) as error:
                await worker.kill()
                raise Temporary(
                    f"the process for conversions does not start: {_last_line(error_output) or error}"
                ) from error
            except BaseException:
                await worker.kill()
                raise
        return worker

    async def run(self, job: Mapping[str, Any], files: Sequence[int], time_limit_s: float) -> WorkerReply:
        """Do one job with these open files.

        Raises:
            WorkerDied, WorkerTooSlow: the process is gone.
        """
        try:
            async with asyncio.timeout(time_limit_s):
                try:
                    socket.send_fds(self._connection, [json.dumps(job).encode() + b"\n"], files)
                except OSError:
                    raise WorkerDied(await self._ending()) from None
                answer = await self._answer()
        except TimeoutError:
            await self.kill()
            raise WorkerTooSlow(f"not done in {time_limit_s:g} s") from None
        except BaseException:
            await self.kill()
            raise
        self.jobs += 1
        return answer

    def end(self) -> None:
        """End it now; the caller that waits for its job gets WorkerDied."""
        if self._process.returncode is None:
            self._process.kill()

    def dismiss(self) -> None:
        """End a worker that has no job, in order."""
        self._connection.close()

    async def kill(self) -> None:
        """End it at once."""
        self._connection.close()
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.shield(self._process.wait())

    async def _answer(self) -> WorkerReply:
        loop = asyncio.get_running_loop()
        line = b""
        while not line.endswith(b"\n"):
            try:
                chunk = await loop.sock_recv(self._connection, LINE_BYTES)
            except OSError:
                chunk = b""
            if not chunk:
                raise WorkerDied(await self._ending())
            line += chunk
        answer: WorkerReply = json.loads(line)
        return answer

    async def _ending(self) -> str:
        code = await self._process.wait()
        if code >= 0:
            return f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"


async def _spawn_connected(
    module: str, folder: str, error_output: IO[bytes]
) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """The process, and our end of its connection. Raises OSError, also for want of descriptors."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            ours.setblocking(False)
            return await _spawn(module, theirs, folder, error_output), ours
    except BaseException:
        ours.close()
        raise


async def _spawn(
    module: str, connection: socket.socket, folder: str, error_output: IO[bytes]
) -> asyncio.subprocess.Process:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    descriptor = connection.fileno()
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", module, str(descriptor), str(os.getpid()), folder),
        pass_fds=(descriptor,),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=error_output,
        env=environment | ONE_THREAD,
    )


def _last_line(error_output: IO[bytes]) -> str:
    """The last line that the worker wrote before it had seen any object."""
    error_output.seek(0)
    lines = error_output.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""

"""Child processes of tests and benchmarks: started, awaited by what they do, and always stopped."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).parents[2]
POLL_S = 0.01
GUARD_S = 60.0
"""How long helpers wait for what must happen. It guards against hanging and says nothing of how fast something is."""
_LOWEST_PORT, _HIGHEST_PORT = 20000, 32000  # below Linux's ephemeral ports: no outgoing connection takes them
_RANDOM = random.SystemRandom()


_RESERVED: deque[int] = deque()
"""Descriptors of locks of the ports that were given out last."""
MOST_RESERVED = 200
"""More are never in use at a time, and descriptors are few."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens, and that no other test process of this machine is given: some
    are only listened on later, or again after a restart."""
    while True:
        port = _RANDOM.randrange(_LOWEST_PORT, _HIGHEST_PORT)
        if not _is_reserved_for_us(port):
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def free_ports(number: int) -> int:
    """The first of `number` such ports in a row."""
    while True:
        first = free_port()
        if all(_is_reserved_for_us(port) and not is_listening(port) for port in range(first + 1, first + number)):
            return first


def _is_reserved_for_us(port: int) -> bool:
    folder = Path(tempfile.gettempdir()) / "gateway-test-ports"
    folder.mkdir(mode=0o777, exist_ok=True)
    lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    _RESERVED.append(lock)
    if len(_RESERVED) > MOST_RESERVED:
        os.close(_RESERVED.popleft())
    return True


def program(name: str) -> str:
    """Path of a native program; scripts of the same name (pynetdicom installs a `storescu` too) are passed over.

    Raises:
        FileNotFoundError: it is not installed.
    """
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/sbin"]:
        path = shutil.which(name, path=folder)
        if path and Path(path).read_bytes()[:2] != b"#!":
            return path
    raise FileNotFoundError(f"{name} is not installed (Debian: apt-get install dcmtk orthanc haproxy)")


def is_listening(port: int) -> bool:
    """True when 127.0.0.1:port takes a connection."""
    with socket.socket() as probe:
        probe.settimeout(GUARD_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def until(
    condition: Callable[[], object | Awaitable[object]], timeout_s: float = GUARD_S, what: str = ""
) -> None:
    """Wait until `condition` holds; it may be a function or a coroutine function.

    Raises:
        TimeoutError: it did not within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or getattr(condition, '__name__', 'condition')} not reached in {timeout_s} s")
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended."""

    returncode: int
    output: str
    """Standard output and error, as they came."""


async def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float = 2 * GUARD_S,
    environment: Mapping[str, str] | None = None,
    folder: Path = REPOSITORY,
) -> Finished:
    """Run a program to its end, in `folder`; the event loop goes on meanwhile.

    Raises:
        subprocess.TimeoutExpired: it was killed after `timeout_s`.
    """
    done = await asyncio.to_thread(
        subprocess.run,
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(errors="replace"))


class Daemon:
    """A process that runs until it is stopped; its output goes to `log_path`. An asynchronous context manager.

    It gets a session of its own, so that its children end with it, and dies with the thread that started it.
    """

    name = "daemon"
    ready_timeout_s = GUARD_S

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What is run."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Added to our own environment."""
        return {}

    async def is_ready(self) -> bool:
        """True when peers may call."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """Everything it said so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def launch(self) -> None:
        """Start the process without waiting for it."""
        assert not self.is_running, f"{self.name} runs already"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        guard = [shutil.which("setpriv") or "", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*guard, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment()},
                cwd=REPOSITORY,
                start_new_session=True,
            )

    async def start(self) -> Self:
        """Start it and return when it is ready.

        Raises:
            AssertionError: it ended, or was not ready in time; the message carries its log.
        """
        self.launch()
        await self.wait_ready()
        return self

    async def wait_ready(self) -> None:
        """Return when it is ready, see `start`."""
        deadline = time.monotonic() + self.ready_timeout_s
        while not await self.is_ready():
            if not self.is_running:
                raise AssertionError(f"{self.name} ended with {self.returncode} before it was ready:\n{self.log}")
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"{self.name} was not ready in {self.ready_timeout_s} s:\n{self.log}")
            await asyncio.sleep(POLL_S)

    @property
    def returncode(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def signal(self, number: int) -> None:
        """Send a signal to it (not to its children)."""
        os.kill(self.pid, number)

    def pause(self) -> None:
        """Freeze it: connections are still taken by the kernel, nothing is answered. Returns when it stands still."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._signal_session(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(timeout=GUARD_S)

    async def wait(self, timeout_s: float = GUARD_S) -> int:
        """Wait for its own end; the return code (negative: the signal)."""
        await until(lambda: not self.is_running, timeout_s, f"end of {self.name}")
        return self.returncode or 0

    def stop(self, grace_s: float = 5.0) -> None:
        """SIGTERM, then SIGKILL; nothing when it has ended. For teardown."""
        if self.process is None:
            return
        if self.is_running:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=grace_s)
        self.kill()

    def _signal_session(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

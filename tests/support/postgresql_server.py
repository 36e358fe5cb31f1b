"""A PostgreSQL server for tests: Debian's programs, a cluster in a scratch folder, a Unix socket and no port."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from tests.support.processes import GUARD_S, POLL_S

PROGRAMS = Path("/usr/lib/postgresql")
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # a killed server loses nothing by that: the kernel has what was written
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum_naptime": "10s",
}
_NUMBERS = itertools.count(1)
MOST_SCHEMAS = 8


def programs() -> Path:
    """The folder of the newest PostgreSQL of this machine.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    raise FileNotFoundError("PostgreSQL is not installed (Debian: apt-get install postgresql)")


class PostgreSQLServer:
    """A server that is this process's own: it ends with `stop`, and with this process however that ends.

    Its databases sort as people do, not by bytes (ICU's `en-US`): what relies on the order of bytes has to say so.
    """

    def __init__(self, **settings: str) -> None:
        self._settings = {**SETTINGS, **settings}
        self._programs = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-postgresql-"))  # short: a path of a socket has 107 bytes
        self._guard = [shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL"]
        if os.geteuid() == 0:  # initdb and postgres refuse root
            user = pwd.getpwnam("nobody")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._guard += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._process: subprocess.Popen[bytes] | None = None
        self._initialise()

    def _initialise(self) -> None:
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        options += ["--locale-provider=icu", "--icu-locale=en-US", f"--username={SUPERUSER}"]
        command = [*self._guard, str(self._programs / "initdb"), f"--pgdata={self.folder / 'data'}", *options]
        subprocess.run(command, check=True, capture_output=True, timeout=3 * GUARD_S, cwd=self.folder)

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in self._settings.items())
        command = [*self._guard, str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        command += ["-k", str(self.folder), *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self._await_answer(self._process)

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + GUARD_S
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.address("postgres"), autocommit=True).close()
                return
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not answer: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(POLL_S)

    def address(self, database: str, user: str = SUPERUSER) -> str:
        """The URL of one of its databases."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"gateway_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def new_schema(self) -> str:
        """The URL of an empty schema; the one of `MOST_SCHEMAS` calls before is gone."""
        name = f"gateway_{next(_NUMBERS) % MOST_SCHEMAS}"
        self.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
        return f"{self.address('postgres')}&options=-csearch_path%3D{name}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as its superuser."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    @property
    def pid(self) -> int:
        """The process that all others of it are children of."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End all of its processes at once, as a crash does; `start` recovers. Returns when none is left: a new one
        refuses to start beside them."""
        processes = self._freeze()
        for process in processes:
            _signal(process, signal.SIGKILL)
        self._end(signal.SIGKILL)
        _until_all(processes, "Z")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """No process of it does anything meanwhile; the kernel still takes connections and what is sent."""
        processes = self._freeze()
        try:
            yield
        finally:
            for process in reversed(processes):
                _signal(process, signal.SIGCONT)

    def _freeze(self) -> list[int]:
        """Its own process and then its children, which it makes no more of; all stand still."""
        assert self._process is not None
        main = self._process.pid
        _signal(main, signal.SIGSTOP)
        _until_all([main], "TZ")
        children = [*map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]
        for process in children:
            _signal(process, signal.SIGSTOP)
        _until_all(children, "TZ")
        return [main, *children]

    def stop(self) -> None:
        """End it, and remove all that it wrote."""
        try:
            self._end(signal.SIGQUIT)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(GUARD_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _until_all(processes: Sequence[int], states: str) -> None:
    """Wait until each is in one of these states (proc(5)), or gone."""
    deadline = time.monotonic() + GUARD_S
    while not all(_state(process) in states for process in processes):
        assert time.monotonic() < deadline, f"processes {processes} are not in the states {states}"
        time.sleep(0.001)


def _state(process: int) -> str:
    """Empty when it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@functools.cache
def shared_server() -> PostgreSQLServer:
    """The server of all tests of this process; `stop_shared_server` ends it."""
    server = PostgreSQLServer()
    server.start()
    return server


def stop_shared_server() -> None:
    """End it, if any test started it."""
    if shared_server.cache_info().currsize:
        shared_server().stop()
        shared_server.cache_clear()

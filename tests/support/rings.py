"""What tests of each ring may do, held while they run.

A test without the marker `loopback`, `process` or `peers` opens no socket of the internet family and starts no process;
one with the marker `postgresql` starts a PostgreSQL server, one with `s3` SeaweedFS, and nothing else.
Only a test with the marker `peers` starts programs of dcmtk or Orthanc, or HAProxy.
"""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

MARKED_FOLDERS = {"loopback", "process", "campaign", "peers"}
"""Folders below tests/ whose name is a marker."""
PEER_PROGRAMS = {
    "Orthanc",
    "dump2dcm",
    "wlmscpfs",
    *(f"{verb}scu" for verb in ("echo", "find", "get", "move", "store")),
}
PEER_PROGRAMS |= {
    "storescp",
    "dcmcjpeg",
    "dcmcjpls",
    "dcmcrle",
    "dcmconv",
    "dcmdjpeg",
    "dcmdjpls",
    "dcmdrle",
    "dcmdump",
}
SERVERS = {"postgresql": {"initdb", "postgres"}, "s3": {"weed"}}
"""Marker → the programs that a test with it starts."""
PEER_PROGRAMS |= {"dcmftest", "dcmodify", "dcmqrscp", "dcmqridx", "dcmsend", "haproxy", "img2dcm"}


class WrongRing(AssertionError):
    """A test did what tests of its ring do not."""


class Watch:
    """Knows the test that runs, and what it may not have done."""

    def __init__(self) -> None:
        self._markers: set[str] = set()
        self._is_on = False
        self._broken: list[str] = []

    def begin(self, markers: Iterable[str]) -> None:
        self._markers, self._is_on, self._broken = set(markers), True, []

    def end(self) -> list[str]:
        """What the test did and may not, in words."""
        broken, self._broken, self._is_on = self._broken, [], False
        return broken

    def install(self) -> None:
        """From now on, for the life of this process."""
        for name in ("bind", "connect", "connect_ex"):
            self._wrap(socket.socket, name, self.on_socket)
        self._wrap(subprocess.Popen, "__init__", self.on_process)
        fork = os.fork

        def forked() -> int:
            self.on_process(None, ("fork",))
            return fork()

        os.fork = forked

    def _wrap(self, kind: type, name: str, check: Callable[[Any, Sequence[Any]], None]) -> None:
        original = getattr(kind, name)

        @functools.wraps(original)
        def method(this: Any, *arguments: Any, **options: Any) -> Any:
            check(this, arguments)
            return original(this, *arguments, **options)

        setattr(kind, name, method)

    def on_socket(self, this: socket.socket, arguments: Sequence[Any]) -> None:
        """Called with the address first.

        Raises:
            WrongRing: the running test may not.
        """
        if this.family != socket.AF_UNIX and not self._markers & {"loopback", "process", "peers", "s3"}:
            self._refuse(
                f"a socket to {arguments[0]!r}: the test belongs to tests/loopback, or needs the marker loopback"
            )

    def on_process(self, _: object, arguments: Sequence[Any]) -> None:
        """Called with the command first.

        Raises:
            WrongRing: the running test may not.
        """
        command = arguments[0] if arguments else ""
        words = [command] if isinstance(command, str | bytes | os.PathLike) else list(command)
        paths = [Path(os.fsdecode(word)) for word in words[:8]]  # a guard such as setpriv may stand before it
        names = {path.name for number, path in enumerate(paths) if not number or path.is_absolute()}
        if names & PEER_PROGRAMS and "peers" not in self._markers:
            self._refuse(f"{paths[0]}: the test belongs to tests/peers, or needs the marker peers")
        if any(names & programs for marker, programs in SERVERS.items() if marker in self._markers):
            return
        if not self._markers & {"loopback", "process", "peers"}:
            self._refuse(f"the process {paths[0]}: the test belongs to tests/process, or needs the marker process")

    def _refuse(self, what: str) -> None:
        if self._is_on:
            self._broken.append(what)
            raise WrongRing(what)


WATCH = Watch()
"""The watch of this process; `tests/conftest.py` installs it."""

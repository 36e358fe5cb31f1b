"""The gateway with faults that a test switches on and off: a file of that name in the folder `$GATEWAY_FAULTS`.

| file | what happens while it is there |
|---|---|
| `spool-sync` | each sync of the spool gives an input/output error |
| `database-sync` | each sync of the database does |
| `database-write` | each write to the database does, as on a file system that became read-only |
| `bind` | no port can be opened |
| `rules` | the rules are being read |
| `recovery` | a start looks at the database |
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.common import early_signals
from gateway.common.without_codecs import hide_codecs

if __name__ == "__main__":
    early_signals.hold(sys.argv[1:])
    hide_codecs()

import apsw

from gateway.app import gateway
from gateway.cli import main, running
from gateway.dimse import server
from gateway.spool.disk import LocalDisk

FAULTS = Path(os.environ.get("GATEWAY_FAULTS", "/nowhere"))
QUICK_POLL_S = 0.01


def is_on(name: str) -> bool:
    return (FAULTS / name).exists()


def wait(name: str) -> None:
    while is_on(name):
        time.sleep(QUICK_POLL_S)


class FaultyFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if is_on("database-write"):
            raise apsw.IOError("read-only file system")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if is_on("database-sync"):
            raise apsw.IOError("input/output error")
        super().xSync(flags)


class FaultyFiles(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> FaultyFile:
        return FaultyFile(name, flags)


def before(place: Any, name: str, fault: Callable[[], None]) -> None:
    """`fault` runs before each call of `place.name`, and may raise."""
    real = getattr(place, name)

    def faulty(*arguments: Any, **keywords: Any) -> Any:
        fault()
        return real(*arguments, **keywords)

    setattr(place, name, faulty)


def failing(name: str, number: int) -> Callable[[], None]:
    def fail() -> None:
        if is_on(name):
            raise OSError(number, os.strerror(number))

    return fail


if __name__ == "__main__":
    files = FaultyFiles()  # lives as long as the process
    before(LocalDisk, "fdatasync", failing("spool-sync", errno.EIO))
    before(server, "bind", failing("bind", errno.EADDRINUSE))
    before(running, "load_rules", lambda: wait("rules"))
    before(gateway, "check_before_start", lambda: wait("recovery"))
    main(prog_name="gateway")

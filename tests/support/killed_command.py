"""A command of `gateway` killed before each of its statements that write: `python -m … FOLDER MODULE ARGUMENT…`.

The queue of `FOLDER` is in SQLite; the begin and the end of a transaction count as such statements. Each try is a
process of its own on a copy `FOLDER-n`, which ends itself by SIGKILL before statement n. The last one comes to its end.
Prints the number of tries. `MODULE` has the command: it is loaded once for all.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import apsw

from gateway.cli import main

READS = ("SELECT", "PRAGMA", "WITH", "ATTACH", "EXPLAIN")
MOST_STEPS = 100
LIMIT_S = 900.0
"""For all tries, on a machine that is busy."""
ALSO_LOADED = ("gateway.sqlite.store", "gateway.config.section", "gateway.config.loading")
"""What the command would load in each try."""


def kill_before(number: int) -> None:
    """In this process, whatever connection is used."""
    left = number

    def count(cursor: Any, statement: str, values: Any) -> bool:
        nonlocal left
        words = [line for line in statement.splitlines() if not line.lstrip().startswith("--")]
        if not " ".join(words).lstrip().upper().startswith(READS):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return True

    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(count))


def copy_of(folder: Path, number: int) -> Path:
    """The folder of a try."""
    return folder.with_name(f"{folder.name}-{number}")


def run(folder: Path, arguments: list[str]) -> int:
    """The number of the try that came to its end."""
    for number in range(1, MOST_STEPS):
        place = copy_of(folder, number)
        shutil.copytree(folder, place)
        child = os.fork()
        if not child:
            os.chdir(place)
            kill_before(number)
            main(arguments)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            assert status == 0, f"it ended with {status} at statement {number}"
            return number
    raise AssertionError("it never came to its end")


if __name__ == "__main__":
    for module in (sys.argv[2], *ALSO_LOADED):
        importlib.import_module(module)
    print(run(Path(sys.argv[1]), sys.argv[3:]))

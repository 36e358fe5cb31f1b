"""The gateway, with its garbage collections written down: `python -m benchmarks.garbage FILE run RULES`.

FILE gets a line of JSON for each collection of the oldest generation, and for any that stops everything for a
millisecond or more.
"""

from __future__ import annotations

import gc
import json
import runpy
import sys
import time
from typing import TextIO

WORTH_A_LINE_S = 0.001


def watch(file: TextIO) -> None:
    """From now on."""
    began_s = 0.0

    def called(phase: str, info: dict[str, int]) -> None:
        nonlocal began_s
        if phase == "start":
            began_s = time.perf_counter()
            return
        seconds = time.perf_counter() - began_s
        if info["generation"] == 2 or seconds >= WORTH_A_LINE_S:
            line = {"generation": info["generation"], "seconds": seconds, "at": time.time()}
            file.write(f"{json.dumps(line)}\n")
            file.flush()

    gc.callbacks.append(called)


def main() -> None:
    """As `python -m gateway`."""
    watch(open(sys.argv[1], "a"))  # noqa: SIM115 - until the process ends
    sys.argv = [sys.argv[0], *sys.argv[2:]]
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""A worker process whose codecs misbehave: `ConversionPool(…, module="tests.support.bad_conversions")`."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

from gateway.conversion import child
from gateway.dataset import conversions
from gateway.dataset.conversions import ConversionSettings
from gateway.dataset.scratch import Scratch
from gateway.dataset.transcode import Transcoded


def copy(view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch) -> Transcoded:
    """The same again; `marker` is a file that is made first, `takes_s` how long it takes."""
    if "marker" in settings:
        Path(settings["marker"]).touch()
    time.sleep(settings.get("takes_s", 0.0))
    return Transcoded([view], transfer_syntax_uid)


def crash(view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch) -> Transcoded:
    """As a codec that follows a wrong pointer; with `once`, a file, only the first time."""
    marker = Path(settings.get("once", os.devnull))
    if marker.is_file():
        return Transcoded([view], transfer_syntax_uid)
    if "once" in settings:
        marker.touch()
    os.kill(os.getpid(), settings.get("signal", signal.SIGSEGV))
    raise AssertionError("still alive")


def hang(view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch) -> Transcoded:
    """In C code that never lets go of the interpreter."""
    re.match(r"(a+)+$", "a" * 64 + "b")
    raise AssertionError("came to an end")


def eat(view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch) -> Transcoded:
    """Takes memory as long as there is some."""
    eaten = [bytearray(8 * 1024**2) for _ in range(100_000)]
    raise AssertionError(f"{len(eaten)} pieces were not too many")


def fail(view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch) -> Transcoded:
    """A mistake of ours, whose text quotes the object."""
    raise ValueError(f"cannot read {bytes(view)!r}")


def swell(view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch) -> Transcoded:
    """Writes more than there is room for."""
    full = Scratch(scratch.folder, scratch.before_mapping, keep_free_bytes=1 << 62).gathering()
    while True:
        full.add(bytes(1024**2))


def environment(
    view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch
) -> Transcoded:
    """What the worker sees of its surroundings, as JSON."""
    files = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()]
    return Transcoded([json.dumps({"environment": dict(os.environ), "files": files}).encode()], transfer_syntax_uid)


conversions.KINDS = {
    **conversions.KINDS,
    "copy": copy,
    "crash": crash,
    "hang": hang,
    "eat": eat,
    "fail": fail,
    "swell": swell,
    "environment": environment,
}

if __name__ == "__main__":
    sys.exit(child.main(sys.argv[1:]))

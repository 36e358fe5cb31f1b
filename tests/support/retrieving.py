"""dcmtk's movescu and getscu, and what they were told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.archive import MODELS
from tests.support.processes import program, run

_COUNTER = r"(?:Completed|Failed|Warning) Suboperations\s*: (\d+|none)"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The final response, as the requestor shows it."""

    status: int | None
    """None when there was none."""
    counters: tuple[int, ...]
    """Completed, failed, warning."""
    log: str

    @property
    def is_success(self) -> bool:
        return self.status == 0x0000


async def movescu(
    port: int,
    model: str,
    keys: Sequence[str],
    *,
    destination: str,
    calling: str = "VIEWER",
    options: Sequence[str] = (),
    timeout_s: float = 60.0,
) -> Retrieved:
    """C-MOVE with dcmtk's movescu; `keys` as ``Keyword=value``."""
    return await _asked("movescu", port, model, keys, calling, ("-aem", destination, *options), timeout_s)


async def getscu(
    port: int,
    model: str,
    keys: Sequence[str],
    folder: Path,
    *,
    calling: str = "VIEWER",
    options: Sequence[str] = (),
    timeout_s: float = 60.0,
) -> Retrieved:
    """C-GET with dcmtk's getscu into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return await _asked("getscu", port, model, keys, calling, ("-od", str(folder), "+B", *options), timeout_s)


async def _asked(
    name: str,
    port: int,
    model: str,
    keys: Sequence[str],
    calling: str,
    options: Sequence[str],
    timeout_s: float,
) -> Retrieved:
    command = [program(name), "-d", MODELS[model], "-aet", calling, "-aec", "GATEWAY", *options, "127.0.0.1", str(port)]
    command += [word for key in keys for word in ("-k", key)]
    done = await run(command, timeout_s=timeout_s, environment={"TCP_NODELAY": "1"})
    return read_retrieved(done.output)


def read_retrieved(log: str) -> Retrieved:
    """The last response in what movescu or getscu says with ``-d``."""
    statuses = re.findall(r"DIMSE Status\s*: 0x([0-9a-fA-F]{4})", log)
    last = log[log.rfind("Completed Suboperations") :] if "Completed Suboperations" in log else ""
    found = re.findall(_COUNTER, last)[:3]
    counters = tuple(int(word) if word.isdigit() else 0 for word in found)
    return Retrieved(int(statuses[-1], 16) if statuses else None, counters, log)

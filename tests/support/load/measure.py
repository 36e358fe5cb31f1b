"""What the machine says of a process and of a disk (Linux)."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_STATUS = {"rss": "VmRSS", "peak": "VmHWM", "anonymous": "RssAnon"}


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and its threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def tree_cpu_seconds(pid: int) -> float:
    """Processor time (user and system) of a process, of those that it started, and of those of them that have ended."""
    fields = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    ticks, ahead = 0, [pid]
    while ahead:
        parent = ahead.pop()
        ticks += sum(map(int, fields[parent][11:15]))
        ahead += [child for child, row in fields.items() if int(row[1]) == parent]
    return ticks / _TICKS


def memory_bytes(pid: int) -> dict[str, int]:
    """Resident memory of a process: now (`rss`, `anonymous`) and at most (`peak`, since `reset_peak`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Vm", "Rss"))}
    return {name: int(values[field]) * 1024 for name, field in _STATUS.items()}


def reset_peak(pid: int) -> None:
    """Let `peak` start anew from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def append_rate(folder: Path, size_bytes: int, seconds: float = 2.0) -> float:
    """Appends of `size_bytes` to one file a second, each with fdatasync: what the disk itself allows."""
    path = folder / "append.probe"
    block = os.urandom(size_bytes)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    count = 0
    try:
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            os.write(descriptor, block)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - started)
    finally:
        os.close(descriptor)
        path.unlink()


def machine() -> str:
    """Processor, cores, memory, kernel and Python, in a line."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}, Python {sys.version.split()[0]}"

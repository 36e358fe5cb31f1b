"""The worker process: one conversion after the other, until its socket is closed or its parent is gone.

It gets one line of JSON and two files (source, result) over the socket, and answers with one line of JSON. It
knows no secrets, opens no file by name but scratch, and writes nothing about objects anywhere.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

LINE_BYTES = 1 << 20
"""Longest line of JSON."""
STEP_BYTES = 32 * 1024**2
"""The number of bytes written after which the free space is checked again."""
OUT_OF_MEMORY = 71
"""Exit code after a MemoryError was answered: the state of the heap is unknown then."""
SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS})
"""Errors that are not the object's fault: its conversion is tried again later."""
_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2)
_CPU_GRACE_S = 10
_PAGE_BYTES = resource.getpagesize()


def main(arguments: list[str]) -> int:
    """`arguments`: descriptor of the socket, process ID of the parent, scratch folder."""
    descriptor, parent, folder = int(arguments[0]), int(arguments[1]), arguments[2]
    if not _tied_to(parent):
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the parent: it still drains
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core holds patients
    os.nice(5)  # receiving goes first
    from gateway.dataset.conversions import KINDS  # what is missing shows before an object is lost to it

    connection = socket.socket(fileno=descriptor)
    _send(connection, {"outcome": "ready"})
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # codecs quote what they read
    while True:
        job, files = _receive(connection)
        if job is None:
            return 0
        try:
            answer = _answer(job, files, folder, KINDS)
        finally:
            for file in files:
                os.close(file)
        _send(connection, answer)
        if answer["outcome"] == "out_of_memory":
            return OUT_OF_MEMORY


def _tied_to(parent: int) -> bool:
    """True when this process will die with its parent, even by `kill -9`; False when the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    return os.getppid() == parent


def _receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    line, files, _flags, _address = socket.recv_fds(connection, LINE_BYTES, 2)
    while line and not line.endswith(b"\n"):
        line += connection.recv(LINE_BYTES)
    return (json.loads(line) if line else None), list(files)


def _send(connection: socket.socket, answer: Mapping[str, Any]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


def _answer(job: dict[str, Any], files: list[int], folder: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job; an error is an answer too."""
    from gateway.dataset.scratch import Scratch
    from gateway.ports.errors import GatewayError

    source, result = files
    limit = _Limit(job["memory_bytes"], job["time_limit_s"])
    try:
        view = _mapped(source, limit.grow)
        scratch = Scratch(folder, limit.grow, job["keep_free_bytes"])
        done = kinds[job["kind"]](view, job["transfer_syntax_uid"], job["settings"], scratch)
        length_bytes = _write(result, done.pieces, scratch.check_room)
    except GatewayError as error:
        return {"outcome": "refused", "reason": f"{error}{limit.note()}"}
    except MemoryError:
        return {"outcome": "out_of_memory"}
    except Exception as error:
        return _failed(error)
    finally:
        limit.lift()
    return {
        "outcome": "converted",
        "transfer_syntax_uid": done.transfer_syntax_uid,
        "sop_instance_uid": done.sop_instance_uid,
        "length_bytes": length_bytes,
    }


def _failed(error: Exception) -> dict[str, Any]:
    """The answer after an unexpected error. The error's text may quote the object, and is not passed on."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:  # mapping a file
        return {"outcome": "out_of_memory"}
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        return {"outcome": "short", "reason": os.strerror(error.errno)}
    return {"outcome": "failed", "reason": f"{type(error).__name__} in {_place(error)}"}


class _Limit:
    """The limits of memory and time for one job from here on.

    A library that gets no memory may only say that something failed, so that this says how near the limit was.
    """

    def __init__(self, memory_bytes: int, time_limit_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._limit_bytes = _address_space_bytes() + memory_bytes
        self._highest_bytes = _highest_bytes()
        self.grow(0)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(usage.ru_utime + usage.ru_stime + time_limit_s + _CPU_GRACE_S)  # the parent is quicker, if alive
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))

    def grow(self, more_bytes: int) -> None:
        """Raise the limit for a file that is to be mapped."""
        self._limit_bytes += more_bytes + _PAGE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (self._limit_bytes, resource.RLIM_INFINITY))

    def note(self) -> str:
        """The note for a reason: how near the limit it was; empty when it was not."""
        highest_bytes = _highest_bytes()
        taken_bytes = highest_bytes - (self._limit_bytes - self._memory_bytes)
        if highest_bytes == self._highest_bytes or taken_bytes < self._memory_bytes // 2:
            return ""
        taken, most = taken_bytes // 1024**2, self._memory_bytes // 1024**2
        return f" (it had taken {taken} MiB of the {most} MiB that `gateway.conversion.memory` allows)"

    def lift(self) -> None:
        """Lift the limits: the job is done."""
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _address_space_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * _PAGE_BYTES
    except OSError:  # not Linux
        return 0


def _highest_bytes() -> int:
    """The greatest address space that this process ever had; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmPeak:")), 0)
    except OSError:
        return 0


def _mapped(descriptor: int, grow: Callable[[int], None]) -> memoryview:
    length_bytes = os.fstat(descriptor).st_size
    if not length_bytes:
        return memoryview(b"")
    grow(length_bytes)
    return memoryview(mmap.mmap(descriptor, length_bytes, access=mmap.ACCESS_READ))


def _write(descriptor: int, pieces: list[bytes | memoryview], check_room: Callable[[], None]) -> int:
    """The pieces in order; their length."""
    total = unseen = 0
    for piece in pieces:
        view = memoryview(piece).cast("B")
        while view:
            if unseen >= STEP_BYTES:
                check_room()
                unseen = 0
            written = os.write(descriptor, view[:STEP_BYTES])
            view = view[written:]
            total, unseen = total + written, unseen + written
    return total


def _place(error: Exception) -> str:
    """File and line where it was raised, which quotes nothing."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return "?" if frame is None else f"{os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

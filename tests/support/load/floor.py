"""`benchmarks/floor.py` in a process of its own, and what it has kept."""

from __future__ import annotations

import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.processes import Daemon, free_port, is_listening

_RECORD = struct.Struct("<IHHHQ")
_MAGIC = 0x314A424F


class Floor(Daemon):
    """The floor; with the port of a sink the relay floor. Its log and its rows are in `folder`."""

    name = "floor"

    def __init__(self, folder: Path, sink_port: int = 0) -> None:
        super().__init__(folder.with_suffix(".log"))
        self.folder = folder
        self.sink_port = sink_port
        self.port = free_port()

    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--folder", str(self.folder), "--sink", str(self.sink_port)]
        return [sys.executable, "-m", "benchmarks.floor", *options]

    async def is_ready(self) -> bool:
        return is_listening(self.port)

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """SOP Instance UID and data set of each record of the log, in order."""
        log = (self.folder / "log").read_bytes()
        position = 0
        while position < len(log) and log[position : position + 4] != bytes(4):  # zeros are written ahead
            magic, *lengths, size = _RECORD.unpack_from(log, position)
            assert magic == _MAGIC, f"no record at {position}"
            position += _RECORD.size
            names = []
            for length in lengths:
                names.append(log[position : position + length].decode().rstrip("\0"))
                position += length
            yield names[1], log[position : position + size]
            position += size

    def rows(self) -> list[tuple[str, bytes]]:
        """SOP Instance UID of each row, and the data set to which it points."""
        log = (self.folder / "log").read_bytes()
        found = self._select("select uid, offset, size from instance order by id")
        return [(uid.rstrip("\0"), log[offset : offset + size]) for uid, offset, size in found]

    def queued(self) -> list[str]:
        """SOP Instance UIDs of the deliveries that stand in the queue."""
        found = self._select("select uid from delivery join instance on instance.id = delivery.instance order by 1")
        return [uid.rstrip("\0") for (uid,) in found]

    def _select(self, statement: str) -> list[Any]:
        database = sqlite3.connect(self.folder / "rows.db")
        try:
            return database.execute(statement).fetchall()
        finally:
            database.close()

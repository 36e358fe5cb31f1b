"""What real requestors sent, byte for byte: one file an association, the PDUs as they came (PS3.8 §9.3).

`record` makes them anew with dcmtk and stock pynetdicom; they stand in `recordings/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from tests.support.attacks.line import KNOWN_TITLE
from tests.support.caller import write_file
from tests.support.peers import echoscu, stock_scu, storescu
from tests.support.processes import program, run
from tests.support.retrieving import getscu, movescu

FOLDER = Path(__file__).parent / "recordings"
UIDS = ("1.2.826.0.1.3680043.8.498.99.1", "1.2.826.0.1.3680043.8.498.99.2")
STUDY = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3.1")
"""The study of the objects of `tests.support.caller`."""


def pdus(stream: bytes) -> list[bytes]:
    """Cut a stream into PDUs with their headers; what is left over is the last one."""
    found = []
    position = 0
    while position < len(stream):
        if position + 6 > len(stream):
            found.append(stream[position:])
            break
        (length,) = struct.unpack_from(">I", stream, position + 2)
        found.append(stream[position : position + 6 + length])
        position += 6 + length
    return found


def recordings(folder: Path = FOLDER) -> dict[str, list[bytes]]:
    """Name → PDUs of each recorded association."""
    return {path.stem: pdus(path.read_bytes()) for path in sorted(folder.glob("*.pdus"))}


@contextlib.asynccontextmanager
async def recorder(port: int, streams: list[bytearray]) -> AsyncIterator[int]:
    """A proxy to `port` that appends what each client sends; its port."""

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if kept is not None:
                    kept += data
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = bytearray()
        streams.append(kept)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.77", 0))
        await asyncio.gather(passed(reader, there_writer, kept), passed(there_reader, writer, None))
        for each in (writer, there_writer):
            each.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def record(port: int, folder: Path, work: Path) -> list[str]:
    """Let real requestors call the gateway at `port` (which takes `KNOWN_TITLE` from 127.0.0.77 and knows a move
    destination SINK); the names of what was written into `folder`."""
    files = [write_file(work, uid, modality="CT") for uid in UIDS]
    calls: dict[str, Callable[[int], Awaitable[object]]] = {
        "storescu": lambda to: storescu(to, files, calling=KNOWN_TITLE),
        "storescu-all-syntaxes": lambda to: storescu(to, files[:1], calling=KNOWN_TITLE, options=["-xs"]),
        "echoscu": lambda to: echoscu(to, calling=KNOWN_TITLE),
        "echoscu-many": lambda to: echoscu(to, calling=KNOWN_TITLE, options=["--repeat", "3", "-pts", "5"]),
        "findscu-study": lambda to: _find(to, "-S", *STUDY, "PatientName=*", "StudyDate", "ModalitiesInStudy"),
        "findscu-patient": lambda to: _find(to, "-P", "QueryRetrieveLevel=PATIENT", "PatientID", "PatientName=N*"),
        "findscu-worklist": lambda to: _find(
            to, "-W", "PatientName", "ScheduledProcedureStepSequence[0].Modality=CT", "AccessionNumber"
        ),
        "movescu": lambda to: movescu(to, "study", STUDY, destination="SINK", calling=KNOWN_TITLE),
        "getscu": lambda to: getscu(to, "study", STUDY, work / "got", calling=KNOWN_TITLE),
        "pynetdicom-store": lambda to: stock_scu(to, files, calling=KNOWN_TITLE),
        "pynetdicom-all": lambda to: run(
            [sys.executable, "-m", "tests.support.fuzzing.stock_calls", str(to), KNOWN_TITLE, str(files[0])]
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, call in calls.items():
        streams: list[bytearray] = []
        async with recorder(port, streams) as to:
            done = await call(to)
        for number, stream in enumerate(streams):
            suffix = f"-{number}" if number else ""
            (folder / f"{name}{suffix}.pdus").write_bytes(stream)
        print(name, [len(stream) for stream in streams], getattr(done, "returncode", getattr(done, "status", None)))
    return list(calls)


async def _find(port: int, model: str, *keys: str) -> object:
    words: Sequence[str] = [word for key in keys for word in ("-k", key)]
    return await run(
        [program("findscu"), model, "-aet", KNOWN_TITLE, "-aec", "GATEWAY", *words, "127.0.0.1", str(port)]
    )

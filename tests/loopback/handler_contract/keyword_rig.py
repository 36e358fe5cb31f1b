"""The same keywords of `AE.associate` on stock pynetdicom and on ours: the A-ASSOCIATE-RQ that each sends, or the final
status that the C-MOVE's requestor sees."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from pynetdicom import AE, evt

from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.server import Server
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from tests.support.caller import EXPLICIT
from tests.support.dimse.query_rig import EVERYTHING, STUDY_MOVE, Requestor, image
from tests.support.processes import GUARD_S, free_port
from tests.support.stock import no_delay

REJECTED = bytes.fromhex("03000000000400010101")
"""A-ASSOCIATE-RJ: permanent, by the service user, without a reason."""

Handler = Callable[[Any], Iterator[Any]]


class Seen(NamedTuple):
    """What came of one use of the keywords."""

    request: bytes = b""
    """The A-ASSOCIATE-RQ; empty when none was sent."""
    status: int | None = None
    """The status of the final C-MOVE response, where no A-ASSOCIATE-RQ was sent."""
    caller: str = ""
    """The address that it came from."""
    caller_port: int = 0


class Recorder:
    """Takes connections, keeps the first PDU of each, and rejects the association."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.callers: list[tuple[str, int]] = []
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            head = await reader.readexactly(6)
            self.requests.append(head + await reader.readexactly(int.from_bytes(head[2:], "big")))
            self.callers.append(writer.get_extra_info("peername")[:2])
            writer.write(REJECTED)
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def recorder(tls: ssl.SSLContext | None = None) -> AsyncIterator[Recorder]:
    """A listening `Recorder`."""
    there = Recorder()
    server = await asyncio.start_server(there._serve, "127.0.0.1", 0, ssl=tls)
    there.port = server.sockets[0].getsockname()[1]
    try:
        yield there
    finally:
        server.close()


@contextlib.asynccontextmanager
async def stock(handler: Handler) -> AsyncIterator[int]:
    """pynetdicom's server; it identifies itself as ours does."""
    gc.freeze()  # the collection at the end looks only at what was made since: half a second less
    ae = AE("GATEWAY")
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.add_supported_context(STUDY_MOVE, EXPLICIT)
    handlers: Any = [(evt.EVT_C_MOVE, handler), (evt.EVT_CONN_OPEN, no_delay)]
    port = free_port()
    server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield port
    finally:
        await asyncio.to_thread(server.shutdown)
        gc.collect()  # where it refuses keywords it leaves a socket open, of which a later test would be told
        gc.unfreeze()


@contextlib.asynccontextmanager
async def ours(handler: Handler) -> AsyncIterator[int]:
    """Our server with the same handler."""
    server = Server(
        handlers=[(evt.EVT_C_MOVE, handler)],
        admission=lambda facts: Admitted(Peer("tester", may=EVERYTHING)),
        ae_title="GATEWAY",
    )
    port = await server.listen(Listener("main", 0, "127.0.0.1"))
    try:
        yield port
    finally:
        server.abort_all()
        await server.drain(5.0)


def move_handler(place: Any, number: int = 1, instance: Any = None) -> Handler:
    """Yields `place`, and one instance."""

    def handler(event: Any) -> Iterator[Any]:
        yield place
        yield number
        yield 0xFF00, image(1) if instance is None else instance

    return handler


async def moved(engine: Any, handler: Handler) -> int:
    """The final status of a C-MOVE that `engine` serves with `handler`."""
    async with engine(handler) as port:
        async with asyncio.timeout(GUARD_S):
            return await final_status(port)


async def final_status(port: int) -> int:
    """The final status of a C-MOVE to `port`."""
    async with await Requestor.open(port) as peer:
        peer.ask("move")
        return (await peer.final()).status


async def seen(engine: Any, place: Callable[[int], Any], *, tls: ssl.SSLContext | None = None) -> Seen:
    """What a C-MOVE sends to the place that `place` makes of the recorder's port."""
    async with recorder(tls) as there:
        status = await moved(engine, move_handler(place(there.port)))
    if not there.requests:
        return Seen(status=status)
    return Seen(there.requests[0], caller=there.callers[0][0], caller_port=there.callers[0][1])

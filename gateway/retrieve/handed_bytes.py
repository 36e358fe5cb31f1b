"""The bytes of an instance on its way from one node to another: in the database, large ones in the object store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from gateway.cluster.object_threads import ObjectThreads
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError, Temporary
from gateway.ports.expected_instances import HandedInstance
from gateway.ports.object_store import ObjectStore

CHUNK_BYTES = 4 * 1024**2
THREADS = 4
"""Large instances that are written and read at a time."""

P = ParamSpec("P")
T = TypeVar("T")


class HandedBytes:
    """Puts them and reads them.

    Args:
        objects: where large instances lie on their way.
        receiver: takes the bytes of an instance that comes from another node.
        large_bytes: instances above go by way of `objects`.
    """

    def __init__(self, objects: ObjectStore, receiver: Callable[[], DataSetReceiver], large_bytes: int) -> None:
        self._objects = objects
        self._receiver = receiver
        self._large_bytes = large_bytes
        self._threads = ObjectThreads(THREADS, "handover")

    def close(self) -> None:
        """Begin nothing more, and wait for nothing: an object that stays is one that nothing names."""
        self._threads.stop(0.0)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Temporary once it is closed."""
        try:
            running = self._threads.submit(function, *args, **kwargs)
        except RuntimeError as error:
            raise Temporary("this node ends") from error
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Temporary("this node ends") from None

    async def put(self, name: str, body: EncodedDataSet, stack: contextlib.AsyncExitStack) -> tuple[str, bytes]:
        """The name of the object that holds the bytes until `stack` ends, or an empty one and the bytes themselves.

        Raises SpoolFull, Temporary, ConfigurationError.
        """
        if body.length_bytes <= self._large_bytes:
            return "", bytes(body.view())
        object_name = f"large/{name}"
        stack.push_async_callback(self._delete, object_name)
        await self._run(self._objects.put, object_name, body.chunks(CHUNK_BYTES), body.length_bytes)
        return object_name, b""

    async def _delete(self, object_name: str) -> None:
        """One that stays is found by the cluster's search for objects that nothing names."""
        with contextlib.suppress(GatewayError):
            await self._run(self._objects.delete, [object_name])

    async def read(
        self, handed: HandedInstance, read_payload: Callable[[str], Awaitable[bytes | None]]
    ) -> EncodedDataSet:
        """All bytes, in memory or in a file of this node; `read_payload` gives those that lie in the database.

        Raises Temporary, PayloadMissing, Refusal.
        """
        receiver = self._receiver()
        try:
            if handed.object_name:
                chunks = self._objects.stream(handed.object_name, 0, handed.length_bytes, CHUNK_BYTES)
                while chunk := await self._run(next, chunks, b""):
                    await _write(receiver, chunk)
            else:
                payload = await read_payload(handed.handover_id)
                if payload is None or len(payload) != handed.length_bytes:
                    raise Temporary("the node at which it arrived hands it over no more")
                await _write(receiver, payload)
            return receiver.finish()
        except BaseException:
            receiver.discard()
            raise


async def _write(receiver: DataSetReceiver, chunk: bytes) -> None:
    waiting = receiver.write(memoryview(chunk))
    if waiting is not None:
        await waiting

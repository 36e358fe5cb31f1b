"""The payloads of acceptances: small ones go into the group's segment, large ones into a file before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeVar

from gateway.common.buffer import Buffer
from gateway.model.delivery import Dispatch
from gateway.model.instance import Instance
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import SpoolFull
from gateway.spool.body import InMemoryDataSet, flat, slices
from gateway.spool.commit_requests import Acceptance
from gateway.spool.large import LargeFile, ReceivedFile
from gateway.spool.presence import NotInPlace
from gateway.spool.spool_threads import SpoolThreads
from gateway.spool.store import SpoolStore
from gateway.spool.writing import Writing

COPY_BYTES = 1024**2

T = TypeVar("T")


class AcceptancePayloads:
    """Makes requests for the committer. Used on the event loop."""

    def __init__(self, payloads: SpoolStore, threads: SpoolThreads, large_object_bytes: int, writing: Writing) -> None:
        self._payloads = payloads
        self._threads = threads
        self._large_object_bytes = large_object_bytes
        self._writing = writing
        self._loop = asyncio.get_running_loop()

    def small(self, body: EncodedDataSet, edited: Sequence[Buffer] | None) -> tuple[Sequence[Buffer], int] | None:
        """Pieces for the segment and their length; None for what goes into a file of its own."""
        return small_pieces(body, edited, self._large_object_bytes)

    async def of_large(
        self, instance: Instance, dispatches: Sequence[Dispatch], body: EncodedDataSet, edited: Sequence[Buffer] | None
    ) -> Acceptance:
        """The payload of a file that was made durable off the group's path; the group commits its name. Raises
        SpoolFull.
        """
        file = await self._file(body, edited)
        request = Acceptance(self._loop.create_future(), instance=instance, dispatches=dispatches)
        sealing = self._loop.run_in_executor(self._threads.workers, file.seal, instance.transfer_syntax_uid)
        try:
            request.payload = await _whole(sealing, file)
        except SpoolFull as error:
            self._payloads.room.invalidate()
            if not isinstance(error, NotInPlace):
                self._writing.failed("spool", str(error))
            raise
        request.file = file
        return request

    async def _file(self, body: EncodedDataSet, edited: Sequence[Buffer] | None) -> LargeFile:
        """A large file that this commit holds."""
        if edited is None and isinstance(body, ReceivedFile):
            body.file.retain()
            return body.file
        file = self._payloads.new_file()
        pieces = flat(chunks_of(body, edited), body)
        await _whole(self._loop.run_in_executor(self._threads.workers, file.write_from, pieces), file)
        return file


def small_pieces(
    body: EncodedDataSet, edited: Sequence[Buffer] | None, large_object_bytes: int
) -> tuple[Sequence[Buffer], int] | None:
    """Pieces of a payload of at most `large_object_bytes` and their length; None for a larger one."""
    if edited is None and isinstance(body, ReceivedFile):
        return None
    size_bytes = body.length_bytes if edited is None else sum(map(len, edited))
    if size_bytes > large_object_bytes:
        return None
    if edited is None and isinstance(body, InMemoryDataSet):
        return body.pieces, size_bytes
    return list(body.chunks(COPY_BYTES)) if edited is None else edited, size_bytes


async def _whole(work: asyncio.Future[T], file: LargeFile) -> T:
    """The result of work on a file; without one the file is let go, when cancelled only after the work has ended."""
    try:
        return await asyncio.shield(work)
    except BaseException:
        work.add_done_callback(lambda done: _drop(done, file))
        raise


def _drop(work: asyncio.Future[T], file: LargeFile) -> None:
    if not work.cancelled():
        work.exception()  # seen
    file.release()


def chunks_of(body: EncodedDataSet, edited: Sequence[Buffer] | None) -> Iterable[memoryview | bytes]:
    """The bytes of a payload: the edited ones when given, else those of the body."""
    return body.chunks(COPY_BYTES) if edited is None else slices(edited, COPY_BYTES)

"""Requests for a node's committer: small payloads ride in the transaction of their group, large ones are put into the
object store before.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import uuid
from collections.abc import Iterable, Iterator, Sequence

from gateway.cluster.node_committer import LARGE
from gateway.cluster.node_folder import NodeFolder
from gateway.common.buffer import Buffer
from gateway.model.delivery import Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.object_store import ObjectStore
from gateway.spool.acceptance_payloads import COPY_BYTES, chunks_of, small_pieces
from gateway.spool.commit_requests import Acceptance
from gateway.spool.digest import Digest
from gateway.spool.large import ReceivedFile


class NodeAcceptances:
    """Makes requests for the committer. Used on the event loop."""

    def __init__(
        self,
        folder: NodeFolder,
        objects: ObjectStore,
        workers: concurrent.futures.Executor,
        large_object_bytes: int,
    ) -> None:
        self._folder = folder
        self._objects = objects
        self._workers = workers
        self._large_object_bytes = large_object_bytes
        self._loop = asyncio.get_running_loop()

    def small(self, body: EncodedDataSet, edited: Sequence[Buffer] | None) -> tuple[Sequence[Buffer], int] | None:
        """Pieces for the group and their length; None for what becomes an object of its own."""
        if edited is None and isinstance(body, ReceivedFile) and body.length_bytes <= self._large_object_bytes:
            return list(body.chunks(COPY_BYTES)), body.length_bytes  # memory was short while it arrived
        return small_pieces(body, edited, self._large_object_bytes)

    async def of_large(
        self, instance: Instance, dispatches: Sequence[Dispatch], body: EncodedDataSet, edited: Sequence[Buffer] | None
    ) -> Acceptance:
        """The payload of an object that was put into the object store; the group commits its name. Raises SpoolFull.

        An object whose group is not committed is named by nothing, and deleted later (`gateway.cluster.sealer`).
        """
        file = body.file if edited is None and isinstance(body, ReceivedFile) else None
        if file is not None:
            file.retain()
        putting = self._loop.run_in_executor(self._workers, self._put, body, edited)
        if file is not None:
            putting.add_done_callback(lambda _: file.release())
        request = Acceptance(self._loop.create_future(), instance=instance, dispatches=dispatches)
        request.payload = await asyncio.shield(putting)
        return request

    def _put(self, body: EncodedDataSet, edited: Sequence[Buffer] | None) -> PayloadRef:
        """In a worker thread. Raises SpoolFull."""
        name = f"{LARGE}{uuid.uuid4().hex}"
        length_bytes = body.length_bytes if edited is None else sum(map(len, edited))
        digest = Digest()
        self._objects.put(name, _hashed(chunks_of(body, edited), digest), length_bytes)
        payload = PayloadRef(name, 0, length_bytes, digest.value())
        if edited is None and isinstance(body, ReceivedFile):
            self._folder.keep(payload, body.file)
        return payload


def _hashed(chunks: Iterable[Buffer], digest: Digest) -> Iterator[Buffer]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk

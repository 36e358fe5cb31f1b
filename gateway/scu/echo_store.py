"""The gateway as a plain SCU: C-ECHO, and C-STORE of DICOM files as they are."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.common.files_below import files_below
from gateway.dataset.part10 import DicomFile, is_dicom_file, read_dicom_file
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.associate import MOST_CONTEXTS, ProposedContext
from gateway.model.dimse_status import is_stored
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses, GatewayError, Unreadable
from gateway.sending.store_sender import StoreSender

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"


@dataclass(frozen=True, slots=True)
class EchoResult:
    """The answer to a C-ECHO."""

    status: int
    association_s: float
    """The time to open the association."""
    echo_s: float
    """The time of the C-ECHO alone."""
    certificate: bytes = field(default=b"", repr=False)
    """The peer's, in DER form; empty without TLS."""


@dataclass(frozen=True, slots=True)
class SentFile:
    """The result of sending one file."""

    path: Path
    size_bytes: int
    status: int | None
    """None when no answer came."""
    reason: str = ""

    @property
    def is_stored(self) -> bool:
        """True for Success and for warnings: the peer has it (PS3.4 §B.2.3)."""
        return self.status is not None and is_stored(self.status)


async def echo(peer: Peer, own_ae_title: str) -> EchoResult:
    """Associate, C-ECHO, release. Raises DestinationDown, DestinationRefuses."""
    started_s = time.perf_counter()
    verification = ProposedContext(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))
    plain = replace(peer, associate=replace(peer.associate, roles=(), extended=(), common_extended=()))
    association = await associate(plain, own_ae_title=own_ae_title, contexts=[verification])
    opened_s = time.perf_counter()
    try:
        status = await association.c_echo()
        return EchoResult(status, opened_s - started_s, time.perf_counter() - opened_s, association.peer_certificate)
    finally:
        await association.release()


def find_files(paths: Iterable[Path], skipped: Callable[[Path, str], None]) -> Iterator[DicomFile]:
    """The DICOM files among `paths` and, below folders, everywhere; `skipped` is called with each that cannot be sent,
    and with each folder that cannot be listed.

    A file below a folder that is no DICOM file is passed over in silence.
    """

    def unlisted(error: OSError) -> None:
        skipped(Path(error.filename), f"cannot be listed: {error.strerror}")

    for path in paths:
        for candidate in files_below(path, unlisted) if path.is_dir() else [path]:
            if candidate.exists() and not candidate.is_file():  # opening a pipe would wait for its writer
                skipped(candidate, "not a regular file")
                continue
            try:
                if candidate is path or is_dicom_file(candidate):
                    yield read_dicom_file(candidate)
            except (Unreadable, OSError) as error:
                skipped(candidate, str(error))


class FileSender:
    """Sends files over several associations side by side, each file in its own transfer syntax, its bytes unchanged."""

    def __init__(
        self, peer: Peer, own_ae_title: str, on_result: Callable[[SentFile], None], associations: int = 1
    ) -> None:
        self._peer = peer
        self._own_ae_title = own_ae_title
        self._on_result = on_result
        self._associations = associations
        self._no_more = ""
        """The reason for which no further association is tried."""

    async def send(self, files: Sequence[DicomFile]) -> None:
        """Send all; `on_result` is called with each."""
        pool = AssociationPool(self._own_ae_title)
        try:
            for batch in batches(files):
                waiting = deque(batch)
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(self._associations, len(batch))):
                        workers.create_task(self._work(pool, waiting, contexts_for(batch)))
        finally:
            await pool.close()

    async def _work(
        self, pool: AssociationPool, waiting: deque[DicomFile], contexts: Sequence[ProposedContext]
    ) -> None:
        sender: StoreSender[RequestorAssociation] = StoreSender(pool)
        try:
            while waiting:
                file = waiting.popleft()
                if not sender.is_open:
                    await self._open(pool, sender, contexts)
                if sender.association is None:
                    self._report(file, None, self._no_more)
                    continue
                await self._store(sender, file)
        finally:
            await _ended(sender)

    async def _open(
        self, pool: AssociationPool, sender: StoreSender[RequestorAssociation], contexts: Sequence[ProposedContext]
    ) -> None:
        """Each association is a further one: no file waits for the end of another association."""
        await _ended(sender)
        if self._no_more:
            return
        try:
            sender.hold(await pool.acquire(self._peer, contexts, use="files", is_further=True, is_exact=True))
        except GatewayError as error:
            self._no_more = str(error)

    async def _store(self, sender: StoreSender[RequestorAssociation], file: DicomFile) -> None:
        try:
            body = file.open()
        except OSError as error:
            self._report(file, None, str(error))
            return
        sender.begin()
        try:
            response = await sender.send(file.sop_class_uid, file.sop_instance_uid, file.transfer_syntax_uid, body)
            self._report(file, response.status, response.error_comment)
        except (DestinationDown, DestinationRefuses, ValueError) as error:
            self._report(file, None, str(error))
        finally:
            sender.end()
            body.close()

    def _report(self, file: DicomFile, status: int | None, reason: str) -> None:
        size_bytes = file.path.stat().st_size - file.offset_bytes if file.path.exists() else 0
        self._on_result(SentFile(file.path, size_bytes, status, reason))


async def _ended(sender: StoreSender[RequestorAssociation]) -> None:
    """Release its association, and return when that is gone."""
    ending = sender.discard()
    if ending is not None:
        await ending


def batches(files: Sequence[DicomFile]) -> Iterator[list[DicomFile]]:
    """Files in order, in runs that one association has presentation contexts for."""
    batch: list[DicomFile] = []
    kinds: set[tuple[str, str]] = set()
    for file in files:
        kind = (file.sop_class_uid, file.transfer_syntax_uid)
        if kind not in kinds and len(kinds) == MOST_CONTEXTS:
            yield batch
            batch, kinds = [], set()
        kinds.add(kind)
        batch.append(file)
    if batch:
        yield batch


def contexts_for(files: Iterable[DicomFile]) -> list[ProposedContext]:
    """One context for each pair of SOP class and transfer syntax: a peer chooses one syntax a context."""
    kinds = dict.fromkeys((file.sop_class_uid, file.transfer_syntax_uid) for file in files)
    return [ProposedContext(sop_class, (syntax,)) for sop_class, syntax in kinds]

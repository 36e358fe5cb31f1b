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
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.associate import MOST_CONTEXTS, ProposedContext
from gateway.model.dimse_status import is_stored
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses, GatewayError, Unreadable

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"


@dataclass(frozen=True, slots=True)
class EchoResult:
    """The answer to a C-ECHO."""

    status: int
    association_s: float
    """To open the association."""
    echo_s: float
    """Of the C-ECHO alone."""
    certificate: bytes = field(default=b"", repr=False)
    """The peer's, in DER form; empty without TLS."""


@dataclass(frozen=True, slots=True)
class SentFile:
    """What became of one file."""

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
    """The DICOM files among `paths` and, below folders, everywhere; what cannot be sent is told to `skipped`.

    A file below a folder that is no DICOM file is passed over in silence.
    """
    for path in paths:
        for candidate in files_below(path) if path.is_dir() else [path]:
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

    def __init__(self, peer: Peer, own_ae_title: str, told: Callable[[SentFile], None], associations: int = 1) -> None:
        self._peer = peer
        self._own_ae_title = own_ae_title
        self._told = told
        self._associations = associations
        self._is_hopeless = ""
        """Why no further association is tried."""

    async def send(self, files: Sequence[DicomFile]) -> None:
        """Send all; `told` hears of each."""
        for batch in batches(files):
            waiting = deque(batch)
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self._associations, len(batch))):
                    workers.create_task(self._work(waiting, contexts_for(batch)))

    async def _work(self, waiting: deque[DicomFile], contexts: Sequence[ProposedContext]) -> None:
        association: RequestorAssociation | None = None
        try:
            while waiting:
                file = waiting.popleft()
                if association is None or not association.is_open:
                    association = await self._open(contexts)
                if association is None:
                    self._tell(file, None, self._is_hopeless)
                    continue
                await self._store(association, file)
        finally:
            if association is not None:
                await association.release()

    async def _open(self, contexts: Sequence[ProposedContext]) -> RequestorAssociation | None:
        if self._is_hopeless:
            return None
        try:
            return await associate(self._peer, own_ae_title=self._own_ae_title, contexts=contexts)
        except GatewayError as error:
            self._is_hopeless = str(error)
            return None

    async def _store(self, association: RequestorAssociation, file: DicomFile) -> None:
        try:
            body = file.open()
        except OSError as error:
            self._tell(file, None, str(error))
            return
        try:
            response = await association.c_store(
                sop_class_uid=file.sop_class_uid,
                sop_instance_uid=file.sop_instance_uid,
                transfer_syntax_uid=file.transfer_syntax_uid,
                body=body,
            )
            self._tell(file, response.status, response.error_comment)
        except (DestinationDown, DestinationRefuses, ValueError) as error:
            self._tell(file, None, str(error))
        finally:
            body.close()

    def _tell(self, file: DicomFile, status: int | None, reason: str) -> None:
        size_bytes = file.path.stat().st_size - file.offset_bytes if file.path.exists() else 0
        self._told(SentFile(file.path, size_bytes, status, reason))


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

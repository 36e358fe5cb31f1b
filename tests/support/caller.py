"""A requestor under the test's control: objects of any size, and a moment in the middle of sending one."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.sending.store_sender import StoreResponse

MR, EXPLICIT = str(MRImageStorage), str(ExplicitVRLittleEndian)
_numbers = itertools.count(1)


def new_uid() -> str:
    """A UID that no other object of this process has."""
    return f"1.2.826.0.1.3680043.8.498.77.{next(_numbers)}"


def data_set(sop_instance_uid: str, size_bytes: int = 1000, modality: str = "MR") -> bytes:
    """An MR image with about `size_bytes` of pixel data, in Explicit VR Little Endian."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = MR, sop_instance_uid
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    image.Modality = modality
    image.PatientName = "Nobody^At^All"
    image.Rows, image.BitsAllocated, image.PixelRepresentation = 1, 16, 0
    image.add_new(0x7FE00010, "OW", bytes(size_bytes // 2 * 2))
    buffer = io.BytesIO()
    dcmwrite(buffer, image, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def write_file(folder: Path, sop_instance_uid: str, modality: str = "MR") -> Path:
    """The same as a DICOM file, for other senders."""
    image = dcmread(io.BytesIO(data_set(sop_instance_uid, modality=modality)), force=True)
    path = folder / f"{sop_instance_uid}.dcm"
    image.ensure_file_meta()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)
    return path


class Paused(MemoryDataSet):
    """An encoded data set; `then` runs, blocking, when about half of it has been handed over to be sent."""

    def __init__(self, data: bytes, then: Callable[[], None]) -> None:
        super().__init__(data)
        self._then: Callable[[], None] | None = then

    def chunks(self, size_bytes: int) -> Iterator[memoryview]:
        sent = 0
        for chunk in super().chunks(size_bytes):
            if self._then is not None and sent > self.length_bytes // 2:
                then, self._then = self._then, None
                then()
            yield chunk
            sent += len(chunk)


async def call(port: int, *, calling: str = "CALLER", called: str = "GATEWAY") -> RequestorAssociation:
    """An association with the gateway, for MR images."""
    peer = Peer(name="gateway", ae_title=called, host="127.0.0.1", port=port)
    return await associate(peer, own_ae_title=calling, contexts=[ProposedContext(MR, (EXPLICIT,))])


async def store(association: RequestorAssociation, body: MemoryDataSet, sop_instance_uid: str) -> StoreResponse:
    """C-STORE of one MR image."""
    return await association.c_store(
        sop_class_uid=MR, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=EXPLICIT, body=body
    )


async def store_new(association: RequestorAssociation, modality: str = "MR") -> StoreResponse:
    """C-STORE of a small MR image that was never sent before."""
    uid = new_uid()
    return await store(association, MemoryDataSet(data_set(uid, modality=modality)), uid)

"""Instances on their way to one or many destinations: data sets of pydicom, or bytes.

An instance that is sent in another transfer syntax than its own is rewritten element by element; only uncompressed ones
can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from gateway.common.turns import aside
from gateway.dataset.elements import UNDEFINED
from gateway.dataset.native import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, alternatives, rewritten
from gateway.dimse.protocol.identifiers import encode_data_set, without_bulk_data
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.sending.native_form import in_native_form

PIXEL_DATA = 0x7FE00010
ITEM = bytes.fromhex("FEFF00E0")


class Sendable(Protocol):
    """An instance on its way to one or many destinations."""

    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def transfer_syntaxes(self) -> Sequence[str]:
        """The transfer syntaxes that it can be sent in, the preferred one first."""
        ...

    async def body(self, transfer_syntax_uid: str) -> EncodedDataSet:
        """The bytes; they stay the instance's."""
        ...

    async def form_for(self, destination: str) -> Sendable:
        """The form for this destination: itself, or another that is to be closed."""
        ...

    def close(self) -> None: ...


class SendableDataset:
    """A data set of pydicom. It is sent in its own transfer syntax, or written in another uncompressed one.

    Its own is that of its file meta information, else the one that it was read from.

    Raises:
        ValueError: it has no SOP Class UID or no SOP Instance UID, or is compressed in an unknown way.
    """

    def __init__(self, dataset: Dataset, *, is_without_bulk_data: bool = False) -> None:
        self._dataset = dataset
        self._is_without_bulk_data = is_without_bulk_data
        self._encoded: dict[str, MemoryDataSet] = {}
        self.sop_class_uid = str(dataset.get("SOPClassUID") or "")
        self.sop_instance_uid = str(dataset.get("SOPInstanceUID") or "")
        if not self.sop_class_uid or not self.sop_instance_uid:
            raise ValueError("the data set has no SOP Class UID or no SOP Instance UID")
        self._own = _transfer_syntax_of(dataset)
        self.transfer_syntaxes = alternatives(self._own)

    async def body(self, transfer_syntax_uid: str) -> EncodedDataSet:
        """Encoded once for each transfer syntax."""
        if transfer_syntax_uid not in self._encoded:
            body: EncodedDataSet = MemoryDataSet(self._written(transfer_syntax_uid))
            if self._is_without_bulk_data:
                body = without_bulk_data(body, transfer_syntax_uid)
            self._encoded[transfer_syntax_uid] = MemoryDataSet(body.view())
        return self._encoded[transfer_syntax_uid]

    def _written(self, transfer_syntax_uid: str) -> bytes:
        """pydicom writes values of OW, OF, OD, OL and UN as they are, whatever the byte order: it is changed by us."""
        if transfer_syntax_uid == self._own or EXPLICIT_BIG not in (transfer_syntax_uid, self._own):
            return encode_data_set(self._dataset, transfer_syntax_uid)
        own = EXPLICIT_BIG if self._own == EXPLICIT_BIG else EXPLICIT_LITTLE
        return rewritten(memoryview(encode_data_set(self._dataset, own)), own, transfer_syntax_uid)

    async def form_for(self, destination: str) -> Sendable:
        """All get the same."""
        return self

    def close(self) -> None:
        """Forget the bytes."""
        self._encoded.clear()


def _transfer_syntax_of(dataset: Dataset) -> str:
    """Raises ValueError when it cannot be known."""
    meta = getattr(dataset, "file_meta", None)
    uid = str(meta.get("TransferSyntaxUID") or "") if meta is not None else ""
    if uid:
        return uid
    if _is_encapsulated(dataset):
        raise ValueError("the data set is compressed, and its file_meta names no transfer syntax")
    is_implicit, is_little = dataset.original_encoding
    if is_little is False:
        return EXPLICIT_BIG
    return IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE


def _is_encapsulated(dataset: Dataset) -> bool:
    """True when Pixel Data (7FE0,0010) is a sequence of fragments (PS3.5 §A.4), marked as such or made by hand."""
    element: Any = dataset.get_item(PIXEL_DATA) if PIXEL_DATA in dataset else None
    if element is None:
        return False
    if isinstance(element, RawDataElement):
        return element.length == UNDEFINED
    return bool(element.is_undefined_length) or (element.value or b"")[:4] == ITEM


class SendableBytes:
    """An `EncodedInstance`; its body is opened when the first destination wants it."""

    def __init__(self, instance: EncodedInstance, *, is_without_bulk_data: bool = False) -> None:
        self._instance = instance
        self._is_without_bulk_data = is_without_bulk_data
        self._opening: asyncio.Task[EncodedDataSet] | None = None
        self._rewriting: dict[str, asyncio.Task[EncodedDataSet]] = {}
        self.sop_class_uid = str(instance.sop_class_uid)
        self.sop_instance_uid = str(instance.sop_instance_uid)
        written = alternatives(str(instance.transfer_syntax_uid))
        self._converted = frozenset(instance.fallback).difference(written)
        self.transfer_syntaxes = tuple(dict.fromkeys((*written, *instance.fallback))) if instance.fallback else written

    async def form_for(self, destination: str) -> Sendable:
        """The form that the handler makes for this destination."""
        if self._instance.form_for is None:
            return self
        body = await self.body(self.transfer_syntaxes[0])
        return SendableBytes(await self._instance.form_for(destination, body))

    async def body(self, transfer_syntax_uid: str) -> EncodedDataSet:
        """Opened once for all destinations, and rewritten once for each other transfer syntax."""
        own, given = self.transfer_syntaxes[0], self._instance.body
        if transfer_syntax_uid == own and not callable(given) and not self._is_without_bulk_data:
            return given
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        body = await asyncio.shield(self._opening)
        if transfer_syntax_uid == own:
            return body
        if transfer_syntax_uid not in self._rewriting:
            self._rewriting[transfer_syntax_uid] = asyncio.ensure_future(self._written(body, own, transfer_syntax_uid))
        return await asyncio.shield(self._rewriting[transfer_syntax_uid])

    async def _written(self, body: EncodedDataSet, own: str, target: str) -> EncodedDataSet:
        if target in self._converted and self._instance.convert is not None:
            return await self._instance.convert(body, target)
        return await in_native_form(body, own, target)

    async def _open(self) -> EncodedDataSet:
        given = self._instance.body
        body = await given() if callable(given) else given
        if not self._is_without_bulk_data:
            return body
        stripped = await aside(partial(without_bulk_data, body, self.transfer_syntaxes[0]))
        if stripped is not body:
            body.close()
        return stripped

    def close(self) -> None:
        """Close the body, also one that is still being opened; one that a thread reads is closed after that."""
        busy = next((task for task in self._rewriting.values() if not task.done()), None)
        if busy is not None:
            busy.add_done_callback(lambda _: self.close())
            return
        for done in self._rewriting.values():
            _close_opened(done)
        if self._opening is not None:
            self._opening.add_done_callback(_close_opened)
            self._opening.cancel()
        elif not callable(self._instance.body):
            self._instance.body.close()


def _close_opened(opening: asyncio.Future[EncodedDataSet]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()

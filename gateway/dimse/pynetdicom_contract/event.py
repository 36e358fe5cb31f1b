"""The event that a handler receives: pynetdicom's documented attributes, made when read, and the gateway's own."""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.dsutils import create_file_meta, decode, encode_file_meta
from pynetdicom.events import InterventionEvent
from pynetdicom.presentation import PresentationContextTuple

from gateway.dataset.inflation import inflate
from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.protocol.context import as_uid
from gateway.dimse.protocol.message import Command, CommandField
from gateway.dimse.pynetdicom_contract import handler_association
from gateway.dimse.pynetdicom_contract.primitive import to_primitive
from gateway.dimse.pynetdicom_contract.subject import Subject, subject_of
from gateway.model.association import AssociationFacts
from gateway.ports.encoded_data_set import EncodedDataSet

_ENCODINGS = {
    "1.2.840.10008.1.2": (True, True, False),
    "1.2.840.10008.1.2.2": (False, False, False),
    "1.2.840.10008.1.2.1.99": (False, True, True),
}
"""(implicit VR, little endian, deflated) where it is not Explicit VR Little Endian."""

_OF = {
    "DataSet": (CommandField.C_STORE,),
    "Identifier": (CommandField.C_FIND, CommandField.C_GET, CommandField.C_MOVE),
    "AttributeList": (CommandField.N_CREATE,),
    "ModificationList": (CommandField.N_SET,),
    "EventInformation": (CommandField.N_EVENT_REPORT,),
    "ActionInformation": (CommandField.N_ACTION,),
}


class Event:
    """One request on an association. Handlers may keep attributes of their own on it.

    As documented by pynetdicom: `assoc`, `event`, `context`, `timestamp`, `request`, `message_id`, `dataset`,
    `dataset_path`, `encoded_dataset()`, `file_meta`, `identifier`, `attribute_list`, `modification_list`,
    `event_information`, `event_type`, `action_information`, `action_type`, `attribute_identifiers`,
    `move_destination`, `is_cancelled`. The gateway's own: `facts`, `sop_class_uid`, `sop_instance_uid`,
    `transfer_syntax_uid`, `body`, `take_body()`, `command`, `encoded_identifier`, `subject`, `until_cancelled()`. What
    does not belong to the request raises AttributeError.
    """

    has_failed = False
    """The handler of a C-FIND, C-GET or C-MOVE raised, or yielded what its contract does not know."""

    __slots__ = ("__dict__", "_dataset", "_message", "_path", "_request", "_watch", "association", "event")

    def __init__(
        self,
        association: AcceptorAssociation,
        event: InterventionEvent,
        message: Message,
        watch: OperationScope | None = None,
    ) -> None:
        self.association = association
        """The runtime's own, for the gateway's handlers; `assoc` is for all others."""
        self._watch = watch
        self.event = event
        self._message = message
        self._request: Any = None
        self._dataset: Dataset | None = None
        self._path: Path | None = None

    # --- the gateway's own ---------------------------------------------------------------------------------------

    @property
    def facts(self) -> AssociationFacts:
        """Facts of the association."""
        return self.association.facts

    @property
    def command(self) -> Command:
        """The command set by keyword."""
        return self._message.command

    @property
    def sop_class_uid(self) -> str:
        """Affected (or Requested) SOP Class UID of the command; empty without one."""
        command = self._message.command
        return str(command.get("AffectedSOPClassUID") or command.get("RequestedSOPClassUID") or "")

    @property
    def sop_instance_uid(self) -> str:
        """Affected (or Requested) SOP Instance UID of the command; empty without one."""
        command = self._message.command
        return str(command.get("AffectedSOPInstanceUID") or command.get("RequestedSOPInstanceUID") or "")

    @property
    def transfer_syntax_uid(self) -> str:
        """Transfer syntax of the presentation context."""
        return self._message.context.transfer_syntax

    @property
    def body(self) -> EncodedDataSet:
        """The encoded data set as it came; the association closes it after the response. AttributeError without."""
        body = self._message.body
        if body is None:
            raise AttributeError("the request has no data set, or the handler's time with it is over")
        return body

    def take_body(self) -> EncodedDataSet:
        """`body`, from now on the caller's to close, at any time."""
        return self._message.take_body()

    @functools.cached_property
    def subject(self) -> Subject:
        """The subject of a C-MOVE or C-GET, for the log; a handler adds the studies that it found."""
        body = self._message.body
        return Subject() if body is None else subject_of(body.view(), self.transfer_syntax_uid)

    # --- as documented -------------------------------------------------------------------------------------------

    @property
    def assoc(self) -> handler_association.HandlerAssociation:
        """The association, the same object with each of its requests."""
        return self.association.handler_association or handler_association.of(self.association)

    @property
    def context(self) -> PresentationContextTuple:
        """Context ID, abstract syntax and transfer syntax."""
        return self._message.context.documented

    @property
    def timestamp(self) -> datetime:
        """The time at which the command set was complete: local time without a time zone, as pynetdicom has it."""
        return datetime.fromtimestamp(self._message.received_at, UTC).astimezone().replace(tzinfo=None)

    @property
    def request(self) -> Any:
        """The request as one of `pynetdicom.dimse_primitives`."""
        if self._request is None:
            body = self._message.body
            self._request = to_primitive(self._message.command, None if body is None else bytes(body.view()))
        return self._request

    @property
    def message_id(self) -> int:
        return int(self._value("MessageID"))

    @property
    def dataset(self) -> Dataset:
        """The data set of a C-STORE request, decoded."""
        return self._decoded("DataSet")

    @property
    def identifier(self) -> Dataset:
        """The identifier of a C-FIND, C-GET or C-MOVE request, decoded as far as it can be: what cannot raises when it
        is used."""
        return self._decoded("Identifier")

    @property
    def encoded_identifier(self) -> bytes:
        """The identifier of a C-FIND, C-GET or C-MOVE request as it came, in `transfer_syntax_uid`."""
        if self._message.command["CommandField"] not in _OF["Identifier"]:
            raise AttributeError("the request has no Identifier")
        return bytes(self.body.view())

    @property
    def attribute_list(self) -> Dataset:
        return self._decoded("AttributeList")

    @property
    def modification_list(self) -> Dataset:
        return self._decoded("ModificationList")

    @property
    def event_information(self) -> Dataset:
        return self._decoded("EventInformation")

    @property
    def action_information(self) -> Dataset:
        return self._decoded("ActionInformation")

    @property
    def event_type(self) -> int | None:
        return self._of(CommandField.N_EVENT_REPORT).get("EventTypeID")

    @property
    def action_type(self) -> int | None:
        return self._of(CommandField.N_ACTION).get("ActionTypeID")

    @property
    def attribute_identifiers(self) -> list[BaseTag]:
        """The tags that an N-GET request asks for."""
        return [BaseTag(tag) for tag in self._of(CommandField.N_GET).get("AttributeIdentifierList", ())]

    @property
    def move_destination(self) -> str | None:
        return self._of(CommandField.C_MOVE).get("MoveDestination")

    @property
    def is_cancelled(self) -> bool:
        """True once a C-CANCEL for this request came, and from then on; also when no answer is waited for any more,
        because the peer released or the association is gone."""
        if self._watch is not None:
            return self._watch.is_interrupted
        return self.association.is_cancelled(self._message.command.get("MessageID", -1))

    async def until_cancelled(self) -> None:
        """Return when a C-CANCEL for this C-FIND, C-GET or C-MOVE request came; for handlers on the event loop."""
        if self._watch is None:
            raise AttributeError("the request cannot be cancelled")
        await self._watch.until_cancelled()

    @property
    def file_meta(self) -> FileMetaDataset:
        """File Meta Information for the data set of a C-STORE request (PS3.10 §7.1)."""
        command = self._of(CommandField.C_STORE)
        return create_file_meta(
            sop_class_uid=as_uid(command.get("AffectedSOPClassUID", "")),
            sop_instance_uid=as_uid(command.get("AffectedSOPInstanceUID", "")),
            transfer_syntax=UID(self.transfer_syntax_uid),
        )

    def encoded_dataset(self, include_meta: bool = True) -> bytes:
        """The data set of a C-STORE request as it came, as a DICOM file or bare."""
        self._of(CommandField.C_STORE)
        encoded = bytes(self.body.view())
        if not include_meta:
            return encoded
        return b"".join((bytes(128), b"DICM", encode_file_meta(self.file_meta), encoded))

    @property
    def dataset_path(self) -> Path | None:
        """A DICOM file with the data set of a C-STORE request, deleted after the response; None unless pynetdicom's
        `_config.STORE_RECV_CHUNKED_DATASET` is on."""
        if self._path is None and self._is_chunked():
            head = b"".join((bytes(128), b"DICM", encode_file_meta(self.file_meta)))
            descriptor, name = tempfile.mkstemp(suffix=".dcm")
            with os.fdopen(descriptor, "wb") as file:
                file.write(head)
                for chunk in self.body.chunks(1024 * 1024):
                    file.write(chunk)
            self._path = Path(name)
        return self._path

    def _is_chunked(self) -> bool:
        return _config.STORE_RECV_CHUNKED_DATASET and self._message.command["CommandField"] == CommandField.C_STORE

    def close(self) -> None:
        """The response is out: delete the file of `dataset_path`."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def _of(self, field: CommandField) -> Command:
        command = self._message.command
        if command["CommandField"] != field:
            raise AttributeError(f"the request is no {field.name.replace('_', '-')}")
        return command

    def _value(self, keyword: str) -> Any:
        try:
            return self._message.command[keyword]
        except KeyError:
            raise AttributeError(f"the request has no {keyword}") from None

    def _decoded(self, keyword: str) -> Dataset:
        if self._message.command["CommandField"] not in _OF[keyword]:
            raise AttributeError(f"the request has no {keyword}")
        if self._dataset is None:
            body = self._message.body
            self._dataset = Dataset() if body is None or not body.length_bytes else self._decode(body)
        return self._dataset

    def _decode(self, body: EncodedDataSet) -> Dataset:
        implicit, little, deflated = _ENCODINGS.get(self.transfer_syntax_uid, (False, True, False))
        encoded = inflate(body.view()) if deflated else body.view()  # within bounds, as pydicom does not
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom quotes values in its warnings
            dataset = decode(BytesIO(bytes(encoded)), implicit, little, False)
        dataset.set_original_encoding(implicit, little)
        return dataset

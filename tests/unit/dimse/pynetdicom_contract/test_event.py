"""The documented attributes of an event, against pynetdicom's own event for the same request."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import _config, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dsutils import encode as encode_data_set

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.context import AcceptedContext, as_uid
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.message import CommandField, decode, encode
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.model.association import AssociationFacts

CT = "1.2.840.10008.5.1.4.1.1.2"


class Association:
    """What an event asks of its association."""

    facts = AssociationFacts("CALLING", "CALLED", "127.0.0.1")
    table = "table"

    def __init__(self) -> None:
        self.cancelled: set[int] = set()

    def is_cancelled(self, message_id: int) -> bool:
        return message_id in self.cancelled


def data_set(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in {"SOPClassUID": CT, "SOPInstanceUID": "1.2.3", **values}.items():
        setattr(dataset, keyword, value)
    return dataset


ENCODINGS = {
    "1.2.840.10008.1.2": (True, True, False),
    "1.2.840.10008.1.2.1": (False, True, False),
    "1.2.840.10008.1.2.2": (False, False, False),
    "1.2.840.10008.1.2.1.99": (False, True, True),
    "1.2.840.10008.1.2.4.50": (False, True, False),
}


def make(syntax: str, *, field: CommandField = CommandField.C_STORE, body: bytes | None = None, **more: Any) -> Any:
    encoded = encode_data_set(data_set(PatientID="ID"), *ENCODINGS[syntax]) if body is None else body
    assert encoded is not None
    command = {
        "AffectedSOPClassUID": CT,
        "CommandField": int(field),
        "MessageID": 7,
        "AffectedSOPInstanceUID": "1.2.3",
        **more,
    }
    message = Message(AcceptedContext(3, as_uid(CT), as_uid(syntax), "store"), decode(encode(command)))
    message.body = MemoryDataSet(encoded)
    return Event(Association(), evt.EVT_C_STORE, message)  # type: ignore[arg-type]


def stock(event: Any) -> Any:
    """pynetdicom's event for the same request."""
    primitive = event.request
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    assert message.command_set.MessageID == 7
    return evt.Event(
        None,  # type: ignore[arg-type]
        evt.EVT_C_STORE,
        {"request": primitive, "context": event.context, "_is_cancelled": lambda message_id: False},
    )


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_a_store_event_is_like_pynetdicoms(syntax: str) -> None:
    event = make(syntax, MoveOriginatorApplicationEntityTitle="MOVER", MoveOriginatorMessageID=9, Priority=1)
    theirs = stock(event)
    assert event.event is theirs.event
    assert event.dataset == theirs.dataset == data_set(PatientID="ID")
    assert event.file_meta == theirs.file_meta
    assert event.encoded_dataset() == theirs.encoded_dataset()
    assert event.encoded_dataset(include_meta=False) == theirs.encoded_dataset(include_meta=False)
    assert event.message_id == theirs.message_id == 7
    assert event.context == theirs.context == (3, CT, syntax)
    assert event.is_cancelled is theirs.is_cancelled is False
    assert event.request.DataSet.getvalue() == bytes(event.body.view())
    assert (event.request.AffectedSOPClassUID, event.request.AffectedSOPInstanceUID) == (CT, "1.2.3")
    assert event.request.MoveOriginatorApplicationEntityTitle == "MOVER"
    assert (event.request.MoveOriginatorMessageID, event.request.Priority) == (9, 1)


def test_what_is_ours() -> None:
    event = make("1.2.840.10008.1.2")
    assert (event.sop_class_uid, event.sop_instance_uid, event.transfer_syntax_uid) == (
        CT,
        "1.2.3",
        "1.2.840.10008.1.2",
    )
    assert event.facts.calling_ae_title == "CALLING"
    assert event.association.table == "table"
    assert event.timestamp.tzinfo is None
    assert abs((datetime.now(UTC) - event.timestamp.astimezone()).total_seconds()) < 60


def test_a_data_set_is_decoded_once() -> None:
    event = make("1.2.840.10008.1.2")
    assert event.dataset is event.dataset


def test_the_path_is_a_file_for_as_long_as_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make("1.2.840.10008.1.2.1").dataset_path is None
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", True)
    event = make("1.2.840.10008.1.2.1")
    path = event.dataset_path
    assert event.dataset_path == path
    assert dcmread(path).PatientID == "ID"
    assert path.read_bytes() == event.encoded_dataset()
    event.close()
    event.close()
    assert not path.exists()


def test_odd_identifiers_come_through() -> None:
    event = make("1.2.840.10008.1.2", AffectedSOPInstanceUID="9" * 70, MoveOriginatorApplicationEntityTitle="A" * 20)
    assert event.request.AffectedSOPInstanceUID == "9" * 70
    assert event.request.MoveOriginatorApplicationEntityTitle == "A" * 20


def test_cancelled_stays_cancelled() -> None:
    event = make("1.2.840.10008.1.2", field=CommandField.C_FIND)
    event.association.cancelled.add(7)
    assert event.is_cancelled
    assert event.is_cancelled


OTHERS: dict[CommandField, dict[str, Any]] = {
    CommandField.C_MOVE: {"MoveDestination": "WORKSTATION"},
    CommandField.N_ACTION: {"ActionTypeID": 1},
    CommandField.N_EVENT_REPORT: {"EventTypeID": 2},
    CommandField.N_GET: {"AttributeIdentifierList": (0x00100010, 0x00100020)},
    CommandField.N_CREATE: {},
    CommandField.N_SET: {},
    CommandField.C_FIND: {},
}

ATTRIBUTES: dict[str, tuple[CommandField, Any]] = {
    "move_destination": (CommandField.C_MOVE, "WORKSTATION"),
    "action_type": (CommandField.N_ACTION, 1),
    "event_type": (CommandField.N_EVENT_REPORT, 2),
    "attribute_identifiers": (CommandField.N_GET, [0x00100010, 0x00100020]),
    "identifier": (CommandField.C_FIND, data_set(PatientID="ID")),
    "attribute_list": (CommandField.N_CREATE, data_set(PatientID="ID")),
    "modification_list": (CommandField.N_SET, data_set(PatientID="ID")),
    "action_information": (CommandField.N_ACTION, data_set(PatientID="ID")),
    "event_information": (CommandField.N_EVENT_REPORT, data_set(PatientID="ID")),
}


@pytest.mark.parametrize(("attribute", "field", "value"), [(k, *v) for k, v in ATTRIBUTES.items()], ids=ATTRIBUTES)
def test_attributes_of_other_requests(attribute: str, field: CommandField, value: Any) -> None:
    event = make("1.2.840.10008.1.2", field=field, **OTHERS[field])
    assert getattr(event, attribute) == value
    assert event.request.MessageID == 7
    with pytest.raises(AttributeError):
        getattr(make("1.2.840.10008.1.2"), attribute)
    with pytest.raises(AttributeError):
        _ = event.dataset
    with pytest.raises(AttributeError):
        event.encoded_dataset()


def test_an_empty_data_set() -> None:
    assert make("1.2.840.10008.1.2", body=b"").dataset == Dataset()
    assert isinstance(make("1.2.840.10008.1.2", body=b"").request.DataSet, BytesIO)


def test_without_a_body() -> None:
    event = make("1.2.840.10008.1.2")
    event._message.close()
    with pytest.raises(AttributeError, match="no data set"):
        _ = event.body

"""What a handler reads of its event: attributes, the request primitive, data sets that cannot be read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE, C_STORE

from tests.loopback.handler_contract.row import EVENTS, Handler, Row, Run
from tests.support.caller import data_set
from tests.support.dimse.query_rig import IDENTIFIER, image, match, uid

PRIMITIVES = {"store": C_STORE, "find": C_FIND, "get": C_GET, "move": C_MOVE}
FINALS = {"store": "0000", "find": "0000", "get": "0000 -:0:0:0", "move": "0000 -:0:0:0"}


def noting(service: str, read: Callable[[Any], Any]) -> Handler:
    """A handler of `service` that notes what `read` makes of the event, or which exception it raises."""

    def note(event: Any, run: Run) -> None:
        try:
            run.note(read=read(event))
        except Exception as error:
            run.note(raised=type(error).__name__)

    def store(event: Any, run: Run) -> int:
        note(event, run)
        return 0x0000

    def find(event: Any, run: Run) -> Iterator[Any]:
        note(event, run)
        yield 0x0000, None

    def get(event: Any, run: Run) -> Iterator[Any]:
        note(event, run)
        yield 0

    def move(event: Any, run: Run) -> Iterator[Any]:
        note(event, run)
        yield run.there
        yield 0

    handlers: dict[str, Handler] = {"store": store, "find": find, "get": get, "move": move}
    return handlers[service]


def reading(name: str, services: str, read: Callable[[Any], Any], *expected: Any, **more: Any) -> Iterator[Row]:
    """A row for each of `services`; `expected` is what is read, an exception class, or one of them for each service."""
    for number, service in enumerate(services.split()):
        value = expected[number] if len(expected) > 1 else expected[0]
        is_error = isinstance(value, type) and issubclass(value, Exception)
        note = f"raised={value.__name__!r}" if is_error else f"read={value!r}"
        label = f"event of C-{service.upper()}: {name}"
        yield Row(label, service, noting(service, read), FINALS[service], (note,), **more)


ALL = "store find get move"
QUERIES = "find get move"
ODD_IDENTIFIER = bytes.fromhex("0800520043530600") + b"ST"
"""A value that is cut off."""


def is_now(event: Any) -> Any:
    return abs(datetime.now() - event.timestamp) < timedelta(minutes=5)  # noqa: DTZ005 - as handlers do


def set_attribute(event: Any) -> Any:
    """Some handlers keep things there."""
    event.mine = 5
    return event.mine


def with_meta(event: Any) -> Any:
    """As the documentation saves an instance."""
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    return str(dcmread(file).SOPInstanceUID)


def with_bytes(event: Any) -> Any:
    """The other way of the documentation."""
    return str(dcmread(BytesIO(event.encoded_dataset())).SOPInstanceUID)


def meta(event: Any) -> Any:
    return [(str(element.tag), str(element.value)) for element in event.file_meta if element.tag < 0x00020012]


def used(event: Any) -> Any:
    """The level, where the identifier can be read so far."""
    return event.identifier.get("QueryRetrieveLevel")


def study(event: Any) -> Any:
    return str(event.identifier.StudyInstanceUID)


CLASSES = {
    "store": "MR Image Storage",
    "find": "Study Root Query/Retrieve Information Model - FIND",
    "get": "Study Root Query/Retrieve Information Model - GET",
    "move": "Study Root Query/Retrieve Information Model - MOVE",
}
META = [
    ("(0002,0000)", "0"),
    ("(0002,0001)", "b'\\x00\\x01'"),
    ("(0002,0002)", "1.2.840.10008.5.1.4.1.1.4"),
    ("(0002,0003)", uid(1)),
    ("(0002,0010)", "1.2.840.10008.1.2.1"),
]

ROWS: list[Row] = [
    *reading("event", ALL, lambda event: event.event is EVENTS[_service(event)], True),
    *reading("event.event.name", ALL, lambda event: event.event.name, *(EVENTS[name].name for name in ALL.split())),
    *reading(
        "event.event.description",
        ALL,
        lambda e: e.event.description,
        *(EVENTS[name].description for name in ALL.split()),
    ),
    *reading("event.event as text", ALL, lambda event: str(event.event), *(str(EVENTS[name]) for name in ALL.split())),
    *reading("event.event.is_intervention", "store", lambda event: event.event.is_intervention, True),
    *reading("timestamp", ALL, is_now, True),
    *reading("timestamp has no time zone", "store", lambda event: event.timestamp.tzinfo, None),
    *reading("message_id", ALL, lambda event: event.message_id, 300),
    *reading("is_cancelled", ALL, lambda event: event.is_cancelled, False),
    *reading("context", ALL, lambda event: event.context.context_id, 7, 1, 5, 3),
    *reading(
        "context.abstract_syntax", ALL, lambda event: event.context.abstract_syntax.name, *map(CLASSES.get, ALL.split())
    ),
    *reading("context.transfer_syntax", ALL, lambda event: event.context.transfer_syntax.is_implicit_VR, False),
    *reading("request", ALL, lambda event: type(event.request) is PRIMITIVES[_service(event)], True),
    *reading("request is one object", ALL, lambda event: event.request is event.request, True),
    *reading("request.MessageID", ALL, lambda event: event.request.MessageID, 300),
    *reading("request.Priority", ALL, lambda event: event.request.Priority, 1, request={"Priority": 1}),
    *reading(
        "request.AffectedSOPClassUID", ALL, lambda e: e.request.AffectedSOPClassUID.name, *map(CLASSES.get, ALL.split())
    ),
    *reading("request.is_valid_request", ALL, lambda event: event.request.is_valid_request, True),
    *reading("request.msg_type", ALL, lambda event: event.request.msg_type, "C-STORE", "C-FIND", "C-GET", "C-MOVE"),
    *reading("request.Identifier", QUERIES, lambda event: event.request.Identifier.getvalue(), IDENTIFIER),
    *reading("request.Status", QUERIES, lambda event: event.request.Status, None),
    *reading("an attribute of one's own", ALL, set_attribute, 5),
    *reading("an attribute that there is not", ALL, lambda event: event.nothing, AttributeError),
    # identifiers
    *reading("identifier", QUERIES, lambda event: event.identifier.QueryRetrieveLevel, "STUDY"),
    *reading("identifier, a second element", QUERIES, study, "1.2"),
    *reading("identifier is one object", QUERIES, lambda event: event.identifier is event.identifier, True),
    *reading("identifier: encoding", "find", lambda event: event.identifier.original_encoding, (False, True)),
    *reading("identifier of another request", "store", lambda event: event.identifier, AttributeError),
    *reading("an identifier that is cut off", QUERIES, used, "ST", identifier=ODD_IDENTIFIER),
    *reading("an element cut off, and used", QUERIES, study, AttributeError, identifier=ODD_IDENTIFIER),
    *reading("an identifier of no elements", QUERIES, lambda event: len(event.identifier), 0, identifier=b"\x08"),
    # C-STORE
    *reading("dataset", "store", lambda event: str(event.dataset.SOPInstanceUID), uid(1)),
    *reading("dataset, whole", "store", lambda event: event.dataset == _without_meta(image(1)), True),
    *reading("dataset is one object", "store", lambda event: event.dataset is event.dataset, True),
    *reading("dataset: encoding", "store", lambda event: event.dataset.original_encoding, (False, True)),
    *reading("dataset of another request", QUERIES, lambda event: event.dataset, AttributeError),
    *reading("file_meta", "store", meta, META),
    *reading("file_meta of another request", QUERIES, lambda event: event.file_meta, AttributeError),
    *reading("dataset saved with file_meta", "store", with_meta, uid(1)),
    *reading("encoded_dataset()", "store", with_bytes, uid(1)),
    *reading(
        "encoded_dataset(False)", "store", lambda e: e.encoded_dataset(include_meta=False) == data_set(uid(1)), True
    ),
    *reading("encoded_dataset() of another request", QUERIES, lambda event: event.encoded_dataset(), AttributeError),
    *reading("dataset_path without the switch", "store", lambda event: event.dataset_path, None),
    *reading("request.DataSet", "store", lambda event: event.request.DataSet.getvalue() == data_set(uid(1)), True),
    *reading("request.AffectedSOPInstanceUID", "store", lambda e: str(e.request.AffectedSOPInstanceUID), uid(1)),
    *reading("no move originator", "store", lambda e: e.request.MoveOriginatorApplicationEntityTitle, None),
    *reading(
        "move originator",
        "store",
        lambda event: (event.request.MoveOriginatorApplicationEntityTitle, event.request.MoveOriginatorMessageID),
        ("MOVER", 9),
        request={"MoveOriginatorApplicationEntityTitle": "MOVER", "MoveOriginatorMessageID": 9},
    ),
    # C-MOVE
    *reading("move_destination", "move", lambda event: event.move_destination, "STORE"),
    *reading(
        "move_destination of another request", "store find get", lambda event: event.move_destination, AttributeError
    ),
    *reading("request.MoveDestination", "move", lambda event: event.request.MoveDestination, "STORE"),
    *reading(
        "move_destination with spaces",
        "move",
        lambda event: event.move_destination,
        "STORE",
        request={"MoveDestination": " STORE  "},
    ),
    # of N-services
    *(
        row
        for name in (
            "action_information",
            "action_type",
            "attribute_identifiers",
            "attribute_list",
            "event_information",
            "event_type",
            "modification_list",
        )
        for row in reading(name, "store", operator.attrgetter(name), AttributeError)
    ),
]


def _service(event: Any) -> str:
    return next(name for name, kind in EVENTS.items() if kind is event.event)


def _without_meta(dataset: Any) -> Any:
    del dataset.file_meta
    return dataset


def unreadable(event: Any, run: Run) -> Iterator[Any]:
    """Uses the identifier without care."""
    yield 0xFF00, match(1)
    str(event.identifier.NumberOfStudyRelatedInstances + 1)


def no_identifier(event: Any, run: Run) -> Iterator[Any]:
    """Never called where the request is refused, or has no response."""
    run.note(called=True)
    yield 0x0000, None


def echoing_kind(event: Any, run: Run) -> int:
    assert event.event is evt.EVT_C_STORE
    return 0x0000


ROWS += [
    Row("event of C-FIND: an element that is absent, used", "find", unreadable, "FF00 #1; C311"),
    Row(
        "request of C-FIND without an identifier",
        "find",
        no_identifier,
        'A900 "the request has no identifier"; C-ECHO 0000',
        identifier=None,
        is_echoed=True,
    ),
    Row(
        "request of C-MOVE without Move Destination",
        "move",
        no_identifier,
        'A801 "the Move Destination is empty"; C-ECHO 0000',
        request={"MoveDestination": None},
        is_echoed=True,
    ),
]

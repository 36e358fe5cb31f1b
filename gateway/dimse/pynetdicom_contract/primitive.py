"""Command sets as pynetdicom's DIMSE primitives, for handlers that read `event.request`."""

from __future__ import annotations

import contextlib
import warnings
from io import BytesIO
from typing import Any

from pydicom.tag import Tag
from pynetdicom import dimse_primitives as primitives

from gateway.dimse.protocol.context import as_uid
from gateway.dimse.protocol.message import Command, CommandField

PRIMITIVES: dict[CommandField, tuple[type[Any], str]] = {
    CommandField.C_ECHO: (primitives.C_ECHO, ""),
    CommandField.C_STORE: (primitives.C_STORE, "DataSet"),
    CommandField.C_FIND: (primitives.C_FIND, "Identifier"),
    CommandField.C_GET: (primitives.C_GET, "Identifier"),
    CommandField.C_MOVE: (primitives.C_MOVE, "Identifier"),
    CommandField.N_EVENT_REPORT: (primitives.N_EVENT_REPORT, "EventInformation"),
    CommandField.N_GET: (primitives.N_GET, ""),
    CommandField.N_SET: (primitives.N_SET, "ModificationList"),
    CommandField.N_ACTION: (primitives.N_ACTION, "ActionInformation"),
    CommandField.N_CREATE: (primitives.N_CREATE, "AttributeList"),
    CommandField.N_DELETE: (primitives.N_DELETE, ""),
}
"""Request → (primitive, keyword of its data set)."""

_UNCHECKED = {
    "AffectedSOPClassUID": "_affected_sop_class_uid",
    "AffectedSOPInstanceUID": "_affected_sop_instance_uid",
    "RequestedSOPClassUID": "_requested_sop_class_uid",
    "RequestedSOPInstanceUID": "_requested_sop_instance_uid",
    "MoveOriginatorApplicationEntityTitle": "_move_originator_application_entity_title",
    "MoveDestination": "_move_destination",
}
"""The attributes in which the primitives keep values that their setters would refuse from odd senders."""


def to_primitive(command: Command, data_set: bytes | None) -> Any:
    """The request primitive of a command set, its data set as `BytesIO`; odd UIDs and titles come through as they are.

    Raises:
        KeyError: the command is no request.
    """
    kind, data_set_keyword = PRIMITIVES[CommandField(command["CommandField"])]
    primitive = kind()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of every odd UID
        for keyword, value in command.items():
            if hasattr(primitive, keyword):
                _set(primitive, keyword, value)
    if data_set_keyword and data_set is not None:
        setattr(primitive, data_set_keyword, BytesIO(data_set))
    return primitive


def _set(primitive: Any, keyword: str, value: Any) -> None:
    if isinstance(value, tuple):
        tags = [Tag(tag) for tag in value]
        value = tags[0] if len(tags) == 1 else tags
    with contextlib.suppress(ValueError, TypeError):
        setattr(primitive, keyword, value)
    if keyword in _UNCHECKED and value and getattr(primitive, keyword) is None:
        setattr(primitive, _UNCHECKED[keyword], as_uid(value) if keyword.endswith("UID") else value)

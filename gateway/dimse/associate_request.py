"""Reading a received A-ASSOCIATE-RQ (PS3.8 §9.3.2, PS3.7 Annex D.3).

Presentation context items stay raw here: negotiation is remembered by those bytes. They are cut by `proposals` and not
by pynetdicom's codec, because that one warns and raises on UIDs that odd senders propose, and takes milliseconds.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydicom.uid import UID
from pynetdicom.pdu_items import (
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PDUItem,
    SCP_SCU_RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserIdentitySubItemRQ,
)

from gateway.dimse.context import as_uid

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
DEFAULT_MAX_PDU_BYTES = 16384
"""For a peer that leaves out the mandatory Maximum Length sub-item."""

_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT_RQ, _USER_INFORMATION = 0x10, 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_CLASS, _ASYNCHRONOUS, _ROLE, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x53, 0x54, 0x55
_EXTENDED, _COMMON_EXTENDED, _USER_IDENTITY = 0x56, 0x57, 0x58

_SUB_ITEMS: dict[int, type[PDUItem]] = {
    _MAXIMUM_LENGTH: MaximumLengthSubItem,
    _IMPLEMENTATION_CLASS: ImplementationClassUIDSubItem,
    _ASYNCHRONOUS: AsynchronousOperationsWindowSubItem,
    _ROLE: SCP_SCU_RoleSelectionSubItem,
    _IMPLEMENTATION_VERSION: ImplementationVersionNameSubItem,
    _EXTENDED: SOPClassExtendedNegotiationSubItem,
    _COMMON_EXTENDED: SOPClassCommonExtendedNegotiationSubItem,
    _USER_IDENTITY: UserIdentitySubItemRQ,
}
_FORGIVEN = {_IMPLEMENTATION_CLASS, _IMPLEMENTATION_VERSION}
"""What only names the peer's software may be wrong."""

_ITEM_HEADER = struct.Struct(">BxH")


class MalformedAssociate(ValueError):
    """The bytes are no A-ASSOCIATE PDU."""


class Proposal(NamedTuple):
    """One proposed presentation context."""

    context_id: int
    abstract_syntax: UID
    transfer_syntaxes: tuple[UID, ...]


@dataclass(frozen=True, slots=True)
class RequestedIdentity:
    """A user identity item; the secret stays out of `repr`."""

    kind: int
    """1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JSON Web Token."""
    primary: bytes = field(repr=False)
    secondary: bytes = field(repr=False)
    is_response_requested: bool

    @property
    def user_name(self) -> str:
        """The user name; empty for tickets, assertions and tokens."""
        return self.primary.decode("utf-8", "replace") if self.kind in (1, 2) else ""


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """What an A-ASSOCIATE-RQ says."""

    protocol_version: int
    called_ae_title: str
    calling_ae_title: str
    fixed: bytes
    """The 64 bytes that an A-ASSOCIATE-AC sends back as they came: AE titles and reserved field."""
    application_context_name: str
    contexts: bytes
    """Presentation context items, raw."""
    max_pdu_bytes: int = DEFAULT_MAX_PDU_BYTES
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    roles: tuple[tuple[str, bool, bool], ...] = ()
    """(SOP class UID, SCU role, SCP role)."""
    extended: tuple[tuple[str, bytes], ...] = ()
    common_extended: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    asynchronous_operations: tuple[int, int] | None = None
    identity: RequestedIdentity | None = None


def items(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """(item type, whole item) of PDU items that fill `data` exactly.

    Raises:
        MalformedAssociate: an item reaches beyond the end.
    """
    position, end = start, len(data)
    while position < end:
        if end - position < 4:
            raise MalformedAssociate("an item header is cut off")
        item_type, length = _ITEM_HEADER.unpack_from(data, position)
        stop = position + 4 + length
        if stop > end:
            raise MalformedAssociate(f"item 0x{item_type:02X} of {length} bytes reaches beyond the PDU")
        yield item_type, data[position:stop]
        position = stop


def proposals(contexts: bytes) -> tuple[Proposal, ...]:
    """Cut raw presentation context items.

    Raises:
        MalformedAssociate: IDs not odd or not unique, no abstract or no transfer syntax, broken sub-items.
    """
    found: dict[int, Proposal] = {}
    for _, item in items(contexts):
        if len(item) < 8:
            raise MalformedAssociate("a presentation context item is too short")
        context_id = item[4]
        if not context_id & 1 or context_id in found:
            raise MalformedAssociate(f"presentation context ID {context_id} is not odd or not unique")
        abstract: list[UID] = []
        transfer: list[UID] = []
        for item_type, sub_item in items(item, 8):
            target = {_ABSTRACT_SYNTAX: abstract, _TRANSFER_SYNTAX: transfer}.get(item_type)
            if target is not None:
                target.append(as_uid(sub_item[4:].decode("latin-1").strip("\0 ")))
        if len(abstract) != 1 or not transfer:
            raise MalformedAssociate(f"presentation context {context_id} lacks an abstract or a transfer syntax")
        found[context_id] = Proposal(context_id, abstract[0], tuple(transfer))
    return tuple(found.values())


def parse(pdu: bytes) -> AssociateRequest:
    """Read a whole A-ASSOCIATE-RQ; items and sub-items that PS3.8 does not know are passed over (§9.3.1).

    Raises:
        MalformedAssociate: lengths, identifiers or sub-items that cannot be.
    """
    if len(pdu) < 74:
        raise MalformedAssociate("an A-ASSOCIATE-RQ has at least 74 bytes")
    contexts, user_information, application_context = [], b"", ""
    for item_type, item in items(pdu, 74):
        if item_type == _PRESENTATION_CONTEXT_RQ:
            contexts.append(item)
        elif item_type == _APPLICATION_CONTEXT:
            application_context = item[4:].decode("latin-1").strip("\0 ")
        elif item_type == _USER_INFORMATION:
            user_information = item[4:]
    return AssociateRequest(
        protocol_version=int.from_bytes(pdu[6:8], "big"),
        called_ae_title=ae_title(pdu[10:26]),
        calling_ae_title=ae_title(pdu[26:42]),
        fixed=pdu[10:74],
        application_context_name=application_context,
        contexts=b"".join(contexts),
        **_user_information(user_information),
    )


def ae_title(value: bytes) -> str:
    """An AE title without its padding; what is not ASCII can never match a configured one."""
    return value.decode("ascii", "replace").strip("\0 ")


def _user_information(data: bytes) -> dict[str, Any]:
    found: dict[int, list[Any]] = {item_type: [] for item_type in _SUB_ITEMS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of every odd UID
        for item_type, item in items(data):
            if item_type in _SUB_ITEMS:
                found[item_type] += _decode(item_type, item)
    window = next(iter(found[_ASYNCHRONOUS]), None)
    return {
        "max_pdu_bytes": _first(found[_MAXIMUM_LENGTH], "maximum_length_received", DEFAULT_MAX_PDU_BYTES),
        "implementation_class_uid": str(_first(found[_IMPLEMENTATION_CLASS], "implementation_class_uid", "")),
        "implementation_version_name": _first(found[_IMPLEMENTATION_VERSION], "implementation_version_name", ""),
        "roles": tuple((str(item.uid), bool(item.scu), bool(item.scp)) for item in found[_ROLE]),
        "extended": tuple((str(item.sop_class_uid), bytes(item.app_info)) for item in found[_EXTENDED]),
        "common_extended": tuple(
            (
                str(item.sop_class_uid),
                str(item.service_class_uid),
                tuple(map(str, item.related_general_sop_class_identification)),
            )
            for item in found[_COMMON_EXTENDED]
        ),
        "asynchronous_operations": window and (window.max_operations_invoked, window.max_operations_performed),
        "identity": _identity(found[_USER_IDENTITY]),
    }


def _decode(item_type: int, item: bytes) -> list[PDUItem]:
    sub_item = _SUB_ITEMS[item_type]()
    try:
        sub_item.decode(item)
    except Exception as error:
        if item_type in _FORGIVEN:
            return []
        raise MalformedAssociate(f"user information sub-item 0x{item_type:02X} cannot be read") from error
    return [sub_item]


def _first(found: list[Any], attribute: str, default: Any) -> Any:
    value = getattr(found[0], attribute) if found else default
    return default if value is None else value


def _identity(found: list[Any]) -> RequestedIdentity | None:
    if not found:
        return None
    item = found[0]
    return RequestedIdentity(
        kind=item.user_identity_type,
        primary=item.primary_field or b"",
        secondary=item.secondary_field or b"",
        is_response_requested=bool(item.positive_response_requested),
    )

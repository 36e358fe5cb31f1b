"""Reading a received A-ASSOCIATE-RQ (PS3.8 §9.3.2, PS3.7 Annex D.3).

Titles stand in fixed fields: `head` reads them, and nothing else is decoded until the requestor is admitted. Then
`parse` reads the items in one pass, with bounds on their numbers. Presentation context items stay raw there, since
negotiation is remembered by those bytes; `proposals` cuts them. None of it uses pynetdicom's codecs: they warn and
raise on UIDs that odd senders use, and need milliseconds for an item.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.model.associate import MOST_CONTEXTS

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
DEFAULT_MAX_PDU_BYTES = 16384
"""The maximum length for a peer that leaves out the mandatory Maximum Length sub-item."""

MOST_ITEMS = 1024
"""The most items of one PDU, and sub-items of the user information: 128 contexts, each with a role and extended
negotiation, fit.
"""
MOST_TRANSFER_SYNTAXES = 128
"""The most transfer syntaxes of one context; the standard has about 60."""
MOST_RELATED_CLASSES = 256
"""Related general SOP classes of one sub-item."""
LONGEST_USER_NAME = 1024

_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT_RQ, _USER_INFORMATION = 0x10, 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_CLASS, _ASYNCHRONOUS, _ROLE, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x53, 0x54, 0x55
_EXTENDED, _COMMON_EXTENDED, _USER_IDENTITY, _USER_IDENTITY_RESPONSE = 0x56, 0x57, 0x58, 0x59

_ITEM_HEADER = struct.Struct(">BxH")
_LENGTH = struct.Struct(">H")


class MalformedAssociate(ValueError):
    """The bytes are no A-ASSOCIATE PDU."""


class ProposedPresentationContext(NamedTuple):
    """One proposed presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


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
class AssociateHead:
    """The fixed fields of an A-ASSOCIATE-RQ, and its bytes."""

    protocol_version: int
    called_ae_title: str
    calling_ae_title: str
    pdu: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """The content of an A-ASSOCIATE-RQ."""

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
    identity_response: bytes | None = None
    """The server's response to the user identity, in an A-ASSOCIATE-AC alone."""
    user_information: bytes | None = field(default=None, repr=False)
    """All of the sub-items, raw, with the secret of an identity."""


def items(data: bytes, start: int = 0, most: int = MOST_ITEMS) -> Iterator[tuple[int, bytes]]:
    """(item type, whole item) of PDU items that fill `data` exactly.

    Raises:
        MalformedAssociate: an item reaches beyond the end, or there are more than `most`.
    """
    position, end, count = start, len(data), 0
    while position < end:
        if end - position < 4:
            raise MalformedAssociate("an item header is cut off")
        item_type, length = _ITEM_HEADER.unpack_from(data, position)
        stop = position + 4 + length
        if stop > end:
            raise MalformedAssociate(f"item 0x{item_type:02X} of {length} bytes reaches beyond the PDU")
        count += 1
        if count > most:
            raise MalformedAssociate(f"more than {most} items in one PDU, or sub-items in one item")
        yield item_type, data[position:stop]
        position = stop


def proposals(contexts: bytes, *, is_strict: bool = False) -> tuple[ProposedPresentationContext, ...]:
    """Cut raw presentation context items. IDs may be even, unless `is_strict` (PS3.8 §9.3.2.2).

    Raises:
        MalformedAssociate: IDs not unique, no abstract or no transfer syntax, too many of them, broken
            sub-items.
    """
    found: dict[int, ProposedPresentationContext] = {}
    for _, item in items(contexts):
        if len(item) < 8:
            raise MalformedAssociate("a presentation context item is too short")
        context_id = item[4]
        if context_id in found or (is_strict and not context_id & 1):
            text = "is not unique" if context_id in found else "is not odd"
            raise MalformedAssociate(f"presentation context ID {context_id} {text}")
        abstract: list[str] = []
        transfer: list[str] = []
        for item_type, sub_item in items(item, 8, MOST_TRANSFER_SYNTAXES + 1):
            if item_type == _TRANSFER_SYNTAX:
                transfer.append(_text(sub_item[4:]))
            elif item_type == _ABSTRACT_SYNTAX:
                abstract.append(_text(sub_item[4:]))
        if len(abstract) != 1 or not transfer:
            raise MalformedAssociate(f"presentation context {context_id} lacks an abstract or a transfer syntax")
        found[context_id] = ProposedPresentationContext(context_id, abstract[0], tuple(transfer))
    return tuple(found.values())


def head(pdu: bytes) -> AssociateHead:
    """Read the fixed fields of a whole A-ASSOCIATE-RQ. Raises MalformedAssociate when they are not there."""
    if len(pdu) < 74:
        raise MalformedAssociate("an A-ASSOCIATE-RQ has at least 74 bytes")
    return AssociateHead(
        protocol_version=int.from_bytes(pdu[6:8], "big"),
        called_ae_title=ae_title(pdu[10:26]),
        calling_ae_title=ae_title(pdu[26:42]),
        pdu=pdu,
    )


def parse(pdu: bytes) -> AssociateRequest:
    """Read a whole A-ASSOCIATE-RQ; items and sub-items that PS3.8 does not know are passed over (§9.3.1).

    Raises:
        MalformedAssociate: lengths, identifiers or sub-items that cannot be, or too many of them.
    """
    fixed = head(pdu)
    contexts: list[bytes] = []
    information: bytes | None = None
    application_context = ""
    for item_type, item in items(pdu, 74):
        if item_type == _PRESENTATION_CONTEXT_RQ:
            contexts.append(item)
        elif item_type == _APPLICATION_CONTEXT:
            application_context = _name(item)
        elif item_type == _USER_INFORMATION:
            information = item[4:]
    if len(contexts) > MOST_CONTEXTS:
        raise MalformedAssociate(f"{len(contexts)} presentation contexts; an association takes {MOST_CONTEXTS}")
    return AssociateRequest(
        protocol_version=fixed.protocol_version,
        called_ae_title=fixed.called_ae_title,
        calling_ae_title=fixed.calling_ae_title,
        fixed=pdu[10:74],
        application_context_name=application_context,
        contexts=b"".join(contexts),
        user_information=information,
        **user_information(information or b""),
    )


def ae_title(value: bytes) -> str:
    """An AE title without its padding; what is not ASCII can never match a configured one."""
    return value.decode("ascii", "replace").strip("\0 ")


def user_information(data: bytes) -> dict[str, Any]:
    """The content of the sub-items of a user information item, by the fields of `AssociateRequest`.

    Raises:
        MalformedAssociate: one cannot be read, or there are too many.
    """
    found: dict[int, list[Any]] = {item_type: [] for item_type in _READERS}
    for item_type, item in items(data):
        read = _READERS.get(item_type)
        if read is not None:
            try:
                found[item_type].append(read(item))
            except (struct.error, IndexError, ValueError) as error:
                raise MalformedAssociate(
                    f"user information sub-item 0x{item_type:02X} cannot be read: {error}"
                ) from error
    return {
        "max_pdu_bytes": next(iter(found[_MAXIMUM_LENGTH]), DEFAULT_MAX_PDU_BYTES),
        "implementation_class_uid": next(iter(found[_IMPLEMENTATION_CLASS]), ""),
        "implementation_version_name": next(iter(found[_IMPLEMENTATION_VERSION]), ""),
        "roles": tuple(found[_ROLE]),
        "extended": tuple(found[_EXTENDED]),
        "common_extended": tuple(found[_COMMON_EXTENDED]),
        "asynchronous_operations": next(iter(found[_ASYNCHRONOUS]), None),
        "identity": next(iter(found[_USER_IDENTITY]), None),
        "identity_response": next(iter(found[_USER_IDENTITY_RESPONSE]), None),
    }


# --- sub-items of the user information (PS3.8 §D.1, PS3.7 §D.3.3) ------------------------------------------------


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def _counted(item: bytes, position: int) -> tuple[bytes, int]:
    """A value behind its 16 bit length, and where it ends."""
    (length,) = _LENGTH.unpack_from(item, position)
    stop = position + 2 + length
    if stop > len(item):
        raise ValueError(f"a value of {length} bytes reaches beyond it")
    return item[position + 2 : stop], stop


def _maximum_length(item: bytes) -> int:
    return int(struct.unpack_from(">L", item, 4)[0])


def _name(item: bytes) -> str:
    """A name of at most 64 characters; more is cut off."""
    return _text(item[4:68])


def _asynchronous(item: bytes) -> tuple[int, int]:
    invoked, performed = struct.unpack_from(">HH", item, 4)
    return invoked, performed


def _role(item: bytes) -> tuple[str, bool, bool]:
    uid, stop = _counted(item, 4)
    return _text(uid), bool(item[stop]), bool(item[stop + 1])


def _extended(item: bytes) -> tuple[str, bytes]:
    uid, stop = _counted(item, 4)
    return _text(uid), item[stop:]


def _common_extended(item: bytes) -> tuple[str, str, tuple[str, ...]]:
    uid, stop = _counted(item, 4)
    service_class, stop = _counted(item, stop)
    related: list[str] = []
    if stop < len(item):
        classes, _ = _counted(item, stop)
        position = 0
        while position < len(classes):
            one, position = _counted(classes, position)
            related.append(_text(one))
            if len(related) > MOST_RELATED_CLASSES:
                raise ValueError(f"more than {MOST_RELATED_CLASSES} related SOP classes")
    return _text(uid), _text(service_class), tuple(related)


def _identity(item: bytes) -> RequestedIdentity:
    kind, is_response_requested = item[4], bool(item[5])
    primary, stop = _counted(item, 6)
    if kind in (1, 2) and len(primary) > LONGEST_USER_NAME:
        raise ValueError(f"a user name of {len(primary)} bytes")
    secondary = _counted(item, stop)[0] if stop < len(item) else b""
    return RequestedIdentity(kind, primary, secondary, is_response_requested)


def _identity_response(item: bytes) -> bytes:
    return _counted(item, 4)[0]


_READERS: dict[int, Callable[[bytes], Any]] = {
    _MAXIMUM_LENGTH: _maximum_length,
    _IMPLEMENTATION_CLASS: _name,
    _ASYNCHRONOUS: _asynchronous,
    _ROLE: _role,
    _IMPLEMENTATION_VERSION: _name,
    _EXTENDED: _extended,
    _COMMON_EXTENDED: _common_extended,
    _USER_IDENTITY: _identity,
    _USER_IDENTITY_RESPONSE: _identity_response,
}

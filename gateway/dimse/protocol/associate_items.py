"""Items that both A-ASSOCIATE PDUs have, as bytes (PS3.8 §9.3.2 and §9.3.3, PS3.7 Annex D.3)."""

from __future__ import annotations

import functools

from pynetdicom.pdu_items import (
    ApplicationContextItem,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    SCP_SCU_RoleSelectionSubItem,
    SOPClassExtendedNegotiationSubItem,
)

from gateway.dimse.protocol.associate_request import APPLICATION_CONTEXT_NAME
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

ACCEPTANCE, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED, USER_REJECTION = 0, 3, 4, 1
"""Results of a presentation context (PS3.8 Table 9-18)."""

IDENTITY_KINDS = {1: "username", 2: "username_passcode", 3: "kerberos", 4: "saml", 5: "jwt"}
"""User identity types (PS3.7 Table D.3-14)."""


def encode_role(uid: str, scu: bool, scp: bool) -> bytes:
    """An SCP/SCU Role Selection sub-item."""
    item = SCP_SCU_RoleSelectionSubItem()
    item.sop_class_uid, item.scu_role, item.scp_role = uid, int(scu), int(scp)
    return bytes(item.encode())


def encode_extended(uid: str, information: bytes) -> bytes:
    """A SOP Class Extended Negotiation sub-item."""
    item = SOPClassExtendedNegotiationSubItem()
    item.sop_class_uid, item.service_class_application_information = uid, information
    return bytes(item.encode())


def encode_asynchronous_operations(invoked: int, performed: int) -> bytes:
    """An Asynchronous Operations Window sub-item."""
    item = AsynchronousOperationsWindowSubItem()
    item.maximum_number_operations_invoked, item.maximum_number_operations_performed = invoked, performed
    return bytes(item.encode())


MOST_HOPS_WRITTEN = 9
"""One digit: more gateways than these are said as nine."""


@functools.lru_cache(maxsize=64)
def own_identification(max_pdu_bytes: int, hops: int = 0) -> bytes:
    """Maximum length, implementation class UID and version name, which ends with the number of `hops` unless 0."""
    length = MaximumLengthSubItem()
    length.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDSubItem()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameSubItem()
    name = IMPLEMENTATION_VERSION_NAME
    version.implementation_version_name = f"{name[:14]}+{hops}" if hops else name
    return b"".join(bytes(item.encode()) for item in (length, implementation, version))


def _application_context() -> bytes:
    item = ApplicationContextItem()
    item.application_context_name = APPLICATION_CONTEXT_NAME
    return bytes(item.encode())


APPLICATION_CONTEXT = _application_context()

"""Items that both A-ASSOCIATE PDUs have, as bytes (PS3.8 §9.3.2 and §9.3.3, PS3.7 Annex D.3)."""

from __future__ import annotations

import functools
import re

from pynetdicom.pdu_items import (
    ApplicationContextItem,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    SCP_SCU_RoleSelectionSubItem,
    SOPClassExtendedNegotiationSubItem,
)

from gateway import __version__
from gateway.dimse.protocol.associate_request import APPLICATION_CONTEXT_NAME
from gateway.model.association import AssociationFacts

IMPLEMENTATION_CLASS_UID = "2.25.250441499507111539750816702114327219122"
IMPLEMENTATION_VERSION_NAME = f"GATEWAY_{__version__}"[:16]

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


MOST_HOPS_SAID = 9
"""One digit: more gateways than these are said as nine."""
_HOPS = re.compile(r"\+(\d)$", re.ASCII)


def hops_of(facts: AssociationFacts) -> int:
    """How many gateways the requests of this association came through; 0 from anybody who is no gateway.

    A gateway says it at the end of the Implementation Version Name (PS3.7 §D.3.3.2) of the associations on which it
    passes questions and objects on, e.g. ``GATEWAY_0.1.0+1``: the one field of an association that is ours to fill.
    """
    if facts.implementation_class_uid != IMPLEMENTATION_CLASS_UID:
        return 0
    found = _HOPS.search(facts.implementation_version_name)
    return int(found[1]) if found else 0


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

"""The service of an abstract syntax, and accepted presentation contexts."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

from pydicom.config import IGNORE
from pydicom.uid import UID
from pynetdicom.presentation import PresentationContextTuple
from pynetdicom.service_class import (
    NonPatientObjectStorageServiceClass,
    ServiceClass,
    StorageServiceClass,
    VerificationServiceClass,
)
from pynetdicom.sop_class import uid_to_service_class

from gateway.query.sop_classes import CLASSES

DimseService = Literal["echo", "store", "find", "move", "get", ""]
"""The services that a peer `may` use; empty: a service class that the gateway does not offer."""

VERIFICATION = "1.2.840.10008.1.1"

LONGEST_UID = 128
"""UIDs have 64 characters; senders with somewhat longer ones exist and pass unharmed."""

UNCOMPRESSED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
)
"""Implicit VR Little Endian, Explicit VR Little Endian, Deflated, Explicit VR Big Endian."""

_SERVICES: dict[type[ServiceClass], DimseService] = {
    VerificationServiceClass: "echo",
    StorageServiceClass: "store",
    NonPatientObjectStorageServiceClass: "store",
}

QUERY_RETRIEVE: dict[str, DimseService] = {each.uid: each.operation for each in CLASSES}
"""SOP Class UID → the operation that it is for."""


@functools.lru_cache(maxsize=4096)
def service_of(abstract_syntax: str) -> DimseService:
    """The service of an abstract syntax; private and unknown ones are taken for storage (design: odd senders pass)."""
    if abstract_syntax in QUERY_RETRIEVE:
        return QUERY_RETRIEVE[abstract_syntax]
    service_class = uid_to_service_class(abstract_syntax)
    if service_class in _SERVICES:
        return _SERVICES[service_class]
    if service_class is not ServiceClass:
        return ""
    uid = as_uid(abstract_syntax)
    is_named = bool(uid.type and uid.name)
    return "" if is_named and ("Storage" not in uid.name or uid.keyword == "MediaStorageDirectoryStorage") else "store"


def as_uid(text: str) -> UID:
    """A UID object, also of what is no valid UID, without a word."""
    return UID(text, validation_mode=IGNORE)


class AcceptedContext(NamedTuple):
    """One accepted presentation context, shared by all associations that negotiated the same."""

    context_id: int
    abstract_syntax: UID
    transfer_syntax: UID
    service: DimseService
    is_scp: bool = True
    """We may serve on it."""
    is_scu: bool = False
    """We may invoke on it."""

    @property
    def documented(self) -> PresentationContextTuple:
        """As `event.context` gives it."""
        return PresentationContextTuple(self.context_id, self.abstract_syntax, self.transfer_syntax)

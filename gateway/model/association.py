"""The association that an object or a request came over, as rules see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AssociationFacts:
    """Facts of the association that an object came over; rules and templates read them."""

    calling_ae_title: str
    called_ae_title: str
    remote_host: str
    """Numeric address of the requestor."""
    remote_port: int = 0
    listener: str = ""
    """Name of the listener that took the connection."""
    is_tls: bool = False
    """The connection is encrypted."""
    tls_subject: str = ""
    """Subject of the client certificate as ``CN=…,O=…``; empty without one."""
    tls_names: tuple[str, ...] = ()
    """Subject alternative names of the client certificate as ``DNS:…``, ``IP:…``, ``URI:…``, ``email:…``."""
    tls_fingerprint: str = ""
    """SHA-256 of the client certificate, 64 small hexadecimal digits; empty without one."""
    user_identity: str = ""
    """User name that was verified (PS3.7 §D.3.3.7); empty where nothing was. Never a secret."""
    claimed_user_identity: str = ""
    """User name that a requestor gave and nobody verified; empty without one. Never a secret."""
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    peer: str = ""
    """Name of the configured peer that the requestor was admitted as; empty for a stranger."""
    association_id: str = ""
    """Identifier for logs; unique in this process."""

    def log_fields(self) -> dict[str, str]:
        """The requestor, as log lines about its requests name it."""
        return {
            "calling_ae_title": self.calling_ae_title,
            "peer": self.peer,
            "remote_host": self.remote_host,
            "association": self.association_id,
        }

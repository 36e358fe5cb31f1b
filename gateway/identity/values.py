"""Values of user identity: the identity that a requestor offers, and the result of its verification."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.ports.errors import GatewayError


@dataclass(frozen=True, slots=True)
class OfferedIdentity:
    """A user identity item, with the facts of the association that a command gets. The secrets stay out of `repr`."""

    kind: str
    """username, username_passcode, kerberos, saml or jwt."""
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)
    is_response_requested: bool = False
    calling_ae_title: str = ""
    remote_host: str = ""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """An identity that was verified."""

    user: str
    """Empty where a ticket or assertion was found good and no name was given for it."""
    server_response: bytes = field(default=b"", repr=False)
    """The server response of the User Identity item of the A-ASSOCIATE-AC: a Kerberos server ticket or SAML response.
    """


class NotVerified(GatewayError):
    """The identity is refused. The message says why, and holds no part of the identity offered."""


class NotVerifiable(GatewayError):
    """The identity cannot be verified now: a file is gone, a command failed, too many wait. The requestor may try
    again."""

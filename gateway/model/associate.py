"""The keywords of associations that the gateway asks for, as `AE.associate` of pynetdicom has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.model.security import TLS

MOST_CONTEXTS = 128
"""The most presentation contexts of one association: their IDs are the odd numbers from 1 to 255 (PS3.8 §9.3.2.2)."""


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context to propose, `transfer_syntaxes` in order of preference."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection for one SOP class (PS3.7 §D.3.3.4)."""

    sop_class_uid: str
    scu_role: bool
    scp_role: bool


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """User identity that we offer (PS3.7 §D.3.3.7)."""

    kind: Literal["username", "username_passcode", "kerberos", "saml", "jwt"]
    primary: str | bytes = field(repr=False)
    """Text goes out as UTF-8; a Kerberos ticket is bytes."""
    secondary: str | bytes = field(default="", repr=False)
    is_response_requested: bool = False


DEFAULT_OFFERED_PDU = 16382
"""Maximum length that `AE.associate` of pynetdicom offers."""


@dataclass(frozen=True, slots=True)
class AssociateKeywords:
    """The keywords of `AE.associate` for one peer, compiled."""

    contexts: tuple[ProposedContext, ...] = ()
    """The contexts to propose for sending: as they are, all of them, in this order, and nothing else. Empty: made
    from the queued instances.
    """
    called_ae_title: str = ""
    """Empty: the peer's AE title."""
    max_pdu_bytes: int | None = None
    """The maximum length that we offer; 0 is without limit. None: `DEFAULT_OFFERED_PDU`, where instances come to us
    that of `Limits`."""
    roles: tuple[Role, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    """SOP class extended negotiation: (SOP class UID, application information)."""
    common_extended: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(SOP class UID, service class UID, related general SOP class UIDs)."""
    user_identity: UserIdentity | None = None
    async_operations: tuple[int, int] | None = None
    bind_address: tuple[str, int] | None = None
    tls: TLS | None = None
    hops: int = 0
    """Gateways that a query or an object passed on over the association came through, this one included, as far as
    they are counted (9); 0: it is our own. Not a setting: see `gateway.model.hops.hops_of`."""

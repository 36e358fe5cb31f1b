"""``(addr, port, kwargs)`` of a C-MOVE handler, with the keywords of pynetdicom's `AE.associate`, as a peer of ours."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from gateway.dimse.yields import Place
from gateway.model import Associate, Peer, ProposedContext, Role, UserIdentity

log = structlog.get_logger()

IDENTITY_KINDS = {1: "username", 2: "username_passcode", 3: "kerberos", 4: "saml", 5: "jwt"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where sub-operations go."""

    peer: Peer
    tls: tuple[ssl.SSLContext, str | None] | None = None
    """A TLS context and server name that stand for those of `peer`."""
    is_limited_to_contexts: bool = False
    """True when nothing but `peer.associate.contexts` may be proposed."""


def target_of(place: Place, move_destination: str) -> Target:
    """The target that a handler means.

    Args:
        place: `Peer`, ``(addr, port)`` or ``(addr, port, kwargs)``.
        move_destination: the called AE title, unless the keywords or the peer name another.

    Raises:
        ValueError, TypeError: nothing of the kind.
    """
    if isinstance(place, Peer):
        if not place.host or not place.port:
            raise ValueError(f"peer {place.name!r} has no address")
        return Target(place)
    address, port, keywords = _split(place)
    unknown = set(keywords) - _KEYWORDS
    if unknown:
        raise TypeError(f"AE.associate has no keyword {', '.join(sorted(unknown))}")
    if keywords.get("evt_handlers"):
        log.warning("move_destination_keyword_without_effect", keyword="evt_handlers")
    title = str(keywords.get("ae_title") or move_destination)
    associate = _read_associate(keywords)
    contexts = tuple(map(_context, keywords.get("contexts") or ()))
    tls = keywords.get("tls_args")
    peer = Peer(name=title, ae_title=title, host=address, port=port, associate=replace(associate, contexts=contexts))
    return Target(peer, (tls[0], tls[1]) if tls else None, is_limited_to_contexts=bool(contexts))


_KEYWORDS = {"contexts", "ae_title", "max_pdu", "ext_neg", "bind_address", "tls_args", "evt_handlers"}


def _split(place: Sequence[Any]) -> tuple[str, int, Mapping[str, Any]]:
    address, port, *rest = place
    if isinstance(address, tuple):
        address = address[0]  # (address, flow info, scope)
    if not isinstance(address, str) or not isinstance(port, int) or not 0 < port < 65536 or len(rest) > 1:
        raise TypeError("a destination is (addr, port) or (addr, port, kwargs)")
    keywords = rest[0] if rest and rest[0] else {}
    if not isinstance(keywords, Mapping):
        raise TypeError("the keywords of a destination are a mapping")
    return address, port, keywords


def _read_associate(keywords: Mapping[str, Any]) -> Associate:
    maximum = int(keywords.get("max_pdu", 0) or 0)
    associate = Associate(max_pdu_bytes=maximum) if maximum else Associate()
    bind = keywords.get("bind_address")
    if bind:
        associate = replace(associate, bind_address=(str(bind[0]), int(bind[1])))
    for item in keywords.get("ext_neg") or ():
        read = next((read for kind, read in _NEGOTIATION.items() if isinstance(item, kind)), None)
        if read is None:
            raise TypeError(f"ext_neg cannot hold {type(item).__name__}")
        associate = read(associate, item)
    return associate


def _context(context: Any) -> ProposedContext:
    if isinstance(context, ProposedContext):
        return context
    return ProposedContext(str(context.abstract_syntax), tuple(map(str, context.transfer_syntax)))


def _role(associate: Associate, item: Any) -> Associate:
    role = Role(str(item.sop_class_uid), bool(item.scu_role), bool(item.scp_role))
    return replace(associate, roles=(*associate.roles, role))


def _extended(associate: Associate, item: Any) -> Associate:
    new = (str(item.sop_class_uid), bytes(item.service_class_application_information))
    return replace(associate, extended=(*associate.extended, new))


def _common_extended(associate: Associate, item: Any) -> Associate:
    related = tuple(map(str, item.related_general_sop_class_identification))
    new = (str(item.sop_class_uid), str(item.service_class_uid), related)
    return replace(associate, common_extended=(*associate.common_extended, new))


def _identity(associate: Associate, item: Any) -> Associate:
    kind: Any = IDENTITY_KINDS[item.user_identity_type]
    primary, secondary = bytes(item.primary_field or b""), bytes(item.secondary_field or b"")
    identity = UserIdentity(kind, primary.decode(), secondary.decode(), bool(item.positive_response_requested))
    return replace(associate, user_identity=identity)


def _operations(associate: Associate, item: Any) -> Associate:
    window = (item.maximum_number_operations_invoked, item.maximum_number_operations_performed)
    return replace(associate, async_operations=window)


_NEGOTIATION: dict[type, Callable[[Associate, Any], Associate]] = {
    SCP_SCU_RoleSelectionNegotiation: _role,
    SOPClassExtendedNegotiation: _extended,
    SOPClassCommonExtendedNegotiation: _common_extended,
    UserIdentityNegotiation: _identity,
    AsynchronousOperationsWindowNegotiation: _operations,
}

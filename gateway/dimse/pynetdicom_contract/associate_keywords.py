"""``(addr, port, kwargs)`` of a C-MOVE handler, with the keywords of pynetdicom's `AE.associate`, as a peer of ours.

What pynetdicom takes is taken, and raises nothing but what it raises: a handler's destination that it answers with
0xC515 is one here. Three things that it lets pass, and that no association can carry, are errors too: a second user
identity or asynchronous operations window (PS3.7 §D.3.3.7, §D.3.3.3: zero or one), an empty negotiation item, and a
maximum length of more than four bytes (PS3.8 §D.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext
from pynetdicom.utils import decode_bytes, set_ae

from gateway.dimse.protocol.associate_items import IDENTITY_KINDS
from gateway.dimse.pynetdicom_contract.notifications import BoundNotification, bound_handlers
from gateway.dimse.pynetdicom_contract.yields import MovePlace
from gateway.model.associate import (
    DEFAULT_OFFERED_PDU,
    MOST_CONTEXTS,
    AssociateKeywords,
    ProposedContext,
    Role,
    UserIdentity,
)
from gateway.model.peer import Peer

LARGEST_MAXIMUM = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Target:
    """The target of sub-operations."""

    peer: Peer
    tls: tuple[ssl.SSLContext, str | None] | None = None
    """A TLS context and server name that stand for those of `peer`."""
    handlers: tuple[BoundNotification, ...] = ()
    """Bound to the events of its associations, which no other operation shares then."""


def is_place(yielded: Any) -> bool:
    """True for one place, whether tuple or list; a list of places is several."""
    if isinstance(yielded, list):
        return bool(yielded) and not isinstance(yielded[0], Peer | tuple | list)
    return True


def target_of(place: MovePlace, move_destination: str) -> Target:
    """The target that a handler means.

    Args:
        place: `Peer`, ``(addr, port)`` or ``(addr, port, kwargs)``; more is not looked at.
        move_destination: the called AE title, unless the keywords or the peer name another.

    Raises:
        ValueError, TypeError, OSError: `AE.associate` raises, too.
    """
    if isinstance(place, Peer):
        if not place.host or not place.port:
            raise ValueError(f"peer {place.name!r} has no address")
        return Target(place)
    address, port, *rest = place
    keywords: dict[str, Any] = {"ae_title": move_destination, **dict(rest[0] if rest and rest[0] else {})}
    if unknown := set(keywords) - _KEYWORDS:
        raise TypeError(f"AE.associate has no keyword {', '.join(sorted(map(str, unknown)))}")
    if not isinstance(port, int):
        raise TypeError("the port of a destination is an int")
    title = _ae_title(keywords["ae_title"])
    peer = Peer(name=title.strip(), ae_title=title, host=_host(address), port=port, associate=_associate(keywords))
    return Target(peer, _tls(keywords.get("tls_args")), bound_handlers(keywords.get("evt_handlers")))


_KEYWORDS = {"contexts", "ae_title", "max_pdu", "ext_neg", "bind_address", "tls_args", "evt_handlers"}


def _host(address: Any) -> str:
    """An empty address is this machine."""
    if isinstance(address, str):
        return address or "127.0.0.1"
    if isinstance(address, tuple):  # (address, flow info, scope)
        host, _, scope = address
        if isinstance(host, str) and all(isinstance(number, int) for number in address[1:]):
            return f"{host}%{scope}" if scope else host
    raise TypeError("the address of a destination is a str or (str, int, int)")


def _ae_title(value: Any) -> str:
    """Raises ValueError, TypeError for what is no AE title (PS3.5 §6.2)."""
    title = set_ae(decode_bytes(value) if isinstance(value, bytes) else value, "ae_title", False, False)
    assert title is not None
    title.encode("ascii")
    return title


def _associate(keywords: Mapping[str, Any]) -> AssociateKeywords:
    associate = AssociateKeywords(
        contexts=_contexts(keywords.get("contexts")),
        max_pdu_bytes=_maximum(keywords.get("max_pdu", DEFAULT_OFFERED_PDU)),
        bind_address=_bind_address(keywords.get("bind_address")),
    )
    for item in keywords.get("ext_neg") or ():
        read = _NEGOTIATION.get(type(item))
        if read is None:
            raise TypeError(f"ext_neg cannot hold {type(item).__name__}")
        try:
            item.from_primitive().encode()
        except Exception as error:
            raise ValueError(f"{type(item).__name__} is not complete: {error}") from error
        associate = read(associate, item)
    return associate


def _maximum(value: Any) -> int:
    item = MaximumLengthNotification()
    item.maximum_length_received = value
    maximum = int(item.maximum_length_received)
    if maximum > LARGEST_MAXIMUM:
        raise ValueError(f"max_pdu {maximum} does not fit in four bytes (PS3.8 §D.1)")
    return maximum


def _contexts(value: Any) -> tuple[ProposedContext, ...]:
    if not value:
        return ()
    if not isinstance(value, list):
        raise TypeError("'contexts' must be a list of PresentationContext items")
    if len(value) > MOST_CONTEXTS:
        raise ValueError(f"{len(value)} presentation contexts; an association has at most {MOST_CONTEXTS}")
    return tuple(map(_context, value))


def _context(context: Any) -> ProposedContext:
    if isinstance(context, ProposedContext):
        return context
    if not isinstance(context, PresentationContext):
        raise ValueError("'contexts' must be a list of PresentationContext items")
    if not context.abstract_syntax:
        raise ValueError("a presentation context has no abstract syntax")
    return ProposedContext(str(context.abstract_syntax), tuple(map(str, context.transfer_syntax)))


def _bind_address(value: Any) -> tuple[str, int] | None:
    """Raises OSError for an address that is not ours."""
    if value is None:
        return None
    if not isinstance(value, tuple | list) or len(value) not in (2, 4):
        raise TypeError("'bind_address' must be tuple[str, int] or tuple[str, int, int, int]")
    host, *numbers = value
    if not isinstance(host, str) or not all(isinstance(number, int) for number in numbers):
        raise TypeError("'bind_address' must be tuple[str, int] or tuple[str, int, int, int]")
    if not host:
        return ("0.0.0.0", numbers[0]) if numbers[0] else None  # noqa: S104 - to call from, not to listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.bind((host, 0))
    return host, numbers[0]


def _tls(value: Any) -> tuple[ssl.SSLContext, str | None] | None:
    if not value:
        return None
    context, server_name = value
    if not isinstance(context, ssl.SSLContext) or not isinstance(server_name, str | None):
        raise TypeError("'tls_args' is (SSLContext, server name)")
    return context, server_name


def _role(associate: AssociateKeywords, item: Any) -> AssociateKeywords:
    role = Role(str(item.sop_class_uid), bool(item.scu_role), bool(item.scp_role))
    return replace(associate, roles=(*associate.roles, role))


def _extended(associate: AssociateKeywords, item: Any) -> AssociateKeywords:
    new = (str(item.sop_class_uid), bytes(item.service_class_application_information))
    return replace(associate, extended=(*associate.extended, new))


def _common_extended(associate: AssociateKeywords, item: Any) -> AssociateKeywords:
    related = tuple(map(str, item.related_general_sop_class_identification))
    new = (str(item.sop_class_uid), str(item.service_class_uid), related)
    return replace(associate, common_extended=(*associate.common_extended, new))


def _identity(associate: AssociateKeywords, item: Any) -> AssociateKeywords:
    if associate.user_identity is not None:
        raise ValueError("an association has at most one user identity (PS3.7 §D.3.3.7)")
    kind: Any = IDENTITY_KINDS[item.user_identity_type]
    primary, secondary = bytes(item.primary_field or b""), bytes(item.secondary_field or b"")
    return replace(
        associate, user_identity=UserIdentity(kind, primary, secondary, bool(item.positive_response_requested))
    )


def _operations(associate: AssociateKeywords, item: Any) -> AssociateKeywords:
    if associate.async_operations is not None:
        raise ValueError("an association has at most one asynchronous operations window (PS3.7 §D.3.3.3)")
    window = (item.maximum_number_operations_invoked, item.maximum_number_operations_performed)
    return replace(associate, async_operations=window)


_NEGOTIATION: dict[type, Callable[[AssociateKeywords, Any], AssociateKeywords]] = {
    SCP_SCU_RoleSelectionNegotiation: _role,
    SOPClassExtendedNegotiation: _extended,
    SOPClassCommonExtendedNegotiation: _common_extended,
    UserIdentityNegotiation: _identity,
    AsynchronousOperationsWindowNegotiation: _operations,
}


async def look_up(target: Target) -> None:
    """Look the host's name up, as `AE.associate` does before it connects. Raises OSError for one without an address."""
    if not _is_numeric(target.peer.host):
        await asyncio.get_running_loop().getaddrinfo(target.peer.host, None)


def _is_numeric(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return False
    return True

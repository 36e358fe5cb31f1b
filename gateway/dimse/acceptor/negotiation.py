"""Answering a request for an association: presentation contexts, roles, user information (PS3.8 §7.1.1.14, PS3.7 D.3).

The answer to a list of contexts depends on the peer's settings only, so it is remembered, up to a number of bytes: a
peer that comes back gets the encoded bytes and the shared context table without any work.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from pynetdicom.pdu_items import (
    UserIdentitySubItemAC,
)
from pynetdicom.presentation import SCP_SCU_ROLES

from gateway.common.bounded_cache import BoundedCache
from gateway.dimse.protocol.associate_items import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    APPLICATION_CONTEXT,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    USER_REJECTION,
    encode_asynchronous_operations,
    encode_extended,
    encode_role,
    own_identification,
)
from gateway.dimse.protocol.associate_request import (
    AssociateRequest,
    ProposedPresentationContext,
    proposals,
)
from gateway.dimse.protocol.context import LONGEST_UID, UNCOMPRESSED, AcceptedContext, as_uid, service_of
from gateway.query.compile import Options
from gateway.query.sop_classes import ROOT_OF

MOST_QUEUED = 8
"""Requests that a peer may send ahead of our responses before we stop reading."""

STORAGE_EXTENDED_ANSWER = bytes((2, 0, 1, 0, 1, 0))
"""Level 2 (full) storage, digital signature level 1, may coerce elements (PS3.4 §B.3.1)."""

REMEMBERED_BYTES = 8 * 1024**2
"""The most memory for remembered answers and their requests."""
REMEMBERED_BYTES_EACH = 512 * 1024
_CONTEXT_BYTES, _ROLE_BYTES = 1024, 256
"""The memory of an accepted context and of a role, about."""

_AC_HEADER = struct.Struct(">BxIHxx")
_ITEM_HEADER = struct.Struct(">BxH")
_CONTEXT_HEADER = struct.Struct(">BxHBxBxBxH")


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of an association's negotiation; equal policies share their answers."""

    services: frozenset[str]
    """Services with a handler that the peer `may` use."""
    sop_classes: tuple[str, ...] = ()
    """The abstract syntaxes that are accepted, of services other than echo; empty: any."""
    transfer_syntaxes: tuple[str, ...] = ()
    """The transfer syntaxes that are accepted; empty: any."""
    preferred: tuple[str, ...] = ()
    """Where a context proposes some of these, the first of them is accepted."""
    may_invoke_storage: bool = False
    """True when we can be the SCU of storage on the requestor's association (C-GET)."""
    is_strict: bool = False
    """Presentation context IDs must be odd."""


@dataclass(frozen=True, slots=True)
class NegotiationResult:
    """The negotiated contexts."""

    items: bytes
    """Presentation context items of the A-ASSOCIATE-AC."""
    contexts: Mapping[int, AcceptedContext]
    roles: tuple[tuple[str, bool, bool], ...]
    """(SOP class UID, SCU role, SCP role) to send back."""
    even_ids: tuple[int, ...] = ()
    """Presentation context IDs that should be odd; they are answered like the others."""


_AnswerKey = tuple[bytes, tuple[tuple[str, bool, bool], ...], Policy]
_answers: BoundedCache[_AnswerKey, NegotiationResult] = BoundedCache(REMEMBERED_BYTES, REMEMBERED_BYTES_EACH)


def negotiate(contexts: bytes, roles: tuple[tuple[str, bool, bool], ...], policy: Policy) -> NegotiationResult:
    """Answer every proposed context: the first of its transfer syntaxes that is preferred, else that is accepted.

    Raises:
        MalformedAssociate: the items cannot be read.
    """
    key = (contexts, roles, policy)
    answer = _answers.get(key)
    if answer is None:
        answer = _negotiated(contexts, roles, policy)
        cost_bytes = len(contexts) + len(answer.items) + _ROLE_BYTES * len(roles)
        _answers.put(key, answer, cost_bytes + _CONTEXT_BYTES * len(answer.contexts))
    return answer


def _negotiated(contexts: bytes, roles: tuple[tuple[str, bool, bool], ...], policy: Policy) -> NegotiationResult:
    requested = {uid: (scu, scp) for uid, scu, scp in roles}
    parts, accepted, replies, even_ids = [], {}, {}, []
    for proposal in proposals(contexts, is_strict=policy.is_strict):
        if not proposal.context_id & 1:
            even_ids.append(proposal.context_id)
        result, context = decide(proposal, requested, policy)
        transfer_syntax = context.transfer_syntax if context else proposal.transfer_syntaxes[0][:LONGEST_UID]
        parts.append(_encode_context(proposal.context_id, result, str(transfer_syntax)))
        if context is None:
            continue
        accepted[context.context_id] = context
        uid = proposal.abstract_syntax
        if uid in requested:
            scu, scp = requested[uid]
            replies[uid] = (uid, scu and context.is_scp, scp and context.is_scu)
    return NegotiationResult(b"".join(parts), MappingProxyType(accepted), tuple(replies.values()), tuple(even_ids))


def decide(
    proposal: ProposedPresentationContext, requested: Mapping[str, tuple[bool, bool]], policy: Policy
) -> tuple[int, AcceptedContext | None]:
    """The result (PS3.8 Table 9-18) of one proposed context, and the context when it is accepted. `requested` are the
    roles (SCU, SCP) that the requestor proposes by SOP class."""
    uid = proposal.abstract_syntax
    if len(uid) > LONGEST_UID:
        return ABSTRACT_SYNTAX_NOT_SUPPORTED, None
    service = service_of(uid)
    is_offered = service in policy.services
    is_for_get = service == "store" and policy.may_invoke_storage and requested.get(uid, (True, False))[1]
    if not (is_offered or is_for_get) or (service != "echo" and policy.sop_classes and uid not in policy.sop_classes):
        return ABSTRACT_SYNTAX_NOT_SUPPORTED, None
    allowed: tuple[str, ...] = policy.transfer_syntaxes
    if service == "echo":
        allowed = UNCOMPRESSED  # no data set ever; the peer's settings speak of objects
    fitting = [one for one in proposal.transfer_syntaxes if len(one) <= LONGEST_UID and (not allowed or one in allowed)]
    preferred = (one for one in policy.preferred if one in fitting)
    transfer_syntax = next(chain(preferred, fitting), None)  # one of those proposed, by our choice (PS3.8 §9.3.3.2)
    if not transfer_syntax:
        return TRANSFER_SYNTAXES_NOT_SUPPORTED, None
    ours = (is_offered, policy.may_invoke_storage) if service == "store" else (True, False)
    *_, is_scu, is_scp = _roles(requested.get(uid), ours)
    if not (is_scu or is_scp):
        return USER_REJECTION, None
    return ACCEPTANCE, AcceptedContext(
        proposal.context_id, as_uid(uid), as_uid(transfer_syntax), service, is_scp, is_scu
    )


def _roles(requested: tuple[bool, bool] | None, ours: tuple[bool, bool]) -> tuple[bool, bool, bool, bool]:
    """Requestor SCU, requestor SCP, acceptor SCU, acceptor SCP, after PS3.7 Table D.3-9.

    The answer never accepts a role that was not proposed.
    """
    if requested is None:
        return True, False, False, True
    answered = (requested[0] and ours[0], requested[1] and ours[1])
    outcome: tuple[bool, bool, bool, bool] = SCP_SCU_ROLES[requested][answered]
    return outcome


def _encode_context(context_id: int, result: int, transfer_syntax: str) -> bytes:
    name = transfer_syntax.encode("latin-1")
    return _CONTEXT_HEADER.pack(0x21, len(name) + 8, context_id, result, 0x40, len(name)) + name


def encode_accept(
    request: AssociateRequest,
    answer: NegotiationResult,
    *,
    max_pdu_bytes: int,
    identity_response: bytes | None = None,
    extended: tuple[tuple[str, bytes], ...] = (),
) -> bytes:
    """The A-ASSOCIATE-AC PDU (PS3.8 §9.3.3).

    Args:
        request: what is answered.
        answer: the contexts.
        max_pdu_bytes: the maximum length we take.
        identity_response: the server response of the user identity; None sends no such item.
        extended: SOP class extended negotiation: (SOP class UID, application information).
    """
    user_data = own_identification(max_pdu_bytes)
    if request.asynchronous_operations is not None:
        user_data += encode_asynchronous_operations(*window_for(request.asynchronous_operations))
    user_data += b"".join(encode_role(*role) for role in answer.roles)
    user_data += b"".join(encode_extended(*item) for item in extended)
    if identity_response is not None:
        identity = UserIdentitySubItemAC()
        identity.server_response = identity_response
        user_data += bytes(identity.encode())
    body = APPLICATION_CONTEXT + answer.items + _ITEM_HEADER.pack(0x50, len(user_data)) + user_data
    return _AC_HEADER.pack(0x02, 4 + len(request.fixed) + len(body), 1) + request.fixed + body


def window_for(proposed: tuple[int, int]) -> tuple[int, int]:
    """The operations that the requestor may invoke at a time, and those that we may (PS3.7 §D.3.3.3). It may send as
    many requests as wait in our queue, and gets its responses in order. We send it one sub-operation at a time."""
    return min(proposed[0] or MOST_QUEUED, MOST_QUEUED), 1


def answer_extended(request: AssociateRequest, answer: NegotiationResult) -> tuple[tuple[str, bytes], ...]:
    """Storage classes are answered as PS3.4 §B.3.1 says, Query/Retrieve as §C.5; what we do not know is left out, as
    the standard asks."""
    services = {str(context.abstract_syntax): context.service for context in answer.contexts.values()}
    found = ((uid, _agreed(uid, services.get(uid, ""), information)) for uid, information in request.extended)
    return tuple((uid, information) for uid, information in found if information)


def _agreed(uid: str, service: str, proposed: bytes) -> bytes:
    if service == "store":
        return STORAGE_EXTENDED_ANSWER
    return Options.agree(proposed, is_retrieve=service != "find") if service and uid in ROOT_OF else b""

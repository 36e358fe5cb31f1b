"""Asking for an association: the A-ASSOCIATE-RQ, and reading its answers (PS3.8 §9.3.2 to §9.3.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_items import (
    SOPClassCommonExtendedNegotiationSubItem,
    UserIdentitySubItemRQ,
)
from pynetdicom.presentation import SCP_SCU_ROLES

from gateway.dimse.protocol.associate_items import (
    ACCEPTANCE,
    APPLICATION_CONTEXT,
    IDENTITY_KINDS,
    encode_asynchronous_operations,
    encode_extended,
    encode_role,
    own_identification,
)
from gateway.dimse.protocol.associate_request import MalformedAssociate, items, user_information
from gateway.dimse.protocol.context import AcceptedContext, as_uid, service_of
from gateway.dimse.protocol.oddities import odd_user_information
from gateway.model.associate import DEFAULT_OFFERED_PDU, MOST_CONTEXTS, AssociateKeywords, ProposedContext, UserIdentity

FIXED_BYTES = 74
"""The length of an A-ASSOCIATE PDU before its items."""

_RQ_HEADER = struct.Struct(">BxIHxx16s16s32x")
_ITEM_HEADER = struct.Struct(">BxH")
_PRESENTATION_CONTEXT_AC, _TRANSFER_SYNTAX, _USER_INFORMATION = 0x21, 0x40, 0x50
_IDENTITY_TYPES = {kind: number for number, kind in IDENTITY_KINDS.items()}


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """The content of an A-ASSOCIATE-AC."""

    contexts: MappingProxyType[int, AcceptedContext]
    max_pdu_bytes: int
    extended: tuple[tuple[str, bytes], ...] = ()
    identity_response: bytes | None = None
    asynchronous_operations: tuple[int, int] | None = None
    """The most operations that we may invoke at a time, and the most that the peer may (PS3.7 §D.3.3.3); 0: any number.
    None: one each."""
    oddities: tuple[str, ...] = ()
    """The oddities of the PDU, in words."""


def encode_request(
    calling_ae_title: str, called_ae_title: str, contexts: Sequence[ProposedContext], associate: AssociateKeywords
) -> bytes:
    """The A-ASSOCIATE-RQ PDU; contexts get the IDs 1, 3, 5, … in order.

    Raises:
        ValueError: more than 128 contexts or none, or an AE title of more than 16 characters or none.
    """
    if not 0 < len(contexts) <= MOST_CONTEXTS:
        raise ValueError(f"{len(contexts)} presentation contexts; an association takes 1 to {MOST_CONTEXTS}")
    items = b"".join(_encode_context(2 * index + 1, context) for index, context in enumerate(contexts))
    maximum = DEFAULT_OFFERED_PDU if associate.max_pdu_bytes is None else associate.max_pdu_bytes
    user_data = own_identification(maximum, associate.hops)
    for role in associate.roles:
        user_data += encode_role(role.sop_class_uid, role.scu_role, role.scp_role)
    if associate.async_operations is not None:
        user_data += encode_asynchronous_operations(*associate.async_operations)
    if associate.user_identity is not None:
        user_data += _encode_identity(associate.user_identity)
    for uid, information in associate.extended:
        user_data += encode_extended(uid, information)
    for uid, service_class_uid, related in associate.common_extended:
        user_data += _encode_common_extended(uid, service_class_uid, related)
    body = APPLICATION_CONTEXT + items + _ITEM_HEADER.pack(0x50, len(user_data)) + user_data
    header = _RQ_HEADER.pack(0x01, 68 + len(body), 1, _title(called_ae_title), _title(calling_ae_title))
    return header + body


def decode_accept(pdu: bytes, contexts: Sequence[ProposedContext], associate: AssociateKeywords) -> AssociateAccept:
    """Read an A-ASSOCIATE-AC against what was proposed, as leniently as an A-ASSOCIATE-RQ is read.

    A context that is accepted without a transfer syntax is taken in the only one that was proposed; where there were
    several it is not used. Nor is one in a transfer syntax that was not proposed.

    Raises:
        ValueError: it cannot be read.
    """
    answers: dict[int, tuple[int, str]] = {}
    raw: bytes | None = None
    try:
        if len(pdu) < FIXED_BYTES:
            raise MalformedAssociate(f"it has at least {FIXED_BYTES} bytes, and this one {len(pdu)}")
        for item_type, item in items(pdu, FIXED_BYTES):
            if item_type == _PRESENTATION_CONTEXT_AC and len(item) >= 8:
                answers[item[4]] = (item[6], _transfer_syntax(item))
            elif item_type == _USER_INFORMATION:
                raw = item[4:]
        if raw is None and not answers:
            raise MalformedAssociate("neither presentation contexts nor user information")
        information: dict[str, Any] = user_information(raw or b"")
        oddities = (*_odd_answers(answers, contexts), *odd_user_information(raw))
    except MalformedAssociate as error:
        raise ValueError(f"malformed A-ASSOCIATE-AC: {error}") from error
    return AssociateAccept(
        oddities=oddities,
        contexts=MappingProxyType(_results(answers, information["roles"], contexts, associate)),
        max_pdu_bytes=information["max_pdu_bytes"],
        extended=information["extended"],
        identity_response=information["identity_response"],
        asynchronous_operations=information["asynchronous_operations"],
    )


def _transfer_syntax(context: bytes) -> str:
    """The transfer syntax of a presentation context item; empty when it has none, as that of a rejected one may."""
    names = (item[4:] for item_type, item in items(context, 8) if item_type == _TRANSFER_SYNTAX)
    return next(names, b"").decode("latin-1").strip("\0 ")


def _taken(answer: tuple[int, str] | None, proposed: ProposedContext) -> str:
    """The transfer syntax in which a context was accepted; empty when it was not."""
    if answer is None or answer[0] != ACCEPTANCE:
        return ""
    if not answer[1] and len(proposed.transfer_syntaxes) == 1:
        return proposed.transfer_syntaxes[0]
    return answer[1] if answer[1] in proposed.transfer_syntaxes else ""


def _odd_answers(answers: Mapping[int, tuple[int, str]], contexts: Sequence[ProposedContext]) -> Iterator[str]:
    proposed = {2 * index + 1: context.transfer_syntaxes for index, context in enumerate(contexts)}
    accepted = {key: syntax for key, (result, syntax) in answers.items() if result == ACCEPTANCE and key in proposed}
    for what, found in (
        ("no answer to presentation context", proposed.keys() - answers.keys()),
        ("an answer to a presentation context that was not proposed,", answers.keys() - proposed.keys()),
        ("no transfer syntax for accepted presentation context", {key for key in accepted if not accepted[key]}),
        (
            "a transfer syntax that was not proposed for presentation context",
            {key for key, syntax in accepted.items() if syntax and syntax not in proposed[key]},
        ),
    ):
        if found:
            yield f"{what} {', '.join(map(str, sorted(found)))}"


def decode_reject(pdu: bytes) -> A_ASSOCIATE_RJ:
    """Read an A-ASSOCIATE-RJ."""
    reject = A_ASSOCIATE_RJ()
    reject.decode(pdu)
    return reject


def describe_reject(reject: A_ASSOCIATE_RJ) -> str:
    """Result, source and reason in words."""
    words = []
    for attribute in ("result_str", "source_str", "reason_str"):
        try:
            words.append(getattr(reject, attribute))
        except ValueError:
            words.append("reserved value")
    numbers = f"{reject.result}/{reject.source}/{reject.reason_diagnostic}"
    return f"{words[0]} by {words[1]}: {words[2]} ({numbers})"


def _results(
    answers: Mapping[int, tuple[int, str]],
    roles: Sequence[tuple[str, bool, bool]],
    contexts: Sequence[ProposedContext],
    associate: AssociateKeywords,
) -> dict[int, AcceptedContext]:
    """Contexts that the peer accepted in a transfer syntax that we proposed, with the roles of PS3.7 Table D.3-9.

    `answers` are result and transfer syntax by presentation context ID, `roles` are those that the peer answers.
    """
    proposed_roles = {role.sop_class_uid: (role.scu_role, role.scp_role) for role in associate.roles}
    answered_roles = {uid: (scu, scp) for uid, scu, scp in roles}
    found = {}
    for index, proposed in enumerate(contexts):
        context_id = 2 * index + 1
        transfer_syntax = _taken(answers.get(context_id), proposed)
        if not transfer_syntax:
            continue
        uid = str(proposed.abstract_syntax)
        ours: Any = proposed_roles.get(uid, (None, None))
        is_scu, is_scp, *_ = SCP_SCU_ROLES[ours][answered_roles[uid]] if uid in answered_roles else (True, False)
        found[context_id] = AcceptedContext(
            context_id, as_uid(uid), as_uid(transfer_syntax), service_of(uid), is_scp, is_scu
        )
    return found


def _title(title: str) -> bytes:
    encoded = title.encode("ascii", "replace")
    if not 0 < len(encoded) <= 16:
        raise ValueError(f"AE title {title!r} does not have 1 to 16 characters")
    return encoded.ljust(16)


def _encode_context(context_id: int, proposed: ProposedContext) -> bytes:
    """A presentation context item (PS3.8 §9.3.2.2); UIDs that are none go out with the bytes that they came with."""
    names = [(0x30, proposed.abstract_syntax), *((0x40, syntax) for syntax in proposed.transfer_syntaxes)]
    content = bytes((context_id, 0, 0, 0))
    for item_type, name in names:
        encoded = name.encode("latin-1", "replace")
        content += _ITEM_HEADER.pack(item_type, len(encoded)) + encoded
    return _ITEM_HEADER.pack(0x20, len(content)) + content


def _encode_common_extended(uid: str, service_class_uid: str, related: tuple[str, ...]) -> bytes:
    item = SOPClassCommonExtendedNegotiationSubItem()
    item.sop_class_uid, item.service_class_uid = uid, service_class_uid
    item.related_general_sop_class_identification = list(related)
    return bytes(item.encode())


def _encode_identity(identity: UserIdentity) -> bytes:
    item = UserIdentitySubItemRQ()
    item.user_identity_type = _IDENTITY_TYPES[identity.kind]
    item.positive_response_requested = int(identity.is_response_requested)
    item.primary_field = _as_bytes(identity.primary)
    item.secondary_field = _as_bytes(identity.secondary) if identity.kind == "username_passcode" else b""
    return bytes(item.encode())


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value

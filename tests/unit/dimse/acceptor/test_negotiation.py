"""Presentation contexts, roles and user information, against pynetdicom's codecs and its own negotiation."""

import dataclasses
from copy import deepcopy
from typing import Any

import pytest
from pynetdicom import AllStoragePresentationContexts, build_context, build_role
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import negotiate_as_acceptor

from gateway.dimse.acceptor.negotiation import (
    STORAGE_EXTENDED_ANSWER,
    NegotiationResult,
    Policy,
    answer_extended,
    encode_accept,
    negotiate,
    window_for,
)
from gateway.dimse.protocol.associate_request import AssociateRequest, MalformedAssociate, items, parse, proposals
from gateway.dimse.protocol.context import service_of
from gateway.dimse.protocol.proposal import encode_request
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
COMMITMENT = "1.2.840.10008.1.20.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
PRIVATE = "1.2.840.113619.4.26"
IMPLICIT, EXPLICIT, BIG, JPEG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
)
PRIVATE_SYNTAX = "1.2.840.113619.5.2"

ECHO_AND_STORE = Policy(frozenset({"echo", "store"}))


def request(contexts: list[tuple[str, list[str]]], *user_information: Any) -> bytes:
    """An A-ASSOCIATE-RQ that pynetdicom wrote."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    proposed: list[Any] = [build_context(abstract, list(transfer)) for abstract, transfer in contexts]
    for index, context in enumerate(proposed):
        context.context_id = 2 * index + 1
    primitive.presentation_context_definition_list = proposed
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 16384, "1.2.3"
    primitive.user_information = [length, implementation, *user_information]
    pdu: Any = A_ASSOCIATE_RQ(primitive)
    return bytes(pdu.encode())


def answer(pdu: bytes, policy: Policy = ECHO_AND_STORE) -> tuple[AssociateRequest, NegotiationResult]:
    parsed = parse(pdu)
    return parsed, negotiate(parsed.contexts, parsed.roles, policy)


def accept(parsed: AssociateRequest, answered: NegotiationResult, **more: Any) -> Any:
    """Our A-ASSOCIATE-AC, read by pynetdicom, which must write the same bytes."""
    encoded = encode_accept(parsed, answered, max_pdu_bytes=131072, **more)
    pdu: Any = A_ASSOCIATE_AC()
    pdu.decode(encoded)
    assert pdu.encode() == encoded
    return pdu


CONTEXTS: dict[str, tuple[tuple[str, list[str]], Policy, int, str]] = {
    "Verification": ((VERIFICATION, [EXPLICIT, IMPLICIT]), ECHO_AND_STORE, 0, EXPLICIT),
    "Verification, compressed only": ((VERIFICATION, [JPEG]), ECHO_AND_STORE, 4, ""),
    "the requestor's order, uncompressed first": ((CT, [IMPLICIT, JPEG]), ECHO_AND_STORE, 0, IMPLICIT),
    "the requestor's order, compressed first": ((CT, [JPEG, IMPLICIT]), ECHO_AND_STORE, 0, JPEG),
    "private SOP class, private syntax": ((PRIVATE, [PRIVATE_SYNTAX, IMPLICIT]), ECHO_AND_STORE, 0, PRIVATE_SYNTAX),
    "a SOP class of the future": (("1.2.840.10008.5.1.4.1.1.999", [BIG]), ECHO_AND_STORE, 0, BIG),
    "a retired storage class": (("1.2.840.10008.5.1.4.1.1.9", [IMPLICIT]), ECHO_AND_STORE, 0, IMPLICIT),
    "hanging protocol storage": (("1.2.840.10008.5.1.4.38.1", [IMPLICIT]), ECHO_AND_STORE, 0, IMPLICIT),
    "no handler for C-FIND": ((FIND, [IMPLICIT]), ECHO_AND_STORE, 3, ""),
    "storage commitment": ((COMMITMENT, [IMPLICIT]), ECHO_AND_STORE, 3, ""),
    "worklist": ((WORKLIST, [IMPLICIT]), ECHO_AND_STORE, 3, ""),
    "a directory is no object": (("1.2.840.10008.1.3.10", [IMPLICIT]), ECHO_AND_STORE, 3, ""),
    "may not store": ((CT, [IMPLICIT]), Policy(frozenset({"echo"})), 3, ""),
    "may not echo": ((VERIFICATION, [IMPLICIT]), Policy(frozenset({"store"})), 3, ""),
    "C-FIND with a handler": ((FIND, [IMPLICIT]), Policy(frozenset({"find"})), 0, IMPLICIT),
    "SOP classes narrowed, inside": ((CT, [IMPLICIT]), Policy(frozenset({"store"}), (CT,)), 0, IMPLICIT),
    "SOP classes narrowed, outside": ((MR, [IMPLICIT]), Policy(frozenset({"store"}), (CT,)), 3, ""),
    "SOP classes narrowed, echo stays": ((VERIFICATION, [IMPLICIT]), Policy(frozenset({"echo"}), (CT,)), 0, IMPLICIT),
    "syntaxes narrowed, in the requestor's order": (
        (CT, [JPEG, BIG, IMPLICIT]),
        Policy(frozenset({"store"}), (), (IMPLICIT, BIG)),
        0,
        BIG,
    ),
    "preferred, whatever the requestor's order": (
        (CT, [IMPLICIT, EXPLICIT, JPEG]),
        Policy(frozenset({"store"}), preferred=(BIG, JPEG, EXPLICIT)),
        0,
        JPEG,
    ),
    "nothing preferred is proposed": (
        (CT, [EXPLICIT, IMPLICIT]),
        Policy(frozenset({"store"}), preferred=(BIG, JPEG)),
        0,
        EXPLICIT,
    ),
    "what is preferred must be accepted": (
        (CT, [JPEG, IMPLICIT, EXPLICIT]),
        Policy(frozenset({"store"}), (), (IMPLICIT, EXPLICIT), preferred=(JPEG, EXPLICIT)),
        0,
        EXPLICIT,
    ),
    "a preference is of objects, echo stays uncompressed": (
        (VERIFICATION, [JPEG, IMPLICIT]),
        Policy(frozenset({"echo"}), preferred=(JPEG,)),
        0,
        IMPLICIT,
    ),
    "syntaxes narrowed, none left": ((CT, [JPEG]), Policy(frozenset({"store"}), (), (IMPLICIT,)), 4, ""),
}


@pytest.mark.parametrize(("proposed", "policy", "result", "syntax"), CONTEXTS.values(), ids=CONTEXTS.keys())
def test_contexts(proposed: tuple[str, list[str]], policy: Policy, result: int, syntax: str) -> None:
    parsed, answered = answer(request([proposed]), policy)
    (context,) = accept(parsed, answered).presentation_context
    assert (context.context_id, context.result) == (1, result)
    if result:
        assert not answered.contexts
        return
    assert context.transfer_syntax == syntax
    accepted = answered.contexts[1]
    assert (accepted.abstract_syntax, accepted.transfer_syntax) == (proposed[0], syntax)
    assert accepted.is_scp


ROLES = [None, (True, False), (False, True), (True, True)]


@pytest.mark.parametrize("may_invoke", [False, True], ids=["no C-GET", "C-GET"])
@pytest.mark.parametrize("role", ROLES, ids=str)
def test_roles_come_out_as_in_pynetdicom(role: tuple[bool, bool] | None, may_invoke: bool) -> None:
    items = [] if role is None else [build_role(CT, scu_role=role[0], scp_role=role[1])]
    parsed, answered = answer(
        request([(CT, [IMPLICIT])], *items), Policy(frozenset({"store"}), may_invoke_storage=may_invoke)
    )
    theirs: Any = build_context(CT, [IMPLICIT])
    theirs.context_id = 1
    ours: Any = build_context(CT, [IMPLICIT])
    ours.scu_role, ours.scp_role = True, may_invoke
    roles: Any = {} if role is None else {CT: (role[0], role[1])}
    (expected,), _ = negotiate_as_acceptor([theirs], [ours], roles)
    pdu = accept(parsed, answered)
    assert pdu.presentation_context[0].result == expected.result
    if expected.result == 0:
        assert (answered.contexts[1].is_scp, answered.contexts[1].is_scu) == (expected.as_scp, expected.as_scu)
    reply = pdu.user_information.role_selection.get(CT)
    assert (reply is not None) == (role is not None and expected.result == 0)
    if reply is not None and role is not None:
        assert (bool(reply.scu), bool(reply.scp)) == (role[0], role[1] and may_invoke)


def test_a_requestor_that_will_be_neither_gets_no_context() -> None:
    parsed = parse(request([(CT, [IMPLICIT])]))
    answered = negotiate(parsed.contexts, ((CT, False, False),), ECHO_AND_STORE)
    assert accept(parsed, answered).presentation_context[0].result == 1


def test_all_storage_classes_in_all_syntaxes() -> None:
    contexts = [(str(context.abstract_syntax), [IMPLICIT, JPEG]) for context in AllStoragePresentationContexts]
    assert len(contexts) > 128
    for batch in (contexts[:128], contexts[128:]):
        _, answered = answer(request(batch))
        assert len(answered.contexts) == len(batch)


def test_equal_proposals_share_one_answer() -> None:
    contexts = [(CT, [IMPLICIT]), (MR, [EXPLICIT])]
    assert answer(request(contexts))[1] is answer(request(deepcopy(contexts)))[1]


def identity(kind: int, *, wants_response: bool) -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type = kind
    item.positive_response_requested = wants_response
    item.primary_field = b"someone"
    item.secondary_field = b"secret" if kind == 2 else b""
    return item


@pytest.mark.parametrize(
    ("kind", "name"), [(1, "someone"), (2, "someone"), (3, ""), (4, ""), (5, "")], ids=lambda value: str(value)
)
def test_user_identity_is_read_and_keeps_its_secret(kind: int, name: str) -> None:
    parsed = parse(request([(CT, [IMPLICIT])], identity(kind, wants_response=True)))
    assert parsed.identity is not None
    assert parsed.identity.user_name == name
    assert parsed.identity.is_response_requested
    assert "someone" not in repr(parsed)
    assert "secret" not in repr(parsed)


def test_user_information_is_read_and_answered() -> None:
    window, version = AsynchronousOperationsWindowNegotiation(), ImplementationVersionNameNotification()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 0
    version.implementation_version_name = "PEER_1"
    extended, common = SOPClassExtendedNegotiation(), SOPClassCommonExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CT, b"\2\0\3\0\1\0"
    common.sop_class_uid, common.service_class_uid = CT, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = [MR]
    parsed, answered = answer(request([(CT, [IMPLICIT])], window, version, extended, common))
    assert parsed.called_ae_title == "CALLED"
    assert parsed.calling_ae_title == "CALLING"
    assert parsed.max_pdu_bytes == 16384
    assert (parsed.implementation_class_uid, parsed.implementation_version_name) == ("1.2.3", "PEER_1")
    assert parsed.asynchronous_operations == (5, 0)
    assert parsed.extended == ((CT, b"\2\0\3\0\1\0"),)
    assert parsed.common_extended == ((CT, "1.2.840.10008.4.2", (MR,)),)
    pdu = accept(parsed, answered, identity_response=b"", extended=answer_extended(parsed, answered))
    information = pdu.user_information
    assert information.maximum_length == 131072
    assert information.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert information.implementation_version_name == IMPLEMENTATION_VERSION_NAME
    assert information.async_ops_window.max_operations_invoked == 5
    assert information.async_ops_window.max_operations_performed == 1
    assert [(item.uid, item.app_info) for item in information.ext_neg] == [(CT, STORAGE_EXTENDED_ANSWER)]
    assert information.user_identity.server_response == b""


@pytest.mark.parametrize(
    ("proposed", "answered"),
    [((1, 1), (1, 1)), ((5, 5), (5, 1)), ((8, 0), (8, 1)), ((9, 2), (8, 1)), ((0, 0), (8, 1)), ((65535, 1), (8, 1))],
    ids=str,
)
def test_the_window_is_what_the_queue_takes_and_one_of_ours(
    proposed: tuple[int, int], answered: tuple[int, int]
) -> None:
    """PS3.7 §D.3.3.3: an answer is at most what was proposed; 0 is any number."""
    assert window_for(proposed) == answered


EVERYTHING_ASKED = Policy(frozenset({"find", "move", "get", "store"}))
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
QUERIES: dict[str, tuple[str, bytes, bytes | None]] = {
    "relational": (FIND, b"\1", b"\1"),
    "hierarchical": (FIND, b"\0", b"\0"),
    "date and time as one value": (FIND, b"\1\1", b"\1\1"),
    "fuzzy names are not agreed on": (FIND, b"\1\1\1\1", b"\1\1\0\1"),
    "values that are none": (FIND, b"\2\1", b"\0\1"),
    "more than is known": (FIND, b"\1\1\1\1\1\1\1\1\1", b"\1\1\0\1\0\1\1"),
    "nothing": (FIND, b"", b"\0"),
    "a retrieve": (MOVE, b"\1\1", b"\1"),
    "another service": (WORKLIST, b"\1\1", None),
}


@pytest.mark.parametrize("name", QUERIES)
def test_queries_agree_on_what_is_done_here(name: str) -> None:
    """PS3.4 §C.5.1.1.1 and §C.5.2.1.1; what a service does not define here is not answered."""
    uid, proposed, expected = QUERIES[name]
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = uid, proposed
    parsed, answered = answer(request([(uid, [IMPLICIT])], item), EVERYTHING_ASKED)
    assert answer_extended(parsed, answered) == (() if expected is None else ((uid, expected),))


def test_extended_negotiation_of_a_context_that_is_not_accepted() -> None:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = FIND, b"\1"
    assert answer_extended(*answer(request([(FIND, [IMPLICIT])], item), ECHO_AND_STORE)) == ()


def test_what_was_not_asked_is_not_answered() -> None:
    information = accept(*answer(request([(CT, [IMPLICIT])]))).user_information
    assert information.async_ops_window is None
    assert information.user_identity is None
    assert not information.ext_neg
    assert not information.role_selection


def context_item(context_id: int, *sub_items: tuple[int, bytes]) -> bytes:
    body = bytes((context_id, 0, 0, 0))
    for item_type, value in sub_items:
        body += bytes((item_type, 0)) + len(value).to_bytes(2, "big") + value
    return b"\x20\0" + len(body).to_bytes(2, "big") + body


ABSTRACT, TRANSFER = (0x30, CT.encode()), (0x40, IMPLICIT.encode())


@pytest.mark.parametrize(
    "items",
    [
        context_item(1, ABSTRACT, TRANSFER) * 2,
        context_item(2, ABSTRACT, TRANSFER) * 2,
        context_item(1, TRANSFER),
        context_item(1, ABSTRACT),
        context_item(1, ABSTRACT, ABSTRACT, TRANSFER),
        b"\x20\0\0\2\1\0",
        context_item(1, ABSTRACT, TRANSFER)[:-1],
        context_item(1, ABSTRACT)[:-2] + b"\xff\xff\xff\xff",
    ],
    ids=[
        "ID twice",
        "even ID twice",
        "no abstract",
        "no transfer",
        "two abstract",
        "short",
        "cut off",
        "sub-item too long",
    ],
)
def test_malformed_contexts(items: bytes) -> None:
    with pytest.raises(MalformedAssociate):
        proposals(items)


@pytest.mark.parametrize("is_strict", [False, True])
def test_even_context_ids(is_strict: bool) -> None:
    proposed = context_item(2, ABSTRACT, TRANSFER) + context_item(3, ABSTRACT, TRANSFER)
    policy = dataclasses.replace(ECHO_AND_STORE, is_strict=is_strict)
    if is_strict:
        with pytest.raises(MalformedAssociate, match="presentation context ID 2 is not odd"):
            negotiate(proposed, (), policy)
        return
    answered = negotiate(proposed, (), policy)
    assert (set(answered.contexts), answered.even_ids) == ({2, 3}, (2,))
    assert [item[4] for _, item in items(answered.items)] == [2, 3]


@pytest.mark.parametrize("name", [b"1.2.x", b"not a uid", b"\xff\xfe", b"1.2.840.10008.5.1.4.1.1.2\0", b"1" * 80])
def test_odd_uids_are_proposed_and_answered(name: bytes) -> None:
    items = context_item(1, (0x30, name), TRANSFER) + context_item(3, ABSTRACT, (0x40, name), TRANSFER)
    answered = negotiate(items, (), ECHO_AND_STORE)
    assert set(answered.contexts) == {1, 3}


@pytest.mark.parametrize("name", [b"1.2.x", b"not a uid", b"\xff\xfe", b"1.2.840.10008.5.1.4.1.1.2"])
def test_odd_uids_go_on_with_the_bytes_that_they_came_with(name: bytes) -> None:
    """An object of such a class is refused by its destination; it does not make the destination look broken."""
    answered = negotiate(context_item(1, (0x30, name), (0x40, name)), (), ECHO_AND_STORE)
    (context,) = answered.contexts.values()
    proposed = ProposedContext(str(context.abstract_syntax), (str(context.transfer_syntax), IMPLICIT))

    sent = encode_request("GATEWAY", "PACS", [proposed], AssociateKeywords())

    assert context_item(1, (0x30, name), (0x40, name), (0x40, IMPLICIT.encode())) in sent


MALFORMED = {
    "nothing but a header": request([(CT, [IMPLICIT])])[:20],
    "an item beyond the end": request([(CT, [IMPLICIT])])[:-3],
    "a broken role": request([(CT, [IMPLICIT])]) + b"\x50\0\0\x06\x54\0\0\2\0\x50",
    "an item header cut off": request([(CT, [IMPLICIT])]) + b"\x50\0",
}


@pytest.mark.parametrize("pdu", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_requests(pdu: bytes) -> None:
    with pytest.raises(MalformedAssociate):
        parse(pdu)


def test_unknown_items_are_passed_over() -> None:
    pdu = request([(CT, [IMPLICIT])]) + b"\x99\0\0\2xx" + b"\x50\0\0\x0e\x77\0\0\2yy\x51\0\0\4\0\0\x10\0"
    assert parse(pdu).max_pdu_bytes == 4096


@pytest.mark.parametrize("item", [b"\x52\0\0\3abc", b"\x55\0\0\2\xff\xff"], ids=["class UID", "version name"])
def test_an_odd_implementation_name_hurts_nobody(item: bytes) -> None:
    pdu = request([(CT, [IMPLICIT])])
    parsed = parse(pdu + b"\x50\0" + len(item).to_bytes(2, "big") + item)
    assert parsed.max_pdu_bytes > 0


@pytest.mark.parametrize(
    ("uid", "service"),
    [(VERIFICATION, "echo"), (CT, "store"), (FIND, "find"), (COMMITMENT, ""), (PRIVATE, "store"), ("x", "store")],
)
def test_services(uid: str, service: str) -> None:
    assert service_of(uid) == service

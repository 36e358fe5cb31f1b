"""Requestor and acceptor as handlers see them, read from A-ASSOCIATE PDUs."""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from pynetdicom.ae import ApplicationEntity

from gateway.dimse.acceptor.negotiation import Policy, encode_accept, negotiate
from gateway.dimse.protocol.associate_request import parse
from gateway.dimse.protocol.context import AcceptedContext, as_uid
from gateway.dimse.pynetdicom_contract.service_user import (
    SideOfAssociation,
    documented_context,
    read_primitive,
    rejected_contexts,
)
from gateway.model.association import AssociationFacts
from tests.support.dimse.rig import CT, IMPLICIT, VERIFICATION, associate_rq

HOLDER = SimpleNamespace(is_acceptor=True, is_requestor=False, ae=ApplicationEntity())
FACTS = AssociationFacts("TESTER", "GATEWAY", "192.0.2.7", remote_port=4711)


def association(*, is_requested: bool = True, is_accepted: bool = True) -> Any:
    """An association that took storage, and not verification."""
    request = parse(associate_rq())
    policy = Policy(frozenset({"store"}))
    answer = negotiate(request.contexts, request.roles, policy)
    return SimpleNamespace(
        facts=FACTS,
        local_address=("127.0.0.1", 104),
        host=SimpleNamespace(ae_title="GATEWAY"),
        associate_rq=zlib.compress(associate_rq()) if is_requested else b"",
        associate_ac=encode_accept(request, answer, max_pdu_bytes=16384) if is_accepted else b"",
    )


def test_each_side_has_its_title_and_address() -> None:
    requestor = SideOfAssociation(HOLDER, association(), "requestor")
    acceptor = SideOfAssociation(HOLDER, association(), "acceptor")
    assert (requestor.ae_title, requestor.address, requestor.port) == ("TESTER", "192.0.2.7", 4711)
    assert (acceptor.ae_title, acceptor.address, acceptor.port) == ("GATEWAY", "127.0.0.1", 104)


def test_a_primitive_is_read_once_and_only_when_it_is_asked_for() -> None:
    one = association()
    requestor = SideOfAssociation(HOLDER, one, "requestor")
    first = requestor.primitive
    assert first is not None
    assert first.calling_ae_title == "TESTER"
    one.associate_rq = b""
    assert requestor.primitive is first


def test_a_side_without_its_pdu_has_no_primitive() -> None:
    one = association(is_accepted=False)
    assert read_primitive(one, "acceptor") is None
    assert SideOfAssociation(HOLDER, association(is_requested=False), "requestor").primitive is None


def test_an_unreadable_pdu_is_named() -> None:
    one = association()
    one.associate_ac = one.associate_ac[:90]
    with pytest.raises(ValueError, match="A-ASSOCIATE of the acceptor"):
        read_primitive(one, "acceptor")


def test_rejected_contexts_have_the_result_of_their_answer() -> None:
    one = association()
    rejected = rejected_contexts(
        SideOfAssociation(HOLDER, one, "requestor"), SideOfAssociation(HOLDER, one, "acceptor")
    )
    (context,) = rejected
    assert (context.abstract_syntax, context.context_id) == (VERIFICATION, 1)
    assert context.result in (1, 3)


def test_an_accepted_context_keeps_an_even_id_and_its_roles() -> None:
    found = documented_context(AcceptedContext(2, as_uid(CT), as_uid(IMPLICIT), "store", is_scp=True, is_scu=True))
    assert (found.context_id, found.result, found.abstract_syntax, found.transfer_syntax) == (2, 0, CT, [IMPLICIT])
    assert (found.as_scp, found.as_scu) == (True, True)

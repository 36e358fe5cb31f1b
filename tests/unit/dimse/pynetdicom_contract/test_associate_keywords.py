"""What a C-MOVE handler may yield as a destination."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from pynetdicom import build_context, build_role
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation, UserIdentityNegotiation

from gateway.dimse.pynetdicom_contract.associate_keywords import target_of
from gateway.model.associate import AssociateKeywords, ProposedContext, Role, UserIdentity
from gateway.model.peer import Peer

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def test_address_and_port() -> None:
    target = target_of(("10.0.0.1", 104), "WS1")
    assert (target.peer.host, target.peer.port, target.peer.ae_title) == ("10.0.0.1", 104, "WS1")
    assert target.peer.associate == AssociateKeywords(max_pdu_bytes=16382)
    assert target.tls is None


def test_an_address_with_flow_and_scope() -> None:
    assert target_of((("::1", 0, 0), 104), "WS1").peer.host == "::1"


def test_a_peer() -> None:
    peer = Peer("ws1", "WS1", "10.0.0.1", 104)
    assert target_of(peer, "OTHER").peer is peer


def extended() -> SOPClassExtendedNegotiation:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = CT, b"\1\1"
    return item


def identity() -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field, item.secondary_field = 2, b"user", b"secret"
    item.positive_response_requested = True
    return item


@pytest.mark.loopback
def test_all_keywords() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    keywords = {
        "contexts": [build_context(CT, [EXPLICIT, IMPLICIT])],
        "ae_title": "OTHER",
        "max_pdu": 65536,
        "ext_neg": [build_role(CT, scu_role=True, scp_role=True), extended(), identity()],
        "bind_address": ("127.0.0.1", 0),
        "tls_args": (context, "ws1.example.org"),
        "evt_handlers": [],
    }
    target = target_of(("10.0.0.1", 104, keywords), "WS1")
    assert target.peer.ae_title == "OTHER"
    assert target.tls == (context, "ws1.example.org")
    assert target.peer.associate == AssociateKeywords(
        contexts=(ProposedContext(CT, (EXPLICIT, IMPLICIT)),),
        max_pdu_bytes=65536,
        roles=(Role(CT, True, True),),
        extended=((CT, b"\1\1"),),
        user_identity=UserIdentity("username_passcode", b"user", b"secret", True),
        bind_address=("127.0.0.1", 0),
    )


@pytest.mark.parametrize(
    "place",
    [
        5,
        (),
        ("10.0.0.1",),
        (None, 104),
        ("10.0.0.1", None),
        ("10.0.0.1", "104"),
        ("10.0.0.1", 104, 5),
        ("10.0.0.1", 104, {"colour": 1}),
        ("10.0.0.1", 104, {"ext_neg": ["x"]}),
        ("10.0.0.1", 104, {"contexts": ["x"]}),
        ("10.0.0.1", 104, {"max_pdu": "x"}),
        Peer("folder"),
    ],
    ids=repr,
)
def test_no_destination(place: Any) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        target_of(place, "WS1")

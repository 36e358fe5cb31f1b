"""Policies of peers and strangers, and what an open association must still be allowed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydicom.uid import UID

from gateway.dimse.acceptor.admission import NO_REASON, PERMANENT, SERVICE_USER, Admitted, Rejected
from gateway.dimse.acceptor.peer_policy import ANSWERED_BY_STATUS, STRANGERS_MAY, check_readmitted, policy_of
from gateway.dimse.protocol.context import AcceptedContext
from gateway.model.peer import Peer
from gateway.model.security import IdentityCheck, Requirements

CHECK = IdentityCheck(("accounts",))


def test_strangers_may_echo_and_store() -> None:
    assert policy_of(None).services == STRANGERS_MAY == {"echo", "store"}
    assert policy_of(None, is_strict=True).is_strict


@pytest.mark.parametrize(("may", "may_invoke_storage"), [({"echo"}, False), ({"get"}, True)])
def test_queries_are_negotiated_whatever_a_peer_may(may: set[str], may_invoke_storage: bool) -> None:
    peer = Peer(
        "ct1",
        "CT1",
        may=frozenset(may),
        accept_transfer_syntaxes=("1.2.840.10008.1.2",),
        prefer_transfer_syntaxes=("1.2.840.10008.1.2.1",),
    )
    policy = policy_of(peer)
    assert policy.services == may | ANSWERED_BY_STATUS
    assert policy.may_invoke_storage is may_invoke_storage
    assert policy.transfer_syntaxes == peer.accept_transfer_syntaxes
    assert policy.preferred == peer.prefer_transfer_syntaxes
    assert not policy.is_strict


def association(*services: str, peer: Peer | None = None) -> Any:
    contexts = {
        number: AcceptedContext(
            number,
            UID("1.2"),
            UID("1.2"),
            cast(Any, service.removesuffix(" for get")),
            not service.endswith(" for get"),
        )
        for number, service in enumerate(services)
    }
    return cast(Any, SimpleNamespace(peer=peer, accepted_contexts=contexts))


def test_the_same_services_are_readmitted() -> None:
    check_readmitted(association("store", "echo"), Admitted(None))
    check_readmitted(association("store"), Admitted(Peer("ct1", "CT1", may=frozenset({"store"}))))


def test_storage_that_was_negotiated_for_retrieves_alone_is_no_right_to_store() -> None:
    viewer = Peer("viewer", "VIEWER", may=frozenset({"find", "get"}))
    check_readmitted(association("find", "get", "store for get"), Admitted(viewer))
    with pytest.raises(Rejected, match="for store"):
        check_readmitted(association("find", "store"), Admitted(viewer))


def test_a_service_that_is_lost_ends_the_admission() -> None:
    with pytest.raises(Rejected, match="it has no `may` for echo and store") as raised:
        check_readmitted(association("store", "echo"), Admitted(Peer("ct1", "CT1", may=frozenset({"move"}))))
    assert (raised.value.result, raised.value.source, raised.value.reason) == (PERMANENT, SERVICE_USER, NO_REASON)


def test_another_user_identity_ends_the_admission() -> None:
    demanding = Peer("ct1", "CT1", may=frozenset({"echo"}), requires=Requirements(user_identity=CHECK))
    with pytest.raises(Rejected, match="another user identity"):
        check_readmitted(association("echo"), Admitted(demanding))
    check_readmitted(association("echo", peer=demanding), Admitted(demanding))

"""The keywords of `AE.associate`, given by a C-MOVE handler or under `associate:`, put on the wire what stock
pynetdicom puts there, byte for byte. What stock refuses is refused with the same status.

`OURS` lists where ours differs, and why.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext

from gateway.config import load
from gateway.destinations.dicom import DimseDestination
from gateway.dimse.protocol.associate_request import parse, proposals
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.ports.errors import GatewayError
from gateway.ports.meter import NoMeter
from tests.loopback.handler_contract.keyword_rig import Seen, move_handler, moved, ours, recorder, seen, stock
from tests.support.certificates import Authority
from tests.support.processes import free_port

CT, MR, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.88.22"
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.70"
STORAGE_SERVICE = "1.2.840.10008.4.2"
TICKET = bytes(range(256)) * 4
BAD_DESTINATION = 0xC515

Keywords = Callable[[], dict[str, Any]]

"""Sockets of stock pynetdicom, where it refuses keywords."""


def two() -> list[Any]:
    return [build_context(CT, [EXPLICIT, IMPLICIT, JPEG]), build_context(MR, [IMPLICIT])]


def many(number: int) -> list[Any]:
    return [build_context(f"1.2.840.10008.5.1.4.1.1.{index}", [EXPLICIT, IMPLICIT]) for index in range(1, number + 1)]


def identity(kind: int, primary: bytes, secondary: bytes = b"", *, response: bool = False) -> Any:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field = kind, primary
    item.positive_response_requested = response
    if secondary:
        item.secondary_field = secondary
    return item


def window(invoked: int, performed: int) -> Any:
    item = AsynchronousOperationsWindowNegotiation()
    item.maximum_number_operations_invoked, item.maximum_number_operations_performed = invoked, performed
    return item


def extended(uid: str, information: bytes) -> Any:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = uid, information
    return item


def common(uid: str, related: list[Any]) -> Any:
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid, item.service_class_uid = uid, STORAGE_SERVICE
    item.related_general_sop_class_identification = related
    return item


def half_role() -> Any:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid, item.scp_role = CT, True
    return item


def without_syntax() -> Any:
    context = PresentationContext()
    context.abstract_syntax = CT
    return context


def with_(**more: Any) -> Keywords:
    """Two contexts, and `more`: values, or functions that make them."""
    return lambda: {"contexts": two(), **{key: made() if callable(made) else made for key, made in more.items()}}


SENT: dict[str, Keywords] = {
    # contexts
    "contexts in order with all their syntaxes": with_(),
    "one context": lambda: {"contexts": [build_context(MR, [JPEG, BIG])]},
    "one class twice": lambda: {"contexts": [build_context(CT, [JPEG]), build_context(CT, [EXPLICIT])]},
    "128 contexts": lambda: {"contexts": many(128)},
    "a context without a transfer syntax": lambda: {"contexts": [without_syntax()]},
    "a private class": lambda: {"contexts": [build_context("1.2.826.0.1.3680043.9.1", ["1.2.826.0.1.3680043.9.2"])]},
    # ae_title
    "another title": with_(ae_title="OTHER"),
    "a title of 16": with_(ae_title="A" * 16),
    "a title with spaces": with_(ae_title="  A B "),
    "a title as bytes": with_(ae_title=b"OTHER"),
    # max_pdu
    "unlimited": with_(max_pdu=0),
    "16 bytes": with_(max_pdu=16),
    "128 KiB": with_(max_pdu=131072),
    "the largest": with_(max_pdu=2**32 - 1),
    # ext_neg
    "user name": with_(ext_neg=lambda: [identity(1, b"someone")]),
    "user name and passcode": with_(ext_neg=lambda: [identity(2, b"someone", b"secret", response=True)]),
    "user name in UTF-8": with_(ext_neg=lambda: [identity(1, "Jörg".encode())]),
    "a binary Kerberos ticket": with_(ext_neg=lambda: [identity(3, TICKET)]),
    "a SAML assertion": with_(ext_neg=lambda: [identity(4, b"<Assertion/>")]),
    "a JSON web token": with_(ext_neg=lambda: [identity(5, b"aGVhZA.Ym9keQ.c2lnbg", response=True)]),
    "both roles": with_(ext_neg=lambda: [build_role(CT, scu_role=True, scp_role=True)]),
    "SCP role alone": with_(ext_neg=lambda: [build_role(CT, scp_role=True), build_role(MR, scu_role=True)]),
    "a role that says half": with_(ext_neg=lambda: [half_role()]),
    "one class has two roles": with_(
        ext_neg=lambda: [build_role(CT, scu_role=True, scp_role=True), build_role(CT, scu_role=True)]
    ),
    "asynchronous operations": with_(ext_neg=lambda: [window(5, 3)]),
    "asynchronous operations without limit": with_(ext_neg=lambda: [window(0, 0)]),
    "extended negotiation": with_(ext_neg=lambda: [extended(CT, b"\2\0\1\1"), extended(MR, b"\0")]),
    "common extended negotiation": with_(ext_neg=lambda: [common(SR, [CT, MR]), common(CT, [])]),
    "all kinds, in no order": with_(
        ext_neg=lambda: [
            identity(2, b"someone", b"secret"),
            common(SR, [CT]),
            extended(CT, b"\1"),
            window(2, 2),
            build_role(MR, scu_role=True),
            build_role(CT, scp_role=True),
        ]
    ),
    "a tuple of items": with_(ext_neg=lambda: (window(1, 1),)),
    "no items": with_(ext_neg=None),
    # bind_address
    "an address of ours": with_(bind_address=("127.0.0.2", 0)),
    "an address and a port of ours": with_(bind_address=lambda: ("127.0.0.3", free_port())),
    "an address as a list": with_(bind_address=["127.0.0.4", 0]),
    "any address": with_(bind_address=("", 0)),
    "no address": with_(bind_address=None),
    # the others
    "no TLS": with_(tls_args=None),
    "no handlers": with_(evt_handlers=None),
    "a handler": with_(evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: None)]),
    "a handler with arguments": with_(evt_handlers=[(evt.EVT_PDU_SENT, lambda event, more: None, [1])]),
}


@pytest.mark.parametrize("name", SENT)
async def test_what_a_move_sends(name: str) -> None:
    keywords = SENT[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = await seen(stock, lambda port: ("127.0.0.1", port, keywords))
        mine = await seen(ours, lambda port: ("127.0.0.1", port, keywords))
    assert theirs.request
    assert mine.request == theirs.request
    assert mine.caller == theirs.caller
    port = (keywords.get("bind_address") or ("", 0))[1]
    assert not port or mine.caller_port == theirs.caller_port == port


PLACES: dict[str, Callable[[int], Any]] = {
    "a list": lambda port: ["127.0.0.1", port, {"contexts": two()}],
    "more than three": lambda port: ("127.0.0.1", port, {"contexts": two()}, 1),
    "keywords as pairs": lambda port: ("127.0.0.1", port, [("contexts", two())]),
    "an address with flow and scope": lambda port: (("127.0.0.1", 0, 0), port, {"contexts": two()}),
    "a name": lambda port: ("localhost", port, {"contexts": two()}),
    "no address": lambda port: ("", port, {"contexts": two()}),
}


@pytest.mark.parametrize("name", PLACES)
async def test_how_a_place_may_be_written(name: str) -> None:
    theirs, mine = await seen(stock, PLACES[name]), await seen(ours, PLACES[name])
    assert theirs.request
    assert mine.request == theirs.request


REFUSED: dict[str, Keywords] = {
    "129 contexts": lambda: {"contexts": many(129)},
    "contexts as a tuple": lambda: {"contexts": tuple(two())},
    "contexts that are none": lambda: {"contexts": ["x"]},
    "a title of 17": with_(ae_title="A" * 17),
    "an empty title": with_(ae_title=""),
    "a title of spaces": with_(ae_title="   "),
    "no title": with_(ae_title=None),
    "a title that is no ASCII": with_(ae_title="PÄCS"),
    "a title with a backslash": with_(ae_title="A\\B"),
    "a negative maximum": with_(max_pdu=-1),
    "a maximum as text": with_(max_pdu="16384"),
    "a maximum with a fraction": with_(max_pdu=16384.0),
    "no maximum": with_(max_pdu=None),
    "something else in ext_neg": with_(ext_neg=["x"]),
    "a maximum length in ext_neg": with_(ext_neg=lambda: [MaximumLengthNotification()]),
    "bind_address as text": with_(bind_address="127.0.0.1"),
    "bind_address without a port": with_(bind_address=("127.0.0.1",)),
    "an address that is not ours": with_(bind_address=("198.51.100.7", 0)),
    "handlers that are none": with_(evt_handlers=[1]),
    "an unknown keyword": with_(colour="red"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused(name: str) -> None:
    theirs = await seen(stock, lambda port: ("127.0.0.1", port, REFUSED[name]()))
    mine = await seen(ours, lambda port: ("127.0.0.1", port, REFUSED[name]()))
    assert (mine, theirs) == (Seen(status=BAD_DESTINATION), Seen(status=BAD_DESTINATION))


REFUSED_PLACES: dict[str, tuple[Any, int]] = {
    "a name that nobody knows": (("no-such-host.invalid", 104, {"contexts": two()}), BAD_DESTINATION),
    "a port as text": (("127.0.0.1", "104", {"contexts": two()}), BAD_DESTINATION),
    "an address as bytes": ((b"127.0.0.1", 104, {"contexts": two()}), BAD_DESTINATION),
    "an address alone": (("127.0.0.1",), BAD_DESTINATION),
    "a text": ("127.0.0.1", BAD_DESTINATION),
    "nothing": ((None, None), 0xA801),
    "nothing as a list": ([None, None], 0xA801),
    "no port": (("127.0.0.1", None, {"contexts": two()}), 0xA801),
}


@pytest.mark.parametrize("name", REFUSED_PLACES)
async def test_places_that_are_refused(name: str) -> None:
    place, status = REFUSED_PLACES[name]
    theirs, mine = await seen(stock, lambda port: place), await seen(ours, lambda port: place)
    assert (mine, theirs) == (Seen(status=status), Seen(status=status))


OURS: dict[str, tuple[Keywords, str]] = {
    "two user identities": (
        with_(ext_neg=lambda: [identity(1, b"one"), identity(1, b"two")]),
        "stock sends both; there is zero or one (PS3.7 §D.3.3.7)",
    ),
    "two asynchronous operations windows": (
        with_(ext_neg=lambda: [window(1, 1), window(2, 2)]),
        "stock sends both; there is zero or one (PS3.7 §D.3.3.3)",
    ),
    "an empty context": (lambda: {"contexts": [PresentationContext()]}, "stock's thread dies (PS3.8 §9.3.2.2.1)"),
    "an empty role": (with_(ext_neg=lambda: [SCP_SCU_RoleSelectionNegotiation()]), "stock's thread dies"),
    "an empty user identity": (with_(ext_neg=lambda: [UserIdentityNegotiation()]), "stock's thread dies"),
    "a maximum of five bytes": (with_(max_pdu=2**32), "stock's thread dies (PS3.8 §D.1: four bytes)"),
    "TLS that is none": (with_(tls_args=("x", "y")), "stock's thread dies"),
    "an event that is not raised": (
        with_(evt_handlers=[(evt.EVT_FSM_TRANSITION, lambda event: None)]),
        "the state machine is our own",
    ),
    "an intervention event": (
        with_(evt_handlers=[(evt.EVT_C_ECHO, lambda event: 0)]),
        "nothing is asked of us over an association for sub-operations",
    ),
}
"""Refused by ours alone, and why. What stock does is not waited for where its thread dies: the C-MOVE hangs."""


@pytest.mark.parametrize("name", OURS)
async def test_what_ours_alone_refuses(name: str) -> None:
    assert await seen(ours, lambda port: ("127.0.0.1", port, OURS[name][0]())) == Seen(status=BAD_DESTINATION)


async def test_without_contexts_ours_proposes_what_is_sent() -> None:
    """Stock proposes its AE's own contexts, and refuses where it has none."""
    assert await seen(stock, lambda port: ("127.0.0.1", port)) == Seen(status=BAD_DESTINATION)
    mine = parse((await seen(ours, lambda port: ("127.0.0.1", port))).request)
    assert [(context.abstract_syntax, context.transfer_syntaxes) for context in proposals(mine.contexts)] == [
        (MR, (EXPLICIT,)),
        (MR, (IMPLICIT, BIG)),
    ]
    assert mine.max_pdu_bytes == 16382


async def test_with_nothing_to_send_nobody_associates() -> None:
    """Stock looks at the keywords once there is something to send; so does ours."""
    place = ("127.0.0.1", 104, {"colour": 1})
    assert await moved(stock, move_handler(place, 0)) == await moved(ours, move_handler(place, 0)) == 0


def placed(keywords: dict[str, Any]) -> Callable[[int], Any]:
    return lambda port: ("127.0.0.1", port, keywords)


async def test_tls(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    certificate = authority.issue("localhost", "/CN=localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.certificate, certificate.key)
    found = []
    for engine in (stock, ours):
        context = ssl.create_default_context(cafile=authority.certificate)
        keywords = with_(tls_args=(context, "localhost"))()
        found.append(await seen(engine, placed(keywords), tls=server))
    assert found[0].request
    assert found[1].request == found[0].request


# --- the same under `associate:`, for deliveries -------------------------------------------------------------------

WRITTEN: dict[str, tuple[str, Keywords]] = {
    "contexts": (
        f"contexts: [{{abstract_syntax: '{CT}', transfer_syntax: ['{EXPLICIT}', '{IMPLICIT}', '{JPEG}']}}, "
        f"{{abstract_syntax: '{MR}', transfer_syntax: ['{IMPLICIT}']}}]",
        with_(),
    ),
    "ae_title": ("ae_title: OTHER", with_(ae_title="OTHER")),
    "a title with spaces inside": ("ae_title: 'A B'", with_(ae_title="A B")),
    "max_pdu unlimited": ("max_pdu: 0", with_(max_pdu=0)),
    "max_pdu of 16": ("max_pdu: 16", with_(max_pdu=16)),
    "max_pdu": ("max_pdu: 131072", with_(max_pdu=131072)),
    "the largest max_pdu": ("max_pdu: 4294967295", with_(max_pdu=2**32 - 1)),
    "roles": (
        f"ext_neg: {{roles: [{{sop_class: '{MR}', scu_role: true, scp_role: false}}, "
        f"{{sop_class: '{CT}', scu_role: false, scp_role: true}}]}}",
        with_(ext_neg=lambda: [build_role(MR, scu_role=True), build_role(CT, scp_role=True)]),
    ),
    "async_operations": (
        "ext_neg: {async_operations: {invoked: 5, performed: 3}}",
        with_(ext_neg=lambda: [window(5, 3)]),
    ),
    "extended": (
        f"ext_neg: {{extended: [{{sop_class: '{CT}', information: 02 00 01 01}}]}}",
        with_(ext_neg=lambda: [extended(CT, b"\2\0\1\1")]),
    ),
    "common_extended": (
        f"ext_neg: {{common_extended: [{{sop_class: '{SR}', service_class: '{STORAGE_SERVICE}', "
        f"related: ['{CT}', '{MR}']}}]}}",
        with_(ext_neg=lambda: [common(SR, [CT, MR])]),
    ),
    "username": (
        "ext_neg: {user_identity: {type: username, primary: Jörg}}",
        with_(ext_neg=lambda: [identity(1, "Jörg".encode())]),
    ),
    "username_passcode": (
        "ext_neg: {user_identity: {type: username_passcode, primary: someone, secondary: secret, "
        "positive_response_requested: true}}",
        with_(ext_neg=lambda: [identity(2, b"someone", b"secret", response=True)]),
    ),
    "kerberos": (
        "ext_neg: {user_identity: {type: kerberos, primary_base64: AAECA//+/fw=}}",
        with_(ext_neg=lambda: [identity(3, bytes.fromhex("00010203fffefdfc"))]),
    ),
    "saml": (
        "ext_neg: {user_identity: {type: saml, primary: <Assertion/>}}",
        with_(ext_neg=lambda: [identity(4, b"<Assertion/>")]),
    ),
    "jwt": (
        "ext_neg: {user_identity: {type: jwt, primary: aGVhZA.Ym9keQ.c2lnbg}}",
        with_(ext_neg=lambda: [identity(5, b"aGVhZA.Ym9keQ.c2lnbg")]),
    ),
    "bind_address": ("bind_address: 127.0.0.2", with_(bind_address=("127.0.0.2", 0))),
    "all": (
        "ae_title: OTHER\n      max_pdu: 0\n      bind_address: 127.0.0.2\n      ext_neg:\n"
        f"        roles: [{{sop_class: '{CT}', scu_role: true, scp_role: true}}]\n"
        "        async_operations: {invoked: 2, performed: 2}\n"
        "        user_identity: {type: username, primary: someone}\n"
        f"        extended: [{{sop_class: '{CT}', information: '01'}}]\n"
        f"        common_extended: [{{sop_class: '{SR}', service_class: '{STORAGE_SERVICE}'}}]",
        with_(
            ae_title="OTHER",
            max_pdu=0,
            bind_address=("127.0.0.2", 0),
            ext_neg=lambda: [
                build_role(CT, scu_role=True, scp_role=True),
                window(2, 2),
                identity(1, b"someone"),
                extended(CT, b"\1"),
                common(SR, []),
            ],
        ),
    ),
}
CONTEXTS = WRITTEN["contexts"][0]
SITE = """
gateway: {{ae_title: GATEWAY, listeners: [{{port: 0}}]}}
peers:
  there:
    ae_title: STORE
    address: 127.0.0.1:{port}
    associate:
      {written}
routes: [{{name: all, to: [there]}}]
unmatched: hold
"""


@pytest.mark.parametrize("name", WRITTEN)
async def test_what_a_delivery_sends(name: str, tmp_path: Path) -> None:
    written, keywords = WRITTEN[name]
    if name != "contexts":
        written = f"{written}\n      {CONTEXTS}"
    async with recorder() as there:
        (tmp_path / "site.yaml").write_text(SITE.format(port=there.port, written=written))
        loaded = load(tmp_path, {})
        assert loaded.table is not None, loaded.problems
        channel = DimseDestination(loaded.table.peers["there"], AssociationPool("GATEWAY"), NoMeter()).channel()
        with contextlib.suppress(GatewayError):
            await channel.prepare([(CT, EXPLICIT)])
        mine = there.requests[0], there.callers[0][0]
        await of_stock(there.port, keywords())
        assert mine == (there.requests[1], there.callers[1][0])


async def of_stock(port: int, keywords: dict[str, Any]) -> None:
    """`AE.associate` itself."""
    ae = AE("GATEWAY")
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = f"{IMPLEMENTATION_VERSION_NAME[:14]}+1"  # deliveries say that one gateway had it
    association = await asyncio.to_thread(ae.associate, "127.0.0.1", port, **{"ae_title": "STORE", **keywords})
    assert not association.is_established  # rejected; stock may notice the closed connection first
    if association.dul.socket is not None:
        association.dul.socket.close()


def test_the_table_has_every_keyword() -> None:
    """Of `AE.associate`, and at least thirty cases."""
    keywords = set(inspect.signature(AE.associate).parameters) - {"self", "addr", "port"}
    assert {key for made in SENT.values() for key in made()} == keywords
    assert len(SENT) >= 30

"""User identities of all five types (PS3.7 §D.3.3.7), demanded by a listener or a peer; stock pynetdicom calls."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from structlog.testing import capture_logs

from gateway.config import load
from gateway.dimse.acceptor.admission import Admitted, admit
from gateway.identity.values import OfferedIdentity, VerifiedIdentity
from gateway.identity.verifier import Verifier
from gateway.model.associate import AssociateKeywords, UserIdentity
from gateway.model.association import AssociationFacts
from gateway.model.listener import Listener, Timers
from gateway.model.security import IdentityCheck
from gateway.routing.table import RoutingTable
from tests.support.dimse.rig import Peer, Running, associate_rq, echo_command, message, serving
from tests.support.passwords import password_line
from tests.support.tokens import AUDIENCE, ISSUER, Issuer, write_jwks

KINDS = {"username": 1, "username_passcode": 2, "kerberos": 3, "saml": 4, "jwt": 5}
TIMERS = Timers(association_s=60.0, dimse_s=30.0)

HOOK = """\
#!{python}
import base64, json, sys
asked = json.load(sys.stdin)
secret = base64.b64decode(asked["primary"])
if secret == b"crash":
    sys.exit(3)
if not secret.startswith(b"good"):
    sys.exit(1)
answer = {{"user": secret.decode()[5:]}}
if asked["type"] in ("kerberos", "saml") and asked["positive_response_requested"]:
    answer["server_response"] = base64.b64encode(b"response to " + secret).decode()
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer.of("ES256", "k1")


@pytest.fixture
def site(tmp_path: Path, issuer: Issuer) -> Path:
    (tmp_path / "passwords.txt").write_text(password_line("alice", "secret") + password_line("bob", "hidden"))
    (tmp_path / "passwords.txt").chmod(0o600)
    write_jwks(tmp_path / "jwks.json", issuer)
    hook = tmp_path / "hook"
    hook.write_text(HOOK.format(python=sys.executable))
    hook.chmod(0o700)
    return tmp_path


def rules(site: Path, *, listener: str = "", peer: str = "") -> RoutingTable:
    text = f"""\
    gateway:
      ae_title: GATEWAY
      admit: any
      listeners:
        - {{port: 0, address: 127.0.0.1, name: main{", user_identity: " + listener if listener else ""}}}
    unmatched: hold
    user_identities:
      staff: {{password_file: passwords.txt}}
      tokens: {{jwt: {{keys: jwks.json, issuer: "{ISSUER}", audience: {AUDIENCE}, algorithms: [ES256]}}}}
      others: {{command: {{run: [{site / "hook"}], types: [username, kerberos, saml], time_limit: 60 s}}}}
    peers:
      ct1: {{ae_title: CT1, may: [store]{", requires: {user_identity: " + peer + "}" if peer else ""}}}
    """
    path = site / "rules.yaml"
    path.write_text(dedent(text))
    loaded = load(path, {})
    assert loaded.table is not None, loaded.problems
    assert not loaded.problems
    return loaded.table


def run(table: RoutingTable, **more: Any) -> Any:
    verifier = Verifier()

    def decide(facts: AssociationFacts) -> Admitted:
        return admit(facts, table.settings, table.peers, reserved=table.reserved_ae_titles)

    async def verify(check: IdentityCheck, offered: OfferedIdentity) -> VerifiedIdentity:
        return await verifier.verify(table.identity_methods, check, offered)

    (listener,) = table.settings.listeners
    return serving(admission=decide, listener=listener, timers=TIMERS, verify_identity=verify, **more)


Answer = tuple[str, bytes | None]
"""(accepted, or the A-ASSOCIATE-RJ in numbers; server response)."""


async def call(
    running: Running,
    kind: str = "",
    primary: bytes = b"",
    secondary: bytes = b"",
    *,
    title: str = "CT1",
    asks: bool = True,
) -> Answer:
    """Stock pynetdicom associates."""

    def associate() -> Answer:
        ae = AE(ae_title=title)
        ae.add_requested_context(Verification)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        items: list[Any] = []
        if kind:
            identity = UserIdentityNegotiation()
            identity.user_identity_type = KINDS[kind]
            identity.primary_field = primary
            identity.secondary_field = secondary
            identity.positive_response_requested = asks
            items.append(identity)
        refusals: list[str] = []

        def note(event: Any) -> None:
            if isinstance(event.pdu, A_ASSOCIATE_RJ):
                refusals.append(f"{event.pdu.result}/{event.pdu.source}/{event.pdu.reason_diagnostic}")

        association = ae.associate(
            "127.0.0.1", running.port, ext_neg=items, ae_title="GATEWAY", evt_handlers=[(evt.EVT_PDU_RECV, note)]
        )
        if refusals:  # stock says "aborted" of a rejection that comes at once
            return refusals[0], None
        assert association.is_established
        response = association.acceptor.user_identity
        assert association.send_c_echo().Status == 0
        association.release()
        return "accepted", None if response is None else response.server_response

    return await asyncio.to_thread(associate)


async def facts_while(running: Running, *identity: Any, **more: Any) -> AssociationFacts:
    facts: list[AssociationFacts] = []
    joined = running.server.joined

    def remember(association: Any) -> None:
        facts.append(association.facts)
        joined(association)

    running.server.joined = remember  # type: ignore[method-assign]
    await call(running, *identity, **more)
    running.server.joined = joined  # type: ignore[method-assign]
    (found,) = facts
    return found


CheckOf = Callable[[Issuer], bytes]
ALL = "{verified_by: [staff, tokens, others]}"
GOOD: dict[str, tuple[str, CheckOf, bytes, str, bytes]] = {
    "username": ("username", lambda one: b"good carol", b"", "carol", b""),
    "username and passcode": ("username_passcode", lambda one: b"alice", b"secret", "alice", b""),
    "Kerberos": ("kerberos", lambda one: b"good kate", b"", "kate", b"response to good kate"),
    "SAML": ("saml", lambda one: b"good sam", b"", "sam", b"response to good sam"),
    "JSON Web Token": ("jwt", lambda one: one.sign(sub="joe"), b"", "joe", b""),
}


@pytest.mark.parametrize(("kind", "primary", "secondary", "user", "response"), GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("by", ["listener", "peer"])
async def test_every_type_is_verified(
    site: Path, issuer: Issuer, kind: str, primary: CheckOf, secondary: bytes, user: str, response: bytes, by: str
) -> None:
    async with run(rules(site, **{by: ALL})) as running:
        assert await call(running, kind, primary(issuer), secondary) == ("accepted", response)
        assert await call(running, kind, primary(issuer), secondary, asks=False) == ("accepted", None)
        facts = await facts_while(running, kind, primary(issuer), secondary)
        assert (facts.user_identity, facts.claimed_user_identity, facts.peer) == (user, "", "ct1")


REFUSED: dict[str, tuple[str, CheckOf, bytes, str]] = {
    "no identity": ("", lambda one: b"", b"", "1/1/1"),
    "username": ("username", lambda one: b"carol", b"", "1/1/1"),
    "wrong passcode": ("username_passcode", lambda one: b"alice", b"hidden", "1/1/1"),
    "unknown user": ("username_passcode", lambda one: b"mallory", b"secret", "1/1/1"),
    "user without a passcode": ("username", lambda one: b"alice", b"", "1/1/1"),
    "Kerberos": ("kerberos", lambda one: b"bad", b"", "1/1/1"),
    "SAML": ("saml", lambda one: b"<Assertion/>", b"", "1/1/1"),
    "expired token": ("jwt", lambda one: one.sign(exp=1), b"", "1/1/1"),
    "token of another": ("jwt", lambda one: Issuer.of("ES256", "k1").sign(), b"", "1/1/1"),
    "a command that fails": ("saml", lambda one: b"crash", b"", "2/3/1"),
}


@pytest.mark.parametrize(("kind", "primary", "secondary", "numbers"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("by", ["listener", "peer"])
async def test_everything_else_is_rejected(
    site: Path, issuer: Issuer, kind: str, primary: CheckOf, secondary: bytes, numbers: str, by: str
) -> None:
    async with run(rules(site, **{by: ALL})) as running:
        assert (await call(running, kind, primary(issuer), secondary))[0] == numbers
        if by == "listener":
            assert (await call(running, kind, primary(issuer), secondary, title="STRANGER"))[0] == numbers
        else:  # what a peer demands is not demanded of strangers, who get no positive response either
            assert await call(running, kind, primary(issuer), secondary, title="STRANGER") == ("accepted", None)
        assert not running.server.associations


async def test_only_some_users_of_a_peer(site: Path) -> None:
    async with run(rules(site, listener="{verified_by: staff}", peer="{verified_by: staff, users: [bob]}")) as running:
        assert (await call(running, "username_passcode", b"bob", b"hidden"))[0] == "accepted"
        assert (await call(running, "username_passcode", b"alice", b"secret"))[0] == "1/1/1"
        assert (await call(running, "username_passcode", b"alice", b"secret", title="OTHER"))[0] == "accepted"


async def test_without_a_demand_a_name_is_a_claim_and_gets_no_positive_response(site: Path) -> None:
    async with run(rules(site)) as running:
        assert await call(running, "username_passcode", b"alice", b"whatever") == ("accepted", None)
        facts = await facts_while(running, "username_passcode", b"alice", b"whatever")
        assert (facts.user_identity, facts.claimed_user_identity) == ("", "alice")


async def test_a_server_without_a_verifier_refuses_what_is_demanded() -> None:
    listener = Listener("main", 0, "127.0.0.1", user_identity=IdentityCheck(("staff",)))
    async with serving(listener=listener, timers=TIMERS) as running:
        assert (await call(running, "username_passcode", b"alice", b"secret"))[0] == "1/1/1"


class Held:
    """A verifier that waits until it is let go, and counts."""

    def __init__(self) -> None:
        self.waiting = 0
        self.ended = 0
        self.go = asyncio.Event()

    async def __call__(self, check: IdentityCheck, offered: OfferedIdentity) -> VerifiedIdentity:
        self.waiting += 1
        try:
            await self.go.wait()
        finally:
            self.ended += 1
        return VerifiedIdentity("alice")


DEMANDING = Listener("main", 0, "127.0.0.1", user_identity=IdentityCheck(("staff",)))
IDENTITY = AssociateKeywords(user_identity=UserIdentity("username_passcode", "alice", "secret"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_others_are_served_while_an_identity_is_verified() -> None:
    held = Held()
    async with serving(listener=DEMANDING, timers=TIMERS, verify_identity=held) as running:
        plain = await running.server.listen(Listener("other", 0, "127.0.0.1"))
        waits = await Peer.connect(running.port)
        waits.send(associate_rq(associate=IDENTITY))
        await until(lambda: held.waiting == 1)
        async with await Peer.associated(plain) as other:
            other.send(message(1, echo_command()))
            assert (await other.response())["Status"] == 0
        held.go.set()
        assert (await waits.pdu())[0] == 0x02
        waits.writer.close()


async def test_a_peer_that_leaves_meanwhile_ends_the_verification() -> None:
    held = Held()
    async with serving(listener=DEMANDING, timers=TIMERS, verify_identity=held) as running:
        async with await Peer.connect(running.port) as peer:
            peer.send(associate_rq(associate=IDENTITY))
            await until(lambda: held.waiting == 1)
        await until(lambda: held.ended == 1)
        await until(lambda: not running.server.has_connections)
        assert not running.server.associations


async def test_data_sent_before_the_answer_aborts() -> None:
    held = Held()
    async with (
        serving(listener=DEMANDING, timers=TIMERS, verify_identity=held) as running,
        await Peer.connect(running.port) as peer,
    ):
        peer.send(associate_rq(associate=IDENTITY) + message(1, echo_command()))
        assert (await peer.pdu())[0] == 0x07
        await until(lambda: held.ended == held.waiting)
        held.go.set()
        assert not running.server.associations


@pytest.mark.campaign
async def test_a_verification_without_end_is_rejected_for_now() -> None:
    held = Held()
    timers = Timers(association_s=3.0)  # the request must arrive within it, however busy the machine is
    async with (
        serving(listener=DEMANDING, timers=timers, verify_identity=held) as running,
        await Peer.connect(running.port) as peer,
    ):
        peer.send(associate_rq(associate=IDENTITY))
        pdu = await peer.pdu()
        assert (pdu[0], *pdu[7:10]) == (0x03, 2, 3, 1)


async def test_stopping_meanwhile() -> None:
    held = Held()
    async with (
        serving(listener=DEMANDING, timers=TIMERS, verify_identity=held) as running,
        await Peer.connect(running.port) as peer,
    ):
        peer.send(associate_rq(associate=IDENTITY))
        await until(lambda: held.waiting == 1)
        stopping = asyncio.create_task(running.server.drain(60.0))
        assert (await peer.pdu())[0] == 0x07
        peer.writer.close()
        assert await stopping
        assert held.ended == 1


@pytest.mark.campaign
async def test_a_flood_of_wrong_passcodes_stops_nobody(site: Path) -> None:
    """From the same host: who was verified lately does not stand behind the flood, and threads stay few."""
    async with run(rules(site, listener="{verified_by: staff}")) as running:
        assert (await call(running, "username_passcode", b"alice", b"secret"))[0] == "accepted"
        wrong = AssociateKeywords(user_identity=UserIdentity("username_passcode", "alice", "wrong"))
        flood = [await Peer.connect(running.port) for _ in range(40)]
        for peer in flood:
            peer.send(associate_rq(associate=wrong))
        assert (await call(running, "username_passcode", b"alice", b"secret"))[0] == "accepted"
        threads = [thread for thread in threading.enumerate() if thread.name == "user-identity"]
        assert len(threads) <= 2 * max(1, min(4, (os.cpu_count() or 1) // 2))
        answers = [await peer.pdu() for peer in flood]
        assert {pdu[0] for pdu in answers} == {0x03}
        assert {tuple(pdu[7:10]) for pdu in answers} <= {(1, 1, 1), (2, 3, 1)}
        for peer in flood:
            peer.writer.close()


async def test_no_secret_is_logged(site: Path, issuer: Issuer) -> None:
    token = issuer.sign(exp=1)
    with capture_logs() as logs:
        async with run(rules(site, listener=ALL)) as running:
            for kind, primary, secondary in (
                ("username_passcode", b"alice", b"s3cr3t-wrong"),
                ("jwt", token, b""),
                ("saml", b"<Assertion s3cr3t/>", b""),
            ):
                await call(running, kind, primary, secondary)
    printed = str(logs)
    assert [one["diagnostic"] for one in logs if one["event"] == "association_rejected"] == [
        "user identity: unknown user or wrong passcode",
        "user identity: the token has expired",
        "user identity: hook refused it",
    ]
    assert "s3cr3t" not in printed
    assert token.decode() not in printed

"""Notification events of associations that are accepted: the same, with the same attributes, as stock pynetdicom."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

from gateway.dimse.acceptor.admission import CALLED_NOT_RECOGNIZED, PERMANENT, SERVICE_USER, Admitted, Rejected
from gateway.dimse.pynetdicom_contract.notifications import BEHIND, RAISED
from gateway.dimse.requestor.requestor_association import associate
from gateway.dimse.server import Server
from gateway.model.association import AssociationFacts
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.model.security import TLS
from tests.support.caller import EXPLICIT, MR
from tests.support.dimse.query_rig import EVERYTHING, IDENTIFIER, STUDY_FIND, Requestor, image, match
from tests.support.dimse.rig import CONTEXTS, IMPLICIT, VERIFICATION
from tests.support.processes import free_port
from tests.support.stock import no_delay
from tests.support.tls import call, certificates_in, files, listening, peer_at

GUARD_S = 60.0
"""Only guards against hanging."""
LONG_BYTES = 300_000
"""More than is copied before it is sent, and more than the system takes at once."""
LIFE = ("CONN_OPEN", "REQUESTED", "ACCEPTED", "ESTABLISHED", "REJECTED", "RELEASED", "ABORTED", "CONN_CLOSE")
ATTRIBUTES = {"CONN": "address", "DATA": "data", "PDU_": "pdu", "ACSE": "primitive", "DIMS": "message"}

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@dataclass
class Heard:
    """What the handlers of a side were called with."""

    said: list[tuple[str, Any]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    is_closed: threading.Event = field(default_factory=threading.Event)

    def __call__(self, event: Any) -> None:
        self.threads.add(threading.get_ident())
        assert event.timestamp
        assoc, name = event.assoc, event.event.name.removeprefix("EVT_")
        value = None
        if name in ("CONN_OPEN", "CONN_CLOSE"):
            assert assoc.requestor.address == "127.0.0.1"
            value = event.address[0]
        elif name[:4] == "DATA":
            value = event.data
        elif name[:4] in ATTRIBUTES:
            value = type(getattr(event, ATTRIBUTES[name[:4]])).__name__
        elif name in ("REQUESTED", "REJECTED"):
            primitive = assoc.requestor.primitive
            value = (primitive.calling_ae_title, primitive.called_ae_title, name == "REQUESTED" or assoc.is_rejected)
        else:
            requestor = assoc.requestor
            value = (
                assoc.is_acceptor,
                requestor.ae_title,
                len(assoc.accepted_contexts),
                assoc.is_released if name == "RELEASED" else None,
                assoc.is_aborted if name == "ABORTED" else None,
            )
        self.said.append((name, value))
        if name == "CONN_CLOSE":
            self.is_closed.set()

    @property
    def life(self) -> list[tuple[str, Any]]:
        return [said for said in self.said if said[0] in LIFE]

    def of(self, prefix: str) -> list[Any]:
        return [value for name, value in self.said if name.startswith(prefix)]


def everything(heard: Heard) -> list[Any]:
    return [(event, heard) for event in sorted(RAISED, key=lambda event: str(event.name))]


def aborting(event: Any) -> int:
    event.assoc.abort()
    return 0x0000


@contextlib.asynccontextmanager
async def stock(handlers: list[Any]) -> AsyncIterator[int]:
    ae = AE("GATEWAY")
    ae.require_called_aet = True
    ae.add_supported_context(VERIFICATION, IMPLICIT)
    ae.add_supported_context(MR, EXPLICIT)
    port = free_port()
    server: Any = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[*handlers, (evt.EVT_CONN_OPEN, no_delay)]
    )
    try:
        yield port
    finally:
        await asyncio.to_thread(server.shutdown)


def admitted(facts: AssociationFacts) -> Admitted:
    if facts.called_ae_title != "GATEWAY":
        raise Rejected(PERMANENT, SERVICE_USER, CALLED_NOT_RECOGNIZED, "not ours")
    return Admitted(Peer("tester", may=EVERYTHING, accept_transfer_syntaxes=(EXPLICIT, IMPLICIT)))


@contextlib.asynccontextmanager
async def serving(handlers: list[Any]) -> AsyncIterator[Server]:
    server = Server(handlers=handlers, admission=admitted, ae_title="GATEWAY")
    try:
        yield server
    finally:
        server.abort_all()
        await server.drain(5.0)


@contextlib.asynccontextmanager
async def ours(handlers: list[Any]) -> AsyncIterator[int]:
    async with serving(handlers) as server:
        yield await server.listen(Listener("main", 0, "127.0.0.1"))


def associated(port: int, called: str = "GATEWAY", max_pdu: int = 16382, more: Sequence[Any] = ()) -> Any:
    ae = AE("TESTER")
    ae.add_requested_context(VERIFICATION, IMPLICIT)
    ae.add_requested_context(MR, EXPLICIT)
    handlers: Any = [(evt.EVT_CONN_OPEN, no_delay), *more]
    return ae.associate("127.0.0.1", port, ae_title=called, max_pdu=max_pdu, evt_handlers=handlers)


def echo(port: int) -> None:
    assoc = associated(port)
    assert assoc.send_c_echo().Status == 0x0000
    assoc.release()


def store(port: int) -> None:
    assoc = associated(port)
    assert assoc.send_c_store(image(1)).Status == 0x0000
    assoc.release()


def rejected(port: int) -> None:
    refusals: list[Any] = []
    noting = (evt.EVT_PDU_RECV, lambda event: refusals.append(type(event.pdu)))
    associated(port, "NOBODY", more=[noting])
    assert refusals == [A_ASSOCIATE_RJ]  # stock says "aborted" of a rejection that comes at once


def aborted(port: int) -> None:
    assoc = associated(port)
    assert assoc.send_c_echo().Status == 0x0000
    assoc.abort()


def told_to_abort(port: int) -> None:
    assoc = associated(port)
    assoc.send_c_echo()


def nothing_said(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


SCENES: dict[str, tuple[Callable[[int], None], list[Any], list[str]]] = {
    "C-ECHO": (echo, [], ["CONN_OPEN", "REQUESTED", "ACCEPTED", "ESTABLISHED", "RELEASED", "CONN_CLOSE"]),
    "C-STORE": (
        store,
        [(evt.EVT_C_STORE, lambda event: 0x0000)],
        ["CONN_OPEN", "REQUESTED", "ACCEPTED", "ESTABLISHED", "RELEASED", "CONN_CLOSE"],
    ),
    "rejected": (rejected, [], ["CONN_OPEN", "REQUESTED", "REJECTED", "CONN_CLOSE"]),
    "aborted by the requestor": (
        aborted,
        [],
        ["CONN_OPEN", "REQUESTED", "ACCEPTED", "ESTABLISHED", "ABORTED", "CONN_CLOSE"],
    ),
    "aborted by a handler": (
        told_to_abort,
        [(evt.EVT_C_ECHO, aborting)],
        ["CONN_OPEN", "REQUESTED", "ACCEPTED", "ESTABLISHED", "ABORTED", "CONN_CLOSE"],
    ),
    "a connection without an association": (nothing_said, [], ["CONN_OPEN", "CONN_CLOSE"]),
}


async def heard_by(side: Any, scene: str) -> Heard:
    requestor, handlers, _ = SCENES[scene]
    heard = Heard()
    async with side([*handlers, *everything(heard)]) as port:
        await asyncio.to_thread(requestor, port)
        async with asyncio.timeout(GUARD_S):
            while len(heard.life) < len(SCENES[scene][2]):  # stock closes in another thread than it tells of the end
                await asyncio.sleep(0.01)
    return heard


@pytest.mark.parametrize("scene", SCENES)
async def test_the_same_events(scene: str) -> None:
    theirs, mine = await heard_by(stock, scene), await heard_by(ours, scene)
    assert [name for name, _ in mine.life] == SCENES[scene][2]
    assert sorted(mine.life, key=str) == sorted(theirs.life, key=str)
    kinds = ("ACSE_RECV", "DIMSE_RECV", "DIMSE_SENT", "PDU_RECV", "DATA_RECV")
    for kind in kinds if scene != "aborted by a handler" else kinds[:2]:
        assert mine.of(kind) == theirs.of(kind), kind
    if scene != "aborted by a handler":
        assert sorted(mine.of("ACSE_SENT")) == sorted(theirs.of("ACSE_SENT"))
        assert set(mine.of("PDU_SENT")) == set(theirs.of("PDU_SENT"))
        assert len(mine.of("DATA_SENT")) == len(mine.of("PDU_SENT"))
    assert threading.get_ident() not in mine.threads


async def test_any_number_of_handlers_and_each_once() -> None:
    calls: list[str] = []

    def first(event: Any, word: str = "") -> None:
        calls.append(f"first{word}")

    def breaks(event: Any) -> None:
        calls.append("breaks")
        raise RuntimeError("x")

    async def on_loop(event: Any) -> None:
        calls.append(f"on_loop {threading.get_ident() == loop_thread}")

    loop_thread = threading.get_ident()
    heard = Heard()
    bound: list[Any] = [(evt.EVT_ESTABLISHED, first), (evt.EVT_ESTABLISHED, first), (evt.EVT_ESTABLISHED, first, ["!"])]
    bound += [(evt.EVT_ESTABLISHED, breaks), (evt.EVT_ESTABLISHED, on_loop), (evt.EVT_CONN_CLOSE, heard)]
    async with ours(bound) as port:
        await asyncio.to_thread(echo, port)
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert calls == ["first", "first!", "breaks", "on_loop True"]


async def test_bound_and_unbound_while_the_server_runs() -> None:
    """Also for an association that there is: it is heard from its next message on."""
    heard, later = Heard(), Heard()
    async with serving([]) as server:
        port = await server.listen(Listener("main", 0, "127.0.0.1"))
        assoc = await asyncio.to_thread(associated, port)
        assert (await asyncio.to_thread(assoc.send_c_echo)).Status == 0x0000
        assert server.get_handlers(evt.EVT_DIMSE_RECV) == []
        for event in (evt.EVT_DIMSE_RECV, evt.EVT_RELEASED, evt.EVT_CONN_CLOSE):
            server.bind(event, heard)
        assert server.get_handlers(evt.EVT_DIMSE_RECV) == [(heard, None)]
        assert evt.EVT_DIMSE_RECV in server.get_events()
        assert (await asyncio.to_thread(assoc.send_c_echo)).Status == 0x0000
        server.unbind(evt.EVT_DIMSE_RECV, heard)
        server.bind(evt.EVT_ESTABLISHED, later)
        assert (await asyncio.to_thread(assoc.send_c_echo)).Status == 0x0000
        await asyncio.to_thread(assoc.release)
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
        assert [name for name, _ in heard.said] == ["DIMSE_RECV", "RELEASED", "CONN_CLOSE"]
        server.unbind(evt.EVT_RELEASED, heard)
        await asyncio.to_thread(echo, port)
        async with asyncio.timeout(GUARD_S):
            while not later.said or len(heard.said) < 4:
                await asyncio.sleep(0.01)
    assert [name for name, _ in heard.said[3:]] == ["CONN_CLOSE"]


async def test_bound_by_a_handler_to_its_own_association() -> None:
    heard = Heard()

    def binding(event: Any) -> int:
        if not event.assoc.get_handlers(evt.EVT_DIMSE_SENT):
            event.assoc.bind(evt.EVT_DIMSE_SENT, heard)
            event.assoc.bind(evt.EVT_CONN_CLOSE, heard)
        assert evt.EVT_DIMSE_SENT in event.assoc.get_events()
        return 0x0000

    async with ours([(evt.EVT_C_ECHO, binding)]) as port:
        assoc = await asyncio.to_thread(associated, port)
        for _ in range(3):
            assert (await asyncio.to_thread(assoc.send_c_echo)).Status == 0x0000
        await asyncio.to_thread(assoc.release)
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert [name for name, _ in heard.said] == ["DIMSE_SENT"] * 3 + ["CONN_CLOSE"]


async def test_nothing_stands_between_where_nothing_is_bound() -> None:
    async with serving([]) as server:
        port = await server.listen(Listener("main", 0, "127.0.0.1"))
        assoc = await asyncio.to_thread(associated, port)
        (association,) = server.associations
        assert association.protocol is association
        await asyncio.to_thread(assoc.release)


async def test_slow_handlers_make_the_peer_wait_and_lose_nothing() -> None:
    """More requests than handlers may be behind: reading stops until there is room."""
    heard, go_on = Heard(), threading.Event()
    held: list[bool] = []

    def slow(event: Any) -> None:
        assert go_on.wait(GUARD_S)
        heard(event)

    number = BEHIND * 3
    async with serving([(evt.EVT_C_STORE, lambda event: 0x0000), (evt.EVT_DIMSE_RECV, slow)]) as server:
        server.bind(evt.EVT_CONN_CLOSE, heard)
        port = await server.listen(Listener("main", 0, "127.0.0.1"))
        assoc = await asyncio.to_thread(associated, port)
        done = [0]

        def send() -> None:
            for _ in range(number):
                assert assoc.send_c_store(image(1)).Status == 0x0000
                done[0] += 1
            assoc.release()

        sending = asyncio.create_task(asyncio.to_thread(send))
        async with asyncio.timeout(GUARD_S):
            while done[0] < BEHIND:
                await asyncio.sleep(0.01)
        held.append(done[0] < number)
        go_on.set()
        await sending
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert held == [True]
    assert len(heard.of("DIMSE_RECV")) == number


def test_what_is_not_raised_cannot_be_bound() -> None:
    with pytest.raises(ValueError, match="nothing here raises EVT_FSM_TRANSITION"):
        Server(handlers=[(evt.EVT_FSM_TRANSITION, print)], admission=admitted, ae_title="GATEWAY")
    with pytest.raises(ValueError, match="no operation serves EVT_N_GET"):
        Server(handlers=[(evt.EVT_N_GET, print)], admission=admitted, ae_title="GATEWAY")
    with pytest.raises(TypeError, match="cannot be called"):
        Server(handlers=[(evt.EVT_RELEASED, 7)], admission=admitted, ae_title="GATEWAY")


# --- TLS, and long answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_bound_later", [False, True], ids=["from the start", "later"])
async def test_over_tls(tmp_path: Path, *, is_bound_later: bool) -> None:
    certificates = certificates_in(tmp_path)
    heard = Heard()
    bindings = [(evt.EVT_DIMSE_RECV, heard), (evt.EVT_PDU_SENT, heard), (evt.EVT_CONN_CLOSE, heard)]
    async with serving([] if is_bound_later else bindings) as server:
        port = await server.listen(listening(TLS(**files(certificates.server))))
        association = await call(port, TLS(ca=(certificates.authority.certificate,)))
        if is_bound_later:
            assert await association.c_echo() == 0x0000
            for event, handler in bindings:
                server.bind(event, handler)
        assert await association.c_echo() == 0x0000
        await association.release()
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    sent = ["P_DATA_TF", "A_RELEASE_RP"] if is_bound_later else ["A_ASSOCIATE_AC", "P_DATA_TF", "A_RELEASE_RP"]
    assert heard.of("PDU_SENT") == sent
    assert heard.of("DIMSE_RECV") == ["C_ECHO_RQ"]


async def test_slow_handlers_hold_up_a_long_answer() -> None:
    """Matches are not sent ahead of handlers of what is sent without a bound."""
    heard, go_on = Heard(), threading.Event()
    given = [0]
    number = BEHIND * 4

    def find(event: Any) -> Iterator[Any]:
        for each in range(number):
            given[0] = each
            yield 0xFF00, match(each)

    def slow(event: Any) -> None:
        assert go_on.wait(GUARD_S)
        heard(event)

    bindings = [(evt.EVT_C_FIND, find), (evt.EVT_DIMSE_SENT, slow), (evt.EVT_CONN_CLOSE, heard)]
    async with ours(bindings) as port, await Requestor.open(port) as requestor:
        requestor.ask("find", 1, IDENTIFIER)
        async with asyncio.timeout(GUARD_S):
            while given[0] < BEHIND:
                await asyncio.sleep(0.01)
        before = -1
        while before != given[0]:  # until no more is given
            before = given[0]
            await asyncio.sleep(0.2)
        assert before < number - BEHIND
        go_on.set()
        *pending, final = await requestor.answers()
        assert (len(pending), final.status) == (number, 0x0000)
    assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert len(heard.of("DIMSE_SENT")) == number + 1


@pytest.mark.parametrize("is_bound_later", [False, True], ids=["from the start", "later"])
async def test_a_long_message_is_heard_whole(*, is_bound_later: bool) -> None:
    """The system is given its pieces without a copy where nobody listens; that goes past no handler."""
    heard, received = Heard(), Heard()
    long = match(1)
    long.add_new("TextValue", "UT", "x" * LONG_BYTES)

    def find(event: Any) -> Iterator[Any]:
        yield 0xFF00, long

    bindings = [(evt.EVT_DATA_SENT, heard), (evt.EVT_DIMSE_SENT, heard), (evt.EVT_CONN_CLOSE, heard)]
    async with serving([(evt.EVT_C_FIND, find), *([] if is_bound_later else bindings)]) as server:
        port = await server.listen(Listener("main", 0, "127.0.0.1"))
        ae = AE("TESTER")
        ae.add_requested_context(STUDY_FIND, IMPLICIT)
        handlers: Any = [(evt.EVT_CONN_OPEN, no_delay), (evt.EVT_DATA_RECV, received)]
        assoc = await asyncio.to_thread(
            lambda: ae.associate("127.0.0.1", port, ae_title="GATEWAY", max_pdu=0, evt_handlers=handlers)
        )
        if is_bound_later:
            for event, handler in bindings:
                server.bind(event, handler)
        statuses = await asyncio.to_thread(lambda: [status.Status for status, _ in assoc.send_c_find(long, STUDY_FIND)])
        await asyncio.to_thread(assoc.release)
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert statuses == [0xFF00, 0x0000]
    assert heard.of("DIMSE_SENT") == ["C_FIND_RSP", "C_FIND_RSP"]
    sent, taken = b"".join(heard.of("DATA_SENT")), b"".join(received.of("DATA_RECV"))
    assert len(sent) > LONG_BYTES
    assert sent == taken[len(taken) - len(sent) :]


async def test_handlers_that_block_keep_no_other_association_waiting() -> None:
    """Nor anything else that waits for a thread: here there is one for all."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    go_on, heard = threading.Event(), Heard()

    def blocks(event: Any) -> None:
        if event.assoc.requestor.ae_title != "OTHER":
            assert go_on.wait(GUARD_S)

    bindings = [(evt.EVT_C_STORE, lambda event: 0x0000), (evt.EVT_ESTABLISHED, blocks), (evt.EVT_CONN_CLOSE, heard)]
    try:
        async with ours(bindings) as port, contextlib.AsyncExitStack() as stack:
            for _ in range(5):
                await stack.enter_async_context(await Requestor.open(port))
            async with asyncio.timeout(GUARD_S):
                assert await asyncio.to_thread(lambda: "still there") == "still there"
            other = await associate(peer_at(port, None), own_ae_title="OTHER", contexts=CONTEXTS)
            assert await other.c_echo() == 0x0000
            await other.release()
            async with asyncio.timeout(GUARD_S):
                while not heard.said:
                    await asyncio.sleep(0.01)
            go_on.set()
    finally:
        go_on.set()


async def test_what_ends_a_program_ends_only_the_handler() -> None:
    heard = Heard()

    def exits(event: Any) -> None:
        raise SystemExit(3)

    async def interrupts(event: Any) -> None:
        raise KeyboardInterrupt

    bindings = [(evt.EVT_ACCEPTED, exits), (evt.EVT_ACCEPTED, interrupts), (evt.EVT_CONN_CLOSE, heard)]
    async with ours(bindings) as port:
        await asyncio.to_thread(echo, port)
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert [name for name, _ in heard.said] == ["CONN_CLOSE"]

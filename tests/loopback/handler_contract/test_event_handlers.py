"""`evt_handlers` among a C-MOVE handler's keywords: the same events, with the same attributes, as stock pynetdicom."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pynetdicom import build_context, evt

from gateway.dimse.pynetdicom_contract.notifications import RAISED
from gateway.model.peer import Peer
from tests.loopback.handler_contract.keyword_rig import move_handler, moved, ours, stock
from tests.support.caller import EXPLICIT, MR
from tests.support.dimse.query_rig import image, storing
from tests.support.processes import GUARD_S

LONG_BYTES = 300_000
"""More than is copied before it is sent."""
LIFE = (
    evt.EVT_REQUESTED,
    evt.EVT_CONN_OPEN,
    evt.EVT_ACCEPTED,
    evt.EVT_ESTABLISHED,
    evt.EVT_REJECTED,
    evt.EVT_RELEASED,
    evt.EVT_ABORTED,
    evt.EVT_CONN_CLOSE,
)


class Heard:
    """What handlers were called with, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []
        self.is_closed = threading.Event()
        self.threads: set[int] = set()

    def __call__(self, event: Any, what: str = "") -> None:
        self.threads.add(threading.get_ident())
        assert event.timestamp
        assert event.assoc.acceptor.ae_title == "STORE"
        name = event.event.name
        value = getattr(event, what) if what else ""
        if name.startswith("EVT_DATA"):
            value = value[0]
        elif name.startswith(("EVT_PDU", "EVT_ACSE", "EVT_DIMSE")):
            value = type(value).__name__
        self.said.append((name, value))
        if name == "EVT_CONN_CLOSE":
            self.is_closed.set()

    def of(self, *prefixes: str) -> list[tuple[str, Any]]:
        return [said for said in self.said if said[0].startswith(prefixes)]


def everything(heard: Heard) -> list[Any]:
    attributes = {"CONN": "address", "DATA": "data", "PDU_": "pdu", "ACSE": "primitive", "DIMS": "message"}
    return [
        (event, heard, [attributes[event.name[4:8]]] if event.name[4:8] in attributes else [])
        for event in sorted(RAISED, key=lambda event: str(event.name))
    ]


async def heard_by(engine: Any, peer: Peer | None = None) -> Heard:
    heard = Heard()
    more = {} if peer is None else {"peer": peer}
    async with storing(**more) as there:
        keywords = {"contexts": [build_context(MR, EXPLICIT)], "evt_handlers": everything(heard)}
        await moved(engine, move_handler(("127.0.0.1", there, keywords)))
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    return heard


async def test_one_c_store() -> None:
    theirs, mine = await heard_by(stock), await heard_by(ours)
    life = [name for name, _ in mine.said if name in {event.name for event in LIFE}]
    assert life == [
        "EVT_REQUESTED",
        "EVT_CONN_OPEN",
        "EVT_ACCEPTED",
        "EVT_ESTABLISHED",
        "EVT_RELEASED",
        "EVT_CONN_CLOSE",
    ]
    assert sorted(life) == sorted(name for name, _ in theirs.said if name in {event.name for event in LIFE})
    for kind in ("EVT_ACSE_SENT", "EVT_ACSE_RECV", "EVT_DIMSE_SENT", "EVT_DIMSE_RECV", "EVT_PDU_RECV", "EVT_DATA_RECV"):
        assert mine.of(kind) == theirs.of(kind), kind
    assert {value for _, value in mine.of("EVT_PDU_SENT")} == {value for _, value in theirs.of("EVT_PDU_SENT")}
    assert mine.of("EVT_CONN")[0][1] == mine.of("EVT_CONN")[1][1]
    assert threading.get_ident() not in mine.threads


async def test_a_rejected_association() -> None:
    """No AE accepts the called AE title."""
    heard = Heard()
    async with storing() as there:
        keywords = {"ae_title": "STORE", "max_pdu": 1, "evt_handlers": everything(heard)}
        keywords["contexts"] = [build_context(MR, EXPLICIT)]
        await moved(ours, move_handler(("127.0.0.1", there, keywords)))
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert [name for name, _ in heard.said if name in {event.name for event in LIFE}] == [
        "EVT_REQUESTED",
        "EVT_CONN_OPEN",
        "EVT_REJECTED",
        "EVT_CONN_CLOSE",
    ]


async def test_what_a_handler_raises_is_nobodys_trouble() -> None:
    def breaks(event: Any) -> None:
        raise RuntimeError("x")

    async with storing() as there:
        keywords = {"contexts": [build_context(MR, EXPLICIT)], "evt_handlers": [(evt.EVT_ESTABLISHED, breaks)]}
        assert await moved(ours, move_handler(("127.0.0.1", there, keywords))) == 0


async def test_a_coroutine_function_runs_on_the_event_loop() -> None:
    threads = []

    async def on_loop(event: Any, more: str) -> None:
        threads.append((threading.get_ident(), more))

    async with storing() as there:
        keywords = {"contexts": [build_context(MR, EXPLICIT)], "evt_handlers": [(evt.EVT_ACCEPTED, on_loop, ["x"])]}
        assert await moved(ours, move_handler(("127.0.0.1", there, keywords))) == 0
    assert threads == [(threading.get_ident(), "x")]


async def test_an_association_with_handlers_is_released_when_the_operation_ends() -> None:
    """Nobody else would be told of its events."""
    heard = await heard_by(ours)
    assert heard.said[-1][0] == "EVT_CONN_CLOSE"


async def test_a_long_instance_is_heard_whole() -> None:
    """The system is given its pieces without a copy where nobody listens; that goes past no handler."""
    heard, sent = Heard(), 0

    def counted(event: Any) -> None:
        nonlocal sent
        sent += len(event.data)

    long = image(1)
    long.PixelData = bytes(LONG_BYTES)
    async with storing() as there:
        handlers = [*everything(heard), (evt.EVT_DATA_SENT, counted)]
        keywords = {"contexts": [build_context(MR, EXPLICIT)], "max_pdu": 0, "evt_handlers": handlers}
        assert await moved(ours, move_handler(("127.0.0.1", there, keywords), instance=long)) == 0
        assert await asyncio.to_thread(heard.is_closed.wait, GUARD_S)
    assert heard.of("EVT_DIMSE_SENT") == [("EVT_DIMSE_SENT", "C_STORE_RQ")]
    assert sent > LONG_BYTES

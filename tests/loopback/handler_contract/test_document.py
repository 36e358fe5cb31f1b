"""The worked example of `docs/handlers.md` does what it says."""

from __future__ import annotations

import re
from typing import Any

from pynetdicom import evt

from gateway.dimse.acceptor.admission import Admitted
from gateway.model.peer import Peer
from tests.loopback.handler_contract.document import PAGE
from tests.support.caller import MR, data_set
from tests.support.dimse.query_rig import MR_ID, Requestor, storing, uid
from tests.support.dimse.rig import message, serving


def example() -> dict[str, Any]:
    """The names that the example defines."""
    (code,) = [
        block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "def main" in block
    ]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


async def test_the_worked_example() -> None:
    names = example()
    archive: dict[str, Any] = {}
    received: list[str] = []

    def store(event: Any) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    async with storing(store) as there:
        names["VIEWERS"]["STORE"] = ("127.0.0.1", there)
        handlers = [
            (evt.EVT_C_STORE, names["handle_store"], [archive]),
            (evt.EVT_C_FIND, names["handle_find"], [archive]),
            (evt.EVT_C_MOVE, names["handle_move"], [archive]),
        ]
        admitted = Admitted(Peer("viewer", may=frozenset({"echo", "store", "find", "move"})))
        async with (
            serving(handlers=handlers, admission=lambda facts: admitted) as running,
            await Requestor.open(running.port) as peer,
        ):
            command = {
                "AffectedSOPClassUID": MR,
                "CommandField": 0x0001,
                "MessageID": 1,
                "CommandDataSetType": 1,
                "AffectedSOPInstanceUID": uid(1),
            }
            peer.send(message(MR_ID, command, data_set(uid(1))))
            assert (await peer.answer()).status == 0x0000
            assert list(archive) == [uid(1)]
            archive[uid(1)].PatientID = "4711"
            peer.ask(
                "find", 2, bytes.fromhex("0800520043530600") + b"STUDY " + bytes.fromhex("100020004c4f0400") + b"4711"
            )
            match, final = await peer.answers()
            assert (match.status, final.status) == (0xFF00, 0x0000)
            assert b"1.2.3.1" in match.identifier
            study = bytes.fromhex("0800520043530600") + b"STUDY " + bytes.fromhex("20000d0055490800") + b"1.2.3.1\0"
            peer.ask("move", 3, study)
            assert (await peer.final()).elements["NumberOfCompletedSuboperations"] == 1
            peer.ask("move", 4, study, MoveDestination="NOBODY")
            assert (await peer.final()).status == 0xA801
    assert received == [uid(1)]

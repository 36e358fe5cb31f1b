"""Places that a C-MOVE handler gave, as targets."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.pynetdicom_contract.yields import MoveDestinations
from gateway.dimse.services import move_targets as module
from gateway.dimse.services.move_targets import move_targets
from gateway.dimse.services.responding import FinalResponse
from gateway.dimse.services.retrieve_statuses import MOVE
from gateway.dimse.services.sub_operations import MoveTarget
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer

PEER = Peer("ws1", "WS1", "127.0.0.1", 104)


class Pool:
    def add_idle_holder(self, release_idle: Any) -> None: ...
    def remove_idle_holder(self, release_idle: Any) -> None: ...


def event() -> Any:
    association = SimpleNamespace(
        facts=AssociationFacts("MOVER", "GATEWAY", "127.0.0.1"), pool=Pool(), handler_failed=lambda *_: None
    )
    command = {"MoveDestination": "WS1", "MessageID": 7, "Priority": 1}
    return SimpleNamespace(association=association, command=command, event=MOVE.event, has_failed=False)


async def test_each_place_is_a_target_with_the_requestor_as_originator(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    async def look_up(target: Any) -> None:
        looked_up.append(target.peer.host)

    made: list[dict[str, Any]] = []

    class Kept(MoveTarget):
        def __init__(self, target: Any, pool: Any, **settings: Any) -> None:
            super().__init__(target, pool, **settings)
            made.append(settings)

    monkeypatch.setattr(module, "look_up", look_up)
    monkeypatch.setattr(module, "MoveTarget", Kept)
    destinations = MoveDestinations([PEER, ("127.0.0.2", 105)], associations=3)
    targets = await move_targets(destinations, event(), OperationScope())
    assert [target.name for target in targets] == ["ws1", targets[1].name]
    assert looked_up == ["127.0.0.2"]  # a peer of the configuration is not looked up
    assert made == [{"width": 3, "priority": 1, "originator": ("MOVER", 7)}] * 2
    again = MoveDestinations([PEER], originator_ae_title="OTHER")
    await move_targets(again, event(), OperationScope())
    assert made[-1]["originator"] == ("OTHER", 7)


async def test_a_host_without_an_address_has_the_status_of_a_bad_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(target: Any) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(module, "look_up", look_up)
    with pytest.raises(FinalResponse) as raised:
        await move_targets(MoveDestinations([("nowhere.invalid", 104)]), event(), OperationScope())
    assert raised.value.elements["Status"] == MOVE.bad_destination


async def test_what_is_no_place_is_the_handlers_fault() -> None:
    one = event()
    with pytest.raises(FinalResponse) as raised:
        await move_targets(MoveDestinations([("127.0.0.1",)]), one, OperationScope())
    assert raised.value.elements["Status"] == MOVE.bad_destination
    assert one.has_failed

"""Which destination a peer is: by its kind, shipped or of a package."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.destinations.dicom import DimseDestination
from gateway.destinations.folder import Folder, FolderDestination
from gateway.destinations.opening import open_destination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import Delivered
from gateway.model.peer import Peer
from gateway.ports import kinds as port_kinds
from gateway.ports.errors import ConfigurationError
from gateway.ports.meter import NoMeter
from tests.support.extensions import EXAMPLE
from tests.unit.destinations.fakes import outbound

POOL = AssociationPool("US")


@dataclass(frozen=True, slots=True)
class Closed:
    """Settings that open nothing."""

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def place(self) -> str:
        return "nowhere"


def test_the_shipped_kinds_are_registered() -> None:
    assert {"dicom", "folder"} <= set(port_kinds.destination.kinds)


def test_each_kind_opens_its_destination() -> None:
    folder = Folder("/data/{{ SOPInstanceUID }}.dcm", "/data")
    assert isinstance(open_destination(Peer("pacs", "PACS", "127.0.0.1", 104), POOL, NoMeter()), DimseDestination)
    assert isinstance(open_destination(Peer("files", destination=folder), POOL, NoMeter()), FolderDestination)
    assert Peer("files", destination=folder).is_destination


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        pytest.param(Peer("ws1", "WS1"), "'ws1' has neither `address` nor `folder`", id="only a requestor"),
        pytest.param(Peer("odd", destination=Closed()), "'odd': Closed cannot be opened", id="settings alone"),
    ],
)
def test_a_peer_that_is_no_destination(peer: Peer, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        open_destination(peer, POOL, NoMeter())


async def test_a_kind_of_a_package_takes_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from example_kinds.destinations import Ledger

    ledger = tmp_path / "ledger.jsonl"
    there = open_destination(Peer("register", destination=Ledger(str(ledger))), POOL, NoMeter()).channel()
    one = outbound()
    await there.prepare([(one.sop_class_uid, one.transfer_syntax_uid)])
    assert await there.send(one) == Delivered()
    assert json.loads(ledger.read_text()) == {
        "sop_instance_uid": one.sop_instance_uid,
        "length": one.body.length_bytes,
    }

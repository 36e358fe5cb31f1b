"""The statuses of C-GET and C-MOVE handlers that break their contract: those of pynetdicom's documentation."""

from __future__ import annotations

import dataclasses

from pynetdicom import evt

from gateway.dimse.services.retrieve_statuses import GET, MOVE


def test_each_mistake_has_the_documented_status() -> None:
    """https://pydicom.github.io/pynetdicom/stable: statuses of the Query/Retrieve service classes."""
    get = (evt.EVT_C_GET, "get", 0xC413, 0xC413, 0xC413, 0xC416, 0xC411)
    move = (evt.EVT_C_MOVE, "move", 0xC514, 0xC515, 0xC513, 0xC516, 0xC511)
    assert dataclasses.astuple(GET) == get
    assert dataclasses.astuple(MOVE) == move

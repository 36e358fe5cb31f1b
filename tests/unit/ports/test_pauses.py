"""A pause goes on until it is resumed."""

from __future__ import annotations

from dataclasses import replace

from gateway.ports.pauses import Pause
from tests.support.samples import NOON


def test_a_pause_goes_on_until_it_is_resumed() -> None:
    pause = Pause("destination", "pacs", "anna", "", NOON)
    assert pause.goes_on
    assert not replace(pause, resumed_at=NOON).goes_on

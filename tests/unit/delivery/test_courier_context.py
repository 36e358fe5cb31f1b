"""The context that couriers share."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from gateway.delivery.courier_context import not_watched
from tests.support.fakes.delivery import peer
from tests.support.fakes.memory_journal import MemoryJournal
from tests.support.fakes.meter import MemoryMeter
from tests.unit.delivery.parts import courier_context


def test_no_courier_changes_what_all_share() -> None:
    context = courier_context(MemoryJournal(), MemoryMeter())
    with pytest.raises(FrozenInstanceError):
        context.idle_s = 2.0  # type: ignore[misc]


def test_without_a_watch_every_object_may_go() -> None:
    not_watched(peer(), "1.2.3", "1.2.4", 8)

"""What every `Pauses` must do; run against each implementation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest

from gateway.ports.pauses import Pause, PausedKind
from gateway.ports.store import Store
from tests.support.samples import NOON, Clock

PACS = Pause("destination", "pacs", "anna (1000)", "it moves; ü", NOON)
VNA = Pause("destination", "vna", "anna (1000)", "", NOON)


def test_what_is_paused_is_known(queue: Store) -> None:
    assert queue.pauses.all_pauses() == []
    with queue.transaction():
        assert queue.pauses.begin_pause(VNA)
        assert queue.pauses.begin_pause(PACS)
    assert queue.pauses.all_pauses() == [PACS, VNA]


def test_a_pause_that_goes_on_stays_as_it_is(queue: Store) -> None:
    with queue.transaction():
        assert queue.pauses.begin_pause(PACS)
    with queue.transaction():
        assert not queue.pauses.begin_pause(Pause("destination", "pacs", "bert", "too", NOON + timedelta(hours=1)))
    assert queue.pauses.all_pauses() == [PACS]


def test_the_end_of_a_pause_is_kept_until_the_next_one(queue: Store, clock: Clock) -> None:
    with queue.transaction():
        queue.pauses.begin_pause(PACS)
    ended_at = clock.advance(3600)
    with queue.transaction():
        assert queue.pauses.end_pause("destination", "pacs", ended_at)
        assert not queue.pauses.end_pause("destination", "pacs", clock.advance(1)), "it is over"
    (pause,) = queue.pauses.all_pauses()
    assert (pause.goes_on, pause.resumed_at) == (False, ended_at)
    with queue.transaction():
        assert queue.pauses.begin_pause(PACS)
    assert queue.pauses.all_pauses() == [PACS]


@pytest.mark.parametrize("kind", get_args(PausedKind))
def test_each_kind_has_names_of_its_own(queue: Store, clock: Clock, kind: PausedKind) -> None:
    pauses = [replace(PACS, kind=each) for each in sorted(get_args(PausedKind))]
    with queue.transaction():
        assert [queue.pauses.begin_pause(each) for each in pauses] == [True] * len(pauses)
    assert queue.pauses.all_pauses() == pauses
    with queue.transaction():
        assert queue.pauses.end_pause(kind, "pacs", clock())
    assert [each.kind for each in queue.pauses.all_pauses() if not each.goes_on] == [kind]


def test_nothing_ends_that_did_not_begin(queue: Store, clock: Clock) -> None:
    with queue.transaction():
        queue.pauses.begin_pause(PACS)
        assert not queue.pauses.end_pause("destination", "vna", clock())
    assert queue.pauses.all_pauses() == [PACS]

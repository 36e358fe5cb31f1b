"""The store's pauses are followed, and one that nobody ends is called to mind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from structlog.testing import capture_logs

from gateway.delivery.pause_watch import PauseWatch
from gateway.ports.errors import Temporary
from gateway.ports.pauses import Pause
from tests.support.samples import NOON, Clock

PACS = Pause("destination", "pacs", "anna", "the room floods", NOON)


class Site:
    """What the store has, and what was followed."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.kept: list[Pause] = []
        self.trouble: list[Exception] = []
        self.followed: list[Sequence[Pause]] = []
        self.looks = 0
        self.watch = PauseWatch(self.read, self.followed.append, self.clock)

    async def read(self) -> list[Pause]:
        self.looks += 1
        if self.trouble:
            raise self.trouble.pop()
        return [*self.kept]


async def test_changes_are_followed_and_logged_once() -> None:
    site = Site()
    with capture_logs() as logs:
        await site.watch.look()
        site.kept = [PACS]
        await site.watch.look()
        await site.watch.look()
        site.kept = [replace(PACS, resumed_at=NOON)]
        await site.watch.look()
    assert site.followed == [(PACS,), (*site.kept,)]
    assert [(each["event"], each["name"]) for each in logs] == [("pause_begun", "pacs"), ("pause_ended", "pacs")]
    assert "floods" not in str(logs), "the operator's words stay in the store"
    assert site.watch.going_on == []


async def test_a_pause_that_goes_on_is_called_to_mind_each_hour() -> None:
    site = Site()
    site.kept = [PACS, replace(PACS, name="vna", resumed_at=NOON)]
    with capture_logs() as logs:
        for minutes in (0, 59, 2, 1, 57, 3, 300, 1):
            site.clock.advance(60 * minutes)
            await site.watch.look()
    assert [(each["name"], each["hours"]) for each in logs if each["event"] == "pause_continued"] == [
        ("pacs", 1),
        ("pacs", 2),
        ("pacs", 7),
    ]
    assert site.watch.seconds() == {("destination", "pacs"): 423 * 60.0}


async def test_a_new_pause_begins_to_count_anew() -> None:
    site = Site()
    site.kept = [PACS]
    site.clock.advance(3600)
    with capture_logs() as logs:
        await site.watch.look()
        site.kept = [replace(PACS, began_at=site.clock())]
        await site.watch.look()
        site.clock.advance(3600)
        await site.watch.look()
    assert [each["hours"] for each in logs if each["event"] == "pause_continued"] == [1, 1]


async def test_a_store_that_cannot_be_read_changes_nothing() -> None:
    site = Site()
    site.kept = [PACS]
    await site.watch.look()
    site.trouble = [Temporary("away")]
    site.kept = []
    running = asyncio.create_task(site.watch.run())
    async with asyncio.timeout(60):
        while site.looks < 2:
            await asyncio.sleep(0.01)
        assert site.watch.going_on == [PACS]
        while site.watch.going_on:
            await asyncio.sleep(0.01)
    running.cancel()
    assert site.followed == [(PACS,), ()]

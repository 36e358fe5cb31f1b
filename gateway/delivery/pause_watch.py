"""Pauses as the store has them, looked at again and again: an operator may work from any machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from shlex import quote

import structlog

from gateway.ports.errors import GatewayError
from gateway.ports.pauses import Pause

log = structlog.get_logger()

LOOK_S = 0.5
"""The time between two looks."""
REMINDED_AFTER = timedelta(hours=1)
"""A pause that lasts so long is logged, and then again each time as much has passed."""


class PauseWatch:
    """Looks, and has the couriers follow.

    Args:
        read: gives what the store has.
        follow: is called with it when it is another than before.
        wall: the wall clock.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Sequence[Pause]]],
        follow: Callable[[Sequence[Pause]], None],
        wall: Callable[[], datetime],
    ) -> None:
        self._read = read
        self._follow = follow
        self._wall = wall
        self._seen: Sequence[Pause] = ()
        self._reminded: dict[Pause, int] = {}
        """The number of reminders of those that go on."""

    @property
    def going_on(self) -> list[Pause]:
        """The pauses that nobody has resumed."""
        return [each for each in self._seen if each.goes_on]

    def seconds(self) -> dict[tuple[str, ...], float]:
        """Kind and name → for how long it has been paused."""
        now = self._wall()
        return {(each.kind, each.name): (now - each.began_at).total_seconds() for each in self.going_on}

    async def look(self) -> None:
        """Follow the store. Raises GatewayError."""
        before, found = set(self.going_on), tuple(await self._read())
        if found != self._seen:
            self._seen = found
            self._follow(found)
        _log_changes(before, set(self.going_on))
        self._remind()

    async def run(self) -> None:
        """Look until cancelled. While the store cannot be read, everything stays as it was seen last."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except GatewayError as error:  # the journal says what is wrong
                log.debug("pauses_not_read", error=str(error))

    def _remind(self) -> None:
        now = self._wall()
        before, self._reminded = self._reminded, {}
        for pause in self.going_on:
            due = (now - pause.began_at) // REMINDED_AFTER
            self._reminded[pause] = max(due, before.get(pause, 0))
            if due > before.get(pause, 0):
                log.warning(
                    "pause_continued",
                    kind=pause.kind,
                    name=pause.name,
                    operator=pause.operator,
                    hours=due,
                    hint=f"`gateway queue resume --{pause.kind} {quote(pause.name)}`",
                )


def _log_changes(before: set[Pause], now: set[Pause]) -> None:
    for pause in sorted(now - before, key=lambda each: each.name):
        log.info("pause_begun", kind=pause.kind, name=pause.name, operator=pause.operator, began_at=str(pause.began_at))
    for pause in sorted(before - now, key=lambda each: each.name):
        log.info("pause_ended", kind=pause.kind, name=pause.name)

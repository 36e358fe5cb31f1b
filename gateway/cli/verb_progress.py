"""How far a verb over many deliveries is, shown on standard error while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from gateway.operations.queue_administration import Progress, Verb

EACH_S = 5.0
"""The time between two lines. A verb that takes less has none."""


class VerbProgress:
    """Shows how far `progress` is, when it is asked between two transactions. `meant` deliveries fitted at first."""

    def __init__(
        self,
        verb: Verb,
        progress: Progress,
        meant: int,
        show: Callable[[str], None] = lambda line: click.echo(line, err=True),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verb, self._progress, self._meant = verb, progress, meant
        self._show = show
        self._monotonic = monotonic
        self._began_s = self._shown_s = monotonic()

    def look(self) -> None:
        """One line, where it is time for one."""
        now_s, done = self._monotonic(), self._progress.done + self._progress.stayed
        if now_s - self._shown_s < EACH_S or not done:
            return
        self._shown_s = now_s
        left_s = (now_s - self._began_s) / done * max(self._meant - done, 0)
        self._show(
            f"{self._progress.done} of {self._meant} deliveries {self._verb.done}, about {left_s:.0f} s left; "
            f"operation {self._progress.operation_id}"
        )

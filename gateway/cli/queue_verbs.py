"""Carries out a verb of `gateway queue`: progress, interruption, what is said of it, and the record of who did it."""

from __future__ import annotations

import dataclasses
import getpass
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from types import FrameType
from typing import Any

import click
import structlog

from gateway.cli.options import fail
from gateway.cli.render import count
from gateway.lifecycle import exit_code
from gateway.lifecycle.logs import warnings_to_stderr
from gateway.ports.delivery_queue import DeliveryFilter
from gateway.sqlite.delivery_queue import SQLiteQueue
from gateway.sqlite.operator_verbs import Progress, Verb, carry_out

log = structlog.get_logger()


def administer(
    queue: SQLiteQueue,
    verb: Verb,
    which: DeliveryFilter,
    to: str | None = None,
    confirm: Callable[[int], None] = lambda number: None,
) -> None:
    """Do `verb` to all that fits, say how many, and log who did it; `confirm` is asked first, where there is any.

    Exits 1 when it was interrupted, or when something was not done to a delivery whose identifier was named.
    Raises GatewayError of the queue.
    """
    left_out = [*missing(queue, which), *_unfit(queue, verb, which)]
    if number := queue.selection.count(which, verb.states):
        confirm(number)
        _carry_out(queue, verb, which, to)
    elif not left_out:
        click.echo(f"0 deliveries {verb.done}")
        click.echo("nothing fits; see `gateway queue list`", err=True)
    if left_out:
        fail("; ".join(left_out), exit_code.FAILURE)


def missing(queue: SQLiteQueue, which: DeliveryFilter) -> list[str]:
    """A sentence on identifiers that were named and that no delivery has."""
    ids = queue.selection.missing(which.ids) if which.ids else []
    if not ids:
        return []
    what = f"is no delivery {ids[0]}" if len(ids) == 1 else f"are no deliveries {', '.join(map(str, ids))}"
    return [f"there {what}"]


def _unfit(queue: SQLiteQueue, verb: Verb, which: DeliveryFilter) -> Iterator[str]:
    """A sentence on each delivery that was named, is there, and is not among those that fit."""
    if not which.ids:
        return
    named = queue.list(DeliveryFilter(ids=which.ids), len(which.ids))
    fitting = {row.delivery_id for row in queue.list(which, len(which.ids))}
    states = " and ".join(state.value for state in verb.states)
    for row in named:
        if row.state not in verb.states:
            yield f"delivery {row.delivery_id} is {row.state.value}: `{verb.name}` is for those that are {states}"
        elif row.delivery_id not in fitting:
            yield f"delivery {row.delivery_id} does not fit the other filters"


def _carry_out(queue: SQLiteQueue, verb: Verb, which: DeliveryFilter, to: str | None) -> None:
    began_at, began_s = datetime.now(UTC), time.monotonic()
    progress = Progress()
    try:
        with _signals() as signals:
            carry_out(queue, verb, which, progress, now=queue.now, destination=to, is_stopped=lambda: bool(signals))
    finally:
        _record(verb, which, to, progress, began_at, time.monotonic() - began_s)
        _say(verb, to, progress)
    if not progress.is_complete:
        fail("interrupted; the same command again does the rest")


def _say(verb: Verb, to: str | None, progress: Progress) -> None:
    """One line of what was done, one for each kind of what was not."""
    where = f" to {to}" if to else ""
    froms = ", ".join(
        f"{number} held {f'for {name}' if name else 'without a destination'}"
        for name, number in sorted(progress.held_for.items())
    )
    click.echo(f"{count(progress.done, 'delivery')} {verb.done}{where}{f' ({froms})' if froms and to else ''}")
    if progress.homeless:
        click.echo(
            f"{count(progress.homeless, 'delivery')} held without a destination stayed; name one with --to", err=True
        )
    if progress.busy:
        click.echo(
            f"{count(progress.busy, 'delivery')} stayed: being sent just now; see `gateway queue list`", err=True
        )


def _record(
    verb: Verb, which: DeliveryFilter, to: str | None, progress: Progress, began_at: datetime, lasted_s: float
) -> None:
    """Who did what to how many, as one event of the log."""
    with warnings_to_stderr(logging.INFO):
        log.info(
            "queue_administered",
            verb=verb.name,
            user=_user_name(),
            uid=os.getuid(),
            sudo_user=os.environ.get("SUDO_USER", ""),
            filter=_as_json(which) or "all",
            to=to or "",
            deliveries=progress.done,
            stayed=progress.busy + progress.homeless,
            held_for=dict(progress.held_for),
            is_complete=progress.is_complete,
            began_at=began_at.isoformat(),
            duration_s=round(lasted_s, 3),
        )


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        return ""


def _as_json(which: DeliveryFilter) -> dict[str, Any]:
    """The filters that were given."""
    given = {each.name: getattr(which, each.name) for each in dataclasses.fields(which)}
    return {
        name: _plain(value)
        for name, value in given.items()
        if value not in ((), None, "") or (name == "destination" and value == "")
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that ask for an end arrive in the list, so that a transaction is not cut; the second one cuts it."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A verb of `gateway queue`: progress, interruption, its messages, and the record of the operator who did it."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any, TypeVar

import click

from gateway.cli.options import fail
from gateway.cli.render import count
from gateway.cli.verb_progress import VerbProgress
from gateway.lifecycle import exit_code
from gateway.lifecycle.logs import warnings_to_stderr
from gateway.operations import queue_administration
from gateway.operations.administration_record import record
from gateway.operations.queue_administration import Operator, Progress, Verb, carry_out
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store_access import StoreAccess

T = TypeVar("T")

SENT_TWICE = "the same command again also sends once more what was delivered meanwhile; see `gateway queue list`"
STAYED = "being sent just now, or waiting for a collection to end (`gateway collection` has verbs for these)"
SEE_LIST = "see `gateway queue list`"
COPY_IS_NEEDED = (
    "what was delivered can be sent again while its copy is here: for `keep` of routes and peers, else for "
    "`gateway.spool.retention`; after that the sender has to send it again"
)


def administer(
    access: StoreAccess,
    verb: Verb,
    which: DeliveryFilter,
    to: str | None = None,
    confirm: Callable[[int], None] = lambda number: None,
    *,
    why: str = "",
    is_dry_run: bool = False,
) -> None:
    """Do `verb` to all that fits, say how many, and record who did it and `why`; `confirm` is asked first, where there
    is any. A dry run says how many that are now.

    Exits 1 when it was interrupted, or when something was not done to a delivery whose identifier was named.
    Raises GatewayError of the store.
    """
    sentences = done(queue_administration.left_out(access, verb, which))
    if number := done(queue_administration.count(access, verb, which)):
        if is_dry_run:
            click.echo(f"{count(number, 'delivery')} would be {verb.done}{f' to {to}' if to else ''}; nothing was done")
        else:
            confirm(number)
            _carry_out(access, verb, which, to, Operator(operator_name(), why), number)
    elif not sentences:
        click.echo(f"0 deliveries {'would be ' if is_dry_run else ''}{verb.done}")
        click.echo(f"nothing fits{f': {COPY_IS_NEEDED}' if verb.name == 'send-again' else ''}; {SEE_LIST}", err=True)
    if sentences and verb.name == "send-again":
        sentences = [*sentences, COPY_IS_NEEDED]
    if sentences:
        fail("; ".join(sentences), exit_code.FAILURE)


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of an operation on the file. A signal is handled as it is outside of a loop."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def _carry_out(
    access: StoreAccess, verb: Verb, which: DeliveryFilter, to: str | None, by: Operator, meant: int
) -> None:
    began_at, began_s = datetime.now(UTC), time.monotonic()
    progress = Progress()
    shown = VerbProgress(verb, progress, meant)
    try:
        with _signals() as signals:

            def is_stopped() -> bool:
                shown.look()
                return bool(signals)

            done(carry_out(access, verb, which, progress, by=by, meant=meant, destination=to, is_stopped=is_stopped))
    finally:
        with warnings_to_stderr(logging.INFO):
            lasted_s = time.monotonic() - began_s
            record(verb, which, to, progress, operator=_operator(), began_at=began_at, duration_s=lasted_s)
        _report(verb, to, progress)
    if not progress.is_complete:
        fail(f"interrupted; {SENT_TWICE if verb.name == 'send-again' else 'the same command again does the rest'}")


def _report(verb: Verb, to: str | None, progress: Progress) -> None:
    """One line of what was done, one for each kind of what was not."""
    where = f" to {to}" if to else ""
    froms = ", ".join(
        f"{number} held {f'for {name}' if name else 'without a destination'}"
        for name, number in sorted(progress.held_for.items())
    )
    click.echo(f"{count(progress.done, 'delivery')} {verb.done}{where}{f' ({froms})' if froms and to else ''}")
    if progress.without_destination:
        click.echo(
            f"{count(progress.without_destination, 'delivery')} held without a destination stayed; name one with --to",
            err=True,
        )
    if progress.doubtful:
        click.echo(
            f"{count(progress.doubtful, 'delivery')} stayed: they were sent, and no response came, so that their "
            "destination may have them; --even-if-doubtful sends them elsewhere too",
            err=True,
        )
    if progress.busy:
        why = "equal ones are still owed" if verb.name == "send-again" else STAYED
        click.echo(f"{count(progress.busy, 'delivery')} stayed: {why}; see `gateway queue list`", err=True)


def _operator() -> dict[str, Any]:
    """Log fields that name the operator."""
    return {"user": _user_name(), "uid": os.getuid(), "sudo_user": os.environ.get("SUDO_USER", "")}


def operator_name() -> str:
    """The operator for the record: the user, and who became that one by sudo."""
    found = _operator()
    by = f", sudo of {found['sudo_user']}" if found["sudo_user"] else ""
    return f"{found['user'] or 'uid'} ({found['uid']}{by})"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        return ""


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

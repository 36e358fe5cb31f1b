"""`gateway queue pause` and `resume`: a destination gets nothing until it is resumed."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from gateway.cli.options import fail
from gateway.cli.queue_verbs import done, operator_name
from gateway.cli.render import count, local_time
from gateway.operations.pausing import pause_destination, pause_of, resume_destination, waiting_for
from gateway.operations.queue_administration import Operator
from gateway.ports.pauses import Pause
from gateway.ports.store_access import StoreAccess


def pause(access: StoreAccess, destination: str, why: str, *, is_dry_run: bool) -> None:
    """Pause it and say how many deliveries wait. Exits 1 when it is paused already. Raises GatewayError."""
    number = done(waiting_for(access, destination))
    if is_dry_run:
        before = done(pause_of(access, destination))
    else:
        by = Operator(operator_name(), why)
        before = done(pause_destination(access, destination, by, number, datetime.now(UTC)))
    if before is not None:
        fail(f"{destination} is paused already, {_since(before)}")
    waiting = _waiting(number)
    if is_dry_run:
        click.echo(f"{destination} would be paused, and {waiting}; nothing was done")
    else:
        click.echo(f"{destination} paused; {waiting}, and what arrives for it is kept")


def resume(access: StoreAccess, destination: str, why: str, *, is_dry_run: bool) -> None:
    """Resume it and say how many deliveries go on. Exits 1 when it is not paused. Raises GatewayError."""
    number, now = done(waiting_for(access, destination)), datetime.now(UTC)
    if is_dry_run:
        is_paused = done(pause_of(access, destination)) is not None
    else:
        is_paused = done(resume_destination(access, destination, Operator(operator_name(), why), number, now))
    if not is_paused:
        fail(f"{destination} is not paused")
    if is_dry_run:
        click.echo(f"{destination} would be resumed; {_waiting(number)}; nothing was done")
    else:
        click.echo(f"{destination} resumed; {_waiting(number)}")


def _waiting(number: int) -> str:
    return f"{count(number, 'delivery')} wait{'s' if number == 1 else ''} for it"


def _since(before: Pause) -> str:
    return f"since {local_time(before.began_at)} by {before.operator}"

"""`gateway queue pause` and `resume`: a destination gets nothing, a sender is refused, or what a rule wants waits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import fail
from gateway.cli.queue_names import require_known, require_rule, require_sender
from gateway.cli.queue_verbs import done, operator_name
from gateway.cli.render import count, local_time
from gateway.operations.pausing import begin_pause, end_pause, paused, waiting_for
from gateway.operations.queue_administration import Operator
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.pauses import Pause, PausedKind
from gateway.ports.store_access import StoreAccess

BEGUN = {
    "destination": "and what arrives for it is kept",
    "sender": "what it sends is refused with 0xA700 until it is resumed",
    "rule": "and what it wants is kept",
}
"""The consequences of a pause."""


def chosen(**names: str) -> tuple[PausedKind, str]:
    """The kind and name of the option that was given. Wrong usage where it is not one."""
    kinds: tuple[PausedKind, ...] = ("destination", "sender", "rule")
    given = [(kind, names[kind]) for kind in kinds if names[kind]]
    if len(given) != 1:
        raise click.UsageError(f"name one of {', '.join(f'--{kind}' for kind in kinds)}")
    return given[0]


def pause(access: StoreAccess, kind: PausedKind, name: str, rules: Path, why: str, *, is_dry_run: bool) -> None:
    """Pause it and say how many deliveries wait. Exits 1 when it is paused already. Raises GatewayError."""
    if kind == "sender":
        require_sender(name, rules)
    elif kind == "rule":
        require_rule(name, access, rules)
    else:
        require_known(DeliveryFilter(destination=name), access, rules)
    number = done(waiting_for(access, kind, name))
    if is_dry_run:
        before = done(paused(access, kind)).get(name)
    else:
        before = done(begin_pause(access, Pause(kind, name, operator_name(), why, datetime.now(UTC)), number))
    if before is not None:
        fail(f"{name} is paused already, {_since(before)}")
    waiting = _waiting(kind, number)
    if is_dry_run:
        click.echo(f"{name} would be paused{', and ' + waiting if waiting else ''}; nothing was done")
    else:
        click.echo("; ".join(filter(None, (f"{name} paused", ", ".join(filter(None, (waiting, BEGUN[kind])))))))


def resume(access: StoreAccess, kind: PausedKind, name: str, why: str, *, is_dry_run: bool) -> None:
    """Resume it and say how many deliveries go on. Exits 1 when it is not paused. Raises GatewayError."""
    number, now = done(waiting_for(access, kind, name)), datetime.now(UTC)
    going_on = done(paused(access, kind))
    is_paused = name in going_on
    if is_paused and not is_dry_run:
        is_paused = done(end_pause(access, kind, name, Operator(operator_name(), why), number, now))
    if not is_paused:
        names = ", ".join(sorted(going_on.keys() - {name})) or "none"
        fail(f"{name} is not paused (paused of this kind: {names})")
    words = [f"{name} would be resumed" if is_dry_run else f"{name} resumed", _waiting(kind, number)]
    click.echo("; ".join(filter(None, [*words, "nothing was done" if is_dry_run else ""])))


def _waiting(kind: PausedKind, number: int) -> str:
    """The deliveries that wait; empty for a sender."""
    return "" if kind == "sender" else f"{count(number, 'delivery')} wait{'s' if number == 1 else ''} for it"


def _since(before: Pause) -> str:
    return f"since {local_time(before.began_at)} by {before.operator}"

"""`gateway operations`: what operators did to the queue, from the record in the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import FORMAT, fail, rules_option
from gateway.cli.queue import DRY_RUN, WHY, opened
from gateway.cli.queue_verbs import done, operator_name
from gateway.cli.render import count, local_time, table
from gateway.operations import undoing
from gateway.operations.operation_listing import list_operations
from gateway.operations.queue_administration import Operator
from gateway.operations.undoing import Undone

HEADS = ("id", "began", "operator", "verb", "which", "to", "meant", "done", "stayed", "state", "why")


@click.group(invoke_without_command=True)
@rules_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@FORMAT
@click.pass_context
def operations(context: click.Context, rules: Path, limit: int, form: str) -> None:
    """Show what operators did, the newest first: who, when, why, and to how many deliveries.

    One that runs shows how far it is. One that was cut off keeps what it did; the same command does the rest.
    """
    if context.invoked_subcommand is not None:
        return
    with opened(rules, is_read_only=True) as access:
        found = done(list_operations(access, limit, datetime.now(UTC)))
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    elif found:
        click.echo(table(HEADS, [_row(each) for each in found]))
    else:
        click.echo("nothing was done", err=True)


@operations.command()
@click.argument("operation_id", metavar="ID", type=int)
@rules_option
@DRY_RUN
@WHY
def undo(operation_id: int, rules: Path, is_dry_run: bool, why: str) -> None:
    """Undo what an operation did, within a minute of its end.

    Deliveries that were sent, or changed by somebody, since then stay as they are; the answer says how many, and why.
    Exits 1 when any stay. An operation is undone once.
    """
    with opened(rules, is_read_only=is_dry_run) as access:
        by = Operator(operator_name(), why)
        found = done(undoing.undo(access, operation_id, by, datetime.now(UTC), is_dry_run=is_dry_run))
    _say_undone(operation_id, found, is_dry_run=is_dry_run)


def _say_undone(operation_id: int, found: Undone, *, is_dry_run: bool) -> None:
    """Say how many were put back, and how many were not for each reason."""
    if found.verb in undoing.PAUSES:
        click.echo(f"`{found.verb}` of operation {operation_id} {'would be ' if is_dry_run else ''}undone")
        return
    number, what = count(found.done, "delivery"), "would be put back" if is_dry_run else "put back"
    click.echo(f"{number} {what} as before `{found.verb}` of operation {operation_id}")
    reasons = (
        (found.changed, "sent, or changed by somebody, since then"),
        (found.gone, "their objects are not there any more"),
        (found.not_kept, "they were so before, or under a lease that nobody settled, and may have been sent"),
    )
    stayed = [f"{count(number, 'delivery')} not undone: {why}" for number, why in reasons if number]
    if stayed:
        fail("; ".join(stayed))


def _row(operation: dict[str, object]) -> tuple[object, ...]:
    """The cells of one line."""
    which = operation["filter"]
    assert isinstance(which, dict)
    words = " ".join(f"{name}={_word(value)}" for name, value in which.items()) or "all"
    began = local_time(str(operation["began_at"]))
    fields = ("to", "meant", "done", "stayed", "state", "why")
    return (operation["id"], began, operation["operator"], operation["verb"], words, *(operation[f] for f in fields))


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)

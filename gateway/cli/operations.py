"""`gateway operations`: what operators did to the queue, from the record in the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import FORMAT, rules_option
from gateway.cli.queue import opened
from gateway.cli.queue_verbs import done
from gateway.cli.render import local_time, table
from gateway.operations.operation_listing import list_operations

HEADS = ("id", "began", "operator", "verb", "which", "to", "meant", "done", "stayed", "state", "why")


@click.command()
@rules_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@FORMAT
def operations(rules: Path, limit: int, form: str) -> None:
    """Show what operators did, the newest first: who, when, why, and to how many deliveries.

    One that runs shows how far it is. One that was cut off keeps what it did; the same command does the rest.
    """
    with opened(rules, is_read_only=True) as access:
        found = done(list_operations(access, limit, datetime.now(UTC)))
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    elif found:
        click.echo(table(HEADS, [_row(each) for each in found]))
    else:
        click.echo("nothing was done", err=True)


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

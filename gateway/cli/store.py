"""`gateway store`: moving everything that a gateway holds into another store."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import click

from gateway.cli.access import require_places, require_store
from gateway.cli.options import FORMAT, RULES_HELP, fail, process_settings, rules_argument
from gateway.cli.render import count, size
from gateway.dataset.identity import identify
from gateway.lifecycle import exit_code, logs
from gateway.migration import migrate as migrating
from gateway.migration.copying import MigrationProgress
from gateway.migration.migrate import Migrated
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError, GatewayError

SHOWN_EVERY_S = 2.0
UIDS_SHOWN = 20


@click.group("store")
def store() -> None:
    """Move everything that a stopped gateway holds into another store."""


@store.command(
    epilog="\b\nExamples\n  gateway store migrate --from rules --to cluster-rules --dry-run\n"
    "  gateway store migrate --from rules --to cluster-rules"
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RULES",
    help=f"{RULES_HELP} The gateway that has everything now; its store stays as it is, and starts no more.",
)
@click.option(
    "--to",
    "destination",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RULES",
    help=f"{RULES_HELP} The gateway that gets everything; its store must be empty.",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be copied, and change nothing.")
@FORMAT
def migrate(source: Path, destination: Path, is_dry: bool, form: str) -> None:
    """Copy objects, deliveries and index of one gateway into the store of another one.

    Both must be stopped. SQLite or PostgreSQL with a spool, and the PostgreSQL and object store of a cluster, may be
    either side. A run that was interrupted goes on when it is started again. At the end the source is marked: it starts
    no more, or both would deliver everything; `gateway store reopen` takes that back.

    Exits 1 when stored bytes were damaged or missing; everything else is copied all the same.
    """
    old, new = process_settings(source), process_settings(destination)
    _require(old)
    _require(new)
    try:
        with logs.warnings_to_stderr():
            if is_dry:
                found = migrating.look(old, new)
            else:
                found = migrating.migrate(old, new, identify=identify, progress=_shown_now_and_then())
    except ConfigurationError as error:
        fail(str(error), exit_code.CONFIGURATION)
    except (GatewayError, OSError) as error:
        fail(f"{error}; run the same command again, and it goes on")
    click.echo(json.dumps(_as_json(found, is_dry=is_dry), indent=2) if form == "json" else _text(found, is_dry=is_dry))
    if found.copied.not_whole:
        raise SystemExit(exit_code.FAILURE)


@store.command(epilog="\b\nExample\n  gateway store reopen rules")
@rules_argument
def reopen(rules: Path) -> None:
    """Let the gateway of RULES start again, from which everything was migrated.

    Make sure that the other one does not run, and never will: what was owed when it was migrated would be delivered by
    both.
    """
    settings = process_settings(rules)
    _require(settings)
    try:
        with logs.warnings_to_stderr():
            mark = migrating.reopen(settings, identify=identify)
    except ConfigurationError as error:
        fail(str(error), exit_code.CONFIGURATION)
    except (GatewayError, OSError) as error:
        fail(str(error))
    click.echo(f"{rules}: it may start again; what it owes is owed by {mark.place} as well, if that ever starts")


def _require(settings: Settings) -> None:
    """Exits 78 when this user may not use what the settings name."""
    if settings.objects is None:
        require_places(settings, is_read_only=False)
    else:
        require_store(settings, is_read_only=False)


def _shown_now_and_then() -> MigrationProgress:
    """MigrationProgress on standard error."""
    shown_at_s = time.monotonic()

    def show(table: str, rows: int) -> None:
        nonlocal shown_at_s
        if table and time.monotonic() - shown_at_s >= SHOWN_EVERY_S:
            shown_at_s = time.monotonic()
            click.echo(f"{table}: {rows} copied in this run", err=True)

    return show


def _as_json(found: Migrated, *, is_dry: bool) -> dict[str, object]:
    copied = dataclasses.asdict(found.copied)
    return {
        "is_dry_run": is_dry,
        "from": found.source,
        "to": found.destination,
        "before": dict(found.before),
        "after": dict(found.after),
        "this_run": copied,
    }


def _text(found: Migrated, *, is_dry: bool) -> str:
    numbers = ", ".join(
        f"{size(number)} of objects" if name == "bytes" else f"{number} {name}" for name, number in found.before.items()
    )
    if is_dry:
        return f"{found.source}: {numbers}\n{found.destination}: {_readiness(found)}\nnothing was changed"
    lines = [f"{found.source}: {numbers}", f"{found.destination}: the same, compared"]
    copied = found.copied
    lines.append(f"copied in this run: {count(copied.instances, 'instance')}, {size(copied.length_bytes)}")
    for uids, what in ((copied.damaged, "its bytes have changed"), (copied.missing, "its bytes are not there")):
        lines += [f"not whole: {uid}: {what}" for uid in uids[:UIDS_SHOWN]]
    if copied.not_whole:
        lines.append(
            f"{count(copied.not_whole, 'object')} not whole, here as there; the log on standard error has all of them"
        )
    lines.append("the source is marked, and starts no more; start the destination")
    return "\n".join(lines)


def _readiness(found: Migrated) -> str:
    return "it holds something already" if found.after else "it holds nothing, or cannot be told before it is made"

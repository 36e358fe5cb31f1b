"""`gateway run`, `status` and `reload`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import (
    FORMAT,
    fail,
    load_rules,
    parsed_address,
    rules_argument,
    rules_option,
    settings_or_problems,
    show_problems,
)
from gateway.cli.render import age, size, table
from gateway.life import exit_code, logs, remote
from gateway.model import HTTP


@click.command(epilog="\b\nExamples\n  gateway run\n  gateway run /etc/gateway/rules --log-format json")
@rules_argument
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True, help="Least level.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log."
)
def run(rules: Path, log_level: str, log_format: logs.Format) -> None:
    """Receive, tag and forward by RULES (default: ./rules or $GATEWAY_RULES).

    SIGHUP reloads the rules, SIGTERM ends after what is in flight, a second SIGTERM ends at once.
    The log goes to standard error.
    """
    from gateway import app  # all of the gateway, which `status` and `reload` do without

    logs.configure(log_level, log_format)
    raise SystemExit(app.run(partial(load_rules, rules.absolute())))


HTTP_OPTION = click.option(
    "--http",
    "address",
    default="",
    metavar="HOST:PORT",
    help="Its `gateway.http` address; the rules are not read then.",
)


@click.command(epilog="\b\nExamples\n  gateway reload\n  gateway reload --rules /etc/gateway/rules")
@rules_option
@click.option("--timeout", type=float, default=60.0, show_default=True, metavar="SECONDS", help="For the result.")
@HTTP_OPTION
@FORMAT
def reload(rules: Path, timeout: float, address: str, form: str) -> None:
    """Have the running gateway load its rules again, and tell the result.

    It is found by `gateway.http`, else by `gateway.pid_file` of the rules. Exits 1 when the reload was refused: then
    nothing has changed.
    """
    try:
        result = remote.reload(_where(rules, address), timeout)
    except remote.NotRunning as error:
        fail(str(error))
    if form == "json":
        click.echo(json.dumps(result, indent=2))
    else:
        for problem in result.get("problems", ()):
            click.echo(problem, err=True)
        click.echo(f"{result['result']}; in force: {result.get('version') or result.get('message')}")
    if result["result"] != "applied":
        raise SystemExit(exit_code.FAILURE)


@click.command(epilog="\b\nExample\n  gateway status --format json | jq .queue")
@rules_option
@HTTP_OPTION
@FORMAT
def status(rules: Path, address: str, form: str) -> None:
    """Show what the running gateway is doing (needs `gateway.http`)."""
    try:
        found = remote.status(_where(rules, address))
    except remote.NotRunning as error:
        fail(str(error))
    click.echo(json.dumps(found, indent=2) if form == "json" else _status_text(found))


def _where(rules: Path, address: str) -> remote.Place:
    """Where the running gateway is: as `address` says, else as its rules do."""
    if address:
        return remote.Place(HTTP(*parsed_address(address, "--http")))
    settings, problems = settings_or_problems(rules)
    if settings is None:
        show_problems(problems)
        fail(f"{rules}: the configuration has errors; a running gateway was not asked (--http asks it all the same)")
    return remote.Place(settings.http, settings.pid_file)


def _status_text(found: dict[str, Any]) -> str:
    spool, last = found["spool"], found["last_reload"]
    state = ", ".join([found["state"], *found["not_ready"]])
    lines = [
        f"gateway {found['version']}: {state}, since {found['started_at']}",
        f"rules {found['config']}" + (f", last reload {last['result']} at {last['started_at']}" if last else ""),
        f"spool {spool['path']}: {size(spool['free_bytes'])} free, at least {size(spool['min_free_bytes'])} kept",
        "listeners: " + ", ".join(f"{row['name']} ({row['address']}:{row['port']})" for row in found["listeners"]),
        "associations: " + (", ".join(f"{peer} {n}" for peer, n in found["associations"].items()) or "none"),
        "",
        table(
            ("destination", "state", "next try", "in hand", "channels", "reason"),
            [
                (
                    row["destination"],
                    UP[row["is_up"]],
                    f"in {age(row['wait_s'])}" if row["wait_s"] else "",
                    row["in_hand"],
                    row["channels"],
                    row["reason"],
                )
                for row in found["destinations"]
            ],
        ),
        "",
        table(
            ("queue of", "state", "deliveries", "size", "oldest"),
            [
                (row["destination"] or "-", row["state"], row["count"], size(row["size_bytes"]), row["oldest_at"] or "")
                for row in found["queue"]
            ],
        ),
    ]
    return "\n".join(lines)


UP = {True: "up", False: "down", None: "unused"}

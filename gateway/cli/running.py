"""`gateway run`, `status` and `reload`."""

from __future__ import annotations

import json
import os
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
from gateway.cli.status import require_ours, status_text, why_nothing_answers
from gateway.lifecycle import exit_code, logs, remote
from gateway.model.settings import HTTP, Settings


@click.command(
    epilog="\b\nExamples\n  gateway run\n  gateway run /etc/gateway/rules --log-format json\n  gateway run --workers 4"
)
@rules_argument
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True, help="Least level.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The format of the log.",
)
@click.option(
    "--handlers",
    default=None,
    metavar="MODULE:NAME",
    help="Handlers of your own: a list of (event, handler[, arguments]), or a function that gives one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that share the ports, each a node of the cluster; more than one need `gateway.store.objects`.",
)
def run(rules: Path, log_level: str, log_format: logs.Format, handlers: str | None, workers: int) -> None:
    """Receive, tag and forward by RULES (default: ./rules or $GATEWAY_RULES).

    With --handlers the site's own handler takes its event in place of the gateway's; docs/handlers.md tells how to
    write one.

    With --workers N processes on this machine listen on the same ports under one supervisor, which has the pid file;
    docs/workers.md tells what that changes.

    SIGHUP reloads the rules, SIGTERM ends after what is in flight, a second SIGTERM ends at once.
    The log goes to standard error.
    """
    from gateway.lifecycle.supervisor_link import taken_from

    place = taken_from(os.environ)
    logs.configure(log_level, log_format, worker=place.number if place else 0)
    load = partial(load_rules, rules.absolute())
    if workers > 1 and place is None:
        from gateway.app.workers import supervise

        raise SystemExit(supervise(load, workers))
    from gateway.app import process  # all of the gateway, which `status` and `reload` do without

    raise SystemExit(process.run(load, handlers, place))


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
    """Have the running gateway load its rules again, and report the result.

    It is found by `gateway.http`, else by `gateway.pid_file` of the rules. Exits 1 when the reload was refused: then
    nothing has changed.
    """
    settings = _settings(rules) if not address else None
    place = _place(settings, address)
    if settings is not None and settings.http is not None:
        _status(settings, place)
    try:
        result = remote.reload(place, timeout)
    except remote.NotRunning as error:
        fail(str(error))
    if form == "json":
        click.echo(json.dumps(result, indent=2))
    else:
        for problem in result.get("problems", ()):
            click.echo(problem, err=True)
        click.echo(f"{result['result']}; in force: {result.get('version') or result.get('message')}")
        if remedy := result.get("remedy"):
            click.echo(remedy, err=True)
    if result["result"] != "applied":
        raise SystemExit(exit_code.FAILURE)


@click.command(epilog="\b\nExample\n  gateway status --format json | jq .queue")
@rules_option
@HTTP_OPTION
@FORMAT
def status(rules: Path, address: str, form: str) -> None:
    """Show what the running gateway is doing (needs `gateway.http`)."""
    settings = _settings(rules) if not address else None
    found = _status(settings, _place(settings, address))
    click.echo(json.dumps(found, indent=2) if form == "json" else status_text(found))


def _status(settings: Settings | None, place: remote.RunningGateway) -> dict[str, Any]:
    """The status of the gateway of these rules, or of whatever gateway answers there when `settings` is None."""
    try:
        found = remote.status(place)
    except remote.NotRunning as error:
        fail(f"{error}{why_nothing_answers(settings) if settings is not None and settings.http else ''}")
    if settings is not None:
        require_ours(found, settings)
    return found


def _settings(rules: Path) -> Settings:
    settings, problems = settings_or_problems(rules)
    if settings is None:
        show_problems(problems)
        fail(f"{rules}: the configuration has errors; a running gateway was not asked (--http asks it all the same)")
    return settings


def _place(settings: Settings | None, address: str) -> remote.RunningGateway:
    """The place of the running gateway: as `address` says, else as its rules do."""
    if settings is None:
        return remote.RunningGateway(HTTP(*parsed_address(address, "--http")))
    return remote.RunningGateway(settings.http, settings.pid_file)

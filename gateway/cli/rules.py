"""`gateway validate` and `schema`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.options import FORMAT, fail, load_rules, rules_argument
from gateway.cli.render import count
from gateway.config import Loaded
from gateway.config.reference import reference
from gateway.config.schema import schema as rules_schema
from gateway.config.schema import tests_schema
from gateway.config.settings_reference import settings_reference
from gateway.lifecycle import exit_code
from gateway.lifecycle.conditions import unknown_destination
from gateway.ports.errors import ConfigurationError, GatewayError
from gateway.routing.extensions import load_extensions


def _validate(rules: Path, strict: bool, form: str, handlers: str | None = None) -> None:
    loaded = load_rules(rules)
    for package, kinds in load_extensions().by_package().items():
        click.echo(f"package {package}: {', '.join(kinds)}", err=True)
    if handlers is not None:
        _check_handlers(handlers)
    errors = sum(problem.severity == "error" for problem in loaded.problems)
    warnings = len(loaded.problems) - errors
    if form == "json":
        rows = [{**problem.mark._asdict(), **asdict(problem)} for problem in loaded.problems]
        click.echo(json.dumps([{key: row[key] for key in row if key != "mark"} for row in rows], indent=2))
    else:
        for problem in loaded.problems:
            click.echo(str(problem))
        counts = ", ".join(count(n, noun) for n, noun in ((errors, "error"), (warnings, "warning")) if n)
        click.echo(f"{rules}: {counts or 'no problems'}", err=True)
    _show_waiting(loaded)
    if errors:
        raise SystemExit(exit_code.FAILURE)
    if strict and warnings:
        raise SystemExit(exit_code.WARNINGS)


def _check_handlers(reference: str) -> None:
    """Exit 1 when the site's handlers could not be bound."""
    from gateway.handlers.site_handlers import site_handlers  # with pynetdicom, which nothing else here needs

    try:
        bound = site_handlers(reference)
    except ConfigurationError as error:
        fail(str(error))
    click.echo(f"{reference}: {', '.join(event.name for event, *_ in bound)}", err=True)


def _show_waiting(loaded: Loaded) -> None:
    """Deliveries in the queue, where there is one here, to peers that these rules do not have. On standard error: it is
    no problem of the rules, and changes no exit code."""
    table, settings = loaded.table, loaded.process_settings
    if table is None or settings is None:
        return
    try:
        from gateway.stores.opening import is_there, shown, waiting

        if not is_there(settings):
            return
        found = waiting(settings)
    except (OSError, GatewayError):  # not ours to read, or damaged: `gateway check` says so
        return
    known = {name for name, peer in table.peers.items() if peer.is_destination}
    for name, number in sorted(found.items()):
        if name and name not in known:
            click.echo(f"{shown(settings)}: {unknown_destination(name, number)}", err=True)


STRICT = click.option("--strict", is_flag=True, help="Exit 3 when there are warnings.")


@click.command(epilog="\b\nExamples\n  gateway validate\n  gateway validate /etc/gateway/rules --strict --format json")
@rules_argument
@STRICT
@click.option("--handlers", default=None, metavar="MODULE:NAME", help="Check handlers of your own too, as for `run`.")
@FORMAT
def validate(rules: Path, strict: bool, handlers: str | None, form: str) -> None:
    """Check RULES (default: ./rules or $GATEWAY_RULES) and print every problem with its place.

    Exits 0 without errors, 1 with, 2 on wrong usage, 3 with warnings under --strict.
    """
    _validate(rules, strict, form, handlers)


TESTS = click.option("--tests", is_flag=True, help="The schema of `*.test.yaml` instead of the rules.")
DOCS = click.option("--docs", is_flag=True, help="The reference of the rules, in Markdown.")
METRICS = click.option("--metrics", is_flag=True, help="The reference of the metrics, in Markdown.")
SETTINGS = click.option("--settings", is_flag=True, help="The reference of all sections and settings, in Markdown.")


@click.group(
    invoke_without_command=True,
    epilog="\b\nExamples\n  gateway schema > gateway.schema.json\n  gateway schema --docs > rules.md",
)
@TESTS
@DOCS
@SETTINGS
@METRICS
@click.pass_context
def schema(context: click.Context, tests: bool, docs: bool, settings: bool, metrics: bool) -> None:
    """The JSON Schema of the rules, for editors; or their reference."""
    if context.invoked_subcommand is None:
        _show_schema(tests=tests, docs=docs, settings=settings, metrics=metrics)


@schema.command("show")
@TESTS
@DOCS
@SETTINGS
@METRICS
def schema_show(tests: bool, docs: bool, settings: bool, metrics: bool) -> None:
    """Print the JSON Schema, or the reference."""
    _show_schema(tests=tests, docs=docs, settings=settings, metrics=metrics)


@schema.command("validate")
@rules_argument
@STRICT
@FORMAT
def schema_validate(rules: Path, strict: bool, form: str) -> None:
    """The same as `gateway validate`."""
    _validate(rules, strict, form)


@schema.command("check", epilog="\b\nExample\n  gateway schema check rules/*.yaml")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def schema_check(files: tuple[Path, ...]) -> None:
    """Check each of FILES alone against the JSON Schema, as an editor does: without the other files of the rules, the
    environment and the files that they name. `gateway validate` checks all of it, and more.

    Exits 0 without errors, 1 with.
    """
    from gateway.config.schema_check import check_by_schema

    problems = [problem for file in files for problem in check_by_schema(file)]
    for problem in problems:
        click.echo(str(problem))
    click.echo(f"{count(len(files), 'file')}: {count(len(problems), 'error') if problems else 'no problems'}", err=True)
    if problems:
        raise SystemExit(exit_code.FAILURE)


def _show_schema(*, tests: bool, docs: bool, settings: bool, metrics: bool) -> None:
    if tests + docs + settings + metrics > 1:
        raise click.UsageError("--tests, --docs, --settings and --metrics are different pages; ask for one")
    if metrics:
        from gateway.metrics import reference as metrics_reference

        click.echo(metrics_reference(), nl=False)
        return
    if settings:
        click.echo(settings_reference(), nl=False)
        return
    if tests:
        click.echo(json.dumps(tests_schema(), indent=2, ensure_ascii=False))
        return
    if problems := load_extensions().problems:  # a page without their kinds would pass for the whole
        for problem in problems:
            click.echo(problem.message, err=True)
        fail("the kinds of other packages cannot be described")
    click.echo(reference() if docs else json.dumps(rules_schema(), indent=2, ensure_ascii=False), nl=not docs)

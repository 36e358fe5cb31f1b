"""`gateway test`."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import click

from gateway.cli.options import fail, rules_argument, show_problems
from gateway.common.plain_text import printable
from gateway.lifecycle import exit_code
from gateway.rehearsal import rule_tests
from gateway.rehearsal.rule_tests import report


@click.command(
    epilog="\b\nExamples\n"
    "  gateway test\n"
    "  gateway test /etc/gateway/rules -k research\n"
    "  gateway test rules/30-routes.test.yaml --format junit > report.xml"
)
@rules_argument
@click.option("-k", "keyword", default="", metavar="TEXT", help="Only tests whose file or name holds this text.")
@click.option("--show-values", is_flag=True, help="Show values of objects from files: they may name a patient.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True, help="Output."
)
def test(rules: Path, keyword: str, show_values: bool, form: str) -> None:
    """Run the `*.test.yaml` of RULES (default: ./rules or $GATEWAY_RULES), or one such file with the rules beside it.

    Each object goes the real way, from the association to what every destination would get; nothing is sent or
    stored. Exits 0 when all pass, 1 when one fails or none ran, 2 on wrong usage, 78 when the rules cannot be used.
    """
    try:
        files = asyncio.run(rule_tests.run(rules, os.environ, keyword=keyword))
    except rule_tests.RulesUnusable as error:
        show_problems(error.problems)
        fail(f"{rules}: {error}", exit_code.CONFIGURATION)
    if form == "json":
        click.echo(json.dumps(report.as_json(files, with_values=show_values), indent=2, ensure_ascii=False))
    elif form == "junit":
        click.echo(report.junit(files, with_values=show_values))
    else:
        click.echo("\n".join(map(printable, report.text(files, with_values=show_values))))
    if not files:
        fail(f"{rules}: there is no `*.test.yaml`")
    if not report.summary(files).is_good:
        raise SystemExit(exit_code.FAILURE)

"""`gateway config`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gateway import config
from gateway.cli.options import fail, rules_argument, show_problems
from gateway.config.effective import as_yaml, origins, plain
from gateway.config.schema import SECTIONS
from gateway.lifecycle import exit_code


@click.group("config")
def configuration() -> None:
    """The configuration as it is in force."""


@configuration.command(
    epilog="\b\nExamples\n  gateway config show\n  gateway config show rules/ --section peers --format json"
)
@rules_argument
@click.option("--section", type=click.Choice(SECTIONS), help="This section alone.")
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="Output."
)
def show(rules: Path, section: str | None, form: str) -> None:
    """Print RULES (default: ./rules or $GATEWAY_RULES) with defaults, and where each value comes from.

    Secrets are hidden: what came from ${file:…}, `keys:`, and those of TLS and user identity. Exits 78 with every
    problem when the configuration has errors.
    """
    loaded, tree = config.in_force(rules, os.environ)
    if loaded.table is None:
        show_problems(loaded.problems)
        fail(f"{rules}: the configuration has errors", exit_code.CONFIGURATION)
    if section is not None:
        tree = {section: tree[section]} if section in tree else {}
    if form == "yaml":
        click.echo(as_yaml(tree), nl=False)
        return
    click.echo(json.dumps({"configuration": plain(tree), "origins": dict(origins(tree))}, indent=2, ensure_ascii=False))

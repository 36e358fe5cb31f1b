"""`gateway doctor`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from gateway.cli.options import FORMAT, fail, load_rules, rules_argument
from gateway.cli.render import count
from gateway.common.plain_text import printable
from gateway.config import Loaded
from gateway.doctor.configuration import problem_findings
from gateway.doctor.examine import examine, not_looked_at
from gateway.doctor.finding import DoctorFinding, DoctorResult
from gateway.doctor.site import Machine, Site
from gateway.lifecycle import exit_code, logs
from gateway.lifecycle.loading import Loading, NotLoaded

CODES: dict[DoctorResult, int] = {
    "fine": exit_code.SUCCESS,
    "findings": exit_code.FAILURE,
    "bad_configuration": exit_code.CONFIGURATION,
}


@click.command(epilog="\b\nExamples\n  gateway doctor\n  gateway doctor /etc/gateway/rules --json | jq .findings")
@rules_argument
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of each step.",
)
@FORMAT
@click.option("--json", "is_json", is_flag=True, help="The same as --format json.")
def doctor(rules: Path, timeout: float, form: str, is_json: bool) -> None:
    """Check what RULES (default: ./rules or $GATEWAY_RULES) name: peers, ports, disks, rights, clock, certificates.

    Says what is wrong, where, and what to do. Changes nothing, and may be run beside a running gateway: each peer with
    an address gets one association and a C-ECHO, each source of queries and retrieves the contexts that they will
    propose. Exits 0 when all is fine, 1 with findings, 78 when the rules have errors; what they name is checked then
    as far as `gateway:` is right.
    """
    with logs.warnings_to_stderr(logging.CRITICAL):
        findings, result = _examined(rules, timeout)
    if is_json or form == "json":
        click.echo(json.dumps(_as_json(rules, findings, result), indent=2))
    else:
        click.echo(_as_text(findings))
        click.echo(f"{rules}: {_summary(findings)}", err=True)
    raise SystemExit(CODES[result])


def _examined(rules: Path, timeout: float) -> tuple[list[DoctorFinding], DoctorResult]:
    """Exits 78 when the rules cannot be read in time."""
    try:
        loaded = asyncio.run(_loaded(rules))
    except NotLoaded as error:
        fail(str(error), exit_code.CONFIGURATION)
    settings = loaded.settings or loaded.process_settings
    if settings is None:
        unseen = not_looked_at(rules, "ports, spool, database, peers and folders")
        return [*problem_findings(loaded.problems, rules), unseen], "bad_configuration"
    site = Site(rules, loaded, settings, Machine(environ=os.environ), timeout)
    findings = asyncio.run(examine(site))
    if loaded.table is None:
        return findings, "bad_configuration"
    return findings, "fine" if all(finding.severity == "note" for finding in findings) else "findings"


async def _loaded(rules: Path) -> Loaded:
    """Load the rules as a running gateway reads them: a file on a dead mount is given up."""
    return await Loading(partial(load_rules, rules)).load(asyncio.Event())


def _as_text(findings: Sequence[DoctorFinding]) -> str:
    """The findings as text, problems last: they stand above the prompt."""
    order = {"note": 0, "warning": 1, "error": 2}
    lines: list[str] = []
    for finding in sorted(findings, key=lambda finding: order[finding.severity]):
        if finding.severity == "note":
            lines.append(printable(f"fine: {finding.area} {finding.subject}: {finding.what}"))
            continue
        lines.append(printable(str(finding)))
        lines.append(printable(f"    → {finding.remedy}"))
    return "\n".join(lines)


def _summary(findings: Sequence[DoctorFinding]) -> str:
    severities = [finding.severity for finding in findings]
    wrong = [(severities.count("error"), "error"), (severities.count("warning"), "warning")]
    shown = ", ".join(count(number, noun) for number, noun in wrong if number)
    return shown or "all is fine"


def _as_json(rules: Path, findings: Sequence[DoctorFinding], result: DoctorResult) -> dict[str, object]:
    """The findings as `docs/doctor.md` describes them."""
    severities = [finding.severity for finding in findings]
    return {
        "result": result,
        "rules": str(rules),
        "errors": severities.count("error"),
        "warnings": severities.count("warning"),
        "findings": [finding.as_json() for finding in findings],
    }

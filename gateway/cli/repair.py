"""`gateway check` and `gateway rebuild`: looking after spool and database."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.cli.access import require_places
from gateway.cli.options import FORMAT, fail, process_settings, rules_argument
from gateway.cli.render import count
from gateway.dataset.identity import identify
from gateway.lifecycle import exit_code, logs
from gateway.ports.errors import ConfigurationError, GatewayError, Temporary
from gateway.repair import check as checking
from gateway.repair import rebuild as rebuilding
from gateway.repair.cluster_check import check_cluster
from gateway.repair.rebuild import Rebuilt
from gateway.repair.report import RepairFinding, RepairReport

UIDS_SHOWN = 20


@click.command(epilog="\b\nExamples\n  gateway check\n  gateway check /etc/gateway/rules --format json")
@rules_argument
@click.option(
    "--digests", "has_digests", is_flag=True, help="Of a cluster: read each payload. Those of a spool are always read."
)
@FORMAT
def check(rules: Path, has_digests: bool, form: str) -> None:
    """Read the whole spool and the database of RULES, and report the damage. Writes to neither.

    Works beside a running gateway and on a stopped one. Every header, checksum and digest is read, each payload that is
    named, the database's pages and tables, and what was set aside. Exits 1 when there are problems.

    Of a cluster the database and the object store are read, beside its nodes: each payload that is named is looked for,
    and read with --digests; objects that nothing leads to, and tables of the journal that are left, are listed. Exits
    75 when one of both cannot be read now.
    """
    settings = process_settings(rules)
    try:
        with logs.warnings_to_stderr():
            if settings.objects is None:
                require_places(settings, is_read_only=True)
                report = checking.check(settings)
            else:
                report = check_cluster(settings, has_digests=has_digests)
    except ConfigurationError as error:
        fail(str(error), exit_code.CONFIGURATION)
    except Temporary as error:
        fail(str(error), exit_code.UNAVAILABLE)
    except GatewayError as error:
        fail(str(error))
    if form == "json":
        click.echo(json.dumps(_report_json(report), indent=2))
    else:
        click.echo(_report_text(report))
    if report.errors:
        raise SystemExit(exit_code.FAILURE)


@click.command(epilog="\b\nExamples\n  gateway rebuild\n  gateway rebuild /etc/gateway/rules --hold")
@rules_argument
@click.option("--hold", is_flag=True, help="Hold what the old database does not know, instead of delivering it.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Another old database to take from, such as one that a former rebuild kept.",
)
@click.option(
    "--all-lost",
    is_flag=True,
    help="Go on though not one payload that the old database names is there. They are lost then.",
)
@FORMAT
def rebuild(rules: Path, hold: bool, source: Path | None, all_lost: bool, form: str) -> None:
    """Make the database of RULES anew from the spool, and from what can still be read of the old database.

    The gateway must be stopped. The old database is kept under another name. The spool says what each object owed when
    it was accepted. Only the old database says which deliveries were made, held, released, sent elsewhere or discarded
    since; where it cannot be read, an object is owed again, and is delivered again unless --hold is given.
    """
    settings = process_settings(rules)
    require_places(settings, is_read_only=False)
    try:
        with logs.warnings_to_stderr():
            rebuilt = rebuilding.rebuild(settings, identify=identify, is_held=hold, source=source, is_all_lost=all_lost)
    except ConfigurationError as error:
        fail(str(error), exit_code.CONFIGURATION)
    except (GatewayError, OSError) as error:
        fail(f"{error}; the old database is as it was")
    click.echo(json.dumps(_rebuilt_json(rebuilt), indent=2) if form == "json" else _rebuilt_text(rebuilt, is_held=hold))
    if rebuilt.lost or rebuilt.missing:
        raise SystemExit(exit_code.FAILURE)


# --- text and JSON --------------------------------------------------------------------------------------------------


def _report_json(report: RepairReport) -> dict[str, Any]:
    return {
        "is_running": report.is_running,
        "segments": report.segments,
        "large_files": report.large_files,
        "records": report.records,
        "instances": report.instances,
        "counts": report.counts,
        "not_checked": report.left_out,
        "problems": [dataclasses.asdict(each) for each in report.errors],
        "notes": [dataclasses.asdict(each) for each in report.findings if each.severity == "note"],
    }


def _report_text(report: RepairReport) -> str:
    lines = [line for each in report.findings for line in _finding_lines(each)]
    lines += _cluster_lines(report) if report.counts else [_spool_line(report)]
    lines.append(count(len(report.errors), "problem") if report.errors else "no problems")
    return "\n".join(lines)


def _spool_line(report: RepairReport) -> str:
    state = "a gateway is using them" if report.is_running else "no gateway is using them"
    return (
        f"{count(report.segments, 'segment')}, {count(report.large_files, 'large file')}, "
        f"{count(report.records, 'record')}, {count(report.instances, 'instance')} in the database; {state}"
    )


def _cluster_lines(report: RepairReport) -> list[str]:
    """The counts, and the parts that were left out."""
    return [
        *(f"{what}: {number}" for what, number in report.counts.items()),
        "nodes are running" if report.is_running else "no node is running",
        *(f"not checked: {each}" for each in report.left_out),
    ]


def _finding_lines(found: RepairFinding) -> list[str]:
    place = found.file if found.start_bytes is None else f"{found.file} bytes {found.start_bytes} to {found.end_bytes}"
    lines = [f"{found.severity}: {found.code}: {place}: {found.what}"]
    if found.lost:
        more = f" and {len(found.lost) - UIDS_SHOWN} more" if len(found.lost) > UIDS_SHOWN else ""
        owed = f", {count(found.owed, 'delivery')} owed" if found.owed else ""
        lines.append(f"  lost: {count(len(found.lost), 'object')}{owed}: {', '.join(found.lost[:UIDS_SHOWN])}{more}")
    if found.severity == "error":
        lines.append(f"  to do: {found.remedy}")
    return lines


def _rebuilt_json(rebuilt: Rebuilt) -> dict[str, Any]:
    replayed, salvaged = rebuilt.replayed, rebuilt.salvaged
    return {
        "database": rebuilt.database,
        "old_database": rebuilt.old_database,
        "is_old_database_whole": salvaged.is_complete,
        "taken_from_old_database": salvaged.rows,
        "left_out_of_old_database": salvaged.left_out,
        "objects_owed_again": rebuilt.owed_again,
        "deliveries_held_in_doubt": rebuilt.in_doubt,
        "deliveries_held_before": rebuilt.held_before,
        "objects_settled_before": rebuilt.settled_before,
        "objects_refused_before": replayed.refused,
        "held_without_note": replayed.held,
        "lost": list(rebuilt.lost),
        "gone": replayed.gone,
        "missing_files": list(rebuilt.missing),
        "damaged": [dataclasses.asdict(each) for each in replayed.damages],
        "set_aside": [*replayed.kept_as, *replayed.unidentified],
        "deliveries": rebuilt.deliveries,
    }


def _rebuilt_text(rebuilt: Rebuilt, *, is_held: bool) -> str:
    lines = [
        *_database_lines(rebuilt),
        *_delivery_lines(rebuilt, is_held=is_held),
        *(f"held, since its redo record is damaged: {uid}" for uid in rebuilt.replayed.held),
        *_what_to_do_with_held(rebuilt),
        *_loss_lines(rebuilt),
    ]
    return "\n".join(lines)


def _database_lines(rebuilt: Rebuilt) -> Iterator[str]:
    """The new database, the old one, and the rows that were taken from it."""
    salvaged = rebuilt.salvaged
    owes = ", ".join(f"{number} {state}" for state, number in sorted(rebuilt.deliveries.items())) or "none"
    yield f"{rebuilt.database}: made anew; deliveries: {owes}"
    old = rebuilt.old_database
    yield f"the old database is kept as {old}" if old else "there was no old database"
    if taken := ", ".join(f"{number} {table}" for table, number in salvaged.rows.items() if number):
        yield f"taken from {'the whole' if salvaged.is_complete else 'the damaged'} old database: {taken} rows"
    if salvaged.left_out:
        out = ", ".join(f"{number} {table}" for table, number in salvaged.left_out.items())
        yield f"left out of it, since they contradict the spool or have lost what they belong to: {out} rows"


def _delivery_lines(rebuilt: Rebuilt, *, is_held: bool) -> Iterator[str]:
    """The objects and deliveries that are owed again, held, or owed no more."""
    replayed = rebuilt.replayed
    if rebuilt.owed_again:
        yield _what_is_not_known(rebuilt.owed_again, is_held=is_held)
    if rebuilt.in_doubt:
        yield (
            f"held: {count(rebuilt.in_doubt, 'delivery')} of which the damaged old database does not know, though it "
            "knows their objects: somebody discarded them, or their rows are lost"
        )
    if rebuilt.held_before:
        yield f"held or dead as before, by a damaged page: {count(rebuilt.held_before, 'delivery')}"
    if rebuilt.settled_before:
        objects = count(rebuilt.settled_before, "object")
        yield f"{objects} had been settled and forgotten before, or were lost before: not owed again"
    if replayed.refused:
        yield f"{count(replayed.refused, 'object')} had been refused, and their senders told so: not owed"
    if replayed.gone:
        yield (
            f"{count(len(replayed.gone), 'object')} of which notes speak have no file any more: they were delivered "
            "and deleted before, or are lost; --format json lists them"
        )


def _loss_lines(rebuilt: Rebuilt) -> Iterator[str]:
    """The objects, files and parts of files that are lost, missing, damaged or set aside."""
    replayed = rebuilt.replayed
    yield from (f"lost: {uid}" for uid in rebuilt.lost)
    if rebuilt.lost:
        yield (
            "what is lost becomes dead letters where the new database names it: have the senders send it again, then "
            "discard those; until then each rebuild names it"
        )
    yield from (f"missing: {name}" for name in rebuilt.missing)
    for damage in replayed.damages:
        yield f"damaged: {damage.name} bytes {damage.start_bytes} to {damage.end_bytes}: {damage.what}"
    yield from (f"set aside: {name}" for name in (*replayed.kept_as, *replayed.unidentified))


def _what_is_not_known(objects: int, *, is_held: bool) -> str:
    what = (
        "held: release them with `gateway queue release`, or discard them"
        if is_held
        else "owed again. What was already delivered is delivered once more; what an operator had held, sent elsewhere "
        "or discarded goes where its rule first said"
    )
    return f"of {count(objects, 'object')} the spool alone speaks, no database: they are {what}"


def _what_to_do_with_held(rebuilt: Rebuilt) -> list[str]:
    """The next commands, when something is held."""
    if not (held := rebuilt.deliveries.get("held", 0)):
        return []
    return [
        f"{count(held, 'delivery')} held: nothing sends them by itself. Look with `gateway queue list --state held`, "
        "and send with `gateway queue release --destination PEER` or `gateway queue release ID`; those that have no "
        "destination need `--to PEER`"
    ]

"""`gateway validate`, `schema` and `explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from pydicom.datadict import keyword_for_tag

from gateway import config, explaining
from gateway.cli.options import FORMAT, fail, load_rules, rules_argument, rules_option, usable_table
from gateway.cli.render import count
from gateway.life import exit_code
from gateway.model import AssociationFacts, AttributePath
from gateway.ports import Alteration, Edit, GatewayError
from gateway.routing.explain import Explanation, Reason, Verdict


def _validate(rules: Path, strict: bool, form: str) -> None:
    loaded = load_rules(rules)
    errors = sum(problem.severity == "error" for problem in loaded.problems)
    warnings = len(loaded.problems) - errors
    if form == "json":
        rows = [{**asdict(problem.mark), **asdict(problem)} for problem in loaded.problems]
        click.echo(json.dumps([{key: row[key] for key in row if key != "mark"} for row in rows], indent=2))
    else:
        for problem in loaded.problems:
            click.echo(str(problem))
        counts = ", ".join(count(n, noun) for n, noun in ((errors, "error"), (warnings, "warning")) if n)
        click.echo(f"{rules}: {counts or 'no problems'}", err=True)
    if errors:
        raise SystemExit(exit_code.FAILURE)
    if strict and warnings:
        raise SystemExit(exit_code.WARNINGS)


STRICT = click.option("--strict", is_flag=True, help="Exit 3 when there are warnings.")


@click.command(epilog="\b\nExamples\n  gateway validate\n  gateway validate /etc/gateway/rules --strict --format json")
@rules_argument
@STRICT
@FORMAT
def validate(rules: Path, strict: bool, form: str) -> None:
    """Check RULES (default: ./rules or $GATEWAY_RULES) and print every problem with its place.

    Exits 0 without errors, 1 with, 2 on wrong usage, 3 with warnings under --strict.
    """
    _validate(rules, strict, form)


@click.group(invoke_without_command=True, epilog="\b\nExample\n  gateway schema > gateway.schema.json")
@click.pass_context
def schema(context: click.Context) -> None:
    """The JSON Schema of the rules, for editors."""
    if context.invoked_subcommand is None:
        _show_schema()


@schema.command("show")
def schema_show() -> None:
    """Print the JSON Schema."""
    _show_schema()


@schema.command("validate")
@rules_argument
@STRICT
@FORMAT
def schema_validate(rules: Path, strict: bool, form: str) -> None:
    """The same as `gateway validate`."""
    _validate(rules, strict, form)


def _show_schema() -> None:
    click.echo(json.dumps(config.schema(), indent=2, ensure_ascii=False))


@click.command(
    epilog="\b\nExamples\n"
    "  gateway explain image.dcm --calling-ae CT1\n"
    "  gateway explain *.dcm --calling-ae CT1 --host 10.1.0.7 --show-values"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@rules_option
@click.option("--calling-ae", required=True, metavar="TITLE", help="AE title of the sender.")
@click.option("--called-ae", default="", metavar="TITLE", help="AE title it calls  [default: the gateway's].")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address it calls from.")
@click.option("--show-values", is_flag=True, help="Show the values that were compared: they may name a patient.")
@FORMAT
def explain(
    files: tuple[Path, ...], rules: Path, calling_ae: str, called_ae: str, host: str, show_values: bool, form: str
) -> None:
    """Show what would happen to objects, and why: which rules match, the edits, the destinations. Sends nothing."""
    table = usable_table(rules)
    facts = AssociationFacts(calling_ae, called_ae or table.settings.ae_title, host)
    answers = []
    for path in files:
        try:
            answer = explaining.explain(table, path, facts, with_values=show_values)
        except (GatewayError, OSError) as error:
            fail(f"{path}: {str(error).removeprefix(f'{path} ')}")
        answers.append(_as_json(answer, show_values))
        if form == "text":
            click.echo(explanation_text(answer, with_values=show_values))
    if form == "json":
        click.echo(json.dumps(answers, indent=2))


def explanation_text(answer: explaining.Answer, *, with_values: bool = False) -> str:
    """Everything about one object, for people."""
    lines = [f"{answer.name}: {answer.sop_class} in {answer.transfer_syntax}", f"  {answer.admission}"]
    if answer.explanation is not None:
        found = answer.explanation
        for title, verdicts in (("coercion", found.coercions), ("route", found.rules)):
            for verdict in verdicts:
                lines += _verdict_lines(title, verdict, with_values=with_values)
        lines.append(f"  => {outcome_text(found)}")
        lines += [f"     {line}" for line in answer.contexts]
    return "\n".join(lines)


def outcome_text(found: Explanation) -> str:
    """Where it goes."""
    if found.is_unmatched:
        return f"no route wants it: {UNMATCHED[found.unmatched]}"
    return "to " + ", ".join(f"{route.destination} ({route.rule})" for route in found.routes)


UNMATCHED = {
    "hold": "held in the queue until an operator releases it",
    "reject": "refused with status 0x0124",
    "discard": "accepted with 0x0000 and thrown away",
}


def _verdict_lines(title: str, verdict: Verdict, *, with_values: bool) -> Iterator[str]:
    mark = f" [{verdict.mark.file}:{verdict.mark.line}]" if verdict.mark else ""
    word = "applies" if verdict.is_applied else "not reached" if not verdict.is_reached else "does not apply"
    yield f"  {title} {verdict.name!r}{mark}: {word}"
    if verdict.is_reached:
        yield from (f"      {reason_text(reason, with_values=with_values)}" for reason in verdict.reason.deciding())
    yield from (f"      edit {edit_text(edit, with_values=with_values)}" for edit in verdict.edits)


def reason_text(reason: Reason, *, with_values: bool) -> str:
    """One predicate's verdict."""
    place = ".".join(str(step) for step in reason.path)
    text = f"{place}: {'holds' if reason.holds else 'does not hold'}"
    if with_values and reason.values is not None:
        shown = (
            f"{name_of(path)} = {_value(value)}" for path, value in zip(reason.attributes, reason.values, strict=True)
        )
        text += "".join(f"; {one}" for one in shown)
    return text


def edit_text(edit: Alteration, *, with_values: bool) -> str:
    """One change."""
    if not isinstance(edit, Edit):
        return f"rewrite by {type(edit).__name__}"
    if edit.value is None:
        return f"remove {name_of(edit.path)}"
    return f"set {name_of(edit.path)}" + (f" = {_value(edit.value)}" if with_values else "")


def name_of(path: AttributePath) -> str:
    """As it was written, else the keyword or tag."""
    return path.text or keyword_for_tag(path.tag) or f"({path.tag >> 16:04X},{path.tag & 0xFFFF:04X})"


def _value(value: Sequence[str] | None) -> str:
    return "absent" if value is None else repr("\\".join(value))


def _as_json(answer: explaining.Answer, show_values: bool) -> dict[str, Any]:
    found = answer.explanation
    described: dict[str, Any] = {
        "file": answer.name,
        "sop_class": answer.sop_class,
        "transfer_syntax": answer.transfer_syntax,
        "admission": answer.admission,
        "is_admitted": found is not None,
        "contexts": list(answer.contexts),
    }
    if found is None:
        return described
    return described | {
        "coercions": [_verdict_json(verdict, show_values) for verdict in found.coercions],
        "routes": [_verdict_json(verdict, show_values) for verdict in found.rules],
        "is_unmatched": found.is_unmatched,
        "unmatched": found.unmatched,
        "deliveries": [{"destination": route.destination, "rule": route.rule} for route in found.routes],
    }


def _verdict_json(verdict: Verdict, show_values: bool) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "place": f"{verdict.mark.file}:{verdict.mark.line}:{verdict.mark.column}" if verdict.mark else None,
        "is_applied": verdict.is_applied,
        "is_reached": verdict.is_reached,
        "reasons": [reason_text(reason, with_values=show_values) for reason in verdict.reason.deciding()],
        "edits": [edit_text(edit, with_values=show_values) for edit in verdict.edits],
        "to": list(verdict.to),
    }

"""`gateway queue correct`: a delivery goes on with edits of an operator, after its changes were shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.access import require_places
from gateway.cli.options import fail, rules_option, show_problems, usable_table
from gateway.cli.queue import DRY_RUN, EVEN_IF_DOUBTFUL, WHY, opened
from gateway.cli.queue_verbs import done, operator_name
from gateway.cli.render import count
from gateway.common.plain_text import printable
from gateway.config.edits_file import read_edits
from gateway.operations import correction
from gateway.operations.correction import MOST_CORRECTED, RehearsedCorrection
from gateway.operations.queue_administration import Operator, missing
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError
from gateway.rehearsal.explain.as_text import difference_text
from gateway.rehearsal.stage import staged
from gateway.routing.table import RoutingTable
from gateway.stores.payloads import opened_payloads


def _settings(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """KEYWORD=VALUE, each once."""
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise click.BadParameter(f"{text!r} is not KEYWORD=VALUE")
        if name.strip() in found:
            raise click.BadParameter(f"{name.strip()} is set twice")
        found[name.strip()] = value
    return found


@click.command(
    epilog="\b\nExamples\n"
    "  gateway queue correct 17 --set PatientID=4711 --show-values\n"
    "  gateway queue correct 17 18 --actions edits.yaml --why 'wrong patient chosen at CT1' --dry-run"
)
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
@click.option("--set", "values", multiple=True, callback=_settings, metavar="KEYWORD=VALUE", help="As `set` in a rule.")
@click.option(
    "--actions", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A YAML list as under `then:`."
)
@EVEN_IF_DOUBTFUL
@click.option("--show-values", is_flag=True, help="Show values of the objects: they may name a patient.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@rules_option
@DRY_RUN
@WHY
def correct(
    ids: tuple[int, ...],
    values: dict[str, str],
    actions: Path | None,
    even_if_doubtful: bool,
    show_values: bool,
    yes: bool,
    rules: Path,
    is_dry_run: bool,
    why: str,
) -> None:
    """Correct held or dead deliveries and send them: shows what changes, and asks first.

    The edits come before the actions of the rule. The stored object stays as it arrived. Does nothing to any of them
    when the edits cannot be made on one.
    """
    if len(set(ids)) > MOST_CORRECTED:
        raise click.UsageError(f"at most {MOST_CORRECTED} deliveries at a time")
    table = usable_table(rules)
    edits_json = _edits(values, actions, table)
    require_places(table.settings, is_read_only=True)
    with opened(rules, is_read_only=is_dry_run) as access:
        for sentence in done(missing(access, DeliveryFilter(ids=ids))):
            fail(sentence)
        rehearsed = done(_rehearsed(access, table, ids, edits_json, even_if_doubtful=even_if_doubtful))
        _show(rehearsed, with_values=show_values)
        if any(each.refusal for each in rehearsed):
            fail("nothing was done")
        number = count(len(rehearsed), "delivery")
        if is_dry_run:
            click.echo(f"{number} would be corrected and sent; nothing was done")
            return
        if not yes:
            click.confirm(f"correct and send {number}?", abort=True)
        by = Operator(operator_name(), why)
        sent = done(correction.correct(access, rehearsed, by, datetime.now(UTC), even_if_doubtful=even_if_doubtful))
    click.echo(f"{count(len(sent), 'delivery')} corrected and sent")
    if stayed := sorted({*ids} - {*sent}):
        fail(f"changed meanwhile, and stayed: {', '.join(map(str, stayed))}; see `gateway queue list`")


def _edits(values: dict[str, str], actions: Path | None, table: RoutingTable) -> str:
    """The edits as deliveries keep them. Exits 1 with what is wrong with them."""
    if bool(values) == (actions is not None):
        raise click.UsageError("say what to correct: by --set, or by --actions")
    config: object = [{"set": values}]
    if actions is not None:
        try:
            config, problems = read_edits(actions, os.environ)
        except OSError as error:
            fail(f"{actions}: {error.strerror or error}")
        if problems:
            show_problems(problems)
            fail(f"{actions}: nothing was done")
    try:
        return correction.edits_of(config, table.resources)
    except ConfigurationError as error:
        fail(f"{actions or '--set'}: {error}")


async def _rehearsed(
    access: StoreOnFile, table: RoutingTable, ids: tuple[int, ...], edits_json: str, *, even_if_doubtful: bool
) -> list[RehearsedCorrection]:
    found = await correction.deliveries_to_correct(access, ids)
    async with staged(table) as stage:
        with opened_payloads(table.settings, access.store) as open_payload:
            return [
                await correction.rehearse(
                    each,
                    edits_json,
                    open_payload,
                    table.resources,
                    stage.converter,
                    even_if_doubtful=even_if_doubtful,
                )
                for each in found
            ]


def _show(rehearsed: Sequence[RehearsedCorrection], *, with_values: bool) -> None:
    for each in rehearsed:
        name = f"delivery {each.delivery.delivery_id}"
        if each.refusal:
            shown = each.refusal if with_values else each.refusal_for_log
            why = shown or "the edits cannot be made on its object; --show-values says why"
            click.echo(f"gateway: {name}: {printable(why)}", err=True)
            continue
        click.echo(f"{name} to {each.delivery.destination}")
        for change in each.changes:
            click.echo(f"  {printable(difference_text(change, with_values=with_values))}")

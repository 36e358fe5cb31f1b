"""`gateway trace`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gateway.cli.access import require_store
from gateway.cli.keys import identifier_of
from gateway.cli.options import FORMAT, fail, rules_option, usable_table
from gateway.cli.queue import SHOW_VALUES, opened
from gateway.cli.queue_list import as_columns
from gateway.cli.queue_verbs import done
from gateway.cli.render import count, table
from gateway.common.plain_text import UID
from gateway.model.query import Attributes
from gateway.operations.tracing import Trace, trace
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import GatewayError
from gateway.query.attributes import SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.routing.table import RoutingTable

STUDY_COLUMNS = (
    *("study_instance_uid", "destination", "received", "delivered", "expected", "pending", "held", "dead"),
    *("forgotten", "size_bytes", "first_received_at", "last_received_at", "most_attempts"),
)
SENDER_COLUMNS = (
    *("study_instance_uid", "calling_ae_title", "received", "size_bytes", "first_received_at", "last_received_at"),
)
DELIVERY_COLUMNS = (
    *("id", "sop_instance_uid", "calling_ae_title", "created_at", "destination", "rule", "rule_place"),
    *("actions", "state", "delivered_at", "reason"),
)
ATTEMPT_HEADS = ("delivery", "attempt", "started", "seconds", "left it", "status", "reason")


@click.command(
    "trace",
    epilog="\b\nExamples\n"
    "  gateway trace StudyInstanceUID=1.2.3\n"
    "  gateway trace SOPInstanceUID=1.2.3.4 --format json\n"
    "  gateway trace AccessionNumber=A-17 --deliveries",
)
@click.argument("keys", nargs=-1, required=True, metavar="KEY=VALUE...")
@rules_option
@click.option("--deliveries", is_flag=True, help="Each delivery with its attempts, too; as for SOPInstanceUID.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many deliveries.")
@SHOW_VALUES
@FORMAT
def trace_(keys: tuple[str, ...], rules: Path, deliveries: bool, limit: int, show_values: bool, form: str) -> None:
    """Tell where something is: what came and when, by which rules it goes where, every delivery with its attempts.

    KEY is StudyInstanceUID, SOPInstanceUID, or what `gateway find local` takes, which the local index knows alone. Each
    delivery is known for `spool.retention`, the numbers of a study for `spool.keep_trace` after that. Exits 1 when
    nothing is known.
    """
    named, _ = identifier_of(keys)
    for word in keys:
        if not word.partition("=")[2].strip():
            raise click.BadParameter(f"{word} has no value: KEY=VALUE", param_hint="KEY")
    usable = usable_table(rules)
    wanted = _wanted(named, usable)
    with opened(rules, is_read_only=True) as access:
        places = {route.name: f"{route.mark.file}:{route.mark.line}" for route in usable.routes if route.mark}
        found = done(trace(access, wanted, limit, places=places, with_values=show_values))
    if not found.studies and not found.senders:
        fail("nothing is known of it: it never came, or so long ago that it is forgotten")
    if form == "json":
        click.echo(json.dumps(asdict(found), indent=2))
        return
    for rows, columns in ((found.senders, SENDER_COLUMNS), (found.studies, STUDY_COLUMNS)):
        if rows:
            click.echo(as_columns(rows, columns))
    if deliveries or SOP_INSTANCE_UID in named:
        _show_deliveries(found, limit)


def _show_deliveries(found: Trace, limit: int) -> None:
    click.echo("\n" + as_columns(found.deliveries, DELIVERY_COLUMNS))
    tries = [(row["id"], *each.values()) for row in found.deliveries for each in row["attempts"]]
    if tries:
        cells = [tuple("" if value is None else value for value in row) for row in tries]
        click.echo("\n" + table(ATTEMPT_HEADS, cells))
    if sum(row["expected"] - row["forgotten"] for row in found.studies) > len(found.deliveries):
        click.echo(f"the first {count(limit, 'delivery')}; see --limit", err=True)


def _wanted(named: Mapping[int, Any], usable: RoutingTable) -> Sequence[DeliveryFilter]:
    """The deliveries that the keys name."""
    if named.keys() <= {STUDY_INSTANCE_UID, SOP_INSTANCE_UID}:
        for uid in (each for values in named.values() for each in values):
            if not UID.fullmatch(uid):
                raise click.BadParameter(f"{uid!r} is no UID", param_hint="KEY")
        objects, studies = named.get(SOP_INSTANCE_UID, ("",)), named.get(STUDY_INSTANCE_UID, ("",))
        return [DeliveryFilter(sop_instance_uid=one, study_instance_uid=study) for one in objects for study in studies]
    if SOP_INSTANCE_UID in named:
        raise click.UsageError("SOPInstanceUID says it all: leave the other keys out")
    if not usable.indexed:
        raise click.UsageError(
            "only StudyInstanceUID and SOPInstanceUID are known without the local index (`query_retrieve`)"
        )
    require_store(usable.settings, is_read_only=True)
    found = _studies_of_the_index({STUDY_INSTANCE_UID: (), **named}, usable)
    return [DeliveryFilter(study_instance_uid=uid) for uid in found]


def _studies_of_the_index(keys: Mapping[int, Any], usable: RoutingTable) -> Sequence[str]:
    from gateway.scu.find import FindPlaces, FindRequest, FindUser  # takes a moment, and most need it not

    user = FindUser(FindPlaces(usable.settings.ae_title, (), usable.settings), FindRequest(keys))

    async def all_answers() -> list[Attributes]:
        async with aclosing(user.answers()) as answers:
            return [answer async for answer in answers]

    try:
        answers = asyncio.run(all_answers())
    except (GatewayError, ValueError) as error:
        fail(str(error))
    for failure in user.failures:
        fail(failure.reason)
    return [*dict.fromkeys(str(uid) for answer in answers for uid in answer.get(STUDY_INSTANCE_UID, ()))]

"""`gateway collection`: studies and series as wholes, for operators."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import FORMAT, Duration, load_rules, rules_option
from gateway.cli.queue import DRY_RUN, WHY, opened
from gateway.cli.queue_filters import given
from gateway.cli.queue_verbs import done, operator_name
from gateway.cli.render import age, count, local_time, table
from gateway.common.plain_text import UID
from gateway.common.setting_faults import names_nothing
from gateway.model.collection import CollectionState
from gateway.operations import collection_administration
from gateway.operations.collection_administration import MOST_EXTENDED, CollectionChange
from gateway.operations.queue_administration import Operator
from gateway.ports.collections import CollectionFilter
from gateway.ports.store_access import StoreAccess

HEADS = (
    *("id", "name", "level", "study", "generation", "state", "instances"),
    *("last arrival", "deadline", "result", "flags", "expected", "missing", "why"),
)
STATES = [state.value for state in CollectionState if state is not CollectionState.UNREADABLE]
TIMES = ("last_arrival_at", "opened_at", "at_most_at", "completed_at", "queried_at", "queried_again_at")


@click.group(
    epilog="\b\nExamples\n"
    "  gateway collection list --state open\n"
    "  gateway collection complete 17 --why 'the device is off'\n"
    "  gateway collection extend 17 --by 30min\n"
    "  gateway collection discard 17 --dry-run",
)
def collection() -> None:
    """See, end and discard studies and series that are collected; safe while the gateway runs."""


def _uid(context: click.Context, option: click.Parameter, value: str | None) -> str:
    uid = given(context, option, value)
    if uid and not UID.fullmatch(uid):
        raise click.BadParameter(f"{uid!r} is no UID")
    return uid


@collection.command("list")
@click.option("--name", metavar="NAME", callback=given, help="Only of this definition of the rules.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--study", metavar="UID", callback=_uid, help="Only of this study.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@rules_option
@FORMAT
def list_(name: str, state: str | None, study: str, limit: int, rules: Path, form: str) -> None:
    """List collections, the last arrival first. How many there are stands on standard error.

    Closed ones, whose time for late objects is over, are listed with --state closed alone.
    """
    which = CollectionFilter(name=name, state=CollectionState(state) if state else None, study_instance_uid=study)
    with opened(rules, is_read_only=True) as access:
        _require_known(name, access, rules)
        found = done(collection_administration.list_collections(access, which, limit))
    if form == "json":
        click.echo(json.dumps(found.described, indent=2))
    elif found.described:
        click.echo(table(HEADS, [_row(each) for each in found.described]))
    shown, total = len(found.described), count(found.total, "collection")
    left_out = f"the last {shown} of {total}; {found.total - shown} left out, see --limit"
    click.echo(left_out if shown < found.total else total, err=True)
    for each in found.described:
        if each["unreadable"]:
            what = f"collection {each['id']} was written by another version, which is to decide it"
            click.echo(f"{what}: {each['unreadable']}", err=True)


@collection.command()
@click.argument("collection_id", metavar="ID", type=int)
@rules_option
@FORMAT
def show(collection_id: int, rules: Path, form: str) -> None:
    """Show one collection: its times, its numbers, how many deliveries wait for it."""
    with opened(rules, is_read_only=True) as access:
        found = done(collection_administration.show_collection(access, collection_id))
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    shown = {**found, "deadline_at": _deadline(found), "flags": " ".join(found["flags"])}
    if "missing_uids" in found:
        shown["missing_uids"] = " ".join(found["missing_uids"])
    del shown["deadline_in_s"]
    if not found["unreadable"]:
        del shown["unreadable"]
    shown |= {name: local_time(found[name]) for name in TIMES if found.get(name) is not None}
    rows = [(name, "" if value is None else value) for name, value in shown.items()]
    click.echo(table(("", ""), rows).lstrip("\n"))


@collection.command()
@click.argument("collection_id", metavar="ID", type=int)
@rules_option
@DRY_RUN
@WHY
def complete(collection_id: int, rules: Path, is_dry_run: bool, why: str) -> None:
    """End an open collection now, as `forced`: what waits for it is sent, whether it is whole or not.

    The running gateway sends it within a second; without one, the next that starts does. What comes later is late.
    """
    with opened(rules, is_read_only=is_dry_run) as access:
        by = Operator(operator_name(), why)
        work = collection_administration.complete_collection(
            access, collection_id, by, datetime.now(UTC), is_dry_run=is_dry_run
        )
        _say(done(work), "ends now, as forced", "would end now, as forced", is_dry_run=is_dry_run)


@collection.command()
@click.argument("collection_id", metavar="ID", type=int)
@click.option("--by", "longer_s", type=Duration(), required=True, metavar="DURATION", help="So much later: 30min.")
@rules_option
@DRY_RUN
@WHY
def extend(collection_id: int, longer_s: float, rules: Path, is_dry_run: bool, why: str) -> None:
    """Put the end of an open collection off: so long after the time at which it would be quiet, or after now.

    `at_most` moves with it where that is earlier. `gateway collection complete` ends it all the same.
    """
    if not 0 < longer_s <= MOST_EXTENDED.total_seconds():
        raise click.BadParameter(f"write more than 0 s and at most {MOST_EXTENDED.days} d", param_hint="--by")
    with opened(rules, is_read_only=is_dry_run) as access:
        by, longer = Operator(operator_name(), why), timedelta(seconds=longer_s)
        work = collection_administration.extend_collection(
            access, collection_id, longer, by, datetime.now(UTC), is_dry_run=is_dry_run
        )
        found = done(work)
    assert found.not_before is not None, "of one that was extended"
    until = f"before {local_time(found.not_before)}"
    _say(found, f"does not end {until}", f"would not end {until}", is_dry_run=is_dry_run)


@collection.command()
@click.argument("collection_id", metavar="ID", type=int)
@rules_option
@DRY_RUN
@WHY
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(collection_id: int, rules: Path, is_dry_run: bool, why: str, yes: bool) -> None:
    """Give an open collection up: the deliveries that wait for it are deleted, and cannot be sent again.

    This cannot be undone. What other routes owe of its objects stays. What comes later begins a new collection.
    """
    with opened(rules, is_read_only=is_dry_run) as access:

        def discarded(is_dry_run: bool) -> CollectionChange:
            by = Operator(operator_name(), why)
            return done(
                collection_administration.discard_collection(
                    access, collection_id, by, datetime.now(UTC), is_dry_run=is_dry_run
                )
            )

        if not (is_dry_run or yes):
            number = count(discarded(True).deliveries, "delivery")
            click.confirm(f"discard {number} that wait for collection {collection_id}?", abort=True)
        _say(discarded(is_dry_run), "is discarded", "would be discarded", is_dry_run=is_dry_run)


def _say(found: CollectionChange, did: str, would: str, *, is_dry_run: bool) -> None:
    one = found.collection
    which = f"collection {one.collection_id} ({one.terms.name}, study {one.study_instance_uid})"
    numbers = f"{count(one.instances, 'instance')}, {count(found.deliveries, 'delivery')} waiting"
    click.echo(f"{which} {would if is_dry_run else did}: {numbers}{'; nothing was done' if is_dry_run else ''}")


def _require_known(name: str, access: StoreAccess, rules: Path) -> None:
    """Refuse a name that neither a route nor the store has: `nothing` would be no answer."""
    if not name or done(collection_administration.is_known_name(access, name)):
        return
    found = load_rules(rules).table
    terms = [route.collection.terms.name for route in found.routes if route.collection] if found is not None else []
    if name not in terms:
        what = "is no collection of a route" if found is not None else "cannot be looked up in rules with errors"
        raise click.BadParameter(
            names_nothing(name, f"{what}, and nothing was collected by it", terms), param_hint="--name"
        )


def _row(found: dict[str, Any]) -> tuple[object, ...]:
    """The cells of one line."""
    fields = ("id", "name", "level", "study_instance_uid", "generation", "state", "instances")
    arrived, flags = local_time(found["last_arrival_at"]), " ".join(found["flags"])
    numbers = ("" if found[name] is None else found[name] for name in ("expected", "missing"))
    return (*(found[f] for f in fields), arrived, _deadline(found), found["result"], flags, *numbers, found["why"])


def _deadline(found: dict[str, Any]) -> str:
    """The time of the next decision, and how far it is."""
    if found["deadline_at"] is None:
        return ""
    seconds = found["deadline_in_s"]
    return f"{local_time(found['deadline_at'])} ({f'in {age(seconds)}' if seconds >= 0 else f'{age(-seconds)} ago'})"

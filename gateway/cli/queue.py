"""`gateway queue`: what is owed to whom. Works on the queue's file, beside a running gateway and without one."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import FORMAT, Duration, fail, load_rules, process_settings, rules_option, usable_table
from gateway.cli.queue_verbs import administer
from gateway.cli.render import age, count, size, table
from gateway.config.findings import did_you_mean
from gateway.life import exit_code
from gateway.model import Attempt, Delivery, DeliveryState
from gateway.plain_text import shown_uid, without_peers_words
from gateway.ports import DeliveryFilter, GatewayError
from gateway.queue import verbs
from gateway.queue.sqlite import SQLiteQueue
from gateway.queue.verbs import Verb
from gateway.repair.pairing import why_no_database


@click.group(
    epilog="\b\nExamples\n"
    "  gateway queue list --state dead\n"
    "  gateway queue retry --destination pacs --state dead\n"
    "  gateway queue release 17 18 --to archive\n"
    "  gateway queue discard --destination old --older-than 30d"
)
def queue() -> None:
    """See and change what is owed to whom; safe while the gateway runs."""


def filtered(states: Sequence[DeliveryState]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the filters, and hands them over as one `DeliveryFilter` named `which`; `states` are those that fit."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_filter(**values: Any) -> Any:
            return command(which=_filter(values), **values)

        for option in reversed(_filter_options(states)):
            with_filter = option(with_filter)
        return with_filter

    return decorated


def _filter_options(states: Sequence[DeliveryState]) -> list[Callable[..., Any]]:
    return [
        click.argument("ids", nargs=-1, type=int, metavar="[ID]..."),
        click.option("--destination", metavar="PEER", help="Only to this peer; '' for those that wait for one."),
        click.option("--state", type=click.Choice([state.value for state in states]), help="Only in this state."),
        click.option("--rule", metavar="NAME", callback=_said, help="Only made by this rule."),
        click.option("--sop-instance-uid", metavar="UID", callback=_said, help="Only of this object."),
        click.option("--study-instance-uid", metavar="UID", callback=_said, help="Only of this study."),
        click.option("--older-than", type=Duration(), metavar="DURATION", help="Only accepted longer ago."),
        click.option("--newer-than", type=Duration(), metavar="DURATION", help="Only accepted since."),
    ]


def _said(context: click.Context, option: click.Parameter, value: str | None) -> str:
    """A filter without a value, as of a variable that is not set, would mean everything."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; leave the option out to mean any")
    return value or ""


def _filter(values: dict[str, Any]) -> DeliveryFilter:
    """Takes the filters out of a command's values."""
    now = datetime.now(UTC)
    older_s, newer_s = values.pop("older_than"), values.pop("newer_than")
    if older_s is not None and newer_s is not None and newer_s <= older_s:
        raise click.UsageError("--older-than and --newer-than leave no time between them")
    state = values.pop("state")
    return DeliveryFilter(
        ids=values.pop("ids"),
        destination=values.pop("destination"),
        state=DeliveryState(state) if state else None,
        sop_instance_uid=values.pop("sop_instance_uid"),
        study_instance_uid=values.pop("study_instance_uid"),
        rule=values.pop("rule"),
        created_before=None if older_s is None else now - timedelta(seconds=older_s),
        created_after=None if newer_s is None else now - timedelta(seconds=newer_s),
    )


SHOW_VALUES = click.option(
    "--show-values", is_flag=True, help="Show what peers say of objects in Error Comments: it may name a patient."
)
EVERYTHING = click.option("--all", "everything", is_flag=True, help="Every delivery, instead of a filter.")


@queue.command("list")
@filtered(tuple(DeliveryState))
@rules_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@SHOW_VALUES
@FORMAT
def list_(which: DeliveryFilter, rules: Path, limit: int, show_values: bool, form: str) -> None:
    """List deliveries, oldest first."""
    with opened(rules) as found:
        _require_known(which, found, rules)
        rows = found.list(_in_queue_time(which, found), limit + 1)
        shown, now = rows[:limit], found.now()
        described = [as_json(row, found, now, with_values=show_values) for row in shown] if form == "json" else []
    if form == "json":
        click.echo(json.dumps(described, indent=2))
    elif shown:
        click.echo(_table(shown, now, with_values=show_values))
    if len(rows) > limit:
        click.echo(f"there are more; see --limit (now {limit})", err=True)
    elif not rows:
        click.echo("nothing", err=True)


@queue.command()
@click.argument("delivery_id", metavar="ID", type=int)
@rules_option
@SHOW_VALUES
@FORMAT
def show(delivery_id: int, rules: Path, show_values: bool, form: str) -> None:
    """Show one delivery with its attempts."""
    with opened(rules) as found:
        rows = found.list(DeliveryFilter(ids=(delivery_id,)), 1)
        attempts = found.attempts(delivery_id)
        now = found.now()
        described = [as_json(row, found, now, with_values=show_values) for row in rows]
    if not rows:
        fail(f"there is no delivery {delivery_id}")
    tries = [_attempt(attempt, with_values=show_values) for attempt in attempts]
    details = {**described[0], "attempts": tries}
    if form == "json":
        click.echo(json.dumps(details, indent=2))
        return
    click.echo(table(("", ""), [(name, value) for name, value in details.items() if name != "attempts"]).lstrip("\n"))
    if attempts:
        heads = ("attempt", "started", "seconds", "left it", "status", "reason")
        click.echo("\n" + table(heads, [tuple("" if v is None else v for v in row.values()) for row in tries]))


@queue.command()
@filtered(verbs.RETRY.states)
@rules_option
@EVERYTHING
def retry(which: DeliveryFilter, rules: Path, everything: bool) -> None:
    """Try dead and pending deliveries now; their age starts anew."""
    _change(verbs.RETRY, which, everything, rules)


@queue.command()
@filtered(verbs.HOLD.states)
@rules_option
@EVERYTHING
def hold(which: DeliveryFilter, rules: Path, everything: bool) -> None:
    """Keep pending and dead deliveries until they are released."""
    _change(verbs.HOLD, which, everything, rules)


@queue.command()
@filtered(verbs.RELEASE.states)
@rules_option
@click.option("--to", metavar="PEER", help="Send them there, whatever destination they were held for, or none.")
@EVERYTHING
def release(which: DeliveryFilter, rules: Path, to: str | None, everything: bool) -> None:
    """Deliver what is held: to the destination that it was held for, or to --to.

    What was held without a destination (`unmatched: hold`) stays until --to names one. The actions of the rule that
    made a delivery go with it, wherever it is sent.
    """
    if to is not None:
        _require_destination(to, rules)
    _change(verbs.RELEASE, which, everything, rules, to)


@queue.command()
@filtered(verbs.DISCARD.states)
@rules_option
@EVERYTHING
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(which: DeliveryFilter, rules: Path, everything: bool, yes: bool) -> None:
    """Delete dead, held and pending deliveries: they are never sent. Asks first."""
    _require_filter(which, everything)
    if not yes:
        with opened(rules) as found:
            _require_known(which, found, rules)
            number = found.selection.count(_in_queue_time(which, found), verbs.DISCARD.states)
        click.confirm(f"discard {count(number, 'delivery')}? They cannot be sent again", abort=True)
    _change(verbs.DISCARD, which, everything, rules)


def _require_destination(name: str, rules: Path) -> None:
    known = sorted(peer.name for peer in usable_table(rules).peers.values() if peer.is_destination)
    if name not in known:
        near = did_you_mean(name, known)
        raise click.BadParameter(
            f"{name!r} is no destination{near} (known: {', '.join(known) or 'none'})", param_hint="--to"
        )


def _require_known(which: DeliveryFilter, found: SQLiteQueue, rules: Path) -> None:
    """Refuse the name of a destination that neither the queue nor the rules know: `nothing` would be no answer."""
    if not which.destination or found.selection.has_destination(which.destination):
        return
    table = load_rules(rules).table
    if table is None or which.destination in table.peers:
        return
    known = sorted(table.peers)
    near = did_you_mean(which.destination, known)
    raise click.BadParameter(
        f"{which.destination!r} is no peer, and nothing was ever queued for it{near} (known: {', '.join(known)})",
        param_hint="--destination",
    )


@contextmanager
def opened(rules: Path) -> Iterator[SQLiteQueue]:
    """The queue of these rules, for a while."""
    settings = process_settings(rules)
    if not Path(settings.queue_path).is_file():
        fail(why_no_database(settings), exit_code.CONFIGURATION)
    try:
        found = SQLiteQueue(settings.queue_path, must_exist=True)
    except GatewayError as error:
        fail(str(error), exit_code.CONFIGURATION)
    try:
        yield found
    except GatewayError as error:
        fail(str(error))
    finally:
        found.close()


def _require_filter(which: DeliveryFilter, everything: bool) -> None:
    if which == DeliveryFilter() and not everything:
        raise click.UsageError("say which: by ID, by a filter, or --all")
    if which != DeliveryFilter() and everything:
        raise click.UsageError("--all means every delivery: leave it out, or the filter")


def _change(verb: Verb, which: DeliveryFilter, everything: bool, rules: Path, to: str | None = None) -> None:
    _require_filter(which, everything)
    with opened(rules) as found:
        _require_known(which, found, rules)
        administer(found, verb, _in_queue_time(which, found), to)


def _in_queue_time(which: DeliveryFilter, found: SQLiteQueue) -> DeliveryFilter:
    """Ages are measured by the queue's own time, which the wall clock may be far from."""
    ahead = found.now() - datetime.now(UTC)
    before, after = which.created_before, which.created_after
    return dataclasses.replace(which, created_before=before and before + ahead, created_after=after and after + ahead)


def as_json(delivery: Delivery, found: SQLiteQueue, now: datetime, *, with_values: bool) -> dict[str, Any]:
    """A delivery; without `with_values`, without what could name a patient. Times are the wall clock's; `age_s` is what
    `give_up_after` is compared with. `now` is the queue's time."""
    instance = delivery.instance
    uid: Callable[[str], str] = str if with_values else shown_uid
    return {
        "id": delivery.delivery_id,
        "state": delivery.state.value,
        "destination": delivery.destination,
        "rule": delivery.rule,
        "actions": json.loads(delivery.actions_json or "[]"),
        "created_at": instance.received_at.isoformat(),
        "age_s": round(_age_s(delivery, now)),
        "due_at": found.on_the_wall(delivery.due_at).isoformat(),
        "attempts_made": delivery.attempts,
        "reason": _reason(delivery.reason, with_values=with_values),
        "sop_class_uid": instance.sop_class_uid,
        "sop_instance_uid": uid(instance.sop_instance_uid),
        "study_instance_uid": uid(instance.study_instance_uid),
        "series_instance_uid": uid(instance.series_instance_uid),
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "size_bytes": instance.payload.length_bytes,
        "calling_ae_title": instance.association.calling_ae_title,
        "remote_host": instance.association.remote_host,
    }


def _age_s(delivery: Delivery, now: datetime) -> float:
    """Never below 0: what arrived after the time that is known just arrived."""
    return max(0.0, (now - delivery.created_at).total_seconds())


def _reason(reason: str, *, with_values: bool) -> str:
    return reason if with_values else without_peers_words(reason)


def _attempt(attempt: Attempt, *, with_values: bool) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": attempt.started_at.isoformat() if attempt.started_at else None,
        "duration_s": round(attempt.duration_s, 3),
        "state": attempt.state.value,
        "status": None if attempt.status is None else f"0x{attempt.status:04X}",
        "reason": _reason(attempt.reason, with_values=with_values),
    }


def _table(rows: list[Delivery], now: datetime, *, with_values: bool) -> str:
    heads = ("id", "state", "destination", "rule", "age", "tries", "size", "object", "reason")
    return table(
        heads,
        [
            (
                row.delivery_id,
                row.state.value,
                row.destination or "-",
                row.rule,
                age(_age_s(row, now)),
                row.attempts,
                size(row.instance.payload.length_bytes),
                row.instance.sop_instance_uid if with_values else shown_uid(row.instance.sop_instance_uid),
                _reason(row.reason, with_values=with_values),
            )
            for row in rows
        ],
    )

"""`gateway queue`: what is owed to whom. Works on the queue's file, beside a running gateway and without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click

from gateway.cli import queue_pause
from gateway.cli.access import require_store
from gateway.cli.lazy import Lazy, LazyGroup
from gateway.cli.options import FORMAT, fail, process_settings, rules_option
from gateway.cli.queue_filters import filtered, given
from gateway.cli.queue_list import as_table, as_text, column_names, studies_summary, summary
from gateway.cli.queue_names import require_destination, require_known
from gateway.cli.queue_verbs import administer, done
from gateway.cli.queue_waits import with_wait, with_waits
from gateway.cli.render import count, table
from gateway.lifecycle import exit_code
from gateway.model.delivery import DeliveryState
from gateway.model.priority import WORDS, Priority
from gateway.model.settings import Settings
from gateway.operations import queue_administration
from gateway.operations.delivery_listing import (
    FIELDS,
    STUDY_FIELDS,
    in_queue_time,
    list_deliveries,
    list_studies,
    show_delivery,
    study_json,
)
from gateway.operations.pausing import all_paused
from gateway.operations.queue_administration import Verb, missing
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.delivery_administration import DeliveryFilter, DeliveryOrder
from gateway.ports.errors import ConfigurationError, GatewayError
from gateway.ports.store import Store
from gateway.repair.pairing import why_no_database
from gateway.stores.opening import is_gateway_running, is_there, open_store, shown


@click.group(
    cls=LazyGroup,
    lazy={
        "correct": Lazy("gateway.cli.queue_correct:correct", "Correct held or dead deliveries and send them."),
        "export": Lazy("gateway.cli.queue_export:export", "Write the object of a delivery into a DICOM file."),
    },
    epilog="\b\nExamples\n"
    "  gateway queue list --state dead\n"
    "  gateway queue retry --destination pacs --state dead\n"
    "  gateway queue release 17 18 --to archive\n"
    "  gateway queue discard --destination old --older-than 30d",
)
def queue() -> None:
    """See and change what is owed to whom; safe while the gateway runs."""


SHOW_VALUES = click.option(
    "--show-values", is_flag=True, help="Show what peers say of objects in Error Comments: it may name a patient."
)
EVEN_IF_DOUBTFUL = click.option("--even-if-doubtful", is_flag=True, help="Also those that their destination may have.")
EVERYTHING = click.option("--all", "everything", is_flag=True, help="Every delivery, instead of a filter.")
DRY_RUN = click.option("--dry-run", "is_dry_run", is_flag=True, help="Say how many it means, and do nothing.")


def _reason(context: click.Context, option: click.Parameter, value: str | None) -> str:
    """A short line for the record."""
    reason = given(context, option, value)
    if fault := queue_administration.fault_of_reason(reason):
        raise click.BadParameter(fault)
    return reason


WHY = click.option(
    "--why",
    metavar="TEXT",
    callback=_reason,
    help="The reason, kept in the record (`gateway operations`), where all operators read it: name no patient.",
)


def verb_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that every verb takes beside the filters, by the names of the arguments of `_change`."""
    for option in (WHY, DRY_RUN, EVERYTHING, rules_option):
        command = option(command)
    return command


@queue.command("list")
@filtered(tuple(DeliveryState))
@rules_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option(
    "--sort",
    type=click.Choice(get_args(DeliveryOrder)),
    default="oldest",
    show_default=True,
    help="Which come first: by arrival, the largest, or those that were tried most often.",
)
@click.option("--by-study", is_flag=True, help="A line for each study and destination: how many are in which state.")
@click.option("--columns", metavar="NAMES", help="Only these, in this order, of those of --format csv: id,state,age_s.")
@click.option("--wide", is_flag=True, help="Whole names, UIDs and reasons, and sizes, however long the lines get.")
@SHOW_VALUES
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json"]),
    default="text",
    show_default=True,
    help="Output; times of csv and json are UTC.",
)
def list_(
    which: DeliveryFilter,
    rules: Path,
    limit: int,
    sort: DeliveryOrder,
    by_study: bool,
    columns: str | None,
    wide: bool,
    show_values: bool,
    form: str,
) -> None:
    """List deliveries. How many there are stands on standard error. Exits 1 when an ID is of no delivery."""
    names = column_names(columns, STUDY_FIELDS if by_study else FIELDS)
    if by_study and sort in ("size", "attempts"):
        raise click.UsageError(f"--by-study is in the order of arrival: --sort {sort} is for deliveries")
    with opened(rules, is_read_only=True) as access:
        require_known(which, access, rules)
        not_there = done(missing(access, which))
        if by_study:
            studies = done(list_studies(access, which, limit, is_newest_first=sort == "newest"))
        else:
            found = done(list_deliveries(access, which, limit, order=sort, with_values=show_values))
            found = with_waits(found, done(all_paused(access)), rules, datetime.now(UTC))
    if by_study:
        described = [study_json(row, with_values=show_values) for row in studies]
        number = len({row.study_instance_uid for row in studies})
        said = studies_summary(number, limit, order=sort, form=form)
    else:
        described, said = found.described, summary(len(found.rows), found.total, order=sort, form=form)
    if form == "text" and not by_study and not columns and described:
        click.echo(as_table(found.rows, found.now, with_values=show_values, is_wide=wide))
    else:
        click.echo(as_text(described, names, form), nl=bool(described) or form != "text")
    click.echo(said, err=True)
    if not_there:
        fail("; ".join(not_there))


@queue.command()
@click.argument("delivery_id", metavar="ID", type=int)
@rules_option
@SHOW_VALUES
@FORMAT
def show(delivery_id: int, rules: Path, show_values: bool, form: str) -> None:
    """Show one delivery with its attempts."""
    with opened(rules, is_read_only=True) as access:
        for sentence in done(missing(access, DeliveryFilter(ids=(delivery_id,)))):
            fail(sentence)
        details = done(show_delivery(access, delivery_id, with_values=show_values))
        pauses = done(all_paused(access))
    if details is None:
        fail(f"there is no delivery {delivery_id}")
    details, tries = with_wait(details, pauses, rules, datetime.now(UTC)), details["attempts"]
    if form == "json":
        click.echo(json.dumps(details, indent=2))
        return
    click.echo(table(("", ""), [(name, value) for name, value in details.items() if name != "attempts"]).lstrip("\n"))
    if tries:
        heads = ("attempt", "started", "seconds", "left it", "status", "reason")
        click.echo("\n" + table(heads, [tuple("" if v is None else v for v in row.values()) for row in tries]))


@queue.command()
@filtered(queue_administration.RETRY.states)
@verb_options
def retry(which: DeliveryFilter, **how: Any) -> None:
    """Try dead and pending deliveries now; they are given up as late as if they had arrived now."""
    _change(queue_administration.RETRY, which, **how)


@queue.command()
@filtered(queue_administration.HOLD.states)
@verb_options
def hold(which: DeliveryFilter, **how: Any) -> None:
    """Keep pending and dead deliveries until they are released."""
    _change(queue_administration.HOLD, which, **how)


@queue.command()
@filtered(queue_administration.RELEASE.states)
@click.option("--to", metavar="PEER", help="Send them there, whatever destination they were held for, or none.")
@EVEN_IF_DOUBTFUL
@verb_options
def release(which: DeliveryFilter, rules: Path, to: str | None, even_if_doubtful: bool, **how: Any) -> None:
    """Deliver held deliveries: to the destinations that they were held for, or to --to.

    A delivery that is held without a destination (`unmatched: hold`) stays until --to names one. The actions of the
    rule that made a delivery go with it, wherever it is sent. To another peer goes nothing that its own may have.
    """
    if to is not None:
        require_destination(to, rules)
    doubtful_too = queue_administration.RELEASE_EVEN_IF_DOUBTFUL
    _change(doubtful_too if even_if_doubtful else queue_administration.RELEASE, which, rules=rules, to=to, **how)


@queue.command()
@filtered(queue_administration.RETARGET.states)
@click.option("--to", metavar="PEER", required=True, help="Send them there instead.")
@EVEN_IF_DOUBTFUL
@verb_options
def retarget(which: DeliveryFilter, rules: Path, to: str, even_if_doubtful: bool, **how: Any) -> None:
    """Send pending and dead deliveries to another destination, now. Held ones stay held, for that one.

    The actions of the rule that made a delivery go with it. What is being sent just now stays, and so does what was
    sent without a response: its destination may have it. A failover group does not move them any more.
    """
    require_destination(to, rules)
    if which.destination == to:
        raise click.UsageError(f"--to: they are for {to} already; `gateway queue retry` tries them now")
    doubtful_too = queue_administration.RETARGET_EVEN_IF_DOUBTFUL
    _change(doubtful_too if even_if_doubtful else queue_administration.RETARGET, which, rules=rules, to=to, **how)


@queue.command("send-again")
@filtered(queue_administration.SEND_AGAIN.states)
@click.option("--to", metavar="PEER", help="Send them there, instead of where they were delivered.")
@verb_options
def send_again(which: DeliveryFilter, rules: Path, to: str | None, **how: Any) -> None:
    """Send again what was delivered, as far as the gateway still has it (`keep`, `spool.retention`): by new deliveries.

    The actions of the rule go with it, as at the first time. An equal delivery that still waits does for both.
    """
    if to is not None:
        require_destination(to, rules)
    _change(queue_administration.SEND_AGAIN, which, rules=rules, to=to, **how)


@queue.command()
@filtered(queue_administration.PRIORITIES[Priority.URGENT].states)
@click.option("--set", "word", type=click.Choice(WORDS), required=True, help="The priority that they get.")
@verb_options
def priority(which: DeliveryFilter, word: str, **how: Any) -> None:
    """Give pending, dead and held deliveries another priority: urgent ones go before the others of their destination.

    What is being sent just now stays as it is.
    """
    _change(queue_administration.PRIORITIES[Priority[word.upper()]], which, **how)


@queue.command()
@filtered(queue_administration.DISCARD.states)
@verb_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(which: DeliveryFilter, yes: bool, **how: Any) -> None:
    """Delete dead, held and pending deliveries: they are never sent. Asks first."""
    _change(queue_administration.DISCARD, which, confirm=_leave if yes else _confirm, **how)


def pausable(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of what is paused or resumed, and those of a verb."""
    options = (
        click.option("--destination", metavar="PEER", callback=given, help="A peer that gets nothing."),
        click.option("--sender", metavar="NAME", callback=given, help="A peer, or AE title, that sends."),
        click.option("--rule", metavar="NAME", callback=given, help="A route."),
        rules_option,
        DRY_RUN,
        WHY,
    )
    for option in reversed(options):
        command = option(command)
    return command


@queue.command()
@pausable
def pause(rules: Path, is_dry_run: bool, why: str, **names: str) -> None:
    """Pause a destination, a sender or a rule until it is resumed, on any node; restarts keep it paused.

    \b
    --destination  no delivery is begun for it. What is in flight is finished; what arrives for it is
                   taken and kept, and is not given up for its age meanwhile.
    --sender       what it sends is refused with 0xA700 (Out of Resources), so that it keeps it and sends
                   it again. What it sent before is delivered; it may ask and retrieve as before.
    --rule         what this route wants is taken and waits, also what waits already; what is in flight is
                   finished. Other routes go on.
    """
    kind, name = queue_pause.chosen(**names)
    with opened(rules, is_read_only=is_dry_run) as access:
        queue_pause.pause(access, kind, name, rules, why, is_dry_run=is_dry_run)


@queue.command()
@pausable
def resume(rules: Path, is_dry_run: bool, why: str, **names: str) -> None:
    """Go on with what was paused."""
    kind, name = queue_pause.chosen(**names)
    with opened(rules, is_read_only=is_dry_run) as access:
        queue_pause.resume(access, kind, name, why, is_dry_run=is_dry_run)


def _confirm(number: int) -> None:
    click.confirm(f"discard {count(number, 'delivery')}? They cannot be sent again", abort=True)


def _leave(number: int) -> None:
    """The confirmation that asks nothing."""


@contextmanager
def opened(rules: Path, *, is_read_only: bool = False) -> Iterator[StoreOnFile]:
    """The queue of these rules, for a while; `is_read_only`: nothing on the disk is changed by looking at it."""
    settings = process_settings(rules)
    require_store(settings, is_read_only=is_read_only)
    try:
        was_running = is_gateway_running(settings)
        if not is_there(settings):
            fail(why_no_database(settings), exit_code.CONFIGURATION)
        store = open_store(settings, must_exist=True, is_read_only=is_read_only)
        _require_in_use(store, settings, is_read_only=is_read_only)
    except GatewayError as error:
        fail(str(error), exit_code.CONFIGURATION)
    except OSError as error:
        fail(f"queue {shown(settings)}: {error.strerror or error}", exit_code.CONFIGURATION)
    try:
        yield StoreOnFile(store)
    except GatewayError as error:
        if is_read_only and is_gateway_running(settings) != was_running:
            fail(f"queue {shown(settings)}: a gateway started or ended meanwhile; ask again")
        fail(str(error))
    finally:
        store.close()


def _require_in_use(store: Store, settings: Settings, *, is_read_only: bool) -> None:
    """Raises ConfigurationError: what is changed in a store that was migrated to another one changes nothing there."""
    mark = None if is_read_only else store.spool.migration()
    if mark is not None and mark.refusal:
        store.close()
        raise ConfigurationError(f"queue {shown(settings)}: {mark.refusal}")


def _require_filter(which: DeliveryFilter, everything: bool) -> None:
    if which == DeliveryFilter() and not everything:
        raise click.UsageError("say which: by ID, by a filter, or --all")
    if which != DeliveryFilter() and everything:
        raise click.UsageError("--all means every delivery: leave it out, or the filter")


def _change(
    verb: Verb,
    which: DeliveryFilter,
    *,
    everything: bool,
    rules: Path,
    to: str | None = None,
    confirm: Callable[[int], None] = _leave,
    is_dry_run: bool,
    why: str,
) -> None:
    _require_filter(which, everything)
    with opened(rules, is_read_only=is_dry_run) as access:
        require_known(which, access, rules)
        meant = done(in_queue_time(access, which))
        administer(access, verb, meant, to, confirm, why=why, is_dry_run=is_dry_run)

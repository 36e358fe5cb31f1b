"""The filters of `gateway queue`: which deliveries a command means."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from gateway.cli.options import Duration
from gateway.model.delivery import DeliveryState
from gateway.model.priority import WORDS, Priority
from gateway.ports.delivery_administration import DeliveryFilter


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
        click.option("--rule", metavar="NAME", callback=given, help="Only made by this rule."),
        click.option("--sop-instance-uid", metavar="UID", callback=given, help="Only of this object."),
        click.option("--study-instance-uid", metavar="UID", callback=given, help="Only of this study."),
        click.option("--priority", type=click.Choice(WORDS), help="Only of this priority."),
        click.option("--older-than", type=Duration(), metavar="DURATION", help="Only accepted longer ago."),
        click.option("--newer-than", type=Duration(), metavar="DURATION", help="Only accepted since."),
    ]


def given(context: click.Context, option: click.Parameter, value: str | None) -> str:
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
    state, priority = values.pop("state"), values.pop("priority")
    return DeliveryFilter(
        ids=values.pop("ids"),
        destination=values.pop("destination"),
        state=DeliveryState(state) if state else None,
        sop_instance_uid=values.pop("sop_instance_uid"),
        study_instance_uid=values.pop("study_instance_uid"),
        rule=values.pop("rule"),
        priority=Priority[priority.upper()] if priority else None,
        created_before=None if older_s is None else now - timedelta(seconds=older_s),
        created_after=None if newer_s is None else now - timedelta(seconds=newer_s),
    )

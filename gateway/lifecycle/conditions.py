"""The conditions of a running gateway, each a sentence with its cause and the action to take: the states of
`docs/states.md`.

Those that block are why `/readyz` answers 503: an object that is sent now is not taken, or may not be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Protocol

from gateway.model.delivery import DeliveryState
from gateway.model.node import ClusterView
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.pauses import Pause

CODES = (
    *("starting", "recovering", "draining"),
    *("spool_full", "database_full", "journal_full", "spool_not_writable", "database_not_writable"),
    *("not_in_place", "journal_broken", "listener_down"),
    *("reload_refused", "certificate_expired", "handler_failing", "destination_down", "destination_paused"),
    *("sender_paused", "rule_paused"),
    "destination_not_configured",
    *("deliveries_held", "dead_letters", "nodes_differ", "payloads_not_sealed"),
)
"""The codes of all conditions: the rows of `docs/states.md`."""


@dataclass(frozen=True, slots=True)
class OperatingCondition:
    """A state that is not as it should be."""

    code: str
    """The code for programs; it stays the same in later versions."""
    text: str
    """The text for people: the cause, and the action to take."""
    is_blocking: bool = False
    """True when objects are not taken because of it."""

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"

    def as_json(self) -> dict[str, object]:
        return {"code": self.code, "text": self.text, "is_blocking": self.is_blocking}


class Storage(Protocol):
    """The part of the journal that conditions need (`gateway.spool.journal`)."""

    def health(self) -> str: ...
    def refusal(self) -> str: ...
    def shortages(self) -> Mapping[str, str]: ...
    def write_problems(self) -> Mapping[str, str]: ...
    def backlog(self) -> str: ...


class CourierView(Protocol):
    """The part of one destination's status that conditions need (`gateway.delivery.courier.CourierStatus`)."""

    @property
    def destination(self) -> str: ...
    @property
    def is_up(self) -> bool | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def wait_s(self) -> float: ...
    @property
    def paused_since(self) -> datetime | None: ...
    @property
    def paused_by(self) -> str: ...


class Handler(Protocol):
    """The part of a failing handler that conditions need (`gateway.dimse.acceptor.handler_failures.FailingHandler`)."""

    @property
    def event(self) -> str: ...
    @property
    def handler(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def since(self) -> datetime: ...


class ReloadResult(Protocol):
    """The part of a reload's report that conditions need (`gateway.lifecycle.reload.ReloadReport`)."""

    @property
    def is_applied(self) -> bool: ...
    @property
    def cause(self) -> str: ...
    @property
    def remedy(self) -> str: ...


STAGES = {
    "starting": "files and locks are being looked at",
    "recovering": "spool and database are read and brought together after the last end; a large database takes long",
    "draining": "the gateway is stopping: what is in flight is finished, nothing new is taken",
}
"""States of the process in which nothing is taken → text."""


def numbers(found: Iterable[OperatingCondition]) -> dict[tuple[str, ...], float]:
    """The number of conditions by code. Codes without a condition count 0, so that an alert ends."""
    counts = Counter(each.code for each in found)
    return {(code,): float(counts[code]) for code in CODES}


def of_stage(state: str) -> Iterator[OperatingCondition]:
    """The reasons why a gateway that is not running takes nothing."""
    if state in STAGES:
        yield OperatingCondition(state, STAGES[state], is_blocking=True)


def of_storage(journal: Storage) -> Iterator[OperatingCondition]:
    """The conditions of spool and database, of a gateway that runs. A replaced folder or file is named alone: the rest
    follows from it."""
    if problem := journal.health():
        yield OperatingCondition("journal_broken", f"{problem}; the log has the cause", is_blocking=True)
        return
    if problem := journal.refusal():
        text = f"{problem}; nothing is taken or deleted until all is as it was at the start"
        yield OperatingCondition("not_in_place", text, is_blocking=True)
        return
    for place, problem in journal.shortages().items():
        yield OperatingCondition(f"{place}_full", problem, is_blocking=True)
    for place, problem in journal.write_problems().items():
        yield OperatingCondition(f"{place}_not_writable", problem, is_blocking=True)


def of_backlog(journal: Storage) -> Iterator[OperatingCondition]:
    """Payloads that wait in the database for the object store."""
    if problem := journal.backlog():
        yield OperatingCondition("payloads_not_sealed", problem)


def of_listeners(down: Mapping[str, str]) -> Iterator[OperatingCondition]:
    """`down`: listener → why it is not open."""
    for name, reason in sorted(down.items()):
        text = f"listener {name} is not open: {reason}; it is tried again each second"
        yield OperatingCondition("listener_down", text, is_blocking=True)


def of_handlers(failing: Iterable[Handler]) -> Iterator[OperatingCondition]:
    """Handlers, of the site or of the gateway, that failed and have not answered a request since."""
    for one in failing:
        times = "once" if one.count == 1 else f"{one.count} times"
        text = (
            f"{one.handler}, which takes {one.event}, has failed {times} since {one.since:%Y-%m-%d %H:%M:%S} UTC and "
            f"answered no request: last with {one.error} at {one.where}; see `handler_failed` in the log"
        )
        yield OperatingCondition("handler_failing", text)


def of_destinations(couriers: Iterable[CourierView], depths: Sequence[QueueDepth]) -> Iterator[OperatingCondition]:
    """The destinations that get nothing now, and the deliveries that wait for them; then the destinations that the
    configuration does not know."""
    waiting = {row.destination: row.count for row in depths if row.state is DeliveryState.PENDING}
    known = set()
    for courier in couriers:
        known.add(courier.destination)
        if courier.paused_since is not None:
            yield _paused(courier, courier.paused_since, waiting.get(courier.destination, 0))
        if courier.is_up is False:
            until = f"; the next try is in {courier.wait_s:.0f} s" if courier.wait_s else "; it is being tried"
            number = waiting.get(courier.destination, 0)
            text = f"{courier.destination}: {courier.reason or 'no answer'}; {_wait(number)}{until}"
            yield OperatingCondition("destination_down", text)
    for name, number in sorted(waiting.items()):
        if name not in known and name:
            yield OperatingCondition("destination_not_configured", unknown_destination(name, number))


def _paused(courier: CourierView, since: datetime, number: int) -> OperatingCondition:
    name = courier.destination
    return OperatingCondition(
        "destination_paused",
        f"{name}: paused since {since:%Y-%m-%d %H:%M} UTC by {courier.paused_by}; {_wait(number)}; "
        f"`gateway queue resume --destination {name}`",
    )


CONSEQUENCES: Mapping[str, str] = {
    "sender_paused": "what it sends is refused with 0xA700",
    "rule_paused": "what it wants waits, pending and held",
}
"""Code → what the pause means, but for destinations."""


def of_pauses(going_on: Iterable[Pause]) -> Iterator[OperatingCondition]:
    """Senders and rules that an operator paused. Paused destinations are told with their deliveries."""
    for pause in going_on:
        code = f"{pause.kind}_paused"
        if code in CONSEQUENCES:
            yield OperatingCondition(
                code,
                f"{pause.name}: paused since {pause.began_at:%Y-%m-%d %H:%M} UTC by {pause.operator}; "
                f"{CONSEQUENCES[code]}; `gateway queue resume --{pause.kind} {quote(pause.name)}`",
            )


def unknown_destination(name: str, number: int) -> str:
    """Deliveries to a peer that is not there any more."""
    return (
        f"{_wait(number)} for {name!r}, which the rules do not name or have disabled; configure it and reload, or "
        f"`gateway queue hold --destination {name}` and `release` them to another peer, or discard them"
    )


def of_queue(depths: Sequence[QueueDepth]) -> Iterator[OperatingCondition]:
    """The deliveries that wait for an operator."""
    for row in depths:
        where = f"for {row.destination!r}" if row.destination else "without a destination"
        filters = f"--destination {row.destination or _QUOTES}"
        if row.state is DeliveryState.DEAD:
            yield OperatingCondition(
                "dead_letters",
                f"{_deliveries(row.count)} {where} will not be tried again; "
                f"`gateway queue list --state dead {filters}` says why",
            )
        if row.state is DeliveryState.HELD:
            yield OperatingCondition(
                "deliveries_held",
                f"{_deliveries(row.count)} {where} wait{_s(row.count)} for `gateway queue release`; "
                f"see `gateway queue list --state held {filters}`",
            )


_QUOTES = "''"


def of_nodes(view: ClusterView) -> Iterator[OperatingCondition]:
    """Nodes of a cluster that run at the same time, and not alike."""
    if not view.are_alike:
        nodes = "; ".join(
            f"{seen.node.name}: version {seen.node.version}, rules {seen.configuration}" for seen in view.live
        )
        text = f"the nodes do not have the same version and rules ({nodes}); reload or update those that are behind"
        yield OperatingCondition("nodes_differ", text)


def of_certificates(ended: Iterable[tuple[str, str, datetime]]) -> Iterator[OperatingCondition]:
    """`ended`: who uses it, its file, until when it was good."""
    for used_by, file, until in ended:
        text = f"{used_by}: {file} is out of date since {until:%Y-%m-%d %H:%M} UTC; renew it, it is read again"
        yield OperatingCondition("certificate_expired", text)


def of_reload(last: ReloadResult | None) -> Iterator[OperatingCondition]:
    """A reload that was refused: its cause, and what to do about just that."""
    if last is not None and not last.is_applied:
        cause = f" ({last.cause})" if last.cause else ""
        text = f"the last reload was refused{cause}; the rules before it are in force: {last.remedy}"
        yield OperatingCondition("reload_refused", text)


def _wait(number: int) -> str:
    return f"{_deliveries(number)} wait{_s(number)}"


def _s(number: int) -> str:
    return "s" if number == 1 else ""


def _deliveries(number: int) -> str:
    return "1 delivery" if number == 1 else f"{number} deliveries"

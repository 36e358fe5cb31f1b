"""Log lines of one kind that peers can cause without bound: the first ones whole, then one summary an interval.

Lines are of one kind when they have the same event and the same configured name (peer, destination, source, listener).
Lines without such a name are told apart by the remote host, and all hosts together share one allowance: a value that a
stranger chooses must not make the log longer. A peer that goes on gets summaries alone, until an interval passes
without.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, MutableMapping
from typing import Any

import structlog

SUMMARISED = frozenset(
    {
        # associations and connections
        "association_accepted",
        "association_ended",
        "association_lost",
        "association_admission_ended",
        "association_protocol_violated",
        "association_rejected",
        "association_timer_expired",
        "connection_displaced",
        "connection_refused",
        "connections_not_accepted",
        "proxy_header_rejected",
        "response_not_sent",
        "tls_handshake_failed",
        # requests
        "data_set_not_received",
        "find_cut",
        "find_not_passed_on",
        "find_refused",
        "find_served",
        "handler_failed",
        "handler_not_bound",
        "handler_yielded_too_many",
        "identifier_not_encoded",
        "instance_refused",
        "query_retrieve_refused",
        "request_failed",
        "retrieve_refused",
        "retrieve_served",
        "deviation_tolerated",
        # sources and destinations
        "answer_not_read",
        "association_failed",
        "fetch_failed",
        "hand_over_failed",
        "instances_not_provided",
        "match_lost",
        "move_destination_failed",
        "instance_not_requested",
        "retrieve_not_passed_on",
        "source_failed",
        "source_answered_partly",
        "store_failed",
        "studies_hidden",
        "study_not_checked",
        "sub_operation_failed",
        "sub_operation_not_completed",
        # deliveries and conversions
        "conversion_timed_out",
        "conversion_worker_died",
        "conversion_worker_started",
        "delivery_dead_lettered",
        "destination_failed",
        "destination_refused",
        "destination_recovered",
        "delivery_failed",
        "associations_reduced",
        "settlement_delayed",
        "lease_lost",
        "deliveries_left_out",
        "deliveries_resumed",
        "objects_left_out",
        "queue_not_counted",
        # storage that refuses
        "instance_moved",
        "checkpoint_failed",
        "instances_forgotten_early",
        "kept_copies_dropped",
        "housekeeping_failed",
        "commit_failed",
        "payload_not_fetched",
        "write_failed",
        # the process
        "config_problem_found",
        "config_reload_refused",
        "config_reloaded",
        "http_connection_closed",
        "http_request_rejected",
        "library_message_logged",
    }
)
"""Events that the network, a peer or a full disk can cause any number of times. Losses, damage, acts of operators,
events that happen once, and outcomes of stored objects (`gateway.object_log`) are always logged: each such line stands
for an object on disk.
"""

OURS = ("destination", "source", "peer", "listener", "problem", "library")
"""Fields whose values come from the configuration or the software: each value has an allowance of its own."""
THEIRS = "remote_host"
WHOLE = 10
"""Lines of one kind that stand whole in one interval."""
ROUTINE = 20
"""The same for level info, with a name of ours: successful work is looked for later."""
INTERVAL_S = 60.0
MOST_KINDS = 1024
"""The number of kinds of one event that are counted apart; all further kinds are counted together."""
SHOWN = 5
"""Remote hosts or names that a summary lists, those with the most lines."""
OTHERS = "others"
LEFT_OUT = "log_lines_left_out"
STORED = "0x0000"
_LEVELS = ("debug", "info", "warning", "error", "critical")

LogEvent = MutableMapping[str, Any]


class _Interval:
    """The lines of one event that were logged and left out."""

    __slots__ = ("began_s", "beyond", "last", "left_out", "level", "lines", "went_on")

    def __init__(self, began_s: float, went_on: Collection[str] = ()) -> None:
        self.began_s = began_s
        self.went_on = went_on
        """Kinds that had more than their allowance in the interval before: no line of them stands whole."""
        self.beyond: set[str] = set()
        """Kinds that had more than their allowance."""
        self.lines: Counter[str] = Counter()
        """The number of lines by kind, left out or not."""
        self.left_out: Counter[str] = Counter()
        """The number of lines left out, by the value that a summary lists."""
        self.level = "debug"
        self.last: dict[str, Any] = {}


class LogSummary:
    """A structlog processor; behind `add_log_level`, before anything that renders. Any thread may log.

    Args:
        events: which events are summarised.
        whole: lines of one kind that stand whole in one interval.
        routine: the same of level info, with a name of ours.
        interval_s: how long a summary is waited for, in seconds.
        now: a monotonic clock.
    """

    def __init__(
        self,
        events: Collection[str] = SUMMARISED,
        *,
        whole: int = WHOLE,
        routine: int = ROUTINE,
        interval_s: float = INTERVAL_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = frozenset(events)
        self._whole = whole
        self._routine = routine
        self._interval_s = interval_s
        self._now = now
        self._lock = threading.Lock()
        self._intervals: dict[str, _Interval] = {}
        self._uncounted: Counter[str] = Counter()

    def __call__(self, logger: object, name: str, event: LogEvent) -> LogEvent:
        """The event as it is, or structlog.DropEvent after counting it."""
        what = event.get("event")
        if what not in self._events or _stands_for_objects(event):
            return event
        with self._lock:
            interval = self._intervals.get(what)
            if interval is None:
                interval = self._intervals[what] = _Interval(self._now())
            if not self._leaves_out(interval, event):
                return event
        raise structlog.DropEvent

    def _leaves_out(self, interval: _Interval, event: LogEvent) -> bool:
        kind, shown = _kind(event)
        if kind not in interval.lines and len(interval.lines) >= MOST_KINDS:
            kind = shown = OTHERS
        interval.lines[kind] += 1
        if kind not in interval.went_on:
            allowance = self._routine if kind and event.get("level") == "info" else self._whole
            if interval.lines[kind] <= allowance:
                return False
            interval.beyond.add(kind)
        if shown not in interval.left_out and len(interval.left_out) >= MOST_KINDS:
            shown = OTHERS
        interval.left_out[shown] += 1
        self._uncounted[str(event["event"])] += 1
        interval.level = max(interval.level, str(event.get("level", "info")), key=_rank)
        interval.last = {key: value for key, value in event.items() if key not in _NO_FACTS}
        return True

    def write_due(self, *, is_final: bool = False) -> None:
        """Log a summary for every event whose interval is over; for all of them when `is_final`."""
        now_s = self._now()
        for what in self._over(now_s, is_final=is_final):
            with self._lock:
                interval = self._intervals.pop(what, None)
                if interval is None:
                    continue
                beyond = interval.beyond | {kind for kind in interval.went_on if interval.lines[kind]}
                if beyond and not is_final:
                    self._intervals[what] = _Interval(now_s, frozenset(beyond))
            if interval.left_out:
                _write(what, interval, now_s - interval.began_s)

    def _over(self, now_s: float, *, is_final: bool) -> Iterable[str]:
        with self._lock:
            return [
                what
                for what, interval in self._intervals.items()
                if is_final or now_s - interval.began_s >= self._interval_s
            ]

    def take_counts(self) -> dict[str, int]:
        """Lines left out since the last call, by event; for the metrics."""
        with self._lock:
            counts, self._uncounted = self._uncounted, Counter()
        return counts


def _stands_for_objects(event: LogEvent) -> bool:
    """True for the end of an association over which objects were stored, which is their line, too."""
    return STORED in event.get("c_store", ())


_NO_FACTS = frozenset({"event", "level", "timestamp", "exc_info", "exception", "stack_info"})


def _kind(event: LogEvent) -> tuple[str, str]:
    """(the kind that has an allowance, what a summary lists)."""
    for field in OURS:
        value = event.get(field)
        if value and isinstance(value, str):  # the source of an A-ASSOCIATE-RJ is a number
            kind = event.get("kind", "") if event.get("event") == "deviation_tolerated" else ""
            return f"{field} {value} {kind}", value
    host = event.get(THEIRS)
    return "", str(host) if host else ""


def _rank(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else 0


def _write(what: str, interval: _Interval, seconds: float) -> None:
    most = interval.left_out.most_common(SHOWN)
    listed = ", ".join(f"{name}: {number}" for name, number in most if name)
    more = len(interval.left_out) - len(most)
    if more > 0:
        listed += f", and {more} others"
    fields = {f"last_{key}": value for key, value in interval.last.items()}
    log = structlog.get_logger()
    write = getattr(log, interval.level if interval.level in _LEVELS else "warning")
    write(LEFT_OUT, of=what, lines=interval.left_out.total(), seconds=round(seconds), by=listed, **fields)


SUMMARY = LogSummary()
"""The one of this process."""

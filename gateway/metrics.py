"""The one table of metrics, and the `Meter` that fills it.

Labels stay few: a requestor without a peer is counted as `peer="(stranger)"` (`gateway.ports.meter.peer_label`),
whatever AE title it gives.
"""

from __future__ import annotations

import platform
from collections import Counter as Numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gateway.metric_series import Distribution, Series, Total
from gateway.model.collection import CollectionState
from gateway.ports.collections import CollectionCount
from gateway.ports.delivery_queue import QueueDepth

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table; `kind` is counter, gauge, histogram or info."""

    kind: type[Counter] | type[Gauge] | type[Histogram] | type[Info]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


METRICS = (
    # --- states
    Metric(Gauge, "gateway_ready", "1: objects are taken, `/readyz` answers 200; 0: it says why not."),
    Metric(
        Gauge,
        "gateway_conditions",
        "Operating conditions, by the codes of docs/states.md: how often one holds; 0 when it does not.",
        ("code",),
    ),
    Metric(Gauge, "gateway_nodes", "Nodes of the cluster that run, as this one sees them; 0: it is alone."),
    Metric(
        Gauge,
        "gateway_destination_here",
        "1: this process works on the destination; 0: another node does, and has its gateway_destination_up.",
        ("destination",),
    ),
    Metric(
        Gauge,
        "gateway_paused_seconds",
        "Since an operator paused it (`gateway queue pause`); no line while it is not paused.",
        ("kind", "name"),
    ),
    # --- associations
    Metric(Gauge, "gateway_associations_open", "Associations open now.", ("direction", "peer")),
    Metric(
        Counter,
        "gateway_associations_total",
        "Associations by how they went (accepted, rejected, released, aborted, failed).",
        ("direction", "peer", "result"),
    ),
    Metric(Gauge, "gateway_listeners", "Listeners open now."),
    Metric(Counter, "gateway_connections_total", "Connections accepted.", ("listener",)),
    Metric(
        Counter,
        "gateway_connections_displaced_total",
        "Connections without an association that were closed to make room for newer ones.",
    ),
    Metric(
        Counter,
        "gateway_connections_refused_total",
        "Connections closed at once, of hosts that were displaced or rejected many times in the last seconds.",
    ),
    Metric(
        Counter,
        "gateway_accept_failures_total",
        "Times that no connection could be accepted for want of descriptors or memory.",
        ("listener",),
    ),
    Metric(
        Counter,
        "gateway_http_connections_total",
        "HTTP connections that were accepted or refused, and of the accepted ones those displaced or timed_out.",
        ("result",),
    ),
    Metric(Counter, "gateway_tls_handshakes_failed_total", "Connections at TLS listeners that ended before TLS stood."),
    Metric(
        Counter,
        "gateway_proxy_headers_rejected_total",
        "Connections of balancers that began with no header of the PROXY protocol, or with a malformed one.",
        ("listener",),
    ),
    Metric(
        Counter,
        "gateway_log_lines_left_out_total",
        "Log lines that a summary stands for, by event.",
        ("event",),
    ),
    Metric(
        Gauge,
        "gateway_certificate_expiry_timestamp_seconds",
        "When the first certificate of a TLS file ends; `used_by` is listener or peer.",
        ("used_by", "name", "file"),
    ),
    Metric(
        Gauge,
        "gateway_revocation_list_expiry_timestamp_seconds",
        "When the first certificate revocation list of a file is out of date; `used_by` is listener or peer.",
        ("used_by", "name", "file"),
    ),
    Metric(
        Counter,
        "gateway_user_identities_total",
        "User identities that were looked at, by type and how it went (verified, refused, not_verifiable).",
        ("type", "result"),
    ),
    Metric(
        Counter,
        "gateway_leniencies_total",
        "Messages and objects that break the standard and were taken all the same, by kind (docs/leniency.md).",
        ("peer", "kind"),
    ),
    # --- receiving
    Metric(
        Counter,
        "gateway_received_instances_total",
        "C-STORE requests answered, by the requestor's peer and the status sent (hexadecimal).",
        ("peer", "status"),
    ),
    Metric(Counter, "gateway_received_bytes_total", "Encoded data set bytes of accepted C-STORE requests.", ("peer",)),
    Metric(Histogram, "gateway_store_seconds", "From a complete C-STORE request to its response.", ("peer",)),
    Metric(
        Counter,
        "gateway_handler_failures_total",
        "Requests over which a handler failed: it raised, or gave no status; by event (EVT_C_STORE and the like).",
        ("handler",),
    ),
    Metric(
        Counter,
        "gateway_unmatched_instances_total",
        "Instances that no route wanted, by what `unmatched` did (hold, reject, discard).",
        ("peer", "action"),
    ),
    Metric(
        Counter,
        "gateway_decided_instances_total",
        "Instances that a rule decided about as a whole, by what it did (drop, reject, hold).",
        ("rule", "action"),
    ),
    Metric(
        Counter,
        "gateway_unclear_priorities_total",
        "Instances for which the template under `priority` of a route gave no priority: their deliveries are normal.",
        ("rule",),
    ),
    Metric(
        Counter,
        "gateway_looping_instances_total",
        "Instances that were held because they came again and again from a peer that forwards.",
        ("peer",),
    ),
    # --- durability
    Metric(Histogram, "gateway_commit_seconds", "One group commit: payloads and redo record, written and synced."),
    Metric(Histogram, "gateway_commit_instances", "Instances in one group commit.", (), GROUP_SIZES),
    Metric(Gauge, "gateway_unsealed_bytes", "Bytes in the cluster's database that its object store does not have yet."),
    Metric(Gauge, "gateway_unsealed_groups", "The groups of payloads that they are."),
    Metric(Gauge, "gateway_unsealed_limit_bytes", "At so many of them C-STORE is answered 0xA700."),
    Metric(Gauge, "gateway_spool_free_bytes", "Free bytes of the spool's file system."),
    Metric(Gauge, "gateway_spool_min_free_bytes", "Below this many free bytes C-STORE is answered 0xA700."),
    Metric(
        Gauge,
        "gateway_storage_writable",
        "1: what is written to the place (spool, database) reaches the disk; 0: the last write failed.",
        ("place",),
    ),
    Metric(Gauge, "gateway_queue_free_bytes", "Free bytes of the database's file system, without its reserve."),
    Metric(Gauge, "gateway_queue_reserved_bytes", "Room that the reserve beside the database holds."),
    Metric(
        Gauge,
        "gateway_spool_in_place",
        "1: spool and queue are what was opened at the start; 0: they were replaced or deleted, and nothing is taken.",
    ),
    Metric(
        Counter,
        "gateway_payload_read_failures_total",
        "Stored payloads that could not be read (unreadable, missing: tried again; damaged: their deliveries die).",
        ("kind",),
    ),
    Metric(
        Counter,
        "gateway_payloads_fetched_total",
        "Payloads that a node fetched, since it does not have them itself, by where they lay.",
        ("source",),
    ),
    Metric(
        Counter,
        "gateway_sealed_bytes_total",
        "Bytes of payloads that this node moved from the journal in the database into the object store.",
    ),
    Metric(
        Counter,
        "gateway_instances_forgotten_early_total",
        "Delivered instances that went before their retention was over, for want of room; queries find them no more.",
    ),
    Metric(
        Counter,
        "gateway_kept_copies_dropped_total",
        "Delivered instances that are kept no longer, though their `keep` was not over, for want of room.",
    ),
    Metric(
        Counter,
        "gateway_spool_told_again_total",
        "Objects that a start found behind what the database knew, by what became of them: told, held, lost, refused.",
        ("result",),
    ),
    Metric(
        Counter,
        "gateway_spool_quarantined_total",
        "Moved or copied into the spool's folder `quarantine` (file: whole, part: a copy of some of its bytes).",
        ("kind",),
    ),
    # --- queue
    Metric(Gauge, "gateway_queue_deliveries", "Deliveries in the queue.", ("destination", "state")),
    Metric(Gauge, "gateway_queue_bytes", "Encoded bytes of the deliveries in the queue.", ("destination", "state")),
    Metric(
        Gauge,
        "gateway_queue_oldest_age_seconds",
        "Age of the oldest delivery in the queue.",
        ("destination", "state"),
    ),
    # --- delivering
    Metric(
        Counter,
        "gateway_delivery_attempts_total",
        "Attempts that ended, by how (delivered, deferred, refused).",
        ("destination", "outcome"),
    ),
    Metric(
        Counter,
        "gateway_deliveries_total",
        "Deliveries that ended, by how (delivered, refused, expired).",
        ("destination", "outcome"),
    ),
    Metric(Counter, "gateway_delivery_bytes_total", "Encoded data set bytes delivered.", ("destination",)),
    Metric(
        Histogram,
        "gateway_delivery_seconds",
        "One delivery that succeeded, from opening the stored object to the destination's answer.",
        ("destination",),
    ),
    Metric(Gauge, "gateway_destination_up", "1: the last contact went well; 0: deliveries wait.", ("destination",)),
    Metric(
        Gauge,
        "gateway_destination_left_out",
        "Studies and kinds of objects that wait since the destination refused them in a row while it takes others.",
        ("destination",),
    ),
    Metric(
        Gauge,
        "gateway_destination_window_open",
        "1: its delivery window is open; 0: deliveries wait for it. Destinations without a window have none.",
        ("destination",),
    ),
    Metric(
        Counter,
        "gateway_delivery_rate_wait_seconds_total",
        "Seconds that associations waited because of the destination's rate, added up.",
        ("destination",),
    ),
    Metric(
        Gauge,
        "gateway_group_member_given_up",
        "1: the member of the group has been down for so long that others stand in for it.",
        ("group", "destination"),
    ),
    Metric(
        Gauge,
        "gateway_group_doubtful_deliveries",
        "Deliveries of the group that stay with a destination, which may have them and has not answered.",
        ("group", "destination"),
    ),
    Metric(
        Counter,
        "gateway_group_deliveries_moved_total",
        "Deliveries that waited at one member of the group and were moved to another.",
        ("group", "source", "destination"),
    ),
    Metric(
        Gauge,
        "gateway_collections",
        "Collections by state (open, releasing, complete, closed, unreadable) that are not forgotten yet.",
        ("collection", "state"),
    ),
    Metric(Gauge, "gateway_collections_overdue", "Collections that are open after `at_most`.", ("collection",)),
    Metric(
        Gauge,
        "gateway_collection_oldest_age_seconds",
        "Age of the oldest collection that is open, by definition.",
        ("collection",),
    ),
    Metric(
        Counter,
        "gateway_collections_completed_total",
        "Collections that ended, by how (verified, unverified, overdue, forced, unmatched, discarded).",
        ("collection", "result"),
    ),
    Metric(
        Counter,
        "gateway_collection_problems_total",
        "Collections that are due and stay as they are: of another version, or a step failed. Each problem once.",
        ("collection",),
    ),
    Metric(
        Counter,
        "gateway_collection_left_out_total",
        "Objects that were accepted and that a collection did not take: late, or again (sent before).",
        ("collection", "why"),
    ),
    # --- queries
    Metric(
        Counter,
        "gateway_find_requests_total",
        "C-FIND requests answered, by the requestor's peer and the final status sent (hexadecimal).",
        ("peer", "status"),
    ),
    Metric(Histogram, "gateway_find_seconds", "From a C-FIND request to its final response.", ("peer",)),
    Metric(
        Counter,
        "gateway_find_partial_total",
        "C-FIND answers that may lack something and end with 0x0000: without a source that failed or cut by `limit` "
        "(`partial: accept`), or after too many gateways.",
    ),
    Metric(
        Counter,
        "gateway_find_values_replaced_total",
        "Values in C-FIND answers that could not be written as they are: bytes that are no text, or too long.",
    ),
    Metric(
        Counter,
        "gateway_source_queries_total",
        "Questions to sources by how they went (answered, failed, interrupted).",
        ("source", "outcome"),
    ),
    Metric(
        Counter,
        "gateway_source_answers_total",
        "Matches from sources: taken, unfit (they do not fit the question), hidden (by a rule), other_patient (another "
        "source names another patient for the same unique key), late (they add to a match that was given before).",
        ("source", "outcome"),
    ),
    Metric(Histogram, "gateway_source_seconds", "One question to one source.", ("source",)),
    # --- converting
    Metric(
        Counter,
        "gateway_conversions_total",
        "Conversions by transfer syntaxes and how they ended (converted, refused, deferred, crashed, timed_out, "
        "out_of_memory, failed).",
        ("from", "to", "outcome"),
    ),
    Metric(Histogram, "gateway_conversion_seconds", "One conversion in a worker process.", ("from", "to")),
    Metric(Gauge, "gateway_conversion_workers", "Worker processes for conversions that exist now."),
    # --- retrieving
    Metric(
        Counter,
        "gateway_retrieve_requests_total",
        "C-GET and C-MOVE requests that ended, by requestor and final status (or interrupted).",
        ("service", "peer", "status"),
    ),
    Metric(
        Histogram, "gateway_retrieve_seconds", "From a C-GET or C-MOVE request to its final response.", ("service",)
    ),
    Metric(
        Counter,
        "gateway_retrieve_suboperations_total",
        "C-STORE sub-operations of C-GET and C-MOVE, by destination and result (completed, warning, failed).",
        ("service", "destination", "result"),
    ),
    Metric(
        Counter,
        "gateway_source_retrieves_total",
        "C-GET and C-MOVE requests to sources, by how they ended (answered, failed, not_offered, interrupted, or the "
        "final status).",
        ("source", "service", "outcome"),
    ),
    Metric(
        Histogram, "gateway_source_retrieve_seconds", "One C-GET or C-MOVE request to a source.", ("source", "service")
    ),
    Metric(
        Counter,
        "gateway_source_instances_total",
        "Instances that sources sent for retrieves (fetched, not_asked_for).",
        ("source", "outcome"),
    ),
    Metric(
        Counter,
        "gateway_retrieve_partial_total",
        "C-GET and C-MOVE requests that went on without a source (`partial: accept`, or after too many gateways).",
    ),
    Metric(
        Counter,
        "gateway_retrieved_not_kept_total",
        "Fetched instances that were passed on, but that the rules did not let us keep.",
        ("source",),
    ),
    # --- configuration
    Metric(Gauge, "gateway_config_last_reload_successful", "1: the last reload is in force; 0: it was refused."),
    Metric(
        Gauge, "gateway_config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded."
    ),
    Metric(Counter, "gateway_config_reloads_total", "Reloads by result (applied, refused).", ("result",)),
)


INFOS = (
    Metric(Info, "gateway_build_info", "The running software; always 1.", ("version", "python")),
    Metric(Info, "gateway_config_info", "The configuration in force; always 1.", ("version",)),
)

INTRODUCTION = """# Metrics

The page of `GET /metrics`, for Prometheus. This text is made by `gateway schema --metrics`. A histogram has the series
`_bucket` (with the label `le`), `_sum` and `_count`. The label `peer` is the name of a peer in the rules; requestors
that no peer names share `(stranger)`.

| metric | kind | labels | |
|---|---|---|---|
"""


def reference() -> str:
    """`docs/metrics.md`: every metric, in the order of the table."""
    return INTRODUCTION + "".join(map(_row, (*METRICS, *INFOS)))


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind.__name__.lower()} | {labels} | {metric.help} |\n"


class Metrics:
    """The `Meter` of the running gateway, on a registry of its own. Used on the event loop and from threads."""

    def __init__(self, version: str = "") -> None:
        self.registry = CollectorRegistry()
        self._collectors: dict[str, Any] = {row.name: _collector(row, self.registry) for row in METRICS}
        self._children: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}
        infos = {row.name: Info(row.name.removesuffix("_info"), row.help, registry=self.registry) for row in INFOS}
        self._config = infos["gateway_config_info"]
        infos["gateway_build_info"].info({"version": version, "python": platform.python_version()})

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add `amount` (may be negative for a gauge). Raises KeyError for a name that `METRICS` lacks."""
        self._child(name, labels).inc(amount)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """One observation of a histogram."""
        self._child(name, labels).observe(value)

    def counter(self, name: str, /, **labels: str) -> Callable[[float], None]:
        """`count` of one series of a counter."""
        counter: Total = self._child(name, labels)
        return counter.inc

    def observer(self, name: str, /, **labels: str) -> Callable[[float], None]:
        """`observe` of one series of a histogram."""
        histogram: Distribution = self._child(name, labels)
        return histogram.observe

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """A gauge's new value."""
        self._child(name, labels).set(value)

    def set_config_version(self, version: str) -> None:
        """Names the routing table in force."""
        self._config.info({"version": version})

    def set_queue(self, depths: Iterable[QueueDepth], now: datetime) -> None:
        """Replace all queue gauges; destinations that owe nothing any more disappear."""
        rows: list[tuple[tuple[str, ...], QueueDepth]] = [((row.destination, row.state.value), row) for row in depths]
        ages = {
            labels: max(0.0, (now - row.oldest_at).total_seconds()) for labels, row in rows if row.oldest_at is not None
        }
        self.replace("gateway_queue_deliveries", {labels: row.count for labels, row in rows})
        self.replace("gateway_queue_bytes", {labels: row.size_bytes for labels, row in rows})
        self.replace("gateway_queue_oldest_age_seconds", ages)

    def set_collections(self, counts: Iterable[CollectionCount], now: datetime) -> None:
        """Replace all gauges of collections. `now` is the queue's time."""
        numbers: Numbers[tuple[str, ...]] = Numbers()
        overdue: Numbers[tuple[str, ...]] = Numbers()
        ages: dict[tuple[str, ...], float] = {}
        for row in counts:
            numbers[row.name, row.state.value] += row.collections
            overdue[row.name,] += row.overdue
            if row.state is CollectionState.OPEN:
                ages[row.name,] = max(0.0, (now - row.oldest_at).total_seconds())
        self.replace("gateway_collections", numbers)
        self.replace("gateway_collections_overdue", overdue)
        self.replace("gateway_collection_oldest_age_seconds", ages)

    def replace(self, name: str, values: Mapping[tuple[str, ...], float]) -> None:
        """Set a labelled gauge to exactly `values` (label values → value)."""
        gauge = self._collectors[name]
        gauge.clear()
        for key in [key for key in self._children if key[0] == name]:
            del self._children[key]
        for labels, value in values.items():
            gauge.labels(*labels).set(value)

    def text(self) -> bytes:
        """The page for Prometheus, in its text format."""
        return generate_latest(self.registry)

    def _child(self, name: str, labels: dict[str, str]) -> Any:
        key = (name, tuple(labels.items()))
        child = self._children.get(key)
        if child is None:
            collector = self._collectors[name]
            is_alone = isinstance(collector, Gauge) and not labels
            child = self._children[key] = collector if is_alone else collector.labels(**labels)
        return child


def _collector(row: Metric, registry: CollectorRegistry) -> Gauge | Series:
    if row.kind is Gauge:
        return Gauge(row.name, row.help, row.labels, registry=registry)
    series = Series(row.name, row.help, row.labels, row.buckets if row.kind is Histogram else None)
    registry.register(series)
    return series

"""Metrics: names, labels, and that every part uses only what the table has."""

from __future__ import annotations

import ast
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

import gateway
from gateway.metrics import METRICS, Metrics
from gateway.model.association import AssociationFacts
from gateway.model.collection import CollectionState
from gateway.model.delivery import DeliveryState
from gateway.ports.collections import CollectionCount
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.meter import Meter, peer_label
from tests.support.source_trees import files_with, nodes_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PACKAGE = Path(gateway.__file__).parent
BOUNDS = ("0.001", "0.0025", "60.0", "300.0", "+Inf")


class ByName(Meter):
    """Looks each series up by its name."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        self._metrics.count(name, amount, **labels)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        self._metrics.observe(name, value, **labels)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        self._metrics.set(name, value, **labels)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_counter_is_counted_by_its_labels_in_any_order() -> None:
    metrics = Metrics()
    metrics.count("gateway_received_instances_total", peer="ct", status="0x0000")
    metrics.count("gateway_received_instances_total", 2, status="0x0000", peer="ct")
    assert value(metrics, "gateway_received_instances_total", peer="ct", status="0x0000") == 3


def test_a_series_that_was_looked_up_once_is_the_one_that_its_name_counts() -> None:
    metrics = Metrics()
    for meter in (metrics, ByName(metrics)):
        meter.counter("gateway_received_bytes_total", peer="ct")(2)
        meter.observer("gateway_store_seconds", peer="ct")(0.5)
    metrics.count("gateway_received_bytes_total", 3, peer="ct")
    assert value(metrics, "gateway_received_bytes_total", peer="ct") == 7
    assert value(metrics, "gateway_store_seconds_count", peer="ct") == 2
    assert value(metrics, "gateway_store_seconds_sum", peer="ct") == 1


def test_a_gauge_is_set_and_counted_down() -> None:
    metrics = Metrics()
    metrics.set("gateway_associations_open", 5, direction="in", peer="ct")
    metrics.count("gateway_associations_open", -1, direction="in", peer="ct")
    assert value(metrics, "gateway_associations_open", direction="in", peer="ct") == 4


def test_a_histogram_has_buckets() -> None:
    metrics = Metrics()
    metrics.observe("gateway_store_seconds", 0.02, peer="ct")
    assert value(metrics, "gateway_store_seconds_bucket", peer="ct", le="0.01") == 0
    assert value(metrics, "gateway_store_seconds_bucket", peer="ct", le="0.025") == 1


def test_a_histogram_counts_what_lies_on_a_bound_below_it_and_what_lies_beyond_all() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.0011, 300, 300.5):
        metrics.observe("gateway_store_seconds", seconds, peer="ct")
    of_bound = {bound: value(metrics, "gateway_store_seconds_bucket", peer="ct", le=bound) for bound in BOUNDS}
    assert of_bound == {"0.001": 1, "0.0025": 2, "60.0": 2, "300.0": 3, "+Inf": 4}
    assert value(metrics, "gateway_store_seconds_count", peer="ct") == 4
    assert value(metrics, "gateway_store_seconds_sum", peer="ct") == pytest.approx(600.5021)


def test_what_has_no_labels_is_shown_before_anything_is_counted() -> None:
    page = Metrics().text().decode()
    assert "gateway_retrieve_partial_total 0.0\n" in page
    assert 'gateway_commit_seconds_bucket{le="+Inf"} 0.0\n' in page


def test_the_page_is_what_prometheus_client_writes() -> None:
    """A counter and a histogram of its own beside ours: the same lines."""
    metrics, theirs = Metrics(), CollectorRegistry()
    name, peer = "gateway_received_bytes_total", 'odd "peer" \\ \n'
    row = next(row for row in METRICS if row.name == "gateway_store_seconds")
    Counter(name, "help", ("peer",), registry=theirs).labels(peer=peer).inc(2.5)
    histogram = Histogram(row.name, "help", ("peer",), registry=theirs, buckets=row.buckets).labels(peer=peer)
    metrics.count(name, 2.5, peer=peer)
    for seconds in (0.0, 0.2, 0.25, 1e9):
        histogram.observe(seconds)
        metrics.observe(row.name, seconds, peer=peer)
    expected = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line and b"# " not in line]
    assert len(expected) == 20
    assert set(expected) <= set(metrics.text().splitlines())


def test_a_counter_never_goes_down_and_has_its_labels() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="only grows"):
        metrics.count("gateway_received_bytes_total", -1, peer="ct")
    with pytest.raises(ValueError, match="has the labels peer"):
        metrics.count("gateway_received_bytes_total", 1)
    with pytest.raises(ValueError, match=r"has the labels \(none\)"):
        metrics.observe("gateway_commit_seconds", 1, peer="ct")


def test_threads_lose_no_count() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(2000):
            metrics.count("gateway_received_bytes_total", 3, peer="ct")
            metrics.observe("gateway_commit_seconds", 1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(metrics, "gateway_received_bytes_total", peer="ct") == 4 * 2000 * 3
    assert value(metrics, "gateway_commit_seconds_count") == 4 * 2000


def test_an_unknown_name_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        Metrics().count("gateway_nonsense_total")


def test_queue_gauges_disappear_with_their_destination() -> None:
    metrics = Metrics()
    pacs = QueueDepth("pacs", DeliveryState.PENDING, 3, 300, NOW - timedelta(seconds=40))
    metrics.set_queue([pacs, QueueDepth("vna", DeliveryState.DEAD, 1, 10, None)], NOW)
    assert value(metrics, "gateway_queue_deliveries", destination="vna", state="dead") == 1
    metrics.set_queue([pacs], NOW)
    assert value(metrics, "gateway_queue_oldest_age_seconds", destination="pacs", state="pending") == 40
    assert value(metrics, "gateway_queue_bytes", destination="pacs", state="pending") == 300
    assert value(metrics, "gateway_queue_deliveries", destination="vna", state="dead") is None


def test_gauges_of_collections_are_those_of_now() -> None:
    metrics = Metrics()
    began_at = NOW - timedelta(seconds=40)
    waiting = CollectionCount("chest", CollectionState.OPEN, "", 3, began_at, overdue=1)
    ended = [CollectionCount("chest", CollectionState.COMPLETE, result, 2, NOW) for result in ("overdue", "forced")]
    metrics.set_collections([waiting, *ended], NOW)
    assert value(metrics, "gateway_collections", collection="chest", state="open") == 3
    assert value(metrics, "gateway_collections", collection="chest", state="complete") == 4
    assert value(metrics, "gateway_collections_overdue", collection="chest") == 1
    assert value(metrics, "gateway_collection_oldest_age_seconds", collection="chest") == 40
    metrics.set_collections(ended, NOW)
    assert value(metrics, "gateway_collections", collection="chest", state="open") is None
    assert value(metrics, "gateway_collection_oldest_age_seconds", collection="chest") is None


def test_the_page_names_build_and_configuration() -> None:
    metrics = Metrics("1.2.3")
    metrics.set_config_version("abc")
    page = metrics.text().decode()
    assert 'version="1.2.3"' in page
    assert 'gateway_config_info{version="abc"} 1.0' in page


def test_strangers_share_one_label() -> None:
    stranger = AssociationFacts("WHO KNOWS", "GATEWAY", "10.0.0.9")
    assert peer_label(stranger) == "(stranger)"


def uses() -> list[tuple[str, str, frozenset[str]]]:
    """Every call of a meter with a constant name in the package: (place, name, label names)."""
    found = []
    for path in {*files_with(PACKAGE, "meter"), *files_with(PACKAGE, "metrics")}:
        for node in nodes_of(path):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            first = node.args[0] if node.args else None
            if node.func.attr not in {"count", "counter", "observe", "observer", "set"} or not isinstance(
                first, ast.Constant
            ):
                continue
            if not ast.unparse(node.func.value).endswith(("meter", "metrics")):
                continue
            if isinstance(first.value, str) and not any(keyword.arg is None for keyword in node.keywords):
                labels = frozenset(keyword.arg or "" for keyword in node.keywords)
                found.append((f"{path.relative_to(PACKAGE)}:{node.lineno}", first.value, labels))
    return found


def test_every_measured_name_stands_in_the_table_with_its_labels() -> None:
    known = {row.name: frozenset(row.labels) for row in METRICS}
    found = uses()
    wrong = [(place, name, sorted(labels)) for place, name, labels in found if known.get(name) != labels]
    assert wrong == []
    assert len(found) > 20
    assert len(known) == len(METRICS)

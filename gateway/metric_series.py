"""Counters and histograms for the registry of prometheus_client, in a third of the time of its own, since some are
counted for each object that is received. Any thread."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Total:
    """One series of a counter."""

    __slots__ = ("_lock", "value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Raises ValueError for a negative amount."""
        if amount < 0:
            raise ValueError("a counter only grows")
        with self._lock:
            self.value += amount


class Distribution:
    """One series of a histogram."""

    __slots__ = ("_bounds", "_lock", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._lock = threading.Lock()
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """The counts of each bucket alone; the last one has no bound."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        with self._lock:
            self.counts[bisect_left(self._bounds, value)] += 1
            self.sum += value


class Series(Collector):
    """All series of one counter, or with the upper `bounds` of its buckets of one histogram."""

    def __init__(
        self, name: str, help_text: str, label_names: Sequence[str], bounds: Sequence[float] | None = None
    ) -> None:
        self._name = name
        self._help = help_text
        self._label_names = tuple(label_names)
        self._bounds = None if bounds is None else tuple(map(float, bounds))
        self._series: dict[tuple[str, ...], Total | Distribution] = {}
        if not label_names:
            self.labels()  # shown from the first moment on

    def labels(self, **labels: str) -> Total | Distribution:
        """The series with these labels, made when it is new. Raises ValueError for other labels than its own."""
        if labels.keys() != set(self._label_names):
            raise ValueError(f"{self._name} has the labels {', '.join(self._label_names) or '(none)'}")
        new = Total() if self._bounds is None else Distribution(self._bounds)
        return self._series.setdefault(tuple(str(labels[name]) for name in self._label_names), new)

    def describe(self) -> list[CounterMetricFamily] | list[HistogramMetricFamily]:
        """The metric without its series."""
        if self._bounds is None:
            return [CounterMetricFamily(self._name, self._help, labels=self._label_names)]
        return [HistogramMetricFamily(self._name, self._help, labels=self._label_names)]

    def collect(self) -> list[CounterMetricFamily] | list[HistogramMetricFamily]:
        """All series with their values of now."""
        families = self.describe()
        for labels, series in list(self._series.items()):
            for family in families:
                if isinstance(family, CounterMetricFamily) and isinstance(series, Total):
                    family.add_metric(labels, series.value)
                elif isinstance(family, HistogramMetricFamily) and isinstance(series, Distribution):
                    family.add_metric(labels, self._buckets(series), series.sum)
        return families

    def _buckets(self, series: Distribution) -> list[tuple[str, float]]:
        names = [*map(str, self._bounds or ()), "+Inf"]
        return list(zip(names, accumulate(series.counts), strict=True))

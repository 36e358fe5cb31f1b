"""The figures of `benchmarks.run`: ratios of the same round, bars, and the Markdown page."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks.scenarios import Figure, Idle, Large
from benchmarks.systems import FLOOR, GATEWAY, GATEWAY_SETS, ORTHANC, STOCK, STORESCP, STORESCP_FORK
from tests.support.load.measure import machine
from tests.support.load.report import Bar, number, table

SIZES = {"8 KB": 8192, "512 KB": 524288}
ASSOCIATIONS = (1, 8)
TOOLS, DISK = "generator → sink (the tools themselves)", "plain append + fdatasync, one at a time"
Key = tuple[str, int]
"""Size and number of associations."""
Rates = dict[tuple[str, Key], list[Figure]]
"""By system and key, one figure a round."""


@dataclass(slots=True)
class Results:
    """All figures."""

    load_average: float = 0.0
    """Of the minute before the first round: other work than ours."""
    ingest: Rates = field(default_factory=dict)
    forward: Rates = field(default_factory=dict)
    disk: dict[str, list[float]] = field(default_factory=dict)
    opened: dict[str, float] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)
    large: Large | None = None

    def in_order_of(self, names: Sequence[str]) -> None:
        """Sort the systems of the tables, which are measured in turns, in the order of `names`."""
        ordered = [TOOLS, *names]
        for figures in (self.ingest, self.forward):
            for name, key in sorted(figures, key=lambda each: ordered.index(each[0])):
                figures[name, key] = figures.pop((name, key))


def median(figures: Iterable[Figure]) -> Figure:
    """The one in the middle by objects a second."""
    ordered = sorted(figures, key=lambda figure: figure.per_second)
    return ordered[len(ordered) // 2]


def ratio(ours: Sequence[Figure] | None, theirs: Sequence[Figure] | None) -> float | None:
    """Median of the ratios of objects a second, each of one round; None where either was not measured."""
    if not ours or not theirs:
        return None
    return statistics.median(one.per_second / other.per_second for one, other in zip(ours, theirs, strict=True))


# --- tables -----------------------------------------------------------------------------------------------------


def keys_of(figures: Rates) -> list[Key]:
    """Sizes and associations that were measured, in the order of the page."""
    measured = {key for _, key in figures}
    return [(size, count) for size in SIZES for count in ASSOCIATIONS if (size, count) in measured]


def rates(title: str, floor_name: str, figures: Rates) -> str:
    """Two tables, systems down, sizes and associations across: rates with the share of the floor; processor time."""
    keys = keys_of(figures)
    head = ["system", *(f"{size}, {count} assoc." for size, count in keys)]
    speeds, efforts = [], []
    for name in dict.fromkeys(name for name, _ in figures):
        found = [figures.get((name, key)) for key in keys]
        floors = [None if name == TOOLS else figures.get((FLOOR, key)) for key in keys]
        shares = [ratio(some, least) for some, least in zip(found, floors, strict=True)]
        speeds.append([name, *(_rate(*each) for each in zip(found, shares, strict=True))])
        efforts.append([name, *(f"{median_cpu_ms(some):.3f}" if some else "-" for some in found)])
    parts = [
        f"### {title}",
        f"Objects a second (latency p50 / p99 in ms) and the share of the {floor_name}, of the same round.",
        table(head, speeds),
        "Processor time of an object in ms, user and system, all processes of the system:",
        table(head, efforts),
    ]
    return "\n\n".join(parts)


def median_cpu_ms(figures: Iterable[Figure]) -> float:
    return statistics.median(figure.cpu_ms for figure in figures)


def _rate(found: Sequence[Figure] | None, share: float | None) -> str:
    if not found:
        return "-"
    figure = median(found)
    text = f"{number(figure.per_second)} ({figure.p50_ms:.2g} / {figure.p99_ms:.2g})"
    return text if share is None else f"{text} **{share:.2f}**"


# --- bars -------------------------------------------------------------------------------------------------------

Row = tuple[str, Rates, str, str, Key, float]
"""Text, figures, whose, against whom, size and associations, at least how many times."""


def _rows(results: Results) -> list[Row]:
    ingest, forward = results.ingest, results.forward
    small, large = ("8 KB", 8), ("512 KB", 8)
    rows: list[Row] = [
        ("durable ingest, {}, against the floor", ingest, GATEWAY, FLOOR, small, 0.6),
        ("durable ingest, {}, against the floor", ingest, GATEWAY, FLOOR, ("8 KB", 1), 0.7),
        ("durable ingest, {}, against the floor", ingest, GATEWAY, FLOOR, large, 0.85),
        ("durable ingest, {}, against the floor", ingest, GATEWAY, FLOOR, ("512 KB", 1), 0.85),
        ("store and forward, {}, against the relay floor", forward, GATEWAY, FLOOR, small, 0.6),
        (f"durable ingest, {{}}, against {STORESCP_FORK}", ingest, GATEWAY, STORESCP_FORK, small, 1.2),
        (f"durable ingest, {{}}, against {STOCK}", ingest, GATEWAY, STOCK, small, 8),
    ]
    for name in (STOCK, ORTHANC):
        what = f"store and forward, {{}}, against {name}"
        rows += [(what, forward, GATEWAY, name, ("8 KB", count), 40) for count in ASSOCIATIONS]
    what = "store and forward with one `set` coercion, {}, against untouched"
    rows += [(what, forward, GATEWAY_SETS, GATEWAY, ("8 KB", count), 0.8) for count in ASSOCIATIONS]
    return rows


def bars(results: Results) -> list[Bar]:
    """The promises, each against the measurement of the same round; without those of which a part is missing."""
    found = []
    for what, figures, ours, theirs, key, limit in _rows(results):
        times = ratio(figures.get((ours, key)), figures.get((theirs, key)))
        if times is not None:
            size, count = key
            place = f"{size}, {count} association{'s' if count > 1 else ''}"
            found.append(Bar(what.format(place), times, limit, "times"))
    return found + _mixed_bars(results) + _association_bars(results)


def _mixed_bars(results: Results) -> list[Bar]:
    """Eight associations against what has one, and the gateway against the disk."""
    found = []
    eight, one = results.ingest.get((GATEWAY, ("8 KB", 8))), results.ingest.get((STORESCP, ("8 KB", 1)))
    if (times := ratio(eight, one)) is not None:
        found.append(Bar(f"durable ingest, 8 KB, 8 associations, against {STORESCP}, 1 association", times, 2, "times"))
    if large := results.ingest.get((GATEWAY, ("512 KB", 8))):
        pairs = zip(large, results.disk["512 KB"], strict=True)
        times = statistics.median(figure.per_second / rate for figure, rate in pairs)
        what = "durable ingest, 512 KB, 8 associations, against plain append + fdatasync"
        found.append(Bar(what, times, 0.7, "times"))
    return found


def _association_bars(results: Results) -> list[Bar]:
    found = []
    if idle := results.idle.get(GATEWAY):
        found += [
            Bar(f"{idle.associations} idle associations: processor", idle.cpu_share * 100, 1, "% of a core", True),
            Bar(f"{idle.associations} idle associations: memory each", idle.rss_bytes_each / 1000, 200, "KB", True),
        ]
    if GATEWAY in results.opened:
        found.append(Bar("associations opened a second, 128 contexts", results.opened[GATEWAY], 200, "/s"))
    if results.large is not None:
        what = f"resident memory while {results.large.size_bytes / 1e9:.2f} GB pass through"
        found.append(Bar(what, results.large.peak_rss_bytes / 1e6, 200, "MB", True))
    return found


# --- the page ---------------------------------------------------------------------------------------------------


def page(results: Results, found: list[Bar], rounds: int) -> str:
    """The Markdown that is printed."""
    when = datetime.now(UTC).date().isoformat()
    disk = ", ".join(f"{size}: {number(statistics.median(rate))}/s" for size, rate in results.disk.items())
    parts = [
        f"Measured {when} on {machine()}; median of {rounds} round(s). {_others(results.load_average)}",
        "### Bars\n\n" + table(["what", "bar", "measured", ""], [bar.row() for bar in found]),
    ]
    if results.ingest:
        parts += [rates("Ingest, nothing sent on", "floor", results.ingest), f"{DISK}: {disk}."]
    if results.forward:
        title = "Store and forward, until the last object reached the sink"
        parts.append(rates(title, "relay floor", results.forward))
    if lines := _association_lines(results):
        parts.append("### Associations, and one large object\n\n" + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts) + "\n"


def _others(load_average: float) -> str:
    if load_average < 0.5:
        return f"Load average before it: {load_average:.1f}."
    return (
        f"**The machine was busy with other work** (load average before it: {load_average:.1f}): "
        "shares and processor time can be compared, rates cannot."
    )


def _association_lines(results: Results) -> list[str]:
    lines = [
        f"{name}: {number(results.opened[name])} associations a second with 128 contexts; "
        f"{idle.associations} idle ones take {idle.cpu_share * 100:.1f} % of a core "
        f"and {idle.rss_bytes_each / 1000:.0f} KB each."
        for name, idle in results.idle.items()
    ]
    if results.large is not None:
        size, took = results.large.size_bytes / 1e9, results.large.seconds
        lines.append(f"gateway: {size:.2f} GB passed through in {took:.1f} s, data set equal at the sink (SHA-256).")
    return lines

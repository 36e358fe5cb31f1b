"""The page of `benchmarks.nodes`: what an object costs a node, beside the embedded store of the same round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.load.report import Bar, number, table

EMBEDDED, FOLDER, S3 = "embedded: SQLite and segments", "node: PostgreSQL and a folder", "node: PostgreSQL and S3"
Key = tuple[int, int]
"""KB and associations."""
LOADED: Key = (100, 64)
DATABASE_CORES = (2, 8, 32)
LOG_BYTES_PER_S = 1e9
"""A disk, and a standby behind it, that take a gigabyte a second."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What an object cost; milliseconds of processor time, shares of its bytes."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    database_ms: float
    object_store_ms: float
    sender_ms: float
    transactions: float
    requests: float
    log_share: float
    """Bytes of the write-ahead log for each byte of an object."""
    object_share: float
    """The same of the object store."""

    def __str__(self) -> str:
        return (
            f"{number(self.per_second)}/s, gateway {self.cpu_ms:.3f} ms, database {self.database_ms:.3f} ms, "
            f"{self.transactions:.3f} transactions, {self.log_share + self.object_share:.2f} times written"
        )


@dataclass
class Results:
    """Cells of all rounds."""

    load_average: float
    machine: str
    rounds: int
    cells: dict[tuple[str, Key], list[Cell]] = field(default_factory=dict)
    half: dict[str, list[list[float]]] = field(default_factory=dict)
    """Milliseconds of each C-STORE at half load, in order of size, a round each."""
    nodes: dict[Key, list[Cell]] = field(default_factory=dict)
    """KB and number of nodes."""

    def add(self, kind: str, key: Key, cell: Cell) -> None:
        self.cells.setdefault((kind, key), []).append(cell)

    def median(self, kind: str, key: Key, value: Callable[[Cell], float]) -> float:
        return statistics.median(map(value, self.cells[kind, key]))

    def ratio(self, kind: str, key: Key, value: Callable[[Cell], float]) -> float:
        """To the embedded store: the median of the ratios of each round."""
        pairs = zip(self.cells[kind, key], self.cells[EMBEDDED, key], strict=True)
        return statistics.median(value(cell) / max(value(base), 1e-9) for cell, base in pairs)


def page(results: Results) -> tuple[str, bool]:
    """As Markdown, and whether every bar is reached."""
    bars = _bars(results)
    parts = [
        f"Load average before it {results.load_average:.1f}; medians of {results.rounds} round(s); {results.machine}.",
        table(["what", "bar", "measured", ""], [bar.row() for bar in bars]),
        "Processor time is of one object; in brackets the ratio to the embedded store of the same round.",
        table(_HEAD, [_row(results, kind, key) for kind, key in results.cells]),
        *([_half(results)] if results.half else []),
        *([_two(results), _model(results)] if results.nodes and (FOLDER, LOADED) in results.cells else []),
    ]
    return "\n\n".join(parts), all(bar.is_reached for bar in bars)


def _bars(results: Results) -> list[Bar]:
    bars = []
    for kind in (FOLDER, S3):
        if (kind, LOADED) not in results.cells:
            continue
        of, store = median_of(results, kind, LOADED), kind.rpartition(" ")[2]
        ceilings = [
            ("transactions of an object", of(lambda each: each.transactions), 0.05, ""),
            ("S3 requests of an object", of(lambda each: each.requests), 0.01, ""),
            ("written", of(lambda each: each.log_share + each.object_share), 2.2, "times"),
            ("processor time of the node", results.ratio(kind, LOADED, lambda each: each.cpu_ms), 1.3, "times"),
        ]
        for what, value, limit, unit in ceilings:
            bars.append(Bar(f"{store}, 100 KB under load: {what}", value, limit, unit, is_ceiling=True))
    if (FOLDER, (100, 1)) in results.cells:
        one = results.median(FOLDER, (100, 1), lambda each: each.per_second)
        bars.append(Bar("one association, 100 KB", one, 300, "/s"))
    if FOLDER in results.half:
        bars.append(Bar("C-STORE at half load, p99", _p99(results.half[FOLDER]), 20, "ms", is_ceiling=True))
    if (100, 2) in results.nodes:
        bars.append(Bar("two nodes against one, 8 KB", _two_to_one(results, 8), 1.5, "times"))
    return bars


def median_of(results: Results, kind: str, key: Key) -> Callable[[Callable[[Cell], float]], float]:
    return lambda value: results.median(kind, key, value)


_HEAD = [
    *("store", "KB, associations", "a second", "p50 / p99 ms", "gateway ms", "PostgreSQL ms", "object store ms"),
    *("transactions", "S3 requests", "log + objects, times its bytes"),
]


def _row(results: Results, kind: str, key: Key) -> list[str]:
    of = median_of(results, kind, key)
    row = [
        *(kind, f"{key[0]}, {key[1]}"),
        f"{number(of(lambda each: each.per_second))} ({results.ratio(kind, key, lambda each: each.per_second):.2f})",
        f"{number(of(lambda each: each.p50_ms))} / {number(of(lambda each: each.p99_ms))}",
        f"{of(lambda each: each.cpu_ms):.3f} ({results.ratio(kind, key, lambda each: each.cpu_ms):.2f})",
    ]
    if kind == EMBEDDED:
        return [*row, "", "", "", "", ""]
    store_ms, requests = of(lambda each: each.object_store_ms), of(lambda each: each.requests)
    return [
        *row,
        f"{of(lambda each: each.database_ms):.3f}",
        f"{store_ms:.3f}" if kind == S3 else "",
        f"{of(lambda each: each.transactions):.3f}",
        f"{requests:.4f}" if kind == S3 else "",
        f"{of(lambda each: each.log_share):.2f} + {of(lambda each: each.object_share):.2f}",
    ]


def _p99(rounds: Sequence[Sequence[float]]) -> float:
    return statistics.median(each[int(0.99 * len(each))] for each in rounds)


def _half(results: Results) -> str:
    rows = [
        [kind, number(statistics.median(each[len(each) // 2] for each in rounds)), number(_p99(rounds))]
        for kind, rounds in results.half.items()
    ]
    return table(["C-STORE of 100 KB, 8 associations at half of their rate", "p50 ms", "p99 ms"], rows)


def _two_to_one(results: Results, size: int) -> float:
    pairs = zip(results.nodes[size, 2], results.nodes[size, 1], strict=True)
    return statistics.median(two.per_second / one.per_second for two, one in pairs)


def _two(results: Results) -> str:
    """Rates of one node and two, and who used the processors meanwhile."""
    rows = []
    for (size, nodes), cells in sorted(results.nodes.items()):
        middle = sorted(cells, key=lambda each: each.per_second)[len(cells) // 2]
        shares = [middle.per_second * each / 1000 for each in (middle.cpu_ms, middle.database_ms, middle.sender_ms)]
        ratio = f"{_two_to_one(results, size):.2f}" if nodes == 2 else ""
        rows.append([f"{size} KB", str(nodes), number(middle.per_second), ratio, *(f"{each:.2f}" for each in shares)])
    head = ["8 associations each", "nodes", "a second", "to one", "cores: nodes", "cores: PostgreSQL", "cores: senders"]
    return table(head, rows)


def _model(results: Results) -> str:
    """Rates that the costs under load allow: one core a node, and a database server of its own."""
    node_ms = results.median(FOLDER, LOADED, lambda each: each.cpu_ms)
    database_ms = results.median(FOLDER, LOADED, lambda each: each.database_ms)
    log_bytes = results.median(FOLDER, LOADED, lambda each: each.log_share) * LOADED[0] * 1024
    limits: Mapping[str, float] = {f"{cores} cores": 1000 * cores / database_ms for cores in DATABASE_CORES}
    rows = [
        [
            str(nodes),
            number(1000 * nodes / node_ms),
            *(number(min(1000 * nodes / node_ms, limit)) for limit in limits.values()),
        ]
        for nodes in (1, 2, 4, 16)
    ]
    head = ["nodes", "their cores allow", *(f"with a database of {name}" for name in limits)]
    return (
        f"A model of objects of 100 KB a second, from the costs under load: a node's core {node_ms:.3f} ms, the "
        f"database server {database_ms:.3f} ms, its log {log_bytes / 1024:.0f} KB an object. The log alone ends at "
        f"{number(LOG_BYTES_PER_S / log_bytes)} objects a second where disk and standby take 1 GB/s.\n\n"
        f"{table(head, rows)}"
    )


def border_page(found: Mapping[tuple[int, str], Sequence[tuple[Cell, Cell]]]) -> str:
    """Each size inside the transaction and as an object of its own."""
    rows = []
    for (size, kind), pairs in found.items():
        row = [f"{size} KB", kind.rpartition(" ")[2]]
        for value, form in ((_p50, ".1f"), (_total_ms, ".2f"), (_rate, ".0f")):
            inside, outside = (statistics.median(value(pair[at]) for pair in pairs) for at in (0, 1))
            row.append(f"{inside:{form}} / {outside:{form}}")
        rows.append(row)
    head = ["object", "store", "p50 ms", "ms of processor time, all processes", "a second"]
    return f"One association: in the transaction of its group / as an object of its own.\n\n{table(head, rows)}"


def _p50(cell: Cell) -> float:
    return cell.p50_ms


def _rate(cell: Cell) -> float:
    return cell.per_second


def _total_ms(cell: Cell) -> float:
    return cell.cpu_ms + cell.database_ms + cell.object_store_ms

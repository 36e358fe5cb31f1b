"""What rules and edits cost on this machine: `python -m benchmarks.rules [--forward] [--write]`.

In one run: reading the facts of an object and planning its routes by 100 rules over 10 attributes and by 1 000 over 20,
for small and large objects, the first of a kind and later ones; two elements set in a CT image of 512 KB on its bytes,
against pydicom reading, setting and writing it; a whole object rewritten. With `--forward` also ingest and store and
forward with one `set` coercion against objects left alone, of few elements and of 300, by turns. `--write` puts the
figures into benchmarks/README.md.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import statistics
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file

from benchmarks import scenarios
from benchmarks.systems import CONTENDERS, GATEWAY, GATEWAY_SETS
from gateway.config import load
from gateway.dataset.header_memory import MOST_KINDS
from gateway.dataset.scan import at_once
from gateway.dataset.splice import splice
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.association import AssociationFacts
from gateway.ports.edits import KEEP, Change, Edit, RewriteElement
from gateway.routing.language.attribute_path import parse
from gateway.routing.table import RoutingTable
from tests.support.load.measure import machine
from tests.support.load.objects import MR_IMAGE_STORAGE, sample
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.wire import EXPLICIT_VR_LITTLE_ENDIAN, instance_uid
from tests.support.processes import REPOSITORY

DESTINATIONS = 10
SIZES = {"8 KB": 8192, "512 KB": 512 * 1024, "10 MB": 10_000_000}
CT_BYTES = 512 * 1024
ROUNDS = 7
EDITED_ROUNDS = 5
EDITED_BYTES, MANY_ELEMENTS = 16 * 1024, 300
CONDITIONS = (
    "{modality: [MR, CT]}",
    "{attribute: {select: PatientID, matches: '^BENCH-%02d'}}",
    "{attribute: {select: InstitutionName, equals: Hospital %d}}",
    "{attribute: {select: BodyPartExamined, in: [HEAD, REGION%d]}}",
    "{attribute: {select: StudyDescription, matches: 'routine %d'}}",
    "{attribute: {select: ImageType, equals: DERIVED}}",
    "{attribute: {select: StationName, equals: MR%d}}",
    "{attribute: {select: SeriesDescription, matches: 't%d'}}",
    "{attribute: {select: ManufacturerModelName, exists: true}}",
    "{attribute: {select: AccessionNumber, absent: true}}",
)
"""Over ten attributes; `%d` is the rule's number."""
MORE_CONDITIONS = (
    "{attribute: {select: PatientSex, in: [M, F]}}",
    "{attribute: {select: ReferringPhysicianName, matches: '^Doctor%d'}}",
    "{attribute: {select: ProtocolName, equals: protocol %d}}",
    "{attribute: {select: StudyID, equals: S%d}}",
    "{attribute: {select: Manufacturer, in: [Maker %d, Other]}}",
    "{attribute: {select: PhotometricInterpretation, equals: RGB}}",
    "{attribute: {select: SeriesNumber, in: ['%d', '1%d']}}",
    "{attribute: {select: ScanningSequence, exists: true}}",
    "{attribute: {select: PatientBirthDate, equals: '%08d'}}",
    "{attribute: {select: SliceThickness, absent: true}}",
)
"""Over ten others."""


@dataclass(frozen=True, slots=True)
class Size:
    """A table of routes. One in `one_in` holds for the sample object."""

    rules: int
    conditions: tuple[str, ...]
    one_in: int
    most_us: float

    def __str__(self) -> str:
        return f"{number(self.rules)} rules over {len(self.conditions)} attributes"


TABLES = (Size(100, CONDITIONS, 10, 200.0), Size(1000, CONDITIONS + MORE_CONDITIONS, 100, 300.0))
ASSOCIATION = AssociationFacts("MODALITY", "GATEWAY", "127.0.0.1", 40000, association_id="bench-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def routing_table(size: Size) -> RoutingTable:
    """Routes that each look at two or three of the attributes."""
    lines = ["gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}", "unmatched: hold", "peers:"]
    lines += [f"  peer{n}: {{ae_title: P{n}, address: 'localhost:{10400 + n}'}}" for n in range(DESTINATIONS)]
    lines.append("routes:")
    for rule in range(size.rules):
        chosen = [size.conditions[(rule + step) % len(size.conditions)] for step in (0, 3, 7)][: 2 + rule % 2]
        written = ", ".join(one % ((rule,) * one.count("%")) for one in chosen)
        kind = "any" if rule % size.one_in == 0 else "all"
        peer = rule * DESTINATIONS // size.rules
        lines.append(f"  - {{name: rule {rule}, when: {{{kind}: [{written}]}}, to: [peer{peer}]}}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text("\n".join(lines))
        loaded = load(path, {})
    assert loaded.table is not None, loaded.problems
    return loaded.table


def seconds(work: Callable[[], object], at_least_s: float = 0.2) -> float:
    """Processor time of one call: the least of some rounds of at least `at_least_s`, as others use the machine too."""
    count = 1
    while True:
        began = time.process_time()
        for _ in range(count):
            work()
        if (spent := time.process_time() - began) >= at_least_s / 4:
            break
        count *= 4
    count = max(int(count * at_least_s / spent), 1)
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(count):
            work()
        found.append((time.process_time() - began) / count)
    return min(found)


def deciding(routing: RoutingTable, size_bytes: int) -> tuple[float, float, float, int]:
    """Seconds for reading the facts of the first object of a kind and of a later one, seconds for the plan, number of
    routes."""
    body = MemoryDataSet(sample(size_bytes).data_set)
    senders = itertools.cycle(replace(ASSOCIATION, calling_ae_title=f"SENDER{n}") for n in range(2 * MOST_KINDS))

    def read(association: AssociationFacts = ASSOCIATION) -> object:
        return at_once(
            routing.reading_facts(
                association=association,
                sop_class_uid=MR_IMAGE_STORAGE,
                sop_instance_uid=instance_uid(0, 0).decode(),
                transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                body=body,
                received_at=NOW,
            )
        )

    def both() -> object:
        return routing.plan(read())  # type: ignore[arg-type]

    first, reading = seconds(lambda: read(next(senders))), seconds(read)
    return first, reading, seconds(both) - reading, len(both().dispatches)  # type: ignore[attr-defined]


def ct_image() -> bytes:
    """pydicom's CT image with pixels of 512 KB, as a Part 10 file."""
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    image = pydicom.dcmread(path)
    image.Rows = image.Columns = 512
    image.PixelData = bytes(CT_BYTES)
    written = io.BytesIO()
    image.save_as(written)
    return written.getvalue()


def by_pydicom(file: bytes) -> bytes:
    """Read, set, write."""
    image = pydicom.dcmread(io.BytesIO(file))
    image.InstitutionName = "North Hospital"
    image.PatientID = "EDITED-42"
    written = io.BytesIO()
    image.save_as(written)
    return written.getvalue()


class EveryElement:
    """A rewrite that looks at all and changes one."""

    tags = None

    def __call__(self, element: RewriteElement) -> Change:
        return ("NEW",) if element.tag == 0x00100020 and element.values else KEEP


def editing() -> tuple[float, float, float]:
    """Seconds for two elements by splice, by pydicom, and for a rewrite of the whole object."""
    file = ct_image()
    begin = file.index(struct.pack("<HH", 0x0008, 0x0005) + b"CS")
    data = memoryview(file)[begin:]
    edits = [Edit(parse("InstitutionName"), ("North Hospital",)), Edit(parse("PatientID"), ("EDITED-42",))]
    ours = pydicom.dcmread(io.BytesIO(file[:begin] + b"".join(splice(data, EXPLICIT_VR_LITTLE_ENDIAN, edits))))
    assert ours == pydicom.dcmread(io.BytesIO(by_pydicom(file))), "both must do the same"
    return (
        seconds(lambda: b"".join(splice(data, EXPLICIT_VR_LITTLE_ENDIAN, edits))),
        seconds(lambda: by_pydicom(file)),
        seconds(lambda: b"".join(splice(data, EXPLICIT_VR_LITTLE_ENDIAN, [EveryElement()]))),
    )


async def edited_rates(scenario: str, elements: int) -> tuple[float, float, float]:
    """Objects a second over 8 associations, untouched and with one element set on arrival, medians of rounds that take
    turns; and the median of the rounds' ratios."""
    by_name = {contender.name: contender for contender in CONTENDERS}
    rates: dict[str, list[float]] = {GATEWAY: [], GATEWAY_SETS: []}
    root = REPOSITORY / "var" / "benchmarks"
    for turn in range(EDITED_ROUNDS):
        for name in (GATEWAY, GATEWAY_SETS) if turn % 2 else (GATEWAY_SETS, GATEWAY):
            if scenario == "ingest":
                figure = await scenarios.ingest(root, by_name[name], EDITED_BYTES, 8, 2.0, elements)
            else:
                figure = await scenarios.forward(root, by_name[name], EDITED_BYTES, 8, 3000, elements)
            rates[name].append(figure.per_second)
    ratios = [edited / untouched for untouched, edited in zip(rates[GATEWAY], rates[GATEWAY_SETS], strict=True)]
    return statistics.median(rates[GATEWAY]), statistics.median(rates[GATEWAY_SETS]), statistics.median(ratios)


def edited() -> tuple[str, list[Bar]]:
    """As Markdown, and its bars."""
    rows, found = [], []
    for scenario in ("ingest", "store and forward"):
        for elements, limit in ((0, 0.8), (MANY_ELEMENTS, 0.85)):
            untouched, with_set, ratio = asyncio.run(edited_rates(scenario, elements))
            what = f"{scenario}, {elements} elements" if elements else scenario
            rows.append([what, number(untouched), number(with_set)])
            found.append(Bar(f"{what}: with one `set` against untouched", ratio, limit, "times"))
    head = table(("8 associations", "untouched", "one `set` coercion"), rows)
    return f"{EDITED_BYTES // 1024} KB, objects a second; load average {os.getloadavg()[0]:.1f}:\n\n{head}", found


def decided() -> tuple[list[list[str]], list[Bar]]:
    """Rows and bars of reading and planning."""
    rows, found = [], []
    for of in TABLES:
        routing = routing_table(of)
        totals = {}
        for name, size_bytes in SIZES.items():
            first, reading, planning, routes = deciding(routing, size_bytes)
            totals[name] = (reading + planning) * 1e6
            figures = [f"{figure * 1e6:.0f} µs" for figure in (first, reading, planning, reading + planning)]
            rows.append([str(of), name, *figures, str(routes)])
        found += [
            Bar(f"{of}: facts and plan, {name}", totals[name], of.most_us, "µs", is_ceiling=True)
            for name in ("8 KB", "10 MB")
        ]
        found.append(Bar(f"{of}: 10 MB against 8 KB", totals["10 MB"] / totals["8 KB"], 1.25, "times", is_ceiling=True))
    return rows, found


def run(*, with_forwarding: bool) -> str:
    """All figures as Markdown."""
    rows, bars = decided()
    fast, slow, whole = editing()
    bars.append(Bar("pydicom against splice", slow / fast, 20, "times"))
    forwarded, more = edited() if with_forwarding else ("", [])
    bars += more
    edits = [
        ["two elements on the bytes", f"{fast * 1e6:.0f} µs"],
        ["every element looked at, one changed", f"{whole * 1e6:.0f} µs"],
        ["two elements by pydicom: read, set, write", f"{slow * 1e6:.0f} µs"],
    ]
    return "\n\n".join(
        [
            f"Processor time of one object. {machine()}.",
            table(
                (
                    "routes",
                    "object",
                    "facts, first of a kind",
                    "facts, later",
                    "plan",
                    "both, later",
                    "routes that hold",
                ),
                rows,
            ),
            f"A CT image of {CT_BYTES // 1024} KB:",
            table(("edit", "processor time"), edits),
            *([forwarded] if forwarded else []),
            table(("bar", "required", "measured", ""), [bar.row() for bar in bars]),
        ]
    )


def main() -> None:
    """Print the figures; with `--write` also into the page."""
    warnings.simplefilter("ignore")
    text = run(with_forwarding="--forward" in sys.argv[1:])
    print(text)
    if "--write" in sys.argv[1:]:
        write_section("rules", text)


if __name__ == "__main__":
    main()

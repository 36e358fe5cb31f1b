"""What rules and edits cost on this machine: `python -m benchmarks.rules [--forward] [--write]`.

In one run: reading the facts of an object and planning its routes by 100 rules over 10 attributes, for small and large
objects; two elements set in a CT image of 512 KB on its bytes, against pydicom reading, setting and writing it; a whole
object rewritten. With `--forward` also store and forward with one `set` coercion against objects left alone, by turns,
for which nobody else should use the machine. `--write` puts the figures into benchmarks/README.md.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file

from benchmarks import scenarios
from benchmarks.systems import CONTENDERS, GATEWAY, GATEWAY_SETS
from gateway.config import load
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

RULES, DESTINATIONS = 100, 10
SIZES = {"8 KB": 8192, "512 KB": 512 * 1024, "10 MB": 10_000_000}
CT_BYTES = 512 * 1024
ROUNDS = 7
FORWARDED = {1: 1500, 8: 4000}
"""Objects of 8 KB by number of associations."""
FORWARD_ROUNDS = 5
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
ASSOCIATION = AssociationFacts("MODALITY", "GATEWAY", "127.0.0.1", 40000, association_id="bench-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def routing_table() -> RoutingTable:
    """100 routes; each looks at two or three of ten attributes, one in ten holds for the sample object."""
    lines = ["gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}", "unmatched: hold", "peers:"]
    lines += [f"  peer{n}: {{ae_title: P{n}, address: 'localhost:{10400 + n}'}}" for n in range(DESTINATIONS)]
    lines.append("routes:")
    for rule in range(RULES):
        chosen = [CONDITIONS[(rule + step) % len(CONDITIONS)] for step in (0, 3, 7)][: 2 + rule % 2]
        written = ", ".join(one % rule if "%" in one else one for one in chosen)
        kind = "any" if rule % 10 == 0 else "all"
        lines.append(f"  - {{name: rule {rule}, when: {{{kind}: [{written}]}}, to: [peer{rule // DESTINATIONS}]}}")
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


def deciding(routing: RoutingTable, size_bytes: int) -> tuple[float, float, int]:
    """Seconds for reading the facts, seconds for the plan, number of routes."""
    body = MemoryDataSet(sample(size_bytes).data_set)

    def read() -> object:
        return at_once(
            routing.reading_facts(
                association=ASSOCIATION,
                sop_class_uid=MR_IMAGE_STORAGE,
                sop_instance_uid=instance_uid(0, 0).decode(),
                transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                body=body,
                received_at=NOW,
            )
        )

    def both() -> object:
        return routing.plan(read())  # type: ignore[arg-type]

    reading = seconds(read)
    return reading, seconds(both) - reading, len(both().dispatches)  # type: ignore[attr-defined]


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


async def forwarding(associations: int) -> tuple[float, float]:
    """Objects a second, untouched and with one element set on arrival; medians of rounds that take turns."""
    by_name = {contender.name: contender for contender in CONTENDERS}
    rates: dict[str, list[float]] = {GATEWAY: [], GATEWAY_SETS: []}
    root = REPOSITORY / "var" / "benchmarks"
    for turn in range(FORWARD_ROUNDS):
        for name in (GATEWAY, GATEWAY_SETS) if turn % 2 else (GATEWAY_SETS, GATEWAY):
            contender, objects = by_name[name], FORWARDED[associations]
            figure = await scenarios.forward(root, contender, SIZES["8 KB"], associations, objects)
            rates[name].append(figure.per_second)
    return statistics.median(rates[GATEWAY]), statistics.median(rates[GATEWAY_SETS])


def store_and_forward() -> tuple[str, list[Bar]]:
    """As Markdown, and its bars."""
    rates = {associations: asyncio.run(forwarding(associations)) for associations in FORWARDED}
    rows = [[str(associations), *map(number, some)] for associations, some in rates.items()]
    found = table(("associations", "untouched", "one `set` coercion"), rows)
    what = "store and forward with one `set` against untouched, {} associations"
    bars = [Bar(what.format(count), edited / untouched, 0.8, "times") for count, (untouched, edited) in rates.items()]
    return f"Store and forward, 8 KB, objects a second:\n\n{found}", bars


def run(*, with_forwarding: bool) -> str:
    """All figures as Markdown."""
    routing = routing_table()
    rows, totals = [], {}
    for name, size_bytes in SIZES.items():
        reading, planning, routes = deciding(routing, size_bytes)
        totals[name] = (reading + planning) * 1e6
        rows.append(
            [name, f"{reading * 1e6:.0f} µs", f"{planning * 1e6:.0f} µs", f"{totals[name]:.0f} µs", str(routes)]
        )
    fast, slow, whole = editing()
    bars = [
        Bar("facts and plan, 8 KB", totals["8 KB"], 200, "µs", is_ceiling=True),
        Bar("facts and plan, 10 MB", totals["10 MB"], 200, "µs", is_ceiling=True),
        Bar("10 MB against 8 KB", totals["10 MB"] / totals["8 KB"], 1.25, "times", is_ceiling=True),
        Bar("pydicom against splice", slow / fast, 20, "times"),
    ]
    forwarded, more = store_and_forward() if with_forwarding else ("", [])
    bars += more
    edits = [
        ["two elements on the bytes", f"{fast * 1e6:.0f} µs"],
        ["every element looked at, one changed", f"{whole * 1e6:.0f} µs"],
        ["two elements by pydicom: read, set, write", f"{slow * 1e6:.0f} µs"],
    ]
    return "\n\n".join(
        [
            f"{RULES} rules over {len(CONDITIONS)} attributes, processor time of one object. {machine()}.",
            table(("object", "facts", "plan", "both", "routes"), rows),
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

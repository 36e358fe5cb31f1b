"""`python -m benchmarks.index [--write]`: the local index with a million instances, its costs of adding and finding.

Rows go in through the queue's own statements, in groups as the committer makes them; queries are compiled from
identifiers and answered as a C-FIND would be, each response encoded.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.dataset.dictionary import tag_of
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Dispatch
from gateway.model.instance import IndexEntry, Instance, PayloadRef
from gateway.model.query import Query, Value
from gateway.query.compile import Options, compile_find, compile_retrieve
from gateway.query.identifier import IdentifierEncoder
from gateway.query.normal import folded_groups
from gateway.sqlite.store import SQLiteStore
from tests.support.load.measure import machine
from tests.support.load.report import Bar, number, table, write_section

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
GROUP = 256
INSTANCES_A_SERIES, SERIES_A_STUDY, STUDIES_A_PATIENT = 25, 4, 3
REPEATS = 100
NOW = datetime(2026, 3, 1, tzinfo=UTC)
FACTS = AssociationFacts("CT1", "GATEWAY", "10.1.2.3")
SURNAMES = ["Roe", "Doe", "Müller", "Yamada", "García", "Smith", "Ivanov", "Nguyen", "Kim", "Okafor"]
BODY_PARTS = ["HEAD", "CHEST", "KNEE", "ABDOMEN"]


def _json(keywords: dict[str, str]) -> str:
    row: dict[str, Any] = {}
    for keyword, value in keywords.items():
        name = f"{tag_of(keyword):08X}"
        row[name] = value
        if "Name" in keyword and "^" in value:
            row[f"{name}="] = [folded_groups(value)]
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False)


def instances(count: int) -> Iterator[Instance]:
    """As a modality would send them: study by study, series by series."""
    above: tuple[str, str, str] = ("", "", "")
    for at in range(count):
        series = at // INSTANCES_A_SERIES
        study, patient = series // SERIES_A_STUDY, series // SERIES_A_STUDY // STUDIES_A_PATIENT
        if at % INSTANCES_A_SERIES == 0:
            above = _above(patient, study, series)
        image = _json(
            {
                "InstanceNumber": str(at % INSTANCES_A_SERIES + 1),
                "ImageType": "ORIGINAL",
                "ContentDate": "20240105",
                "ContentTime": f"{at % 24:02d}1500",
                "AcquisitionNumber": "1",
                "Rows": "512",
                "Columns": "512",
                "BitsAllocated": "16",
                "PhotometricInterpretation": "MONOCHROME2",
            }
        )
        uid = f"1.2.826.0.1.3680043.8.498.{at:012d}"
        yield Instance(
            sop_class_uid=CT,
            sop_instance_uid=uid,
            transfer_syntax_uid=EXPLICIT,
            study_instance_uid=f"1.2.826.{study}",
            series_instance_uid=f"1.2.826.{study}.{series}",
            association=FACTS,
            payload=PayloadRef(f"segments/{at // 1000:08d}.seg", at % 1000 * 512, 512, _digest(at)),
            received_at=NOW,
            index=IndexEntry(*above, image),
        )


def _digest(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "little")).digest()


def _above(patient: int, study: int, series: int) -> tuple[str, str, str]:
    day = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=study % 9000)
    return (
        _json(
            {
                "PatientName": f"{SURNAMES[patient % 10]}{patient // 10}^Given{patient % 97}",
                "PatientID": f"P{patient:07d}",
                "PatientBirthDate": f"{1930 + patient % 80}0101",
                "PatientSex": "FMO"[patient % 3],
            }
        ),
        _json(
            {
                "StudyInstanceUID": f"1.2.826.{study}",
                "StudyDate": f"{day:%Y%m%d}",
                "StudyTime": f"{study % 24:02d}3000",
                "AccessionNumber": f"A{study:08d}",
                "StudyID": str(study),
                "StudyDescription": f"CT {BODY_PARTS[study % 4]}",
                "ReferringPhysicianName": f"House{study % 50}^Gregory",
            }
        ),
        _json(
            {
                "SeriesInstanceUID": f"1.2.826.{study}.{series}",
                "Modality": "CT" if series % 5 else "MR",
                "SeriesNumber": str(series % SERIES_A_STUDY + 1),
                "SeriesDescription": f"axial {series % 7}",
                "BodyPartExamined": BODY_PARTS[study % 4],
                "StationName": "CT1",
                "Manufacturer": "ACME",
            }
        ),
    )


def fill(queue: SQLiteStore, count: int, *, is_indexed: bool = True) -> float:
    """Seconds that adding `count` instances took, commits included."""
    route = [Dispatch("everything", "pacs")]
    group: list[tuple[Instance, list[Dispatch]]] = []
    total_s = 0.0
    for instance in instances(count):
        group.append((instance if is_indexed else dataclasses.replace(instance, index=None), route))
        if len(group) < GROUP:
            continue
        began_s = time.perf_counter()
        with queue.transaction():
            queue.deliveries.accept(group, NOW)
        total_s += time.perf_counter() - began_s
        group = []
    return total_s


def identifier(level: str, **keywords: str) -> dict[int, Value]:
    found: dict[int, Value] = {tag_of("QueryRetrieveLevel"): (level,)}
    return found | {tag_of(name): tuple(value.split("\\")) if value else () for name, value in keywords.items()}


RETURNED = dict.fromkeys(
    (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyDescription",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedInstances",
    ),
    "",
)


def study_queries(count: int, at: int) -> dict[str, Query]:
    """Questions for studies; `at` chooses whom and when they ask for: no two in a row ask for the same."""
    studies = count // INSTANCES_A_SERIES // SERIES_A_STUDY
    study = (studies // 2 + at * 37) % studies
    patient = study // STUDIES_A_PATIENT
    day = datetime(2004, 1, 5, tzinfo=UTC) + timedelta(days=7 * (at % 100))

    def asked(**keywords: str) -> Query:
        return compile_find(identifier("STUDY", **(RETURNED | keywords)), "study", Options())

    return {
        "study by patient ID": asked(PatientID=f"P{patient:07d}"),
        "study by accession number": asked(AccessionNumber=f"A{study:08d}"),
        "study by study UID": asked(StudyInstanceUID=f"1.2.826.{study}"),
        "study by one day": asked(StudyDate=f"{day:%Y%m%d}"),
        "study by a week": asked(StudyDate=f"{day:%Y%m%d}-{day + timedelta(days=6):%Y%m%d}"),
        "study by name, wild card behind": asked(PatientName=f"{SURNAMES[patient % 10]}{patient // 10}^*"),
        "study by name, wild cards before and behind": asked(PatientName=f"*e{patient // 10}^*"),
    }


BARS = (
    "study by patient ID",
    "study by accession number",
    "study by one day",
    "study by a week",
    "study by name, wild card behind",
    "study by name, wild cards before and behind",
)
MOST_MS = 10.0


def queries(count: int, at: int) -> dict[str, Query]:
    """All questions."""
    middle = count // 2 // INSTANCES_A_SERIES // SERIES_A_STUDY
    series = f"1.2.826.{middle}.{middle * SERIES_A_STUDY}"

    def studies(**keywords: str) -> Query:
        return compile_find(identifier("STUDY", **(RETURNED | keywords)), "study", Options())

    return {
        **study_queries(count, at),
        "study by name, 'mull*'": studies(PatientName="mull*"),
        "study by name, '*given42'": studies(PatientName="*given42"),
        "study by a month": studies(StudyDate="20040101-20040131"),
        "study by a year and modality": studies(StudyDate="20040101-20041231", ModalitiesInStudy="MR"),
        "study by description, '*KNEE*'": studies(StudyDescription="*KNEE*"),
        "series of a study": compile_find(
            identifier("SERIES", StudyInstanceUID=f"1.2.826.{middle}", SeriesInstanceUID="", Modality=""), "study"
        ),
        "images of a series": compile_find(
            identifier("IMAGE", StudyInstanceUID=f"1.2.826.{middle}", SeriesInstanceUID=series, SOPInstanceUID=""),
            "study",
        ),
        "image by UID, relational": compile_find(
            identifier("IMAGE", SOPInstanceUID=f"1.2.826.0.1.3680043.8.498.{count // 2:012d}"),
            "study",
            Options(is_relational=True),
        ),
        "study by an image's UID, relational": compile_find(
            identifier("STUDY", SOPInstanceUID=f"1.2.826.0.1.3680043.8.498.{count // 2:012d}", StudyInstanceUID=""),
            "study",
            Options(is_relational=True),
        ),
    }


def answer(queue: SQLiteStore, query: Query) -> int:
    """All responses encoded, in batches as the reader makes them; how many."""
    encode = IdentifierEncoder(EXPLICIT, query.character_sets)
    keys = queue.index.find(query)
    for start in range(0, len(keys), 128):
        for match in queue.index.matches(query, keys[start : start + 128]):
            encode(match)
    return len(keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the file goes; default: a temporary folder")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        text, is_reached = report(Path(folder), options.instances)
    print(text)
    if options.write:
        write_section("index", text)
    sys.exit(not is_reached)


def report(folder: Path, count: int) -> tuple[str, bool]:
    """All figures as Markdown, and whether every bar is reached."""
    load_average, accepted = os.getloadavg()[0], []
    some = min(count, 50_000)
    for name, is_indexed in (("without index", False), ("with index", True)):
        sample = SQLiteStore(folder / f"sample-{is_indexed}.db")
        accepted.append(f"{name} {number(some / fill(sample, some, is_indexed=is_indexed))}/s")
        sample.close()
    path = folder / "queue.db"
    queue = SQLiteStore(path)
    fill(queue, count)
    rows, median_ms = _rows(queue, count)
    found = [Bar(name, median_ms[name], MOST_MS, "ms", is_ceiling=True) for name in BARS]
    size = f"{number(count)} instances, the file has {number(path.stat().st_size / 1e6)} MB"
    text = "\n\n".join(
        [
            f"{size}; {some} accepted in groups of {GROUP}: {', '.join(accepted)}. Each question is asked {REPEATS} "
            f"times, those for a study for another one each time, its responses encoded; "
            f"load average before it {load_average:.1f}; {machine()}.",
            table(("question", "matches", "p50", "p99", "processor time"), rows),
            table(("p50", "bar", "measured", ""), [bar.row() for bar in found]),
        ]
    )
    queue.close()
    return text, all(bar.is_reached for bar in found)


def _rows(queue: SQLiteStore, count: int) -> tuple[list[list[str]], dict[str, float]]:
    """Rows of the table, and the median in milliseconds of each question."""
    times_ms: dict[str, list[float]] = {}
    spent_ms: dict[str, float] = {}
    matches: dict[str, int] = {}
    for at in range(REPEATS):
        questions: dict[str, Callable[[], int]] = {
            name: functools.partial(answer, queue, query) for name, query in queries(count, at).items()
        }
        questions["instances of a study"] = functools.partial(instances_of, queue, count)
        for name, ask in questions.items():
            began_s, spent_s = time.perf_counter(), time.process_time()
            matches[name] = ask()
            times_ms.setdefault(name, []).append((time.perf_counter() - began_s) * 1000)
            spent_ms[name] = spent_ms.get(name, 0.0) + (time.process_time() - spent_s) * 1000 / REPEATS
    rows, median_ms = [], {}
    for name, found in times_ms.items():
        median_ms[name], p99_ms = statistics.median(found), sorted(found)[int(0.99 * len(found))]
        cells = [f"{time_ms:.2f} ms" for time_ms in (median_ms[name], p99_ms, spent_ms[name])]
        rows.append([name, str(matches[name]), *cells])
    return rows, median_ms


def instances_of(queue: SQLiteStore, count: int) -> int:
    """As a C-MOVE of a study finds them; how many."""
    study = f"1.2.826.{count // 2 // INSTANCES_A_SERIES // SERIES_A_STUDY}"
    retrieve = compile_retrieve(identifier("STUDY", StudyInstanceUID=study), "study")
    return len(queue.index.instances(queue.index.find_instances(retrieve)))


if __name__ == "__main__":
    main()

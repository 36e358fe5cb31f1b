"""`python -m benchmarks.index`: the local index with a million instances. What it costs to add them, and to find.

Rows go in through the queue's own statements, in groups as the committer makes them; queries are compiled from
identifiers and answered as a C-FIND would be, each response encoded.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
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

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
GROUP = 256
INSTANCES_A_SERIES, SERIES_A_STUDY, STUDIES_A_PATIENT = 25, 4, 3
REPEATS = 15
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
    for number in range(count):
        series = number // INSTANCES_A_SERIES
        study, patient = series // SERIES_A_STUDY, series // SERIES_A_STUDY // STUDIES_A_PATIENT
        if number % INSTANCES_A_SERIES == 0:
            above = _above(patient, study, series)
        image = _json(
            {
                "InstanceNumber": str(number % INSTANCES_A_SERIES + 1),
                "ImageType": "ORIGINAL",
                "ContentDate": "20240105",
                "ContentTime": f"{number % 24:02d}1500",
                "AcquisitionNumber": "1",
                "Rows": "512",
                "Columns": "512",
                "BitsAllocated": "16",
                "PhotometricInterpretation": "MONOCHROME2",
            }
        )
        uid = f"1.2.826.0.1.3680043.8.498.{number:012d}"
        yield Instance(
            sop_class_uid=CT,
            sop_instance_uid=uid,
            transfer_syntax_uid=EXPLICIT,
            study_instance_uid=f"1.2.826.{study}",
            series_instance_uid=f"1.2.826.{study}.{series}",
            association=FACTS,
            payload=PayloadRef(f"segments/{number // 1000:08d}.seg", number % 1000 * 512, 512, _digest(number)),
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


def queries(count: int) -> dict[str, Query]:
    middle = count // 2 // INSTANCES_A_SERIES // SERIES_A_STUDY
    series = f"1.2.826.{middle}.{middle * SERIES_A_STUDY}"

    def studies(**keywords: str) -> Query:
        return compile_find(identifier("STUDY", **(RETURNED | keywords)), "study", Options())

    return {
        "study by patient ID": studies(PatientID=f"P{middle // STUDIES_A_PATIENT:07d}"),
        "study by accession number": studies(AccessionNumber=f"A{middle:08d}"),
        "study by study UID": studies(StudyInstanceUID=f"1.2.826.{middle}"),
        "study by name": studies(PatientName=f"roe{middle // STUDIES_A_PATIENT // 10}^*"),
        "study by name, 'mull*'": studies(PatientName="mull*"),
        "study by name, '*given42'": studies(PatientName="*given42"),
        "study by one day": studies(StudyDate="20040105"),
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report(Path(folder), options.instances)


def report(folder: Path, count: int) -> None:
    for name, is_indexed in (("without index", False), ("with index", True)):
        sample = SQLiteStore(folder / f"sample-{is_indexed}.db")
        seconds = fill(sample, min(count, 50_000), is_indexed=is_indexed)
        print(f"accepting {min(count, 50_000)} in groups of {GROUP}, {name}: {min(count, 50_000) / seconds:.0f}/s")
        sample.close()
    path = folder / "queue.db"
    queue = SQLiteStore(path)
    seconds = fill(queue, count)
    print(f"accepting {count}: {count / seconds:.0f}/s; the file has {path.stat().st_size / 1e6:.0f} MB")
    for name, query in queries(count).items():
        times_ms = []
        matches = 0
        for _ in range(REPEATS):
            began_s = time.perf_counter()
            matches = answer(queue, query)
            times_ms.append((time.perf_counter() - began_s) * 1000)
        print(f"{name:40} {matches:7} matches  {statistics.median(times_ms):9.2f} ms")
    study = f"1.2.826.{count // 2 // INSTANCES_A_SERIES // SERIES_A_STUDY}"
    retrieve = compile_retrieve(identifier("STUDY", StudyInstanceUID=study), "study")
    began_s = time.perf_counter()
    found = queue.index.instances(queue.index.find_instances(retrieve))
    print(f"{'instances of a study':40} {len(found):7} matches  {(time.perf_counter() - began_s) * 1000:9.2f} ms")
    queue.close()


if __name__ == "__main__":
    main()

"""One study that is spread over several archives, with overlaps, and archives that hold parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.support.archive import QRSCP
from tests.support.peers import FolderSCP, Modality, Orthanc, storescu

STUDY_UID = "1.2.826.0.1.3680043.8.498.900.1"
PATIENT_ID = "SPREAD"
SERIES, IMAGES = 4, 5

WHOLE_STUDY = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY_UID}")


def series_uid(series: int) -> str:
    return f"{STUDY_UID}.{series}"


def instance_uid(series: int, number: int) -> str:
    return f"{STUDY_UID}.{series}.{number}"


def all_uids(series: Iterable[int] = range(1, SERIES + 1)) -> set[str]:
    """The UIDs of the instances in these series."""
    return {instance_uid(one, number) for one in series for number in range(1, IMAGES + 1)}


def write_image(folder: Path, series: int, number: int, size_bytes: int = 2000) -> Path:
    """One image of the study as a file."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, instance_uid(series, number)
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY_UID, series_uid(series)
    image.PatientID, image.PatientName, image.Modality = PATIENT_ID, "Spread^Study", "CT"
    image.StudyID, image.SeriesNumber, image.InstanceNumber = "1", series, number
    image.StudyDate, image.StudyTime, image.AccessionNumber = "20260102", "101010", "A1"
    image.Rows, image.Columns, image.BitsAllocated, image.PixelRepresentation = 1, size_bytes // 2, 16, 0
    image.BitsStored, image.HighBit, image.SamplesPerPixel = 16, 15, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.add_new(0x7FE00010, "OW", bytes([series, number]) * (size_bytes // 2))
    image.ensure_file_meta()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{series}-{number}.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


def write_study(folder: Path, size_bytes: int = 2000) -> Mapping[int, list[Path]]:
    """All images, by series."""
    return {
        series: [write_image(folder, series, number, size_bytes) for number in range(1, IMAGES + 1)]
        for series in range(1, SERIES + 1)
    }


def orthanc(folder: Path, title: str, destinations: Mapping[str, int] | None = None, **settings: Any) -> Orthanc:
    """An Orthanc that may be queried and retrieved from by anybody."""
    modalities = {name: Modality(name, port) for name, port in (destinations or {}).items()}
    may = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}
    return Orthanc(folder, ae_title=title, modalities=modalities, settings={**may, **settings})


async def give(archive: QRSCP | Orthanc, files: Iterable[Path]) -> None:
    """Store the files there."""
    sent = await storescu(archive.port, files, called=archive.ae_title)
    assert sent.returncode == 0, sent.output


def uids(peer: FolderSCP) -> list[str]:
    """What a destination got, doubles included."""
    return sorted(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in peer.files())

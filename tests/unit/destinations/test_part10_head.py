"""The head of DICOM files, read back by pydicom."""

import io

import pytest
from pydicom import dcmread

from gateway.destinations.part10_head import HEAD_BYTES, data_set_offset, file_meta
from tests.unit.destinations.fakes import CT, EXPLICIT


def head(**changes: str) -> bytes:
    given = {
        "sop_class_uid": CT,
        "sop_instance_uid": "1.2.3",
        "transfer_syntax_uid": EXPLICIT,
        "implementation_class_uid": "2.25.1",
        "implementation_version_name": "GATEWAY_1",
        "source_ae_title": "CT1",
    }
    return file_meta(**{**given, **changes})


def test_pydicom_reads_every_element() -> None:
    meta = dcmread(io.BytesIO(head())).file_meta
    assert meta.FileMetaInformationGroupLength == len(head()) - HEAD_BYTES
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.ImplementationClassUID == "2.25.1"
    assert meta.ImplementationVersionName == "GATEWAY_1"
    assert meta.SourceApplicationEntityTitle == "CT1"


@pytest.mark.parametrize("uid", ["1.2", "1.2.3", "1." + "2" * 62])
@pytest.mark.parametrize("title", ["", "A", "AB", "SIXTEEN_LETTERS_"])
def test_the_group_length_is_right_for_odd_and_even_values(uid: str, title: str) -> None:
    made = head(sop_instance_uid=uid, source_ae_title=title)
    assert data_set_offset(made[:HEAD_BYTES]) == len(made)
    assert len(made) % 2 == 0
    meta = dcmread(io.BytesIO(made)).file_meta
    assert uid == meta.MediaStorageSOPInstanceUID
    assert meta.get("SourceApplicationEntityTitle", "") == title.strip()


@pytest.mark.parametrize("other", [b"", b"x" * 200, bytes(128) + b"DICM", bytes(128) + b"DICM" + bytes(12)])
def test_other_files_have_no_data_set(other: bytes) -> None:
    assert data_set_offset(other[:HEAD_BYTES]) is None

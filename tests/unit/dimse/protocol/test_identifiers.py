"""Identifiers: encoded as pydicom encodes them, checked, Failed SOP Instance UID Lists, bulk data."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom.dsutils import encode as encode_of_pynetdicom

from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.dataset.native import rewritten
from gateway.dimse.protocol.identifiers import (
    IdentifierReceiver,
    as_identifier,
    check,
    encode_data_set,
    encode_failed_list,
    without_bulk_data,
)
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.plain_data_set import encode_plain
from gateway.dimse.requestor.response import Response
from gateway.ports.errors import ObjectTooLarge, Unreadable

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
SYNTAXES = {
    IMPLICIT: (True, True, False),
    EXPLICIT: (False, True, False),
    BIG: (False, False, False),
    DEFLATED: (False, True, True),
}


def with_bytes() -> Dataset:
    made = Dataset()
    made.add_new(0x00091010, "UN", b"12")
    return made


def dataset(**elements: Any) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


DATASETS = {
    "study": dataset(
        QueryRetrieveLevel="STUDY",
        PatientName="Doe^John",
        PatientID="P1",
        StudyDate="20200101",
        StudyTime="101010",
        StudyInstanceUID="1.2.3",
        ModalitiesInStudy=["CT", "MR"],
        NumberOfStudyRelatedInstances=5,
        StudyDescription="",
        AccessionNumber=None,
    ),
    "other characters": dataset(
        SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg", StudyDescription="Schädel"
    ),
    "several character sets": dataset(
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎"
    ),
    "numbers": dataset(
        Rows=5, PatientWeight="70.50", SeriesNumber="007", PixelSpacing=[0.5, 0.25], EventTimeOffset=1.5
    ),
    "one of each": dataset(
        PatientAge="030Y", StudyComments="x" * 99, RetrieveURL="http://x", SelectorATValue=0x00100010
    ),
    "sequence": dataset(
        PatientID="P1",
        ReferencedStudySequence=Sequence([dataset(ReferencedSOPInstanceUID="1.2"), dataset(PatientName="ß^ä")]),
    ),
    "empty sequence": dataset(ReferencedStudySequence=Sequence()),
    "nothing": Dataset(),
}


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("uid", SYNTAXES)
def test_encoded_as_pynetdicom_does(uid: str, name: str) -> None:
    expected = encode_of_pynetdicom(DATASETS[name], *SYNTAXES[uid])
    assert encode_data_set(DATASETS[name], uid) == expected


PLAIN = {
    "latin": dataset(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg", StudyDescription="Schädel"),
    "unicode": dataset(SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎", PatientComments="ß" * 51),
    "names": dataset(PatientName="Doe^John^^Dr=a=b", OtherPatientNames=["A^B", "C"], ReferringPhysicianName=""),
    "numbers as text": dataset(
        SeriesNumber="007", PatientWeight="70.50", InstanceNumber=5, PixelSpacing=[0.5, "0.250"]
    ),
    "numbers": dataset(Rows=5, EventTimeOffset=1.5, SimpleFrameList=[1, 2, 3], RescaleSlope=None),
    "texts": dataset(StudyDate="20200101-", StudyInstanceUID=["1.2.3", "1.2.34"], ModalitiesInStudy=["CT", "MR"]),
    "long": dataset(UnformattedTextValue="x" * 500, LongCodeValue="y"),
    "empty": dataset(PatientID=None, PatientName=None, Rows=None, StudyInstanceUID="", NumberOfStudyRelatedSeries=""),
}
OTHERWISE = {
    "sequence": DATASETS["sequence"],
    "character sets": DATASETS["several character sets"],
    "characters without a set": dataset(PatientName="Müller"),
    "bytes": with_bytes(),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("encoding", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG], ids=str)
def test_plain_data_sets_are_written_as_pydicom_does(encoding: Encoding, name: str) -> None:
    expected = encode_of_pynetdicom(PLAIN[name], encoding.is_implicit, not encoding.is_big_endian)
    assert encode_plain(PLAIN[name], encoding) == expected
    assert expected


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_plain_is_left_to_pydicom(name: str) -> None:
    assert encode_plain(OTHERWISE[name], EXPLICIT_LITTLE) is None


def test_what_was_read_is_written_back() -> None:
    encoded = encode_data_set(DATASETS["study"], EXPLICIT)
    response = Response(0xFF00, encoded, EXPLICIT, {})
    assert encode_data_set(response.dataset, EXPLICIT) == encoded
    assert encode_data_set(response.dataset, IMPLICIT) == encode_data_set(DATASETS["study"], IMPLICIT)


@pytest.mark.parametrize("value", [None, b"", Dataset(), 5, "text"], ids=repr)
def test_no_identifier(value: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        as_identifier(value, EXPLICIT)


def test_a_value_that_cannot_be_encoded_is_not_quoted() -> None:
    bad = Dataset()
    bad.Rows = 5
    bad["Rows"]._value = "Doe^John"
    with pytest.raises(ValueError, match="cannot be encoded") as caught:
        encode_data_set(bad, EXPLICIT)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize("uid", SYNTAXES)
@pytest.mark.parametrize("count", [1, 2, 3, 2000])
def test_failed_lists(uid: str, count: int) -> None:
    uids = [f"1.2.826.0.1.3680043.8.498.1{number:036d}" for number in range(count)]
    encoded = encode_failed_list(uids, uid)
    assert Response(0xB000, encoded, uid, {}).failed_sop_instance_uids == tuple(uids)
    if count < 1000:
        expected = encode_of_pynetdicom(dataset(FailedSOPInstanceUIDList=uids), *SYNTAXES[uid])
        assert encoded == expected


def test_check() -> None:
    encoded = encode_data_set(DATASETS["study"], EXPLICIT)
    check(memoryview(encoded), EXPLICIT)
    with pytest.raises(Unreadable):
        check(memoryview(encoded[:-1]), EXPLICIT)
    with pytest.raises(Unreadable):
        check(memoryview(b"not deflated"), DEFLATED)


def test_the_receiver_has_a_limit() -> None:
    receiver = IdentifierReceiver()
    receiver.write(memoryview(bytes(4 * 1024 * 1024)))
    with pytest.raises(ObjectTooLarge):
        receiver.write(memoryview(b"x"))


def with_bulk_data() -> Dataset:
    item = dataset(WaveformSampleInterpretation="SS")
    item.add_new(0x54001010, "OW", bytes(10))
    made = dataset(SOPInstanceUID="1.2", PatientID="P1", WaveformSequence=Sequence([item]))
    for tag, vr in ((0x50003000, "OW"), (0x5002200C, "OW"), (0x60003000, "OW"), (0x60023000, "OW")):
        made.add_new(tag, vr, bytes(4))
    for tag, vr in ((0x00420011, "OB"), (0x56000020, "OF"), (0x7FE00008, "OF"), (0x7FE00009, "OD"), (0x7FE00010, "OW")):
        made.add_new(tag, vr, bytes(8))
    made.add_new(0x00287FE0, "UR", "http://x")
    made.add_new(0x60000010, "US", 5)
    return made


@pytest.mark.parametrize("uid", [IMPLICIT, EXPLICIT, DEFLATED])
def test_without_bulk_data(uid: str) -> None:
    body = without_bulk_data(MemoryDataSet(encode_data_set(with_bulk_data(), uid)), uid)
    left = Response(0, bytes(body.view()), uid, {}).dataset
    assert [f"{int(tag):08X}" for tag in sorted(left.keys())] == ["00080018", "00100020", "54000100", "60000010"]
    assert "WaveformData" not in left.WaveformSequence[0]
    assert left.WaveformSequence[0].WaveformSampleInterpretation == "SS"


def test_without_bulk_data_leaves_others_alone() -> None:
    body = MemoryDataSet(encode_data_set(DATASETS["study"], EXPLICIT))
    assert without_bulk_data(body, EXPLICIT) is body


@pytest.mark.parametrize("source", SYNTAXES)
@pytest.mark.parametrize("target", [IMPLICIT, EXPLICIT, DEFLATED])
def test_rewritten(source: str, target: str) -> None:
    encoded = encode_data_set(DATASETS["study"], source)
    assert rewritten(memoryview(encoded), source, target) == encode_data_set(DATASETS["study"], target)


def test_a_data_set_that_belies_its_transfer_syntax_is_rewritten_all_the_same() -> None:
    encoded = encode_data_set(DATASETS["study"], IMPLICIT)
    assert rewritten(memoryview(encoded), EXPLICIT, EXPLICIT) == encode_data_set(DATASETS["study"], EXPLICIT)


def test_it_is_readable_for_others() -> None:
    encoded = encode_failed_list(["1.2", "1.3"], EXPLICIT)
    assert list(dcmread(io.BytesIO(encoded), force=True).FailedSOPInstanceUIDList) == ["1.2", "1.3"]

"""Differences of two encoded data sets: kinds, levels, encodings, and agreement with pydicom on real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from gateway.dataset.difference import Difference, differences
from gateway.dataset.splice import splice
from gateway.ports.edits import Edit
from gateway.ports.errors import Unreadable
from gateway.routing.language.attribute_path import parse
from tests.support.corpus import read_part10
from tests.support.elements import elements

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


def sample() -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "A", "first"
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName = "Nobody"
    image.PatientID = ""
    image.Rows = 4
    image.ProcedureCodeSequence = [item]
    block = image.private_block(0x0009, "ACME", create=True)
    block.add_new(0x01, "LO", "private")
    image.add_new(0x7FE00010, "OW", b"\1\2\3\4")
    return image


def encoded(image: Dataset, syntax: str = EXPLICIT) -> memoryview:
    uid = UID(syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = uid.is_implicit_VR, uid.is_little_endian
    write_dataset(buffer, image)
    return memoryview(buffer.getvalue())


def found(change: Callable[[Dataset], None], syntax: str = EXPLICIT) -> list[Difference]:
    changed = sample()
    change(changed)
    return list(differences(encoded(sample(), syntax), syntax, encoded(changed, syntax), syntax))


def more_items(image: Dataset) -> None:
    image.ProcedureCodeSequence = [image.ProcedureCodeSequence[0], Dataset()]


def set_value(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda image: setattr(image, keyword, value)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG], ids=["explicit", "implicit", "big endian"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda _: None, [], id="nothing"),
        pytest.param(set_value("PatientName", "A"), [("PatientName", "replaced", ("Nobody",), ("A",))], id="replaced"),
        pytest.param(set_value("PatientName", ""), [("PatientName", "emptied", ("Nobody",), ())], id="emptied"),
        pytest.param(set_value("PatientID", "7"), [("PatientID", "filled", (), ("7",))], id="filled"),
        pytest.param(set_value("Modality", "CT"), [("Modality", "added", None, ("CT",))], id="added"),
        pytest.param(lambda i: i.pop("PatientName"), [("PatientName", "removed", ("Nobody",), None)], id="gone"),
        pytest.param(set_value("Rows", 5), [("Rows", "replaced", ("4",), ("5",))], id="number"),
        pytest.param(set_value("PatientName", "Ü"), [("PatientName", "replaced", ("Nobody",), ("Ü",))], id="Latin 1"),
        pytest.param(
            lambda i: setattr(i.ProcedureCodeSequence[0], "CodeValue", "B"),
            [("ProcedureCodeSequence[0].CodeValue", "replaced", ("A",), ("B",))],
            id="in an item",
        ),
        pytest.param(more_items, [("ProcedureCodeSequence[1]", "added", None, None)], id="an item more"),
        pytest.param(
            set_value("ProcedureCodeSequence", []), [("ProcedureCodeSequence", "emptied", None, ())], id="no items"
        ),
        pytest.param(
            lambda i: i.__delitem__((0x0009, 0x1001)), [("(0009,1001)", "removed", ("private",), None)], id="private"
        ),
        pytest.param(
            lambda i: i.add_new(0x7FE00010, "OW", b"\1\2\3\5"), [("PixelData", "replaced", None, None)], id="binary"
        ),
    ],
)
def test_kinds(change: Callable[[Dataset], None], expected: list[tuple[object, ...]], syntax: str) -> None:
    assert [(one.path, one.kind, one.before, one.after) for one in found(change, syntax)] == expected


def test_lengths_are_those_of_the_values() -> None:
    (one,) = found(set_value("PatientName", "A"))
    assert (one.before_bytes, one.after_bytes, one.tag, one.vr) == (6, 2, 0x00100010, "PN")


def test_values_do_not_stand_in_the_representation() -> None:
    assert "Nobody" not in repr(found(set_value("PatientName", "A")))


def test_another_encoding_is_no_difference() -> None:
    assert list(differences(encoded(sample()), EXPLICIT, encoded(sample(), IMPLICIT), IMPLICIT)) == []


def test_what_is_no_data_set() -> None:
    with pytest.raises(Unreadable):
        list(differences(memoryview(b"nonsense, of course"), EXPLICIT, encoded(sample()), EXPLICIT))


def test_every_top_level_difference_of_an_edited_corpus_is_the_edit(corpus: tuple[Path, ...]) -> None:
    """`splice` and pydicom agree elsewhere; here: what is told is what was done, and nothing else."""
    seen = 0
    for path in corpus:
        try:
            file = read_part10(path)
            view = memoryview(file.data_set)
            edits = [Edit(parse("InstitutionName"), ("OURS",)), Edit(parse("StudyDescription"), None)]
            after = b"".join(splice(view, file.transfer_syntax_uid, edits))
            tags = dict(elements(file.data_set, file.transfer_syntax_uid))
            told = list(differences(view, file.transfer_syntax_uid, memoryview(after), file.transfer_syntax_uid))
        except (ValueError, Unreadable):
            continue
        names = {one.path for one in told}
        assert names <= {"InstitutionName", "StudyDescription"}, path
        assert ("StudyDescription" in names) is (0x00081030 in tags), path
        seen += 1
    assert seen > 60

"""A value is refused, or what stands in the object afterwards is what pydicom takes in its strictest mode."""

from __future__ import annotations

import io

import pytest
from pydicom import config
from pydicom.filereader import read_dataset
from pydicom.valuerep import validate_value

from gateway.dataset.splice import splice
from gateway.dataset.value import NUMBERS
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal
from gateway.routing.language.attribute_path import parse
from tests.support.data_set_writer import ENCODINGS, EXPLICIT, Write

_KEYWORDS = """
    StationAETitle PatientAge BodyPartExamined ImageType StudyDate PatientWeight PixelSpacing AcquisitionDateTime
    InstanceNumber PixelAspectRatio StudyDescription PatientComments PatientName AccessionNumber InstitutionAddress
    StudyTime StudyInstanceUID RetrieveURL TextValue LongCodeValue Rows SmallestImagePixelValue SimpleFrameList
    ReferencePixelX0 ExaminedBodyThickness FrameIncrementPointer RecommendedDisplayFrameRate OtherPatientNames
"""
KEYWORDS = _KEYWORDS.split()
"""Keywords of every VR that text is made for, of one and of several values."""

LONG = ["x" * 17, "x" * 65, "x" * 1025, "x" * 10241, "A" * 65 + "^B", "1234567890123456", "12345678901234567", "é" * 33]
_NUMBERS = """
    1 1.5 -1 +1 + - 10 00 .5 1. 1.. 1,5 1e 1e5 65536 2147483648 -2147483649 1e400 nan inf Infinity 0x10 1_000 ²
    1.23456789012345678 1\\2 1\\2\\3 1\\x
"""
_TIMES = """
    20200230 20201301 2020 202001 20200101- 2020.01.01 00000101 99991231 240000 235960 2359601 12:00:00 1200.5
    120000.1234567 120000. 20200101120000+2500 20200101120000+0100 20200101120000.123456-1200 018M 18M 018m
"""
UID = ["1.2", "1.2..3", "1.02", "1.2.", ".", "1", "1.a", "1." + "2" * 62, "1." + "2" * 63]
NAME = ["Doe^Jane", "a^b^c^d^e^f", "a=b=c", "a=b=c=d", "a\\b", "a\\", "\\", "\\\\", "a\\\\b"]
BEYOND = ["é", "山", "Ελλ", "\u3000", "A\u0301", "\ue000", "\ufffe", "\u202e", "\ud800", "\U0001f600", "山\\é^Ж"]
CONTROL = ["a\x00b", "a\x1bb", "\x1b$B", "a\tb", "a\nb", "a\rb", "\x7f", "\x00", " ", "  ", " 1", "1 "]
TEXTS = [
    *LONG,
    *_NUMBERS.split(),
    *_TIMES.split(),
    "\uff11\uff12",
    *UID,
    *NAME,
    *BEYOND,
    *CONTROL,
    "http://x y",
    "http://x/%20",
    "http://x/ü",
]

CHARACTER_SETS = {
    "none": "",
    "latin": "ISO_IR 100",
    "utf-8": "ISO_IR 192",
    "japanese": "\\ISO 2022 IR 87",
    "chinese": "GB18030",
    "greek": "ISO_IR 126",
}

pytestmark = pytest.mark.filterwarnings("error")  # pydicom warns of what it reads as something else


@pytest.mark.parametrize("term", CHARACTER_SETS.values(), ids=CHARACTER_SETS)
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_no_bad_value_gets_into_an_object(keyword: str, term: str) -> None:
    data = Write(ENCODINGS[EXPLICIT]).element("SpecificCharacterSet", "CS", term) if term else b""
    taken = 0
    for text in TEXTS:
        values = tuple(text.split("\\"))
        try:
            after = b"".join(splice(memoryview(data), EXPLICIT, [Edit(parse(keyword), values)]))
        except Refusal:
            continue
        assert len(after) % 2 == 0
        with config.strict_reading():
            assert_good(after, keyword, values)
        taken += 1
    assert 0 < taken < len(TEXTS)


def assert_good(data: bytes, keyword: str, values: tuple[str, ...]) -> None:
    element = read_dataset(io.BytesIO(data), is_implicit_VR=False, is_little_endian=True)[keyword]
    found = list(element.value) if element.VM > 1 else [element.value] if element.VM else []
    if element.VR in NUMBERS or element.VR == "AT":
        assert len(found) == len(values)
        return
    for one in found:
        validate_value(element.VR, str(one), config.RAISE)
    kept = [value.strip(" ") for value in values]
    assert [str(one).strip(" ") for one in found] == (kept if any(kept) or len(kept) > 1 else [])

"""What each VR takes (PS3.5 Table 6.2-1), in bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataset import charset
from gateway.dataset.dictionary import takes_count
from gateway.dataset.encode import encode, problem_with
from gateway.dataset.value import NUMBERS, texts
from gateway.ports.errors import Refusal
from gateway.routing.language.attribute_path import parse

GOOD = {
    "AE": ["PACS", "a b", "x" * 16],
    "AS": ["018M", "000D"],
    "CS": ["ORIGINAL", "A_1 B", "X" * 16],
    "DA": ["20240229", "19000101"],
    "DS": ["1", "-1.5", "+.5", "1e-3", "1.", " 2 "],
    "DT": ["2024", "202402", "20240229", "2024022923", "20240229235959.123456+0100", "2024-0500"],
    "IS": ["0", "-2147483648", "2147483647", "+5"],
    "LO": ["x" * 64, "Grün 50%"],
    "LT": ["a\\b\r\nc\td"],
    "PN": ["Doe^Jane^M^Dr^PhD", "a=b=c", "x" * 64 + "=" + "y" * 64],
    "SH": ["x" * 16],
    "ST": ["x" * 1024],
    "TM": ["12", "1230", "123060", "235959.999999"],
    "UC": ["x" * 5000],
    "UI": ["1.2.840.10008.1.1", "0.0", "1." + "2" * 62],
    "UR": ["https://example.org/a?b=c%20d"],
    "UT": ["x" * 70000],
    "US": ["0", "65535"],
    "SS": ["-32768", "32767"],
    "UL": ["4294967295"],
    "SL": ["-2147483648"],
    "UV": ["18446744073709551615"],
    "SV": ["-9223372036854775808"],
    "FL": ["1.5", "-0.25"],
    "FD": ["0.1", "1e300", "-inf"],
    "AT": ["00100010", "7FE00010"],
}
BAD = {
    "AE": ["x" * 17, "a\\b", "   ", "ü", "a\n"],
    "AS": ["18M", "018X", "0018"],
    "CS": ["lower", "X" * 17, "A-B", "Ä"],
    "DA": ["20240230", "2024-02-29", "240229", "today", "20240101-20240201"],
    "DS": ["one", "1,5", "1" * 17, "1e", "nan", "inf"],
    "DT": ["20241301", "202402292460", "2024022", "20240230", "99", "2024+2500", "2024-0060"],
    "IS": ["1.0", "2147483648", "-2147483649", "x", "1" * 13],
    "LO": ["x" * 65, "a\x1bb", "a\nb", "a\x00b"],
    "LT": ["x" * 10241, "a\x1bb"],
    "PN": ["a=b=c=d", "x" * 65, "a^b^c^d^e^f", "a\nb"],
    "SH": ["x" * 17],
    "ST": ["x" * 1025],
    "TM": ["24", "1260", "12:30", "123", "120000.1234567"],
    "UC": ["a\nb"],
    "UI": ["1.02", "1", "1..2", "a.b", "1.2.", ".1", "1." + "2" * 63],
    "UR": ["a b", "ü"],
    "US": ["-1", "65536", "1.5", "x", "1_000", "\uff11", "0x10", "9" * 5000],
    "SS": ["32768"],
    "UL": ["4294967296"],
    "SL": ["2147483648"],
    "FL": ["x", "1e300"],
    "FD": ["x", "1e400", "1_0", "\uff11", "infinity", "9" * 5000],
    "AT": ["PatientID", "1", "0010001g"],
    "OB": ["x"],
    "SQ": ["x"],
}


@pytest.mark.parametrize(("vr", "value"), [(vr, value) for vr, some in GOOD.items() for value in some])
@pytest.mark.parametrize("is_big_endian", [False, True], ids=["little", "big"])
def test_good_values_come_back(vr: str, value: str, is_big_endian: bool) -> None:
    assert problem_with((value,), vr) is None
    codecs = charset.encodings(("ISO_IR 192",))
    raw = encode((value,), vr, codecs, is_big_endian=is_big_endian)
    assert len(raw) % 2 == 0
    (back,) = texts(raw, vr, codecs, is_big_endian=is_big_endian)
    if vr in NUMBERS:
        assert float(back) == float(value)
    else:
        assert back == value.strip(" ")


@pytest.mark.parametrize(("vr", "value"), [(vr, value) for vr, some in BAD.items() for value in some])
def test_bad_values_are_refused_before_and_at_the_object(vr: str, value: str) -> None:
    assert problem_with((value,), vr) is not None
    with pytest.raises(Refusal):
        encode((value,), vr, charset.encodings(("ISO_IR 192",)))


def test_one_of_two_vrs_is_enough() -> None:
    assert problem_with(("-1",), "US or SS") is None
    assert problem_with(("70000",), "US or SS") is not None


@pytest.mark.parametrize("vr", ["LO", "US", "UI", "OB", "SQ"])
def test_nothing_is_no_bytes(vr: str) -> None:
    assert encode((), vr, charset.DEFAULT) == b""


def test_several_values_and_empty_ones() -> None:
    assert encode(("A", "", "B"), "CS", charset.DEFAULT) == b"A\\\\B"
    assert encode(("1.2", "1.3"), "UI", charset.DEFAULT) == b"1.2\\1.3\0"
    assert encode(("1", "2"), "US", charset.DEFAULT) == b"\1\0\2\0"


COUNTS = {
    "one": ("PatientID", {0: True, 1: True, 2: False}),
    "two": ("PixelSpacing", {0: True, 1: False, 2: True, 3: False}),
    "two-or-more": ("ImageType", {1: False, 2: True, 9: True}),
    "any": ("OtherPatientNames", {1: True, 9: True}),
    "threes": ("ContourData", {3: True, 4: False, 6: True}),
    "one-or-two": ("RescaleType", {1: True, 2: False}),
    "private": ("00091001", {1: True, 7: True}),
}


@pytest.mark.parametrize(("keyword", "counts"), COUNTS.values(), ids=COUNTS)
def test_value_multiplicity(keyword: str, counts: dict[int, bool]) -> None:
    assert {count: takes_count(parse(keyword).tag, count) for count in counts} == counts


@given(st.sampled_from(sorted(GOOD)), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_whatever_is_written_is_read_back(vr: str, values: list[str]) -> None:
    codecs = charset.encodings(("ISO_IR 192",))
    try:
        raw = encode(tuple(values), vr, codecs)
    except Refusal:
        return
    back = texts(raw, vr, codecs)
    if vr in NUMBERS or vr == "AT":
        assert len(back) == len(values)
        return
    kept = (
        tuple(value.strip(" ") for value in values) if vr not in ("LT", "ST", "UT", "UR") else (values[0].rstrip(" "),)
    )
    assert back == (() if kept == ("",) else kept)

"""Text in another Specific Character Set: at every level, or not at all."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataset.splice import splice
from gateway.ports.edits import Recode
from gateway.ports.errors import Refusal
from tests.support.corpus import Part10
from tests.support.data_set_writer import (
    ENCODINGS,
    EXPLICIT,
    REAL,
    REAL_NAMES,
    Write,
    packed,
    unpacked,
)
from tests.support.splicing import SYNTAXES, spliced

UTF8 = Recode(("ISO_IR 192",))
CHARACTER_SET, NAME, MEANING, SEQUENCE = 0x00080005, 0x00100010, 0x00080104, 0x00400275
WRITE = Write(ENCODINGS[EXPLICIT])


def recoded(data: bytes, recode: Recode, syntax: str = EXPLICIT) -> bytes:
    return spliced(data, syntax, recode)


@SYNTAXES
@pytest.mark.parametrize("is_defined", [True, False], ids=["defined", "undefined"])
def test_every_level_is_written_anew(syntax: str, is_defined: bool) -> None:
    write = Write(ENCODINGS[syntax])

    def made(name: str, term: str, codec: str) -> bytes:
        item = write.item(write.element(MEANING, "LO", name.encode(codec)), is_defined=is_defined)
        head = write.element(CHARACTER_SET, "CS", term) + write.element(0x00080060, "CS", "MR")
        return packed(
            head
            + write.element(NAME, "PN", name.encode(codec))
            + write.sequence(SEQUENCE, item, is_defined=is_defined),
            syntax,
        )

    after = recoded(made("Müller^Jörg", "ISO_IR 100", "latin-1"), UTF8, syntax)
    assert unpacked(after, syntax) == unpacked(made("Müller^Jörg", "ISO_IR 192", "utf-8"), syntax)


def test_an_item_with_a_character_set_of_its_own() -> None:
    item = WRITE.element(CHARACTER_SET, "CS", "ISO_IR 144") + WRITE.element(MEANING, "LO", "Мозг".encode("iso8859_5"))
    data = WRITE.element(CHARACTER_SET, "CS", "ISO_IR 100") + WRITE.sequence(SEQUENCE, WRITE.item(item))
    new = WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192")
    expected = new + WRITE.sequence(SEQUENCE, WRITE.item(new + WRITE.element(MEANING, "LO", "Мозг".encode())))
    assert recoded(data, UTF8) == expected


def test_ascii_keeps_its_bytes_and_the_character_set_is_said() -> None:
    name = WRITE.element(NAME, "PN", "A^B ")
    assert recoded(name, UTF8) == WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + name


def test_what_says_so_already_is_left_alone() -> None:
    data = memoryview(WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + WRITE.element(NAME, "PN", "Ω".encode()))
    assert splice(data, EXPLICIT, [UTF8])[0] is data


def test_bytes_of_unknown_vr_stay() -> None:
    private = WRITE.element(0x00090010, "LO", "ACME") + WRITE.element(0x00091001, "UN", b"\xff\xfe")
    declared = WRITE.element(CHARACTER_SET, "CS", "ISO_IR 100")
    assert recoded(declared + private, UTF8) == WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + private


def test_undeclared_text_is_what_the_rule_says() -> None:
    data = WRITE.element(NAME, "PN", b"M\xfcller")
    after = recoded(data, Recode(("ISO_IR 192",), ("ISO_IR 100",)))
    assert after == WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + WRITE.element(NAME, "PN", "Müller".encode())


JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"


def test_escape_sequences_become_plain_text() -> None:
    """The example of PS3.5 §H.3.1."""
    data = WRITE.element(CHARACTER_SET, "CS", "\\ISO 2022 IR 87") + WRITE.element(NAME, "PN", JAPANESE)
    expected = "Yamada^Tarou=山田^太郎=やまだ^たろう".encode()
    assert recoded(data, UTF8) == (
        WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + WRITE.element(NAME, "PN", expected)
    )


REFUSED: dict[str, tuple[bytes, Recode, str]] = {
    "undeclared": (WRITE.element(NAME, "PN", b"M\xfcller"), UTF8, "PatientName is not ASCII"),
    "default-declared": (
        WRITE.element(CHARACTER_SET, "CS", "ISO_IR 6") + WRITE.element(NAME, "PN", b"M\xfcller"),
        UTF8,
        "PatientName is not ASCII",
    ),
    "unknown": (
        WRITE.element(CHARACTER_SET, "CS", "ISO_IR 999") + WRITE.element(NAME, "PN", b"M\xfcller"),
        UTF8,
        "unknown character set .ISO_IR 999.",
    ),
    "not-what-it-says": (
        WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + WRITE.element(NAME, "PN", b"M\xfcller"),
        Recode(("ISO_IR 100",)),
        "PatientName is not in the object's",
    ),
    "cannot-be-written": (
        WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + WRITE.element(NAME, "PN", "Ωmega".encode()),
        Recode(("ISO_IR 100",)),
        "PatientName has characters that ISO_IR 100 cannot write",
    ),
    "inside": (
        WRITE.sequence(SEQUENCE, WRITE.item(WRITE.element(MEANING, "LO", b"M\xfcller"))),
        UTF8,
        "CodeMeaning is not ASCII",
    ),
    "too-long": (
        WRITE.element(CHARACTER_SET, "CS", "ISO_IR 100") + WRITE.element(0x00104000, "LT", b"\xfc" * 40000),
        UTF8,
        "PatientComments",
    ),
}


@pytest.mark.parametrize(("data", "recode", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_and_not_quoted(data: bytes, recode: Recode, reason: str) -> None:
    with pytest.raises(Refusal, match=reason) as raised:
        recoded(data, recode)
    assert "ller" not in str(raised.value)
    assert "mega" not in str(raised.value)


def texts(data_set: pydicom.Dataset) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    for element in data_set:
        if element.VR == "SQ":
            found += [one for item in element.value for one in texts(item)]
        elif element.tag != CHARACTER_SET and element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT"):
            found.append((int(element.tag), str(element.value).rstrip() if element.VM == 1 else list(element.value)))
    return found


WHOLE = [part for part in REAL if part.path.name != "DICOMDIR-nooffset"]
"""Without the one whose item ends behind its sequence."""
WHOLE_NAMES = [name for name, part in zip(REAL_NAMES, REAL, strict=True) if part in WHOLE]


@pytest.mark.parametrize("part", WHOLE, ids=WHOLE_NAMES)
def test_pydicom_reads_the_same_text_of_real_objects(part: Part10) -> None:
    after = recoded(part.data_set, UTF8, part.transfer_syntax_uid)
    head = part.path.read_bytes()[: -len(part.data_set)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before_read = pydicom.dcmread(io.BytesIO(head + part.data_set))
        after_read = pydicom.dcmread(io.BytesIO(head + after))
        assert after_read.SpecificCharacterSet == "ISO_IR 192"
        assert texts(after_read) == texts(before_read)


REPERTOIRES = {
    "latin": ("ISO_IR 100", "äöüßÄé^ =xyz"),
    "cyrillic": ("ISO_IR 144", "Привет^ мир"),
    "greek": ("ISO_IR 126", "αβγδ Ω^"),
    "chinese": ("GB18030", "王小东^ abc"),
}


@pytest.mark.parametrize(("term", "letters"), REPERTOIRES.values(), ids=REPERTOIRES)
@given(data=st.data())
def test_there_and_back_again(term: str, letters: str, data: st.DataObject) -> None:
    text = data.draw(st.text(letters, min_size=1, max_size=60)).strip()
    utf8 = WRITE.element(CHARACTER_SET, "CS", "ISO_IR 192") + WRITE.element(0x00104000, "LT", text.encode())
    there = recoded(utf8, Recode((term,)))
    assert recoded(there, UTF8) == utf8

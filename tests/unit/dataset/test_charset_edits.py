"""Edits of objects whose text has code extensions: what is read can be written; what is not edited keeps its bytes."""

from __future__ import annotations

import pytest
from pydicom import charset as oracle

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.ports.edits import Recode
from gateway.ports.errors import Refusal
from gateway.routing.language.attribute_path import parse
from tests.support.data_set_writer import ENCODINGS, EXPLICIT, Write, put

WRITE = Write(ENCODINGS[EXPLICIT])
NAME, COMMENTS = parse("PatientName"), parse("PatientComments")
NAMES: dict[str, tuple[str, bytes]] = {
    "Chinese": ("\\ISO 2022 IR 58", b"Zhang^A=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="),
    "Korean": ("\\ISO 2022 IR 149", b"Hong^G=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
    "Korean, first value forgotten": ("ISO 2022 IR 149", b"Hong^F=\x1b$)C\xfb\xf3"),
    "Japanese": ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"),
    "Japanese, old form": ("\\ISO 2022 IR 87", b"Y=\x1b$@;3ED\x1b(B"),
    "Russian beside German": ("ISO 2022 IR 100\\ISO 2022 IR 144", b"M\xfc=\x1b-L\xbb\xee"),
    "misspelt": ("ISO IR 100", b"M\xfcller"),
    "Latin-9": ("ISO_IR 203", b"\xbduf"),
}


def an_object(character_set: str, name: bytes) -> bytes:
    elements = (
        ("SpecificCharacterSet", "CS", character_set),
        ("SOPInstanceUID", "UI", "1.2"),
        ("PatientName", "PN", name),
    )
    return b"".join(WRITE.element(keyword, vr, value) for keyword, vr, value in elements)


def text_of(data: bytes) -> list[tuple[str, ...]]:
    level = scan(memoryview(data), EXPLICIT, WantedElements([NAME, COMMENTS]))
    return [level.values(path) or () for path in (NAME, COMMENTS)]


@pytest.mark.parametrize("which", NAMES)
def test_what_is_read_is_written_elsewhere(which: str) -> None:
    data = an_object(*NAMES[which])
    (text,), _ = text_of(data)
    edited = b"".join(splice(memoryview(data), EXPLICIT, [put("PatientComments", f"{text}\r\n{text}")]))
    assert edited.startswith(data)
    assert text_of(edited) == [(text,), (f"{text}\r\n{text}",)]


@pytest.mark.parametrize("which", NAMES)
def test_a_name_is_changed(which: str) -> None:
    character_set, raw = NAMES[which]
    data = an_object(character_set, raw)
    (text,), _ = text_of(data)
    edited = b"".join(splice(memoryview(data), EXPLICIT, [put("PatientName", f"New^{text}")]))
    assert text_of(edited)[0] == (f"New^{text}",)
    if which not in ("Latin-9", "misspelt"):  # pydicom does not know them
        written = edited[edited.index(b"New^") :].rstrip()
        encodings = oracle.convert_encodings(character_set.split("\\"))
        second_opinion = oracle.decode_bytes(written, encodings, {0x5E, 0x3D})
        assert second_opinion.replace("\x1b$)A", "") == f"New^{text}"


@pytest.mark.parametrize("which", NAMES)
def test_the_whole_object_becomes_utf_8(which: str) -> None:
    data = an_object(*NAMES[which])
    before = text_of(data)
    edited = b"".join(splice(memoryview(data), EXPLICIT, [Recode(("ISO_IR 192",))]))
    assert text_of(edited) == before
    assert before[0][0].encode() in edited
    assert b"\x1b" not in edited


def test_what_cannot_be_read_keeps_its_bytes_and_is_not_written() -> None:
    data = an_object("", b"A\x1b)0B\xff")
    (text,), _ = text_of(data)
    assert text.startswith("A\ufffdB")
    assert b"".join(splice(memoryview(data), EXPLICIT, [put("PatientComments", "new")])).startswith(data)
    with pytest.raises(Refusal, match="could not be read"):
        splice(memoryview(data), EXPLICIT, [put("PatientComments", text)])

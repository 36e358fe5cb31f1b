"""What was read at arrival says the same when it is recalled."""

from __future__ import annotations

import json

import pytest

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import Level, wanted
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Alteration, Edit, Recode
from gateway.routing.facts import ObjectFacts, needed, read_by
from gateway.routing.kept_facts import LONGEST_VALUE, MOST_CHARACTERS, keep, read_for_files, recall
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.template import Template
from tests.support.data_set_writer import EXPLICIT
from tests.unit.routing.build import ASSOCIATION, MR_IMAGE, NOW

VALUES = {
    (0x0008, 0x0005, b"CS"): b"ISO_IR 100",
    (0x0008, 0x0018, b"UI"): b"1.2.3\0",
    (0x0008, 0x0080, b"LO"): "Höhe ".encode("latin-1"),
    (0x0008, 0x103E, b"LO"): b"",
    (0x0009, 0x0012, b"LO"): b"ACME",
    (0x0009, 0x1203, b"LO"): b"secret",
    (0x0010, 0x0010, b"PN"): "Müller^Jörg ".encode("latin-1"),
    (0x0010, 0x0020, b"LO"): b"P1",
    (0x0028, 0x0010, b"US"): b"\x02\x01",
    (0x0028, 0x0103, b"US"): b"\1\0",
    (0x0028, 0x0106, b"SS"): b"\xfe\xff",
}
PATHS = tuple(
    parse(text)
    for text in (
        "SpecificCharacterSet",
        "InstitutionName",
        "SeriesDescription",
        "(0009,[ACME],03)",
        "(0009,[OTHER],03)",
        "PatientName",
        "PatientID",
        "PatientSex",
        "Rows",
        "SmallestImagePixelValue",
    )
)


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return group.to_bytes(2, "little") + number.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value


def facts(*edits: Alteration, paths: tuple[AttributePath, ...] = PATHS, more: bytes = b"") -> ObjectFacts:
    data = b"".join(element(*head, value) for head, value in VALUES.items()) + more
    level = scan(memoryview(data), EXPLICIT, wanted(needed((*paths, *read_by(edits))))).level
    return ObjectFacts(ASSOCIATION, MR_IMAGE, "1.2.3", EXPLICIT, len(data), NOW, level).edited(edits)


def recalled(text: str) -> tuple[Level, set[AttributePath]]:
    found = recall(text)
    assert found is not None
    return found


EDITS: dict[str, tuple[Alteration, ...]] = {
    "untouched": (),
    "set and removed": (Edit(parse("PatientID"), ("P2",)), Edit(parse("InstitutionName"), None)),
    "made empty": (Edit(parse("PatientName"), ()),),
    "came to be": (Edit(parse("PatientSex"), ("F",)),),
    "of a private creator that came to be": (Edit(parse("(0009,[OTHER],03)"), ("x",)),),
    "another character set": (Recode(("ISO_IR 192",)),),
    "another character set, then a name": (Recode(("ISO_IR 192",)), Edit(parse("PatientName"), ("山田^太郎",))),
    "signed becomes unsigned": (Edit(parse("PixelRepresentation"), ("0",)),),
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS.keys())
def test_every_attribute_says_the_same(edits: tuple[Alteration, ...]) -> None:
    before = facts(*edits)
    level, paths = recalled(keep(before.level, PATHS))
    assert paths == set(PATHS)
    assert [level.values(path) for path in PATHS] == [before.level.values(path) for path in PATHS]
    assert [level.places(path) for path in PATHS] == [before.level.places(path) for path in PATHS]


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS.keys())
def test_what_is_changed_later_says_the_same(edits: tuple[Alteration, ...]) -> None:
    later = (Edit(parse("PatientID"), ("P9",), "present"), Edit(parse("PatientSex"), ("O",), "missing"))
    before = facts(*edits)
    level, _ = recalled(keep(before.level, PATHS))
    after = ObjectFacts(ASSOCIATION, MR_IMAGE, "1.2.3", EXPLICIT, 0, NOW, level).edited(later)
    expected = before.edited(later)
    assert [after.values(path) for path in PATHS] == [expected.values(path) for path in PATHS]


def test_text_without_a_character_set_stays_as_a_recoding_read_it() -> None:
    name = (parse("PatientName"),)
    data = element(0x0010, 0x0010, b"PN", b"\xb8\xd2\xd0\xdd")
    level = scan(memoryview(data), EXPLICIT, wanted(name)).level
    after = ObjectFacts(ASSOCIATION, MR_IMAGE, "1.2.3", EXPLICIT, len(data), NOW, level).edited(
        [Recode(("ISO_IR 192",), ("ISO_IR 144",))]
    )
    assert recalled(keep(after.level, name))[0].values(*name) == ("Иван",)


def test_a_long_value_is_left_out_and_said_to_be() -> None:
    longest = element(0x0010, 0x4000, b"LT", b"x" * LONGEST_VALUE)
    too_long = element(0x0010, 0x4000, b"LT", b"x" * (LONGEST_VALUE + 2))
    paths = (parse("PatientComments"), parse("PatientID"))
    assert recalled(keep(facts(paths=paths, more=longest).level, paths))[1] == set(paths)
    level, known = recalled(keep(facts(paths=paths, more=too_long).level, paths))
    assert known == {parse("PatientID")}
    assert level.text(0x00104000) is None


def test_what_a_long_value_decides_on_is_left_out_with_it() -> None:
    """Without its character set a text reads otherwise."""
    long_set = (Edit(parse("SpecificCharacterSet"), ("ISO_IR 100",) * 200),)
    assert keep(facts(*long_set).level, (parse("PatientName"),)) == ""


def test_too_much_together_is_not_kept() -> None:
    numbers = range(0x10, 0x40)
    more = b"".join(element(0x4009, number, b"LO", b"x" * LONGEST_VALUE) for number in numbers)
    paths = tuple(parse(f"4009{number:04X}") for number in numbers)
    assert len(paths) * LONGEST_VALUE > MOST_CHARACTERS
    assert keep(facts(paths=paths, more=more).level, paths) == ""


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '{"version":1}', '{"version":1,"implicit":false,"paths":7}']
)
def test_what_is_not_understood_is_not_known(text: str) -> None:
    assert recall(text) is None


def test_what_a_newer_version_kept_is_not_known() -> None:
    kept = json.loads(keep(facts().level, PATHS))
    assert recall(json.dumps(kept | {"version": kept["version"] + 1})) is None


def test_a_folder_reads_what_its_path_names_and_whether_the_identity_is_gone() -> None:
    path = Template("/x/{{ PatientID }}/{{ Modality }}/{{ PatientID }}.dcm")
    assert set(read_for_files(path)) == {parse("PatientID"), parse("Modality"), parse("PatientIdentityRemoved")}

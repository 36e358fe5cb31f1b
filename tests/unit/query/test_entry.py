"""Index entries: what is kept of an object, and that remembering pieces of it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import Level, wanted
from gateway.model.association import AssociationFacts
from gateway.model.instance import IndexEntry
from gateway.ports.edits import Alteration, Edit, Recode
from gateway.ports.errors import Unreadable
from gateway.query import entry as module
from gateway.query.attributes import indexed_paths
from gateway.query.entry import IndexEntries
from gateway.query.identifier import IdentifierEncoder
from gateway.routing.facts import ObjectFacts
from gateway.routing.language.attribute_path import parse
from tests.support.corpus import corpus, read_part10
from tests.support.identifiers import CT, attributes, entry

UIDS = {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "SOPInstanceUID": "1.1.1.1", "SOPClassUID": CT}


def level_of(path: Path) -> Level | None:
    """None for what is no object with identifiers."""
    try:
        file = read_part10(path)
        return scan(memoryview(file.data_set), file.transfer_syntax_uid, wanted(indexed_paths())).level
    except (ValueError, Unreadable):
        return None


def as_values(found: IndexEntry | None) -> list[object] | None:
    return (
        None
        if found is None
        else [json.loads(text) for text in (found.patient, found.study, found.series, found.image)]
    )


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    """Objects that have nothing in common, with values as long as they may be."""
    entries = IndexEntries()
    for number in range(1200):
        level = Level(EXPLICIT_LITTLE)
        for keyword, text in {
            **UIDS,
            "PatientComments": f"{number}" + "x" * 20_000,
            "InstanceNumber": f"{number}",
            "SpecificCharacterSet": f"ISO_IR {number}" + "y" * (number % 7) * 1000,
        }.items():
            level.add(parse(keyword).tag, "LT", text.encode())
        assert entries.entry(level) is not None
    kept = entries._above.held_bytes
    pieces = sum(len(str(key)) + len(piece) for known in entries._pieces.values() for key, piece in known.items())
    assert 0 < kept <= module.KEPT_ABOVE_BYTES
    assert pieces <= 2 * module.KEPT_PIECES_BYTES
    assert all(module._size(key) <= module.KEPT_PIECE_BYTES for key in entries._pieces)


def test_what_is_remembered_is_what_would_be_made_anew() -> None:
    """Over all real files there are, twice: the first time pieces are made, the second time they are remembered."""
    entries = IndexEntries()
    compared = 0
    for _ in range(2):
        for path in corpus():
            level = level_of(path)
            if level is None:
                continue
            quick = entries.entry(level)
            if quick is None:
                continue
            assert as_values(quick) == as_values(module.entry_of(level)), path.name
            compared += 1
    assert compared > 100


EDITS = {
    "study": {"StudyDescription": "new"},
    "image": {"InstanceNumber": "7", "ContentDate": "20240102"},
    "empty": {"PatientName": "", "InstanceNumber": ""},
    "item": {"RequestAttributesSequence[0].AccessionNumber": "A-1"},
    "another-item": {"ProcedureCodeSequence[0].CodeValue": "1", "PatientID": "42"},
    "same-item-elsewhere": {"AnatomicRegionSequence[0].CodeValue": "1", "PatientID": "42"},
}
GONE = ["PatientID", "InstanceNumber", "ContentTime", "ReferencedStudySequence"]


def edited(level: Level, edits: Sequence[Alteration]) -> Level:
    uid = "1.2"
    facts = ObjectFacts(AssociationFacts("A", "B", "h"), CT, uid, uid, 0, datetime(2026, 1, 1, tzinfo=UTC), level)
    return facts.edited(edits).level


def test_what_is_remembered_of_edited_objects_is_what_would_be_made_anew() -> None:
    """Edited objects and untouched ones, by turns."""
    entries = IndexEntries()
    changes: list[list[Alteration]] = [
        [Edit(parse(name), (text,) if text else ()) for name, text in each.items()] for each in EDITS.values()
    ]
    changes += [[Edit(parse(name), None)] for name in GONE]
    changes += [[Recode(("ISO_IR 192",))]]
    compared = 0
    for path in corpus():
        level = level_of(path)
        if level is None or entries.entry(level) is None:
            continue
        for after in [level, *(edited(level, edits) for edits in changes), level]:
            assert as_values(entries.entry(after)) == as_values(module.entry_of(after)), path.name
            compared += 1
    assert compared > 1000


def test_character_sets_that_coercions_made_equal_do_not_mix_up_what_was_written() -> None:
    entries = IndexEntries()
    names = []
    for raw in (_latin(), _greek()):
        level = scan(memoryview(raw), "1.2.840.10008.1.2.1", wanted(indexed_paths())).level
        found = entries.entry(edited(level, [Recode(("ISO_IR 192",))]))
        assert found is not None
        names.append(json.loads(found.patient)["00100010"])
    assert names == ["Müller", "Mόller"]


def test_text_without_a_character_set_does_not_mix_up_what_it_is_read_as() -> None:
    entries = IndexEntries()
    raw = _greek().replace(b"ISO_IR 126", b"ISO_IR 6  ")
    assert raw != _greek()
    level = scan(memoryview(raw), "1.2.840.10008.1.2.1", wanted(indexed_paths())).level
    names = []
    for read_as in ("ISO_IR 144", "ISO_IR 126"):
        found = entries.entry(edited(level, [Recode(("ISO_IR 192",), (read_as,))]))
        assert found is not None
        names.append(json.loads(found.patient)["00100010"])
    assert names == ["Mќller", "Mόller"]


def test_instances_of_one_series_share_the_text_of_what_they_have_in_common() -> None:
    entries = IndexEntries()
    first, second = (entry(attributes(**UIDS, PatientName="Roe^Jane", InstanceNumber=n), entries) for n in "12")
    assert first.patient == second.patient
    assert entry(attributes(**UIDS, PatientName="Roe^Jane", InstanceNumber="3"), entries).patient is second.patient
    assert first.image != second.image


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_object_that_no_query_could_name_has_none(missing: str) -> None:
    with pytest.raises(AssertionError):
        entry(attributes(**(UIDS | {missing: ""})))


def test_what_the_standard_allows_is_kept_whole() -> None:
    names = "\\".join(f"Name{number}^X" for number in range(300))
    found = entry(attributes(**UIDS, PatientComments="x" * 10_240, OtherPatientNames=names))
    patient = json.loads(found.patient)
    assert len(patient["00104000"]) == 10_240
    assert patient["00101001"] == names.split("\\")
    assert len(patient["00101001="]) == 300


def test_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHARACTERS", 100)
    patient = json.loads(entry(attributes(**UIDS, PatientComments="x" * 101, OtherPatientIDs="A123\\" * 30)).patient)
    assert patient["00104000"] == "x" * 100
    assert patient["00101000"] == ["A123"] * 20
    empty = json.loads(entry(attributes(**UIDS, OtherPatientIDs="a" + "\\" * 200)).patient)
    assert len(empty["00101000"]) == 100


def test_times_are_kept_in_utc_where_the_object_says_its_time_zone() -> None:
    found = entry(attributes(**UIDS, StudyDate="20240101", StudyTime="0030", TimezoneOffsetFromUTC="+0100"))
    assert json.loads(found.study)["00080020@"] == "20231231233000.000000"
    assert "00080020@" not in json.loads(entry(attributes(**UIDS, StudyDate="20240101", StudyTime="0030")).study)


def test_the_character_set_decides_how_equal_bytes_read() -> None:
    entries = IndexEntries()
    latin = entry(attributes(**UIDS, PatientName="Müller"), entries)
    level = scan(memoryview(_greek()), "1.2.840.10008.1.2.1", wanted(indexed_paths())).level
    greek = entries.entry(level)
    assert greek is not None
    assert json.loads(latin.patient)["00100010"] == "Müller"
    assert json.loads(greek.patient)["00100010"] == "Mόller"


def _latin() -> bytes:
    return IdentifierEncoder("1.2.840.10008.1.2.1")(attributes(**UIDS, PatientName="Müller"))


def _greek() -> bytes:
    """The bytes of Müller in Latin-1, declared as Greek."""
    return _latin().replace(b"ISO_IR 100", b"ISO_IR 126")

"""charset and record_original: what they ask for, and what they do together with other actions."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.filereader import read_dataset

from gateway.dataset.scan import at_once
from gateway.dataset.splice import splice
from gateway.ports.edits import OriginalAttributes, Recode
from gateway.routing.table import apply_actions, attributes_of
from tests.support.data_set_writer import EXPLICIT
from tests.unit.routing.build import ASSOCIATION, NOW, Body, actions, coercion, encoded, route, table

OBJECT = {
    "SpecificCharacterSet": "ISO_IR 100",
    "Modality": "MR",
    "InstitutionName": "South",
    "PatientName": "M\xfcller",
    "PatientID": "0042",
}


def applied(then: object, content: bytes | None = None) -> tuple[tuple[object, ...], pydicom.Dataset]:
    """The changes that the actions ask for, and the object after them."""
    data = encoded(OBJECT) if content is None else content
    some = actions(then)
    reading = table(route("r", {}, "pacs", then=then))
    before = at_once(
        reading.reading_facts(
            association=ASSOCIATION,
            sop_class_uid="1.2",
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
            body=Body(data),
            received_at=NOW,
            is_to_explain=True,
        )
    )
    changes = apply_actions(some, before)
    after = b"".join(splice(memoryview(data), EXPLICIT, changes))
    return changes, read_dataset(io.BytesIO(after), False, True)


def test_charset() -> None:
    changes, after = applied([{"charset": {"to": "ISO_IR 192", "undeclared": "ISO_IR 101"}}])
    assert changes == (Recode(("ISO_IR 192",), ("ISO_IR 101",)),)
    assert (after.SpecificCharacterSet, after.PatientName) == ("ISO_IR 192", "Müller")


def test_what_follows_reads_text_without_a_character_set_as_it_was_said() -> None:
    data = encoded({"PatientName": "\xb8\xd2\xd0\xdd"})
    then = [{"charset": {"to": "ISO_IR 192", "undeclared": "ISO_IR 144"}}, {"set": {"PatientID": "{{ PatientName }}"}}]
    _, after = applied(then, data)
    assert (after.PatientName, after.PatientID) == ("Иван", "Иван")


def test_the_name_alone_is_enough() -> None:
    assert applied([{"charset": "iso_ir 192"}])[0] == (Recode(("ISO_IR 192",)),)


def test_what_follows_may_use_every_letter() -> None:
    _, after = applied([{"charset": "ISO_IR 192"}, {"set": {"InstitutionName": "Ωmega"}}])
    after.decode()
    assert after.InstitutionName == "Ωmega"


def test_a_record_names_the_association() -> None:
    changes, after = applied([{"set": {"InstitutionName": "North"}}, "record_original"])
    assert changes[1] == OriginalAttributes("COERCE", "GATEWAY", "MR1", NOW, since=1)
    (item,) = after.OriginalAttributesSequence
    assert item.ModifiedAttributesSequence[0].InstitutionName == "South"


def test_a_record_has_what_it_is_given() -> None:
    said = {"reason": "CORRECT", "system": "North Router", "source": "{{ InstitutionName }}"}
    then = [{"remove": "PatientID"}, {"record_original": said}]
    assert applied(then)[0][1] == OriginalAttributes("CORRECT", "North Router", "South", NOW, since=1)
    assert {path.text for path in attributes_of(actions(then))} >= {"InstitutionName"}


@pytest.mark.parametrize(
    ("then", "told"),
    [
        pytest.param(["record_original"], [], id="nothing-before-it"),
        pytest.param(["record_original", {"set": {"PatientID": "X"}}], [], id="only-what-is-before-it"),
        pytest.param([{"set": {"PatientID": "0042"}}, "record_original"], [], id="nothing-changed"),
        pytest.param(
            [{"set": {"PatientID": "X"}}, "record_original", {"set": {"Modality": "CT"}}, "record_original"],
            [["PatientID"], ["Modality"]],
            id="each-what-came-since-the-last",
        ),
        pytest.param(
            [{"set": {"PatientID": "X", "Modality": "CT"}}, {"remove": "InstitutionName"}, "record_original"],
            [["Modality", "InstitutionName", "PatientID"]],
            id="several-actions",
        ),
    ],
)
def test_what_is_reported(then: list[object], told: list[list[str]]) -> None:
    _, after = applied(then)
    items = after.get("OriginalAttributesSequence", [])
    assert [[element.keyword for element in item.ModifiedAttributesSequence[0]] for item in items] == told


def test_records_of_several_coercions_are_their_own() -> None:
    """Each looks back within its own list."""
    data = encoded(OBJECT)
    routing = table(
        route("r", {}, "pacs"),
        coercions=(
            coercion("a", {}, [{"set": {"PatientID": "X"}}]),
            coercion("b", {}, [{"set": {"Modality": "CT"}}, "record_original"]),
        ),
    )
    known = at_once(
        routing.reading_facts(
            association=ASSOCIATION,
            sop_class_uid="1.2",
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
            body=Body(data),
            received_at=NOW,
        )
    )
    after = read_dataset(
        io.BytesIO(b"".join(splice(memoryview(data), EXPLICIT, routing.plan(known).edits))), False, True
    )
    (item,) = after.OriginalAttributesSequence
    assert [element.keyword for element in item.ModifiedAttributesSequence[0]] == ["Modality"]

"""Text that is not what its Specific Character Set says: no action writes the loss down for ever."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.dataset.splice import splice
from gateway.ports.errors import Refusal
from gateway.ports.kinds import Action
from gateway.routing.facts import ObjectFacts, needed
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.resources import FileResources
from gateway.routing.table import apply_actions, attributes_of
from tests.support.data_set_writer import EXPLICIT, Write
from tests.unit.routing.build import ASSOCIATION, MR_IMAGE, fail

WRITE = Write(EXPLICIT_LITTLE)
NAME = {"ISO_IR 192": b"M\xfcller", "GB18030": b"M\xff\xfeler"}
"""Not text in these character sets."""

RESOURCES = FileResources({"research": b"a key of the tests"})
LOSING = {
    "case": {"case": {"attributes": "PatientName", "to": "upper"}},
    "replace": {"replace": {"attributes": "PatientName", "pattern": "^M", "with": "N"}},
    "truncate": {"truncate": {"attributes": "PatientName", "to": 3}},
    "pad": {"pad": {"attributes": "PatientName", "to": 12}},
    "copy": {"copy": {"from": "PatientName", "to": "PatientComments"}},
    "move": {"move": {"from": "PatientName", "to": "OtherPatientNames"}},
    "append": {"append": {"OtherPatientNames": "{{ PatientName }}"}},
    "template": {"set": {"InstitutionName": "of {{ PatientName }}"}},
}
HARMLESS = {
    "another attribute": {"set": {"InstitutionName": "North"}},
    "nothing to change": {"pad": {"attributes": "PatientName", "to": 3}},
}


def data_set(name: bytes, character_set: str) -> bytes:
    return b"".join(
        (
            WRITE.element("SpecificCharacterSet", "CS", character_set),
            WRITE.element("SOPClassUID", "UI", MR_IMAGE),
            WRITE.element("SOPInstanceUID", "UI", "1.2.3"),
            WRITE.element("PatientName", "PN", name),
            WRITE.element("OtherPatientNames", "PN", "Doe"),
        )
    )


def actions_and_facts(raw: bytes, config: object) -> tuple[tuple[Action, ...], ObjectFacts]:
    actions = build_actions([config], fail, RESOURCES)
    level = scan(memoryview(raw), EXPLICIT, wanted(needed(attributes_of(actions)))).level
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return actions, ObjectFacts(ASSOCIATION, MR_IMAGE, "1.2.3", EXPLICIT, len(raw), now, level)


def changed(raw: bytes, config: object) -> bytes:
    actions, facts = actions_and_facts(raw, config)
    return b"".join(splice(memoryview(raw), EXPLICIT, apply_actions(actions, facts)))


@pytest.mark.parametrize("character_set", NAME)
@pytest.mark.parametrize("config", LOSING.values(), ids=LOSING)
def test_an_edit_that_would_write_the_loss_is_refused(config: object, character_set: str) -> None:
    with pytest.raises(Refusal, match="could not be read in the object's character set"):
        changed(data_set(NAME[character_set], character_set), config)


@pytest.mark.parametrize("config", HARMLESS.values(), ids=HARMLESS)
def test_what_no_edit_touches_keeps_its_bytes(config: object) -> None:
    raw = data_set(NAME["ISO_IR 192"], "ISO_IR 192")
    assert WRITE.element("PatientName", "PN", NAME["ISO_IR 192"]) in changed(raw, config)


def test_two_names_with_lost_letters_do_not_get_one_pseudonym() -> None:
    config = {"hash": {"attributes": "PatientName", "key": "research"}}
    after = {changed(data_set(name, "ISO_IR 192"), config) for name in (b"M\xfcller", b"M\xf6ller")}
    assert after == {data_set(b"", "ISO_IR 192")}
    actions, facts = actions_and_facts(data_set(NAME["ISO_IR 192"], "ISO_IR 192"), config)
    assert facts.edited(apply_actions(actions, facts)).values(parse("PatientName")) == ()

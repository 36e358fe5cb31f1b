"""Private elements, repeating groups, and rows whose tags no data set should have."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from gateway.ports.edits import KEEP, REMOVE, Change, RewriteElement
from gateway.routing.actions.deidentification.overrides import NO_OVERRIDES
from gateway.routing.actions.deidentification.rewrite import Deidentification
from gateway.routing.actions.deidentification.rulings import rulings
from tests.support.deidentify import EXPLICIT, IMPLICIT, KEY, action, decode, deidentified, encode, table, tag_of

PHILIPS, SIEMENS, UNKNOWN = "Philips PET Private Group", "SIEMENS MR HEADER", "A VENDOR"


def with_private() -> Dataset:
    """Safe and other private elements of three creators, one in a block that is not the first, one in a sequence."""
    data_set = Dataset()
    data_set.SOPInstanceUID = "1.2.3"
    philips = data_set.private_block(0x7053, PHILIPS, create=True)
    philips.add_new(0x00, "DS", "1.5")
    philips.add_new(0x01, "LO", "Doe")
    data_set.private_block(0x0019, "TAKES THE FIRST BLOCK", create=True).add_new(0x01, "LO", "Doe")
    siemens = data_set.private_block(0x0019, SIEMENS, create=True)
    siemens.add_new(0x0C, "IS", "1000")
    siemens.add_new(0x0B, "LO", "Doe")
    data_set.private_block(0x0029, UNKNOWN, create=True).add_new(0x10, "UN", b"Doe^Jane")
    nested = Dataset()
    nested.private_block(0x7053, PHILIPS, create=True).add_new(0x09, "DS", "2.5")
    nested.private_block(0x0029, UNKNOWN, create=True).add_new(0x11, "LO", "Doe")
    nested.SliceThickness = "5"
    data_set.SharedFunctionalGroupsSequence = [nested]
    return data_set


def private_tags(data_set: Dataset) -> list[str]:
    return [f"{element.tag:08X}" for element in data_set if element.tag.is_private]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_all_private_elements_go_at_every_level(syntax: str) -> None:
    after = decode(deidentified(encode(with_private(), syntax), action(), transfer_syntax_uid=syntax), syntax)

    assert private_tags(after) == []
    assert private_tags(after.SharedFunctionalGroupsSequence[0]) == []
    assert after.SharedFunctionalGroupsSequence[0].SliceThickness == 5


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_safe_ones_stay_with_their_creators(syntax: str) -> None:
    deidentify = action(options=["retain-safe-private"])
    after = decode(deidentified(encode(with_private(), syntax), deidentify, transfer_syntax_uid=syntax), syntax)

    assert private_tags(after) == ["00190011", "0019110C", "70530010", "70531000"]
    assert private_tags(after.SharedFunctionalGroupsSequence[0]) == ["70530010", "70531009"]
    assert after[0x70530010].value == PHILIPS
    assert str(after[0x70531000].value) == "1.5"


def declared(status: str, *numbers: int) -> Dataset:
    data_set = with_private()
    item = Dataset()
    item.PrivateGroupReference = 0x0029
    item.PrivateCreatorReference = UNKNOWN
    item.BlockIdentifyingInformationStatus = status
    if numbers:
        item.NonidentifyingPrivateElements = list(numbers)
    data_set.PrivateDataElementCharacteristicsSequence = [item]
    block = data_set.private_block(0x0029, UNKNOWN)
    block.add_new(0x20, "UI", "1.2.3.4")
    block.add_new(0x21, "DA", "20200102")
    block.add_new(0x22, "PN", "Doe^Jane")
    return data_set


@pytest.mark.parametrize(
    ("status", "numbers", "kept"),
    [
        ("SAFE", (), ["00290010", "00291010", "00291020"]),
        ("MIXED", (0x20,), ["00290010", "00291020"]),
        ("MIXED", (), []),
        ("UNSAFE", (0x20,), []),
        ("UNHEARD OF", (0x20,), []),
    ],
)
def test_what_the_object_declares_safe_stays(status: str, numbers: tuple[int, ...], kept: list[str]) -> None:
    after = decode(deidentified(encode(declared(status, *numbers)), action(options=["retain-safe-private"])))

    assert [tag for tag in private_tags(after) if tag.startswith("0029")] == kept
    if "00291020" in kept:
        assert after[0x00291020].value.startswith("2.25."), "a UID is replaced like every other"


def test_dates_in_a_safe_block_move_with_all_others() -> None:
    data_set = declared("SAFE")
    data_set.StudyDate = "20200102"

    after = decode(
        deidentified(encode(data_set), action(options=["retain-safe-private", "retain-longitudinal-modified"]))
    )

    assert after[0x00291021].value == after.StudyDate != "20200102"


def test_the_site_may_keep_single_private_attributes() -> None:
    after = decode(deidentified(encode(with_private()), action(keep=["00291010", "(0019,[SIEMENS MR HEADER],0B)"])))

    assert private_tags(after) == ["00190011", "0019110B", "00290010", "00291010"]


@pytest.mark.parametrize("group", [0x5000, 0x501E, 0x50FE, 0x6000, 0x601E, 0x60FE], ids=lambda group: f"{group:04X}")
@pytest.mark.parametrize("options", [(), ("clean-graphics",)], ids=["basic", "clean-graphics"])
def test_curves_and_overlay_planes_go_as_a_whole(group: int, options: tuple[str, ...]) -> None:
    data_set = Dataset()
    data_set.SOPInstanceUID = "1.2.3"
    data_set.add_new(group << 16 | 0x0010, "US", 5)
    data_set.add_new(group << 16 | 0x3000, "OW", b"\1\2")
    data_set.add_new(group << 16 | 0x4000, "LT", "Doe")

    after = decode(deidentified(encode(data_set), action(options=list(options)) if options else action()))

    assert [element.tag for element in after if element.tag.group == group] == []


OUTSIDE = [(row, tag) for row in table() if (tag := tag_of(row)) is not None and tag >> 16 <= 0x0004]


@pytest.mark.parametrize(("row", "tag"), OUTSIDE, ids=lambda value: value["tag"] if isinstance(value, dict) else "")
@pytest.mark.parametrize("path", [(), ((0x52009229, 0),)], ids=["top", "sequence"])
def test_misused_command_and_file_elements(row: dict[str, str], tag: int, path: tuple[tuple[int, int], ...]) -> None:
    rewrite = Deidentification(rulings(frozenset(), "1.2.3"), NO_OVERRIDES, KEY, 0, frozenset())

    change: Change = rewrite(RewriteElement(path, tag, "UI", "", ("1.2.3.4",), 8))

    assert row["basic"] in ("X", "U")
    if row["basic"] == "X":
        assert change is REMOVE
    else:
        assert isinstance(change, tuple)
        assert change[0].startswith("2.25.")


def test_what_no_row_names_is_kept() -> None:
    rewrite = Deidentification(rulings(frozenset(), "1.2.3"), NO_OVERRIDES, KEY, 0, frozenset())

    assert rewrite(RewriteElement((), 0x00180015, "CS", "", ("HEAD",), 4)) is KEEP
    assert rewrite(RewriteElement(((0x52009229, 0),), 0x00180015, "CS", "", ("HEAD",), 4)) is KEEP

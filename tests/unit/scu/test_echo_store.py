"""What `gateway send` makes of files: which can be sent, and with which presentation contexts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.dataset.part10 import DicomFile, read_dicom_file
from gateway.ports.errors import Unreadable
from gateway.scu.echo_store import SentFile, batches, contexts_for, find_files
from tests.support.caller import EXPLICIT, MR, write_file
from tests.support.corpus import read_part10
from tests.support.unlistable import make_unlistable


def file(sop_class: str, syntax: str = EXPLICIT) -> DicomFile:
    return DicomFile(Path("x"), sop_class, "1.2", syntax, 0)


def test_one_context_for_each_class_and_syntax() -> None:
    found = contexts_for([file("1.1"), file("1.1"), file("1.1", "1.9"), file("1.2")])
    assert [(one.abstract_syntax, one.transfer_syntaxes) for one in found] == [
        ("1.1", (EXPLICIT,)),
        ("1.1", ("1.9",)),
        ("1.2", (EXPLICIT,)),
    ]


@pytest.mark.parametrize(
    ("classes", "lengths"), [(0, []), (1, [2]), (128, [256]), (129, [256, 2]), (300, [256, 256, 88])]
)
def test_no_association_needs_more_than_128_contexts(classes: int, lengths: list[int]) -> None:
    files = [file(f"1.{number}") for number in range(classes) for _ in range(2)]
    found = list(batches(files))
    assert [len(batch) for batch in found] == lengths
    assert [one for batch in found for one in batch] == files
    assert all(len(contexts_for(batch)) <= 128 for batch in found)


@pytest.mark.parametrize(
    ("status", "is_stored"),
    [(0x0000, True), (0xB000, True), (0xB007, True), (0xA700, False), (0xC000, False), (0x0122, False), (None, False)],
)
def test_what_counts_as_stored(status: int | None, *, is_stored: bool) -> None:
    assert SentFile(Path("x"), 1, status).is_stored is is_stored


def test_folders_are_searched_and_named_files_are_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    image = write_file(tmp_path / "a" / "b", "1.2.3")
    note = tmp_path / "a" / "note.txt"
    note.write_text("x")
    skipped: list[tuple[str, str]] = []
    os.mkfifo(tmp_path / "pipe")
    named = [tmp_path / "a", note, tmp_path / "gone", tmp_path / "pipe"]
    found = list(find_files(named, lambda p, why: skipped.append((p.name, why))))
    assert [(one.path, one.sop_class_uid, one.transfer_syntax_uid) for one in found] == [(image, MR, EXPLICIT)]
    assert [name for name, _ in skipped] == ["note.txt", "gone", "pipe"]
    assert "no DICOM file" in skipped[0][1]


def test_a_folder_that_cannot_be_listed_counts_as_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    image = write_file(tmp_path, "1.2.3")
    make_unlistable(monkeypatch, tmp_path / "shut")
    skipped: list[tuple[Path, str]] = []
    found = list(find_files([tmp_path], lambda path, why: skipped.append((path, why))))
    assert [one.path for one in found] == [image]
    assert skipped == [(tmp_path / "shut", "cannot be listed: Permission denied")]


def test_the_data_set_of_a_file_is_its_bytes(tmp_path: Path) -> None:
    image = write_file(tmp_path, "1.2.3")
    body = read_dicom_file(image).open()
    expected = read_part10(image).data_set
    assert bytes(body.view()) == b"".join(body.chunks(100)) == expected
    assert body.length_bytes == len(expected)
    body.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no DICOM"),
        (bytes(128) + b"DICM", "transfer syntax"),
        (bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x40\x001.2", "cut off"),
    ],
    ids=["empty", "nothing after the prefix", "cut off"],
)
def test_what_is_no_dicom_file_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        read_dicom_file(path)

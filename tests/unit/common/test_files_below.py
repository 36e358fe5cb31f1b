"""All files of a folder."""

import os
from pathlib import Path

import pytest

from gateway.common.files_below import files_below, unlisted_folders
from tests.support.unlistable import make_unlistable


def test_regular_files_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/x/deep", "z", "A"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "z")
    errors: list[OSError] = []
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, errors.append)]
    assert errors == []
    assert found == ["A", "link", "z", "a/x/deep", "b/1", "b/2"]


def test_a_folder_that_cannot_be_listed_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1", "b/2", "c/d/3"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    make_unlistable(monkeypatch, tmp_path / "b", tmp_path / "c" / "d")
    errors: list[OSError] = []
    assert [path.name for path in files_below(tmp_path, errors.append)] == ["1"]
    assert [error.filename for error in errors] == [str(tmp_path / "b"), str(tmp_path / "c" / "d")]
    assert sorted(error.filename for error in unlisted_folders(tmp_path)) == [error.filename for error in errors]


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(files_below(tmp_path / "nowhere", errors.append)) == []
    assert [error.filename for error in errors] == [str(tmp_path / "nowhere")]

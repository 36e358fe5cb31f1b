"""The spool's files as a start, and a command beside a running gateway, find them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.spool.recovery import payload_files

FILES = {"segments/00000001.seg": 10, "segments/00000002.seg": 0, "large/0000000000000001.obj": 300}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, size_bytes in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size_bytes))
    (tmp_path / "segments" / "notes.txt").write_text("not ours")
    (tmp_path / "large" / "0000000000000002.obj").symlink_to(tmp_path / "large" / "0000000000000001.obj")
    return tmp_path


def test_files_that_are_ours_with_their_sizes(root: Path) -> None:
    assert dict(payload_files(root)) == FILES


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(payload_files(tmp_path))
    assert list(payload_files(tmp_path, may_be_missing=True)) == []


def test_a_file_that_goes_meanwhile_is_left_out(root: Path) -> None:
    found = payload_files(root)
    first, _ = next(found)
    for name in FILES.keys() - {first}:
        (root / name).unlink()
    assert list(found) == []

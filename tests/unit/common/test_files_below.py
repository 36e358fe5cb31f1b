"""All files of a folder."""

import os
from pathlib import Path

from gateway.common.files_below import files_below


def test_regular_files_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/x/deep", "z", "A"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "z")
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert found == ["A", "link", "z", "a/x/deep", "b/1", "b/2"]


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert list(files_below(tmp_path / "nowhere")) == []

"""The pid file never takes the place of a file that is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.lifecycle.pid_file import pid_file
from gateway.ports.errors import ConfigurationError


@pytest.mark.parametrize("content", [b"root:x:0:0::/root:/bin/sh\n", b"12 34\n", b"\0" * 10])
def test_a_file_with_other_content_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a pid file"), pid_file(path):
        pass
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"12345\n", b"12345"])
def test_the_pid_file_of_a_process_that_was_killed_is_taken_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway.pid"
    path.write_bytes(content)
    with pid_file(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a pid file"), pid_file(tmp_path):
        pass

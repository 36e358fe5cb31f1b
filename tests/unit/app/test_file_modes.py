"""Modes of files, and whether other users reach a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.common.file_modes import FileAccess, is_reachable_by_others, narrow, set_mode


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("before", "access", "is_folder", "after"),
    [
        (0o644, "owner", False, 0o600),
        (0o600, "owner", False, 0o600),
        (0o777, "owner", False, 0o600),
        (0o600, "group", False, 0o660),
        (0o755, "owner", True, 0o700),
        (0o2755, "group", True, 0o2770),
        (0o1777, "owner", True, 0o700),
    ],
)
def test_narrow(tmp_path: Path, before: int, access: FileAccess, is_folder: bool, after: int) -> None:
    path = tmp_path / "x"
    path.mkdir() if is_folder else path.touch()
    path.chmod(before)
    assert narrow(path, access) == (None if before == after else before)
    assert mode_of(path) == after


def test_narrow_leaves_links_and_what_is_not_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch(0o644)
    target.chmod(0o644)
    (tmp_path / "link").symlink_to(target)
    assert narrow(tmp_path / "link", "owner") is None
    assert narrow(tmp_path / "gone", "owner") is None
    assert mode_of(target) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_what_another_user_owns_is_not_changed_and_refused_when_all_read_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    os.chown(path, 12345, 12345)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match=r"0644.*another user"):
        narrow(path, "owner")
    path.chmod(0o640)
    assert narrow(path, "owner") is None
    assert mode_of(path) == 0o640


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (0o755, 0o755, True),
        (0o711, 0o755, True),
        (0o755, 0o711, True),
        (0o755, 0o700, False),
        (0o755, 0o750, False),
        (0o700, 0o755, False),
        (0o754, 0o777, False),
    ],
)
def test_reachable_by_others(monkeypatch: pytest.MonkeyPatch, outer: int, inner: int, expected: bool) -> None:
    """The folders above are as open as they can be."""
    modes = {"/outer/inner": inner, "/outer": outer, "/": 0o755}

    def stat_of(path: str) -> os.stat_result:
        return os.stat_result((stat.S_IFDIR | modes[path], *[0] * 9))

    monkeypatch.setattr("gateway.common.file_modes.os.stat", stat_of)
    assert is_reachable_by_others("/outer/inner") is expected


def test_set_mode_is_exact_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        descriptor = os.open(tmp_path / "x", os.O_CREAT | os.O_WRONLY, 0o666)
        set_mode(descriptor, 0o644)
        os.close(descriptor)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "x") == 0o644

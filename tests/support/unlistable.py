"""Folders that cannot be listed, also where the tests run as root."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def make_unlistable(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Have `os.scandir` refuse these folders, as it does those of another user."""
    real, refused = os.scandir, {os.fspath(folder) for folder in folders}

    def scandir(path: Any = ".") -> Any:
        if not isinstance(path, int) and os.fspath(path) in refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)

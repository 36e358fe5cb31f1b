"""All files of a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

Unlisted = Callable[[OSError], object]
"""Called with the error of a folder that cannot be listed; its `filename` is the folder's path."""


def files_below(folder: Path, unlisted: Unlisted) -> Iterator[Path]:
    """Regular files in `folder` and in those below it, in the order of their names. `unlisted` is called for each
    folder whose files are missing since it cannot be listed."""
    for root, folders, names in os.walk(folder, onerror=unlisted):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(root) / name).is_file())


def unlisted_folders(folder: Path) -> list[OSError]:
    """The errors of the folders, `folder` and those below it, that cannot be listed."""
    errors: list[OSError] = []
    for _found in os.walk(folder, onerror=errors.append):
        pass
    return errors

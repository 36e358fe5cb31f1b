"""The folders from which ``${file:PATH}`` may read: the rules folder, and those that `gateway.secret_folders` names.

An author of rules must not be able to read everything that the gateway's user can read, for example another service's
key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gateway.common.regular_file import read_regular_file

LIMIT_BYTES = 1024 * 1024
DEFAULT_FOLDERS = ("/run/secrets",)
"""The folder in which container engines put secrets."""
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The environment variable with which systemd names the folder of a service's credentials."""


class SecretFileError(Exception):
    """A file that may not be read, or cannot be. The message never holds its content."""


def default_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The folders beside the rules folder when `gateway.secret_folders` is not written."""
    credentials = environ.get(CREDENTIALS, "")
    return (*DEFAULT_FOLDERS, *((credentials,) if credentials else ()))


class SecretFiles:
    """The files that one configuration may read.

    `rules_folder` and all below it are open to it. `named` gives further folders; it is asked once, when the first
    file outside the rules folder is met. Symbolic links count as the place to which they lead.
    """

    def __init__(self, rules_folder: Path, named: Callable[[], Iterable[str]] = lambda: ()) -> None:
        self._rules_folder = os.path.realpath(rules_folder)
        self._named = named
        self._folders: tuple[str, ...] | None = None
        self._read: list[tuple[str, str]] = []

    def read(self, name: str, folder: Path) -> str:
        """The text of the file `name`, relative to `folder`, without line ends at its end.

        Raises:
            SecretFileError: it lies outside the folders, cannot be read, is no regular file, is larger than 1 MiB, or
                is not UTF-8 text.
        """
        try:
            place = os.path.realpath(folder / name)
            if not self._permits(place):
                is_link = place != os.path.normpath(os.path.join(os.path.realpath(folder), name))
                link = f" leads by a symbolic link to {place}, which" if is_link else ""
                raise SecretFileError(
                    f"the file `{name}`{link} lies outside the rules folder and `gateway.secret_folders`"
                    f" ({', '.join(self._folders or ()) or 'none'}); move it, or name its folder there"
                )
            content = read_regular_file(Path(place), LIMIT_BYTES)
            self._read.append((name, place))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SecretFileError(f"cannot read the file `{name}`: {reason}") from error
        if len(content) > LIMIT_BYTES:
            raise SecretFileError(f"the file `{name}` is larger than 1 MiB")
        try:
            return content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SecretFileError(f"the file `{name}` is not UTF-8 text") from error

    def take_read(self) -> list[tuple[str, str]]:
        """The files that were read since this was last called: as written, and the place to which that leads."""
        taken, self._read = self._read, []
        return taken

    def _permits(self, place: str) -> bool:
        if _is_below(place, self._rules_folder):
            return True
        if self._folders is None:
            self._folders = tuple(os.path.realpath(folder) for folder in self._named())
        return any(_is_below(place, folder) for folder in self._folders)


def _is_below(place: str, folder: str) -> bool:
    return os.path.commonpath((place, folder)) == folder

"""File modes: the files that the gateway writes are readable by its own user, or by its group too, and by no other
user.

The process's umask makes the difference, so that it also holds for files that libraries create.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Literal

FileAccess = Literal["owner", "group"]

FILE = 0o660
FOLDER = 0o770
"""The mode that spool and queue ask for; the umask takes the group's part away under `owner`."""
UMASKS: dict[FileAccess, int] = {"owner": 0o077, "group": 0o007}

OTHERS = stat.S_IRWXO

OPEN_TO_OTHERS = "every user may list or enter it, and names tell of patients"
CLOSE_IT = "chmod o-rwx it, or set `access: others`"
"""The remedy, beside `OPEN_TO_OTHERS`, for the root of a folder destination that `is_reachable_by_others`."""


def set_umask(access: FileAccess) -> None:
    """Set the umask for this process and everything that it creates from here on."""
    os.umask(UMASKS[access])


def narrow(path: Path, access: FileAccess) -> int | None:
    """Give what is at `path` the mode that it would get if it were made now; the mode before, when that differed.

    None when it is as it should be or is not there. Symbolic links are not followed.

    Raises:
        PermissionError: it belongs to another user, and others may read or write it.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        return None
    before = stat.S_IMODE(found.st_mode)
    kept = stat.S_ISGID if stat.S_ISDIR(found.st_mode) else 0
    wanted = (FOLDER if stat.S_ISDIR(found.st_mode) else FILE) & ~UMASKS[access] | before & kept
    if before == wanted:
        return None
    if found.st_uid != os.geteuid():
        if before & OTHERS:
            raise PermissionError(f"every user may read it (mode {before:04o}), and it belongs to another user")
        return None
    path.chmod(wanted)
    return before


def is_reachable_by_others(path: str) -> bool:
    """True when users that are neither the owner nor in the group may list or enter the folder `path`: neither its own
    mode nor that of a folder above it keeps them out."""
    real = os.path.realpath(path)
    return bool(os.stat(real).st_mode & OTHERS) and _is_way_open(real)


def is_open_to_others(path: str) -> bool:
    """True when users that are neither the owner nor in the group may read or write the file `path`: neither its own
    mode nor that of a folder above it keeps them out. Raises OSError."""
    real = os.path.realpath(path)
    return bool(os.stat(real).st_mode & (stat.S_IROTH | stat.S_IWOTH)) and _is_way_open(real)


def is_writable_by_others(path: str) -> bool:
    """True when users that are neither the owner nor in the group may write the file `path`, or make and delete what is
    in the folder. Raises OSError."""
    real = os.path.realpath(path)
    mode = os.stat(real).st_mode
    is_protected = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    return bool(mode & stat.S_IWOTH) and not is_protected and _is_way_open(real)


def _is_way_open(real: str) -> bool:
    while real != os.path.dirname(real):
        real = os.path.dirname(real)
        if not os.stat(real).st_mode & stat.S_IXOTH:
            return False
    return True


def set_mode(descriptor: int, mode: int) -> None:
    """Exactly `mode`, whatever the umask; a folder keeps its set-group-ID bit. A file system without modes (CIFS) is
    left as it is: what others may do there is decided where it is mounted."""
    found = os.fstat(descriptor).st_mode
    wanted = mode | (found & stat.S_ISGID if stat.S_ISDIR(found) else 0)
    if stat.S_IMODE(found) != wanted:
        with contextlib.suppress(PermissionError, NotImplementedError):
            os.fchmod(descriptor, wanted)

"""Rights of the user of a command on the database and the spool of a gateway, which has a user of its own."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from gateway.cli.options import fail
from gateway.lifecycle import exit_code
from gateway.model.settings import Settings
from gateway.stores.opening import local_path

_AS_OWNER = (
    "this user may not read and write it; run the command as the gateway's user (`sudo -u USER gateway …`), or let its "
    "group in with `gateway.file_access: group`"
)


def require_access(path: Path, *, is_read_only: bool, noun: str = "queue") -> None:
    """Exits 78 where another user owns the file or folder: what opens it would say that it is not there, cannot be
    opened, or is read-only."""
    is_folder = path.is_dir() if may_look_at(path) else False
    file, folder = (os.R_OK, os.X_OK) if is_read_only else (os.R_OK | os.W_OK, os.W_OK | os.X_OK)
    try:
        found = path.stat()
        is_ours = os.access(path, file | os.X_OK if is_folder else file) and os.access(path.parent, folder)
    except PermissionError:
        fail(f"{noun} {path}: {_AS_OWNER}", exit_code.CONFIGURATION)
    except OSError:  # not there: said in another way
        return
    if not is_ours:
        fail(f"{noun} {path}: it belongs to {_user(found.st_uid)}; {_AS_OWNER}", exit_code.CONFIGURATION)


def require_store(settings: Settings, *, is_read_only: bool) -> None:
    """`require_access` for the database, where it is a file; else its server says who may do what."""
    path = local_path(settings)
    if path is not None:
        require_access(path, is_read_only=is_read_only)


def require_places(settings: Settings, *, is_read_only: bool) -> None:
    """`require_access` for the database and the spool."""
    require_store(settings, is_read_only=is_read_only)
    require_access(Path(settings.spool.path), is_read_only=is_read_only, noun="spool")


def may_look_at(path: Path) -> bool:
    """False where this user may not even see whether `path` is there."""
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user {number}"

"""Folder destinations: there, writable, closed to others."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gateway.common.file_modes import is_reachable_by_others
from gateway.destinations.folder import Folder
from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.mounts import nearest_there
from gateway.model.peer import Peer


def folder(peer: Peer, destination: Folder) -> Iterator[DoctorFinding]:
    """Check one folder destination by the rights of this user; nothing is written."""
    root = destination.root
    subject = f"{peer.name} ({root})"
    there = nearest_there(root)
    if not os.path.isdir(there):
        yield found("folder-not-writable", subject, f"{there} is no folder")
    elif os.statvfs(there).f_flag & os.ST_RDONLY:
        yield found("folder-not-writable", subject, f"the file system of {there} is read-only")
    elif not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        yield found("folder-not-writable", subject, f"this user may not write into {there}")
    elif not os.path.isdir(root):
        yield found("folder-not-there", subject, f"it will be made in {there}; is a share to be mounted there?")
    elif destination.access != "others" and is_reachable_by_others(root):
        yield found("folder-open-to-others", subject, f"its mode is {os.stat(root).st_mode & 0o7777:04o}")
    else:
        yield found("folder-usable", subject, "it is there, and this user may write into it")

"""The kind of file system on which a path lies, from the table of mounts: the file system itself is not touched."""

from __future__ import annotations

import os
import re
from pathlib import Path

NETWORK = re.compile(
    r"nfs4?|cifs|smb3|smbfs|ncpfs|afs|ceph|glusterfs|lustre|beegfs|gpfs|9p|ocfs2|gfs2|virtiofs|vboxsf|drvfs|"
    r"fuse\.(sshfs|glusterfs|ceph|s3fs|rclone|nfs.*|smb.*|cifs.*|davfs)|davfs|prl_fs|fuse\.vmhgfs-fuse"
)
MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
LAYERS = frozenset({"overlay", "aufs"})
"""A container's own layer, when it is the root."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


def file_system_of(path: str, mounts: Path) -> tuple[str, str]:
    """(type, mount point) of the file system of `path`, which is absolute; empty where the table cannot be read."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "", ""
    best = ("", "")
    for line in lines:  # the last one of equal mount points is on top
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if _is_below(path, point) and len(point) >= len(best[1]):
            best = right.split(" ")[0], point
    return best


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def nearest_there(path: str) -> str:
    """`path`, or the nearest folder above it that is there; links are followed."""
    real = os.path.realpath(path)
    while not os.path.exists(real) and real != os.path.dirname(real):
        real = os.path.dirname(real)
    return real

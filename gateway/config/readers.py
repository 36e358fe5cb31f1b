"""Files of secrets that every user of the machine can read: what lies in them is known to all of them."""

from __future__ import annotations

from gateway.common.file_modes import is_open_to_others
from gateway.config.findings import Findings
from gateway.config.secret_files import DEFAULT_FOLDERS
from gateway.model.problem import Mark


def warn_of_readers(path: str, shown: str, mark: Mark, findings: Findings) -> None:
    """Warn when others than the file's owner and its group can read `path`, which messages call `shown`.

    Container engines make secrets readable for all users of the container, who are none but the gateway's.
    """
    if path.startswith(tuple(f"{folder}/" for folder in DEFAULT_FOLDERS)):
        return
    try:
        is_open = is_open_to_others(path)
    except (OSError, ValueError):  # told where it is read
        return
    if is_open:
        message = f"every local user may read the file {shown}; `chmod o-rwx` it"
        findings.warning(mark, "readable-by-others", message)

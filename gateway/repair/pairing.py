"""The check that spool and database belong together. It makes and writes nothing: a mount point whose volume is not
there stays empty, and a database that is gone is not made anew.

A start, `gateway check` and `gateway rebuild` ask the same question.
"""

from __future__ import annotations

from pathlib import Path

from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError
from gateway.spool import lock
from gateway.spool.folder import IDENTITY, identity_at
from gateway.spool.recovery import Mismatch, check_pair, mismatch, payload_files
from gateway.stores import opening


def check_before_spool(settings: Settings) -> None:
    """Refuse a start on a spool and a database that do not belong together, before anything is made in either place.

    Nodes of a cluster keep nothing in a spool: there is nothing to belong together.

    Raises ConfigurationError; QueueBroken when the database is damaged.
    """
    if settings.objects is not None:
        return
    root = Path(settings.spool.path)
    here = spool_id(root)
    there, has_rows = opening.pairing(settings)
    check_pair(root, here, there, has_payloads=has_payloads(root), has_rows=has_rows)


def found_mismatch(root: Path, queue_spool_id: str, *, has_rows: bool) -> Mismatch:
    """The mismatch that a start would refuse."""
    return mismatch(spool_id(root), queue_spool_id, has_payloads=has_payloads(root), has_rows=has_rows)


def spool_id(root: Path) -> str:
    """Empty when the folder has none. Raises ConfigurationError when it cannot be read."""
    try:
        return identity_at(root)
    except OSError as error:
        raise ConfigurationError(f"spool {root}: its {IDENTITY} cannot be read: {error}") from error


def has_payloads(root: Path) -> bool:
    """True when a file of ours lies in one of its folders. Raises ConfigurationError when they cannot be read."""
    try:
        return next(payload_files(root, may_be_missing=True), None) is not None
    except OSError as error:
        raise ConfigurationError(f"spool {root}: cannot be read: {error}") from error


def is_in_use(settings: Settings) -> bool:
    """True while a gateway holds the spool or the database: either may have been replaced under it."""
    return lock.is_held(Path(settings.spool.path) / lock.NAME) or opening.is_gateway_running(settings)


def why_no_database(settings: Settings) -> str:
    """The explanation for a database that is not there, with the action to take."""
    root = Path(settings.spool.path)
    what = f"queue {opening.shown(settings)}: there is no such file"
    if is_in_use(settings):
        return f"{what}, though a gateway is running that needs it: it was moved away or deleted; put it back"
    if has_payloads(root):
        return f"{what}, and the spool {root} holds payloads; restore it, or run `gateway rebuild`"
    return f"{what}; start the gateway once, or correct the place of the queue in the rules (`gateway.queue.sqlite`)"


def refuse_server(settings: Settings, what: str) -> None:
    """Raises ConfigurationError where the database is no file, which alone is `what`."""
    if settings.postgresql:
        raise ConfigurationError(
            f"database {opening.shown(settings)}: only a SQLite database is {what}; look at this one by the means "
            "of its server (pg_amcheck, backups), and the next start replays what the spool has of later objects"
        )


def refuse_nothing_to_rebuild(root: Path, old: Path) -> None:
    """Raises ConfigurationError when the folder holds neither an identity nor a payload."""
    if spool_id(root) or has_payloads(root):
        return
    hint = "" if old.is_file() else "; a gateway that never ran makes its database at its first start"
    raise ConfigurationError(
        f"spool {root}: there is no spool in this folder, so there is nothing to rebuild from; mount or restore it (a "
        f"file system that is not mounted looks like this){hint}"
    )

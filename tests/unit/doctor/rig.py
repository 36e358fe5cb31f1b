"""A site on this machine's disk, with nothing wrong, and what the doctor finds of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from gateway.config import load
from gateway.doctor.finding import DoctorFinding
from gateway.doctor.site import Machine, Site

ON_DISK = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"


def site_in(folder: Path, gateway: dict[str, Any] | None = None, **sections: Any) -> Site:
    """Rules, spool and database below `folder`, on what is said to be a local disk."""
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (folder / "mountinfo").write_text(ON_DISK)
    (folder / "localtime").write_text("")
    text = {
        "gateway": {
            "ae_title": "GATEWAY",
            "listeners": [{"port": 11112, "address": "127.0.0.1"}],
            "spool": {"path": str(folder / "var" / "spool"), "min_free": "1 MiB"},
            "queue": {"sqlite": str(folder / "var" / "gateway.db"), "min_free": "1 MiB", "reserve": "1 MiB"},
            "admit": "any",
            **(gateway or {}),
        },
        "unmatched": "hold",
        **sections,
    }
    (rules / "site.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    loaded = load(rules, {})
    settings = loaded.process_settings
    assert settings is not None, loaded.problems
    machine = Machine(mounts=folder / "mountinfo", local_time=folder / "localtime")
    return Site(rules, loaded, settings, machine, limit_s=60.0)


def on(site: Site, **changes: Any) -> Site:
    """The same on another machine."""
    return dataclasses.replace(site, machine=dataclasses.replace(site.machine, **changes))


@contextlib.contextmanager
def unused_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which nobody listens, and that nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """With the rights of the user nobody; only root can."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def codes(findings: Iterable[DoctorFinding]) -> list[str]:
    return [finding.code for finding in findings]

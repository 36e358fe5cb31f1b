"""The subject of the doctor: a configuration, and the places on the machine where its facts stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gateway.common.steady_clock import utc_now
from gateway.config import Loaded
from gateway.model.settings import Settings


@dataclass(frozen=True, slots=True)
class Machine:
    """The places where the facts of the machine stand; tests name other places."""

    mounts: Path = Path("/proc/self/mountinfo")
    local_time: Path = Path("/etc/localtime")
    environ: Mapping[str, str] = field(default_factory=dict)
    now: Callable[[], datetime] = utc_now
    """Aware UTC."""


@dataclass(frozen=True, slots=True)
class Site:
    """A configuration, with or without errors."""

    rules: Path
    loaded: Loaded
    settings: Settings
    """The `gateway:` section, which is usable."""
    machine: Machine
    limit_s: float
    """Time limit of each step of each check."""

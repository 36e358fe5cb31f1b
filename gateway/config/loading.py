"""Loading a configuration as a whole."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config.compile import compile_source
from gateway.config.compile_context import Context
from gateway.config.effective import Effective, effective
from gateway.config.findings import Findings
from gateway.config.source import read
from gateway.model.problem import Mark, Problem
from gateway.model.settings import Settings
from gateway.routing.extensions import load_extensions
from gateway.routing.table import RoutingTable


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that was read: `settings` and `table` are both None when a problem is an error."""

    settings: Settings | None
    table: RoutingTable | None
    problems: tuple[Problem, ...]
    """Sorted by place; warnings stand here too."""
    process_settings: Settings | None = None
    """The `gateway:` section when all files were read and nothing is wrong with it, whatever is wrong with the other
    sections: enough to find the gateway that runs and its queue, not to run one."""


def in_force(path: Path, environ: Mapping[str, str]) -> tuple[Loaded, dict[str, Effective]]:
    """`load`, and every setting with its value and origin; no settings when the configuration has errors."""
    loaded = load(path, environ)
    if loaded.table is None:
        return loaded, {}
    return loaded, effective(read(path, environ, Findings()).root, environ)


def load(path: Path, environ: Mapping[str, str], working_folder: Path | None = None) -> Loaded:
    """Read, check and compile `path`, a folder of `*.yaml` or one file. Never raises for what a file holds.

    `environ` answers ``${NAME}``. Relative paths of `spool`, `queue`, `pid_file` and folders are relative to
    `working_folder` (default: the current one); TLS files and ``${file:…}`` to the folder of their YAML file.
    """
    findings = Findings()
    for problem in load_extensions().problems:
        findings.error(Mark(str(path), 1, 1), problem.code, problem.message)
    with _without_collection():
        source = read(path, environ, findings)
        context = Context(findings, (working_folder or Path.cwd()).absolute(), source.is_complete)
        compiled = compile_source(source, context)
    problems = findings.sorted()
    if findings.has_errors or compiled.table is None:
        return Loaded(None, None, problems, compiled.process_settings)
    return Loaded(compiled.table.settings, compiled.table, problems, compiled.process_settings)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Thousands of rules are a million objects, none of them garbage: looking through them again and again would take
    a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        is_running = gc.get_freeze_count() > 0  # a gateway, whose start has frozen what stays
        gc.freeze()
        if not is_running:
            gc.unfreeze()  # what was made is old at once, and is not looked through before the command ends
        if was_enabled:
            gc.enable()

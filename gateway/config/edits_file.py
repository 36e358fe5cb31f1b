"""A file of edits: a list of actions as under `then:` of a rule, in YAML, for `gateway queue correct`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.common.regular_file import read_regular_file
from gateway.config.findings import Findings
from gateway.config.parse import FILE_LIMIT_BYTES, parse
from gateway.config.tree import Plain, lossless
from gateway.model.problem import Problem


def read_edits(path: Path, environ: Mapping[str, str]) -> tuple[Plain, tuple[Problem, ...]]:
    """The list, and every problem of the file itself: then the list is not to be used. Raises OSError."""
    findings = Findings()
    node = parse(read_regular_file(path, FILE_LIMIT_BYTES), path, str(path), environ, findings)
    return None if node is None else lossless(node), findings.sorted()

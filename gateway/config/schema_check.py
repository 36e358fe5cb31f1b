"""One YAML file against the JSON Schema alone, as an editor checks it: without the other files, the environment, and
the files that it names. jsonschema reads the schema here and nothing else of the gateway's own check."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.common.regular_file import read_regular_file
from gateway.config.cases import SUFFIX
from gateway.config.findings import Findings
from gateway.config.parse import FILE_LIMIT_BYTES, parse
from gateway.config.schema import REFERENCE, schema, tests_schema
from gateway.config.tree import BrokenNode, Place, plain
from gateway.model.problem import Mark, Problem

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

MOST_CHARACTERS = 200
"""The longest message: some repeat all of a value."""


def check_by_schema(path: Path) -> tuple[Problem, ...]:
    """Every place where the file does not hold to its schema: that of tests for `*.test.yaml`, else that of rules.

    References such as ``${NAME}`` are left as they are; the schema takes them for any scalar.
    """
    findings = Findings()
    start = Mark(str(path), 1, 1)
    try:
        content = read_regular_file(path, FILE_LIMIT_BYTES)
    except OSError as trouble:
        findings.error(start, "unreadable-file", f"cannot read it: {trouble.strerror}")
        return findings.sorted()
    node = parse(content, path, str(path), {}, findings, is_resolved=False)
    if node is not None and not isinstance(node, BrokenNode):
        place = Place(node, node.mark)
        for error in _validator(is_test=path.name.endswith(SUFFIX)).iter_errors(plain(node)):
            _report(error, place, findings)
    return findings.sorted()


@cache
def _validator(*, is_test: bool) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # it takes a while to load

    whole: dict[str, Any] = tests_schema() if is_test else schema()
    return Draft202012Validator(json.loads(json.dumps(whole)))


def _report(error: ValidationError, place: Place, findings: Findings) -> None:
    """Where several forms are taken: what is wrong with the one that is likely meant, and that is no reference."""
    from jsonschema.exceptions import best_match

    forms = [one for one in error.context or () if one.validator_value != REFERENCE]
    inner = best_match(forms) or error
    at = place.at(*inner.absolute_path)
    message = " ".join(inner.message.split())
    short = message if len(message) <= MOST_CHARACTERS else f"{message[:MOST_CHARACTERS]}…"
    findings.error(at.mark, f"schema-{inner.validator}", short)

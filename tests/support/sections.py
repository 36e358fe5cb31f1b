"""Sections of the YAML, built from a text as `gateway validate` builds them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from gateway.config.findings import Findings
from gateway.config.parse import parse
from gateway.config.tree import Place
from gateway.config.typed_tree import check
from gateway.forms.spec import Spec

T = TypeVar("T", bound=Spec)


def place_of(text: str, environ: dict[str, str] | None = None) -> Place:
    """The tree of a YAML text."""
    findings = Findings()
    node = parse(text.encode(), Path("section.yaml"), "section.yaml", environ or {}, findings)
    assert node is not None
    assert not findings.has_errors, findings.sorted()
    return Place(node, node.mark)


def built(kind: type[T], text: str, environ: dict[str, str] | None = None) -> tuple[T | None, list[str]]:
    """The section that a YAML text says, and its problems as ``line:column: code: message``."""
    findings = Findings()
    section, _place = check(place_of(text, environ), kind, findings)
    found = [f"{one.mark.line}:{one.mark.column}: {one.code}: {one.message}" for one in findings.sorted()]
    return section, found

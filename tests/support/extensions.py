"""Packages with kinds for the gateway, installed into a folder of their own as pip does, without network."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.processes import REPOSITORY

EXAMPLE = REPOSITORY / "docs" / "example-package"


def project() -> dict[str, Any]:
    """The table `project` of the example package."""
    table: dict[str, Any] = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    return table


def install_example(site: Path) -> None:
    """The example package of the documents, by its own pyproject.toml."""
    table = project()
    shutil.copytree(EXAMPLE / "example_kinds", site / "example_kinds", ignore=shutil.ignore_patterns("__pycache__"))
    describe(site, table["name"], table["version"], table["entry-points"])


def install(site: Path, package: str, source: str, entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """A package of one module with this source; `entry_points`: group → name → value."""
    site.mkdir(exist_ok=True)
    (site / f"{package.replace('-', '_')}.py").write_text(source)
    describe(site, package, "0.1", entry_points)


def describe(site: Path, package: str, version: str, entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """The dist-info folder of a package (PyPA's "Recording installed projects" and "Entry points")."""
    info = site / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [
        line
        for group, entries in entry_points.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), "")
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))

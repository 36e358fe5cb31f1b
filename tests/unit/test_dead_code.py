"""Nothing of `gateway/` is unused but names that `[tool.vulture]` in pyproject.toml allows; each of these is needed."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import vulture

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]


def unused_names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Name → place of all that no line of the product uses, with no name allowed."""
    monkeypatch.chdir(ROOT)
    search = vulture.Vulture(ignore_decorators=SETTINGS["ignore_decorators"])
    search.scavenge(SETTINGS["paths"])
    found = search.get_unused_code(min_confidence=SETTINGS["min_confidence"])
    return {item.name: f"{item.filename}:{item.first_lineno}" for item in found}


def test_nothing_is_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    unused = unused_names(monkeypatch)
    allowed = SETTINGS["ignore_names"]
    assert len(unused) > 50  # the search found the sources
    assert {name: at for name, at in unused.items() if not any(fnmatchcase(name, each) for each in allowed)} == {}
    assert [each for each in allowed if not any(fnmatchcase(name, each) for name in unused)] == []

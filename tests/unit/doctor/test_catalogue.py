"""The doctor's codes: each has what it needs, and `docs/doctor.md` lists them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.doctor.catalogue import CATALOGUE, REJECTIONS
from gateway.doctor.finding import found

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "doctor.md").read_text()


@pytest.mark.parametrize("code", CATALOGUE)
def test_each_code_is_documented(code: str) -> None:
    entry = CATALOGUE[code]
    row = f"| `{code}` | {', '.join(entry.areas)} | {entry.severity} | {entry.means} | {entry.remedy} |"
    assert row in PAGE


def test_nothing_else_is_documented() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \| [a-z, ]+ \| (?:note|warning|error) \|", PAGE, re.MULTILINE)) == set(
        CATALOGUE
    )


@pytest.mark.parametrize("code", CATALOGUE)
def test_what_is_wrong_says_what_to_do(code: str) -> None:
    entry = CATALOGUE[code]
    assert bool(entry.remedy) == (entry.severity != "note")
    finding = found(code, "a", "b", area=entry.areas[-1])
    assert (finding.area, finding.severity, finding.remedy) == (entry.areas[-1], entry.severity, entry.remedy)


def test_settings_that_are_named_are_there() -> None:
    settings = (REPOSITORY / "docs" / "settings.md").read_text()
    sources = "".join(path.read_text() for path in (REPOSITORY / "gateway" / "doctor").glob("*.py"))
    named = set(re.findall(r"`((?:associate|gateway|delivery|query_retrieve|spool)\.[a-z_.]+)`", sources))
    assert "associate.tls_args.server_name" in named
    assert [name for name in sorted(named) if f"| `{name.rpartition('.')[2]}` |" not in settings] == []


def test_each_code_is_used() -> None:
    sources = [*(REPOSITORY / "gateway" / "doctor").glob("*.py")]
    text = "".join(path.read_text() for path in sources if path.name != "catalogue.py")
    unused = [code for code in CATALOGUE if f'"{code}"' not in text and code not in REJECTIONS.values()]
    assert unused == []

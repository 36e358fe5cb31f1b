"""`gateway.http.operators`: tokens that are long enough, each of one operator, and none in sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load

SITE = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112}]
  http: {operators: %s}
unmatched: hold
peers: {ct1: {ae_title: CT1, may: [store], address: "ct1:104"}}
"""
LONG, OTHER = "t" * 32, "u" * 40


def loaded(folder: Path, operators: str) -> tuple[tuple[tuple[str, str], ...] | None, str]:
    """Operators with their tokens, and what is said about the configuration."""
    (folder / "token").write_text(f"{LONG}\n")
    (folder / "site.yaml").write_text(SITE % operators)
    found = load(folder, {})
    said = "\n".join(str(each) for each in found.problems)
    http = found.table.settings.http if found.table is not None else None
    return None if http is None else http.operators, said


def test_tokens_from_files(tmp_path: Path) -> None:
    operators, said = loaded(tmp_path, f"{{night: '${{file:token}}', day: {OTHER}}}")
    assert operators == (("night", LONG), ("day", OTHER))
    assert "plain-secret" in said, "of the one that stands in the file"
    assert said.count("plain-secret") == 1


@pytest.mark.parametrize(
    ("operators", "words"),
    [
        ("{night: short}", "bad-token: expected at least 32 printable characters of ASCII, found 5"),
        (f"{{night: '{'ü' * 40}'}}", "bad-token: expected at least 32 printable characters of ASCII"),
        (f"{{night: {LONG}, day: ' {LONG} '}}", "duplicate-token: `night` has the same token"),
        ("{night: }", "night"),
    ],
)
def test_what_is_refused(tmp_path: Path, operators: str, words: str) -> None:
    found, said = loaded(tmp_path, operators)
    assert found is None
    assert words in said
    assert LONG not in said

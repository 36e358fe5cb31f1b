"""Texts that are known before any object."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.routing.language.resources import FileResources
from gateway.routing.language.template_outcomes import KnownText, outcomes


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ 'a' }}", [KnownText("a")]),
        ("pre {{ 'a' if Modality else 'b' }} post", [KnownText("pre a post"), KnownText("pre b post")]),
        ("{{ 'a' if Modality }}", [KnownText("a")]),
        ("{% if Modality %}a{% elif StationName %}b{% else %}{{ 'c' }}{% endif %}", list(map(KnownText, "abc"))),
        ("{{ Modality or 'a' }}", [KnownText("a")]),
        ("{{ Modality }}", []),
        ("{{ 'a' }}{{ 'b' if Modality else 'c' }}", []),
        ("{{ Modality | lookup('t.csv') }}", [KnownText("pacs", "t.csv", 2), KnownText("", "t.csv", 4)]),
        ("{{ Modality | lookup('t.csv') or 'x' }}", [KnownText("pacs", "t.csv", 2), KnownText("x")]),
        (
            "{{ Modality | lookup('t.csv', default='x') }}",
            [KnownText("pacs", "t.csv", 2), KnownText("", "t.csv", 4), KnownText("x")],
        ),
        ("{{ Modality | lookup('t.csv') | upper }}", []),
    ],
)
def test_outcomes(tmp_path: Path, template: str, expected: list[KnownText]) -> None:
    (tmp_path / "t.csv").write_text('# header\nCT, pacs\n\nMR, ""\n')
    assert list(outcomes(template, FileResources(folders=[tmp_path]))) == expected

"""Rules below a small site, for tests of one part of the configuration."""

from __future__ import annotations

from pathlib import Path

from gateway.config import Loaded, load

SITE = """
gateway: {ae_title: GATEWAY, listeners: [{port: 0, name: inner}], admit: any}
unmatched: hold
peers:
  pacs: {ae_title: PACS, address: "pacs.example.org:104"}
  ct: {ae_title: CT, may: [store]}
  old: {ae_title: OLD, address: "old.example.org:104", enabled: false}
"""


def loaded(folder: Path, rules: str) -> Loaded:
    """Load `rules` below `SITE`."""
    (folder / "site.yaml").write_text(SITE + rules)
    return load(folder, {})


def messages(found: Loaded) -> list[tuple[int, str, str]]:
    """Line below `SITE`, code and message."""
    first = SITE.count("\n")
    return [(one.mark.line - first, one.code, one.message) for one in found.problems if one.code != "unused-peer"]

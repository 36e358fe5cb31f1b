"""Values that YAML takes apart when they stand without quotes: tags inside { } and [ ], and value templates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.config.findings import Findings
from gateway.config.tree import MappingEntry, Node, ScalarNode, SequenceNode
from gateway.model.problem import Mark

FIRST_PART = re.compile(r"\([0-9A-Fa-f]{4}")
LAST_PART = re.compile(r"(xx)?[0-9A-Fa-f]{2,4}\)[^,]*")
TAG_BEFORE = re.compile(r"\([0-9A-Fa-f]{4}\s*,\s*[0-9A-Fa-f]{4}\)$")
TEMPLATE = re.compile(r"\{\{.*?\}\}")


def joined_items(items: Sequence[Node], findings: Findings) -> list[Node]:
    """The items of a list, with the parts of each tag that its commas divided put together and reported."""
    found: list[Node] = []
    for node in items:
        found.append(node)
        if not isinstance(node, ScalarNode) or ")" not in node.written or not LAST_PART.fullmatch(node.written):
            continue
        for length in (2, 3):
            if tag := _tag(found[-length:], findings):
                found[-length:] = [tag]
    return found


def joined_entries(entries: dict[str, MappingEntry], findings: Findings) -> dict[str, MappingEntry]:
    """The entries of a mapping, likewise: the second part of a tag stands there as a key of its own."""
    if not any(")" in key for key in entries):
        return entries
    found: dict[str, MappingEntry] = {}
    for key, entry in entries.items():
        if found and LAST_PART.fullmatch(key):
            last = next(reversed(found))
            before = found[last].node
            if FIRST_PART.fullmatch(last) and _is_nothing(before):
                del found[last]
                tag = f"{last},{key}"
                found[tag] = MappingEntry(entries[last].mark, entry.node)
                _report(entries[last].mark, tag, findings)
                continue
            if _is_nothing(entry.node) and (joined := _tag([before, ScalarNode(entry.mark, key, key, key)], findings)):
                found[last] = MappingEntry(entries[last].mark, joined)
                continue
        found[key] = entry
    return found


def _is_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.written == ""


def _tag(parts: Sequence[Node], findings: Findings) -> ScalarNode | None:
    """The tag that two parts, or three with a private creator, make together."""
    first, last = parts[0], parts[-1]
    if not isinstance(first, ScalarNode) or not isinstance(last, ScalarNode):
        return None
    if not FIRST_PART.fullmatch(first.written) or not LAST_PART.fullmatch(last.written):
        return None
    middle = ""
    if len(parts) == 3:
        creator = parts[1]
        if not isinstance(creator, SequenceNode) or len(creator.items) != 1:
            return None
        middle = f"[{creator.items[0].text}]," if isinstance(creator.items[0], ScalarNode) else ""
    text = f"{first.written},{middle}{last.written}"
    _report(first.mark, text, findings)
    return ScalarNode(first.mark, text, text, text)


def _report(mark: Mark, tag: str, findings: Findings) -> None:
    findings.error(mark, "unquoted-tag", message_for_tag(tag))


def message_for_tag(tag: str) -> str:
    """The remedy for a tag without quotes."""
    return f"a comma divides values inside {{ }} and [ ]: put all of it in quotes, as '{tag}'"


def template_in(line: str, column: int) -> str:
    """The value template that begins at `column` (from 0) of a line; empty when none does."""
    if not line.startswith("{{", column):
        return ""
    match = TEMPLATE.match(line, column)
    return match[0] if match else line[column:].rstrip()


def message_for(template: str) -> str:
    """The remedy for a template without quotes."""
    quote = "'" if '"' in template else '"'
    return f"a value with {{{{ … }}}} needs quotes around all of it, as {quote}{template}{quote}"

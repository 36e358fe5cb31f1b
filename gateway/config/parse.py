"""YAML text → located tree, by the YAML 1.2 core schema, with bounds on what a file may make us hold.

The events of PyYAML's C parser are composed here, because its own composer recurses without bound and keeps the last
of two equal keys in silence.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from gateway.config.findings import Findings
from gateway.config.lookalikes import message_for_text, near_miss
from gateway.config.readers import warn_of_readers
from gateway.config.secret_files import SecretFiles
from gateway.config.substitution import SubstitutionError, substitute
from gateway.config.tree import BrokenNode, MappingEntry, MappingNode, Node, ScalarNode, SequenceNode
from gateway.config.unquoted import (
    TAG_BEFORE,
    joined_entries,
    joined_items,
    message_for,
    message_for_tag,
    template_in,
)
from gateway.model.problem import Mark

FILE_LIMIT_BYTES = 4 * 1024 * 1024
DEPTH_LIMIT = 40
NODE_LIMIT = 200_000
"""Nodes of one file, each use of an alias counted with all that it stands for."""

SCANNER_TOO_DEEP = "exceeded maximum nesting depth"
"""Part of the message by which some scanners (libyaml from PyYAML 6.0.4 on) refuse more than 1 000 open brackets."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TEXT_TAGS = ("!", "tag:yaml.org,2002:str")

SYNTAX_HINTS = (
    ("cannot start any token", "an unquoted text cannot start with {found}; put it in quotes"),
    ("mapping values are not allowed", "`: ` inside an unquoted text, or wrong indentation; put the text in quotes"),
    ("expected ',' or", "`,` or the closing bracket is missing before {found}"),
    ("did not find expected key", "a setting is expected here; is the indentation right?"),
    ("expected '-' indicator", "a list item (`- …`) is expected here; is the indentation right?"),
    ("expected <block end>", "a setting or list item is expected here; is the indentation right?"),
)
"""Part of the parser's message → what to tell; `{found}` is the character there."""


class _Abort(Exception):
    """The rest of the file cannot be read; the reason was reported."""


def resolve_plain(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar; a number with leading zeros, a time, ``NO`` and ``0x10`` stay text."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if len(text) > 40:
        return text
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def parse(
    content: bytes,
    path: Path,
    shown: str,
    environ: Mapping[str, str],
    findings: Findings,
    loader: Any = LOADER,
    secrets: SecretFiles | None = None,
    *,
    is_resolved: bool = True,
) -> Node | None:
    """The tree of one file; None when it is empty, a broken node when it is unreadable, which was reported.

    `shown` names the file in messages; `loader` is one of PyYAML's; `secrets` says which files ``${file:…}`` may
    read, by default those below the folder of `path`. With `is_resolved` false references stay as they are written.
    """
    text = _decode(content, shown, findings)
    if text is None:
        return BrokenNode(Mark(shown, 1, 1))
    composer = _Composer(path, shown, environ, findings, secrets, text, is_resolved=is_resolved)
    try:
        return composer.compose(_events(text, loader))
    except _Abort:
        return BrokenNode(Mark(shown, 1, 1))
    except yaml.MarkedYAMLError as error:
        if error.problem_mark is None or error.problem_mark.line not in composer.lines_of_templates:
            _report_syntax(error, text, shown, findings)
        return BrokenNode(Mark(shown, 1, 1))


def _events(text: str, loader: Any) -> Iterator[Any]:
    """The events of `text`, up to the deepest place that any version of PyYAML can reach.

    A scanner reads up to 1 024 characters ahead of the event that it gives out. One that bounds the nesting itself
    would fail before the composer has seen the level that is too deep; what stands before its bound is read again, so
    that the composer finds that level at its own place.
    """
    given = 0
    reading = loader(text)
    try:
        next_event = reading.get_event  # `yaml.parse` asks thrice for each
        event = None
        while type(event) is not StreamEndEvent:
            event = next_event()
            given += 1
            yield event
    except yaml.MarkedYAMLError as error:
        if SCANNER_TOO_DEEP not in (error.problem or "") or error.problem_mark is None:
            raise
        before = text[: error.problem_mark.index]
    else:
        return
    finally:
        reading.dispose()
    yield from itertools.islice(yaml.parse(before, Loader=loader), given, None)


def _decode(content: bytes, shown: str, findings: Findings) -> str | None:
    if len(content) > FILE_LIMIT_BYTES:
        limit_mib = FILE_LIMIT_BYTES // 1024**2
        findings.error(Mark(shown, 1, 1), "file-too-large", f"more than {limit_mib} MiB; spread it over several files")
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace").removeprefix("\ufeff")
        byte = content[error.start]
        findings.error(
            _mark_after(before, shown), "not-utf-8", f"the byte 0x{byte:02X} is not UTF-8; save the file as UTF-8"
        )
        return None
    if bad := UNPRINTABLE.search(text):
        mark = _mark_after(text[: bad.start()], shown)
        findings.error(mark, "control-character", f"the control character U+{ord(bad[0]):04X} is not allowed in YAML")
        return None
    return text


def _mark_after(before: str, shown: str) -> Mark:
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Mark(shown, len(lines), len(lines[-1]) + 1)


def _report_syntax(error: yaml.MarkedYAMLError, text: str, shown: str, findings: Findings) -> None:
    problem = error.problem or "not YAML"
    place = error.problem_mark
    if "quoted scalar" in (error.context or "") and "end of stream" in problem:
        place, problem = error.context_mark, "the quoted text that starts here is never closed"
    if place is None:
        findings.error(Mark(shown, 1, 1), "syntax", problem)
        return
    mark = Mark(shown, place.line + 1, place.column + 1)
    lines = text.splitlines()
    line = lines[place.line] if place.line < len(lines) else ""
    found = line[place.column : place.column + 1]
    if found == "\t":
        findings.error(mark, "tab", "a tab stands here; YAML is indented with spaces")
        return
    if tag := TAG_BEFORE.search(line[: place.column]):
        findings.error(Mark(shown, mark.line, tag.start() + 1), "unquoted-tag", message_for_tag(f"{tag[0]}…"))
        return
    if template := template_in(line, place.column):
        findings.error(mark, "unquoted-template", message_for(template))
        return
    if found == "{" and line[: place.column].endswith("$"):
        message = 'inside { } and [ ] a reference needs quotes: `"${NAME}"`'
        findings.error(Mark(shown, mark.line, mark.column - 1), "syntax", message)
        return
    first = error.context_mark.line if error.context_mark is not None else place.line
    if missed := near_miss(problem, lines, min(first, place.line - 1), place.line):
        line_number, column, message = missed
        findings.error(Mark(shown, line_number + 1, column + 1), "syntax", message)
        return
    hint = next((hint for part, hint in SYNTAX_HINTS if part in problem), problem)
    findings.error(mark, "syntax", hint.format(found=f"`{found}`" if found else "the end of the line"))


class _Composer:
    """Builds nodes from the events of one file."""

    def __init__(
        self,
        path: Path,
        shown: str,
        environ: Mapping[str, str],
        findings: Findings,
        secrets: SecretFiles | None,
        text: str = "",
        *,
        is_resolved: bool = True,
    ) -> None:
        self._is_resolved = is_resolved
        self._text = text
        self.lines_of_templates: set[int] = set()
        """Line numbers, from 0, of templates without quotes; other faults there come of the missing quotes."""
        self._secrets = secrets or SecretFiles(path.parent)
        self._folder = path.parent
        self._shown = shown
        self._environ = environ
        self._findings = findings
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def compose(self, events: Iterator[Any]) -> Node | None:
        """The tree of the only document; None without one."""
        root: Node | None = None
        for event in events:
            match event:
                case yaml.DocumentStartEvent() if root is not None:
                    message = "a second document starts here; write one document a file"
                    self._findings.error(self._mark(event), "several-documents", message)
                    raise _Abort
                case yaml.StreamStartEvent() | yaml.StreamEndEvent() | yaml.DocumentStartEvent():
                    pass
                case yaml.DocumentEndEvent():
                    pass
                case _:
                    root = self._node(event, events, 1)
        return root

    def _mark(self, event: Any) -> Mark:
        start = event.start_mark
        return Mark(self._shown, start.line + 1, start.column + 1)

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        mark = self._mark(event)
        kind = type(event)
        if kind is AliasEvent:
            return self._alias(event, mark)
        if depth > DEPTH_LIMIT:
            self._findings.error(mark, "too-deep", f"nested more than {DEPTH_LIMIT} levels deep")
            raise _Abort
        before = self._count
        self._count += 1
        if before >= NODE_LIMIT:
            self._grow(0, mark)
        if event.tag is not None:
            self._check_tag(event, mark)
        node: Node
        if kind is ScalarEvent:
            node = self._scalar(event, mark)
        elif kind is SequenceStartEvent:
            node = self._sequence(events, mark, depth)
        else:
            node = self._mapping(events, mark, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _grow(self, amount: int, mark: Mark) -> None:
        self._count += amount
        if self._count > NODE_LIMIT:
            message = f"more than {NODE_LIMIT} values, aliases counted with all that they stand for"
            self._findings.error(mark, "too-many-values", message)
            raise _Abort

    def _alias(self, event: Any, mark: Mark) -> Node:
        if event.anchor not in self._anchors:
            message = f"the alias `*{event.anchor}` has no anchor `&{event.anchor}` before it in this file"
            self._findings.error(mark, "unknown-alias", message)
            return BrokenNode(mark)
        node, size = self._anchors[event.anchor]
        self._grow(size, mark)
        return node

    def _check_tag(self, event: Any, mark: Mark) -> None:
        if event.tag not in TEXT_TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._findings.error(mark, "unsupported-tag", f"the YAML tag `{tag}` is not supported; leave it out")

    def _scalar(self, event: Any, mark: Mark) -> Node:
        text: str = event.value
        if event.implicit[0] and (message := message_for_text(text)):
            self._findings.error(mark, "lookalike", message)
            return BrokenNode(mark)
        if "${" not in text or not self._is_resolved:
            return ScalarNode(mark, resolve_plain(text) if event.implicit[0] else text, text, text)
        try:
            result = substitute(text, self._environ, self._folder, self._secrets)
        except SubstitutionError as error:
            self._findings.error(mark, error.code, str(error))
            return BrokenNode(mark)
        finally:
            for name, path in self._secrets.take_read():
                warn_of_readers(path, f"`{name}`", mark, self._findings)
        is_resolved = event.implicit[0] or (result.is_whole and result.is_changed)
        value = resolve_plain(result.text) if is_resolved else result.text
        return ScalarNode(mark, value, result.text, text, is_secret=result.is_changed)

    def _sequence(self, events: Iterator[Any], mark: Mark, depth: int) -> SequenceNode:
        items: list[Node] = []
        for event in events:
            if type(event) is SequenceEndEvent:
                break
            items.append(self._node(event, events, depth + 1))
        return SequenceNode(mark, tuple(joined_items(items, self._findings)))

    def _mapping(self, events: Iterator[Any], mark: Mark, depth: int) -> MappingNode | BrokenNode:
        entries: dict[str, MappingEntry] = {}
        is_template = False
        for event in events:
            if type(event) is MappingEndEvent:
                break
            key_mark = self._mark(event)
            if type(event) is MappingStartEvent:
                is_template = is_template or self._is_template(mark)
            key = self._key(event, key_mark, events, depth)
            value = self._node(next(events), events, depth + 1)
            if key is None:
                continue
            if key in entries:
                first = entries[key].mark
                message = f"`{key}` stands here twice; the first is at {first.line}:{first.column}"
                self._findings.error(key_mark, "duplicate-key", message)
                continue
            entries[key] = MappingEntry(key_mark, value)
        return BrokenNode(mark) if is_template else MappingNode(mark, joined_entries(entries, self._findings))

    def _is_template(self, mark: Mark) -> bool:
        """True after reporting that the mapping that begins at `mark`, with a mapping as its key, is a template."""
        line = self._text.splitlines()[mark.line - 1]
        template = template_in(line, mark.column - 1)
        if template:
            self._findings.error(mark, "unquoted-template", message_for(template))
            self.lines_of_templates.add(mark.line - 1)
        return bool(template)

    def _key(self, event: Any, mark: Mark, events: Iterator[Any], depth: int) -> str | None:
        if type(event) is not ScalarEvent:
            self._node(event, events, depth + 1)
            if mark.line - 1 in self.lines_of_templates:
                return None
            self._findings.error(mark, "key-not-text", "a name is expected here, not a list, a mapping or an alias")
            return None
        if event.tag is not None:
            self._check_tag(event, mark)
        if event.value == "<<" and event.implicit[0]:
            message = "merge keys are not part of YAML 1.2; write the settings out, or alias the whole mapping"
            self._findings.error(mark, "merge-key", message)
            return None
        if event.implicit[0] and (message := message_for_text(event.value)):
            self._findings.error(mark, "lookalike", message)
            return None
        return str(event.value)

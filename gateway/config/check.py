"""Located tree → typed settings. msgspec says quickly whether all is well; jsonschema says exactly what is not.

A wrong value is reported and taken out, so that the rest of its item is still checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from gateway.config.findings import Findings, did_you_mean, listed
from gateway.config.schema import definitions
from gateway.config.spec import LATER
from gateway.config.tree import (
    BrokenNode,
    MappingNode,
    Node,
    Path,
    Place,
    ScalarNode,
    SequenceNode,
    plain,
    replaced,
    without,
)
from gateway.config.vocabulary import ae_title_fault
from gateway.model import Mark

T = TypeVar("T")

TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
}
YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake, and what must go so that the rest can be checked."""

    mark: Mark
    code: str
    message: str
    remove: Path


def check(place: Place, kind: type[T], findings: Findings) -> tuple[T | None, Place]:
    """Fill `kind` from the tree, reporting every mistake.

    Returns the value and the tree it was made from, without what was wrong; None when a required setting is missing.
    """
    node = unbroken(place.node)
    while node is not None:
        try:
            return msgspec.convert(plain(node), kind), Place(node, place.holder)
        except msgspec.ValidationError as error:
            node = _repaired(Place(node, place.holder), kind, str(error), findings)
    return None, place


def unbroken(node: Node) -> Node | None:
    """The tree without its broken nodes, which were reported before."""
    match node:
        case BrokenNode():
            return None
        case ScalarNode():
            return node
        case MappingNode(entries=entries):
            paths: list[Path] = [(key, *below) for key, entry in entries.items() for below in _broken(entry.node)]
        case SequenceNode(items=items):
            paths = [(index, *below) for index, item in enumerate(items) for below in _broken(item)]
    return _without_all(node, paths)


def is_broken(node: Node) -> bool:
    """True when something below `node` was unreadable."""
    return any(True for _ in _broken(node))


def _broken(node: Node) -> Iterator[Path]:
    match node:
        case BrokenNode():
            yield ()
        case MappingNode(entries=entries):
            for key, entry in entries.items():
                for below in _broken(entry.node):
                    yield (key, *below)
        case SequenceNode(items=items):
            for index, item in enumerate(items):
                for below in _broken(item):
                    yield (index, *below)


def _without_all(node: Node, paths: Iterable[Path]) -> Node | None:
    """Take out every path, the last ones first so that list indexes stay right."""

    def order(path: Path) -> tuple[tuple[int, str], ...]:
        return tuple((step, "") if isinstance(step, int) else (-1, step) for step in path)

    kept: Node | None = node
    for path in sorted(set(paths), key=order, reverse=True):
        if kept is None:
            return None
        kept = without(kept, path)
    return kept


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions()})


def _repaired(place: Place, kind: type, reason: str, findings: Findings) -> Node | None:
    """The tree after its wrong values were reported and taken out; None when nothing useful is left."""
    errors = list(_validator(kind.__name__).iter_errors(plain(place.node)))
    node: Node = place.node
    removals: list[Path] = []
    for error in errors:
        path: Path = tuple(error.absolute_path)
        if text := _as_text(place.at(*path), error):
            node = replaced(node, path, text)
            continue
        for finding in _explained(place, path, error):
            if finding.message:
                findings.error(finding.mark, finding.code, finding.message)
            removals.append(finding.remove)
    if not errors:
        findings.error(place.holder, "wrong-value", reason)
        return None
    return _without_all(node, removals)


def _as_text(place: Place, error: ValidationError) -> ScalarNode | None:
    """Where a text is expected, an unquoted ``1234`` or ``NO`` is one."""
    node = place.node
    if not isinstance(node, ScalarNode) or node.value is None or isinstance(node.value, str):
        return None
    if (error.validator == "type" and error.validator_value == "string") or (
        error.validator == "enum" and node.text in error.validator_value
    ):
        return ScalarNode(node.mark, node.text, node.text, node.written, is_secret=node.is_secret)
    return None


def _explained(place: Place, path: Path, error: ValidationError) -> Iterable[Finding]:
    explain = EXPLANATIONS.get(str(error.validator), _wrong_value)
    return explain(place, path, error)


def _unknown_setting(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    known = error.schema["properties"]
    here = place.at(*path)
    for name in error.instance:
        if name in known:
            continue
        below = here.child(name)
        mark = below.holder if below else here.mark
        yield unknown_setting(mark, name, known, (*path, name))


def unknown_setting(mark: Mark, name: str, known: Iterable[str], path: Path) -> Finding:
    """The finding for a name that is no setting, at its key."""
    if name in LATER:
        return Finding(mark, "not-supported-yet", f"`{name}` is not supported by this version; leave it out", path)
    near = did_you_mean(name, known) or f"; known here: {listed(known)}"
    return Finding(mark, "unknown-setting", f"there is no setting `{name}` here{near}", path)


def _missing_setting(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    here = place.at(*path)
    lost = here.node.lost if isinstance(here.node, MappingNode) else frozenset()
    for name in error.validator_value:
        if name not in error.instance:
            message = "" if name in lost else f"the setting `{name}` is missing"
            yield Finding(here.holder, "missing-setting", message, path)


def _wrong_type(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    here = place.at(*path)
    expected = _expected(error.schema) or TYPE_WORDS[error.validator_value]
    message = f"expected {expected}, found {_found(here.node, here)}{_hint(here.node, error)}"
    yield Finding(here.mark, "wrong-type", message, path)


def _found(node: Node, place: Place) -> str:
    if isinstance(node, ScalarNode):
        if isinstance(node.value, str) and not node.is_secret:
            return f"the text {place.shown}"
        if node.value is None and not node.is_secret:
            return "nothing"
    return place.shown


def _expected(schema: Mapping[str, Any]) -> str:
    """What a value of this schema is, with an example; empty when the schema has no title for it."""
    if "title" not in schema or schema.get("type") == "object":
        return ""
    noun = schema["title"]
    article = "" if noun.endswith("s") else "an " if noun[0] in "aeiouA" else "a "
    example = f" such as `{schema['examples'][0]}`" if "examples" in schema else ""
    return f"{article}{noun}{example}"


def _hint(node: Node, error: ValidationError) -> str:
    if not isinstance(node, ScalarNode) or node.is_secret or node.value is None:
        return ""
    match error.validator_value:
        case "integer" | "number" if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", node.text):
            return "; leave out the quotes"
        case "boolean" if node.text.casefold() in YES_NO:
            return f" (did you mean `{YES_NO[node.text.casefold()]}`?)"
        case "array":
            return f" (did you mean `[{node.written}]`?)"
    return ""


def _not_one_of(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    here = place.at(*path)
    words = [str(word) for word in error.validator_value]
    text = here.node.text if isinstance(here.node, ScalarNode) and not here.node.is_secret else ""
    message = f"expected {listed(words)}, found {here.shown}{did_you_mean(text, words)}"
    yield Finding(here.mark, "not-one-of", message, path)


def _bad_format(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    here = place.at(*path)
    title = error.schema.get("title", "")
    fault = FAULTS.get(title, lambda text: "")(str(error.instance))
    if fault:
        code = f"bad-{title.lower().replace(' ', '-')}"
        yield Finding(here.mark, code, f"{here.shown}: {fault}", path)
        return
    is_secret = isinstance(here.node, ScalarNode) and here.node.is_secret
    near = "" if is_secret else _nearest_format(title, str(error.instance))
    message = f"expected {_expected(error.schema)}, found {here.shown}{near}"
    yield Finding(here.mark, "bad-format", message, path)


def _nearest_format(title: str, text: str) -> str:
    near = ""
    if title == "duration":
        near = _with_unit(text, DURATION_UNITS)
    if title == "size":
        near = _with_unit(text, SIZE_UNITS)
    if title == "address" and re.fullmatch(r"[^\s:\[\]/]+", text):
        near = f"{text}:104"
    if title == "address" and re.fullmatch(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9]{2,5}", text):
        host, _, port = text.rpartition(":")
        near = f"[{host}]:{port}"
    return f" (did you mean `{near}`?)" if near else ""


def _with_unit(text: str, units: Mapping[str, str]) -> str:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text)
    unit = units.get(match[2].casefold(), "") if match else ""
    return f"{match[1]} {unit}" if match and unit else ""


def _out_of_range(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    here = place.at(*path)
    low, high = error.schema.get("minimum"), error.schema.get("maximum")
    yield Finding(here.mark, "out-of-range", f"expected a number from {low} to {high}, found {here.shown}", path)


def _empty(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    here = place.at(*path)
    what = "list" if error.validator == "minItems" else "text"
    yield Finding(here.mark, "empty", f"this {what} is empty; write at least one value, or leave the setting out", path)


def _wrong_value(place: Place, path: Path, error: ValidationError) -> Iterator[Finding]:
    here = place.at(*path)
    yield Finding(here.mark, "wrong-value", f"{here.shown} does not hold to `{error.validator}` of the schema", path)


EXPLANATIONS: Mapping[str, Callable[[Place, Path, ValidationError], Iterable[Finding]]] = {
    "additionalProperties": _unknown_setting,
    "required": _missing_setting,
    "type": _wrong_type,
    "enum": _not_one_of,
    "pattern": _bad_format,
    "minimum": _out_of_range,
    "maximum": _out_of_range,
    "minLength": _empty,
    "minItems": _empty,
}
"""JSON Schema keyword → what to tell."""

FAULTS: Mapping[str, Callable[[str], str]] = {"AE title": ae_title_fault}

DURATION_UNITS = {
    "": "s",
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("msec", "millisecond", "milliseconds"), "ms"),
}
SIZE_UNITS = {
    "": "B",
    "b": "B",
    **{prefix.casefold(): f"{prefix}B" for prefix in ("k", "M", "G", "T")},
    **{f"{prefix}i".casefold(): f"{prefix}iB" for prefix in ("K", "M", "G", "T")},
    **{f"{prefix}b".casefold(): f"{prefix}B" for prefix in ("k", "M", "G", "T")},
    **{f"{prefix}ib".casefold(): f"{prefix}iB" for prefix in ("K", "M", "G", "T")},
}
"""What people write → the unit that they mean."""

"""Facts that were read of a deflated object at arrival and are kept with it for its deliveries, so that it need not be
inflated again.

Kept are attributes of the top level that actions of routes, coercions of retrieves and paths of folders read, as the
scan found them, with the changes of coercions. A long value is left out, and so is everything when it is too much
together: a reader of such a value then has the object read again, and so has a later configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from gateway.dataset.encoding import Encoding
from gateway.dataset.private import possible_tags
from gateway.dataset.scanned_level import Level, needed_by
from gateway.model.attribute_path import AttributePath
from gateway.routing.actions.deidentification.marks import PATIENT_IDENTITY_REMOVED
from gateway.routing.language.template import Template

VERSION = 1
LONGEST_VALUE = 1024
"""Bytes, or characters, of one element."""
MOST_CHARACTERS = 16 * 1024
"""The most characters that are kept of one object."""


def read_for_files(path_template: Template) -> tuple[AttributePath, ...]:
    """The attributes that a folder reads of each object: for its path, and for the file meta information."""
    paths = [path for _name, path in path_template.attributes]
    return tuple(dict.fromkeys((*paths, PATIENT_IDENTITY_REMOVED)))


def is_of_top_level(path: AttributePath) -> bool:
    """True for a path of the top level. Only these are kept: a sequence may be of any length."""
    return not path.steps


def keep(level: Level, paths: Iterable[AttributePath]) -> str:
    """The values of `paths` in `level`, which are of the top level and were read. Empty when nothing can be kept."""
    needs = {path: _tags(path) for path in paths}
    tags = sorted(frozenset[int]().union(*needs.values()))
    scanned, given = level.scanned(tags), level.given(tags)
    long = {tag for tag, (_vr, value, _length) in scanned.items() if len(value) > LONGEST_VALUE}
    long |= {tag for tag, texts in given.items() if sum(map(len, texts or ())) > LONGEST_VALUE}
    short = [path for path, of_path in needs.items() if long.isdisjoint(of_path)]
    text = json.dumps(
        {
            "version": VERSION,
            "implicit": level.encoding.is_implicit,
            "undeclared": level.undeclared,
            "paths": [(path.tag, path.creator) for path in short],
            "scanned": [
                (tag, vr, value.decode("latin-1"), length)
                for tag, (vr, value, length) in scanned.items()
                if tag not in long
            ],
            "given": [(tag, texts) for tag, texts in given.items() if tag not in long],
        },
        separators=(",", ":"),
    )
    return text if short and len(text) <= MOST_CHARACTERS else ""


def recall(text: str) -> tuple[Level, set[AttributePath]] | None:
    """A level that knows what `keep` wrote, and of which attributes; None when `text` is of another version."""
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            return None
        level = Level(Encoding(is_implicit=found["implicit"]))
        level.undeclared = tuple(found.get("undeclared", ()))
        for tag, vr, value, length_bytes in found["scanned"]:
            level.add(tag, vr, value.encode("latin-1"), length_bytes)
        for tag, texts in found["given"]:
            level.put(tag, None if texts is None else tuple(texts))
        return level, {AttributePath(tag, creator=creator) for tag, creator in found["paths"]}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _tags(path: AttributePath) -> frozenset[int]:
    """The tags that must be known for the values at `path`."""
    tags = possible_tags(path.tag, path.creator)
    return frozenset((*tags, *needed_by(tags)))

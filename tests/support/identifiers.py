"""Identifiers and index entries from keywords, for tests of queries."""

from __future__ import annotations

from typing import Any

from gateway.dataset.dictionary import tag_of
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.model.instance import IndexEntry
from gateway.model.query import Attributes, Query, QueryRoot, Value
from gateway.query.attributes import indexed_paths
from gateway.query.compile import Options, compile_find
from gateway.query.entry import IndexEntries
from gateway.query.identifier import IdentifierEncoder

EXPLICIT = "1.2.840.10008.1.2.1"
HIERARCHICAL = Options()
CT = "1.2.840.10008.5.1.4.1.1.2"


def attributes(**keywords: Any) -> dict[int, Value]:
    """``PatientName="A\\\\B"`` by tag; a list of mappings is a sequence; None and "" are empty."""
    return {tag_of(keyword): _value(value) for keyword, value in keywords.items()}


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return tuple(attributes(**item) for item in value)
    return tuple(str(value).split("\\")) if value not in ("", None) else ()


def find(level: str, root: QueryRoot = "study", options: Options = HIERARCHICAL, **keywords: Any) -> Query:
    """The query of a C-FIND identifier."""
    return compile_find(attributes(QueryRetrieveLevel=level, **keywords), root, options)


def entry(found: Attributes, entries: IndexEntries | None = None) -> IndexEntry:
    """The index entry of an object with these attributes, encoded and scanned as one that arrives."""
    encoded = IdentifierEncoder(EXPLICIT)(found)
    level = scan(memoryview(encoded), EXPLICIT, wanted(indexed_paths())).level
    made = (entries or IndexEntries()).entry(level)
    assert made is not None
    return made

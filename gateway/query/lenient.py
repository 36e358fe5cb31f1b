"""Identifiers that break the hierarchy of Query/Retrieve as many requestors do, read as archives read them. Pure.

Each function gives what is to be compiled, and the names of the rows of `gateway.leniency` that were used.
"""

from __future__ import annotations

import dataclasses

from gateway.model.query import Attributes, QueryLevel, QueryRoot, Value
from gateway.query.attributes import ACCESSION_NUMBER, LEVELS, QUERY_RETRIEVE_LEVEL, UNIQUE
from gateway.query.compile import Options
from gateway.query.identifier import all_texts, first_text
from gateway.query.sop_classes import LEVELS_OF_ROOT

LEVEL_WORD = "level_word"
UPPER_KEYS = "keys_of_other_levels"
NO_LEVEL = "retrieve_without_level"
BY_ACCESSION_NUMBER = "retrieve_by_accession_number"

_WORDS = {
    "PATIENTS": QueryLevel.PATIENT,
    "STUDIES": QueryLevel.STUDY,
    "INSTANCE": QueryLevel.IMAGE,
    "INSTANCES": QueryLevel.IMAGE,
    "IMAGES": QueryLevel.IMAGE,
}


def lenient_find(
    identifier: Attributes, root: QueryRoot, options: Options
) -> tuple[Attributes, Options, tuple[str, ...]]:
    """A C-FIND identifier with a level of the standard. One that does not keep to the hierarchy is asked as a
    relational query (PS3.4 §C.4.1.3.2.1), which finds what such requestors mean."""
    identifier, used = _with_level(identifier)
    word = first_text(identifier, QUERY_RETRIEVE_LEVEL)
    if options.is_relational or word not in LEVELS_OF_ROOT[root] or _is_hierarchical(identifier, root, word):
        return identifier, options, used
    return identifier, dataclasses.replace(options, is_relational=True), (*used, UPPER_KEYS)


def lenient_retrieve(identifier: Attributes, root: QueryRoot) -> tuple[Attributes, tuple[str, ...]]:
    """A C-MOVE or C-GET identifier with a level: without one, that of the lowest unique key with a value; where there
    is none either, STUDY with an Accession Number."""
    identifier, used = _with_level(identifier)
    if not first_text(identifier, QUERY_RETRIEVE_LEVEL):
        named = [level for level in LEVELS_OF_ROOT[root] if any(all_texts(identifier, UNIQUE[level]))]
        level = named[-1] if named else QueryLevel.STUDY if first_text(identifier, ACCESSION_NUMBER) else None
        if level is None:
            return identifier, used
        identifier, used = _at(identifier, level), (*used, NO_LEVEL)
    if names_by_accession_number(identifier):
        used = (*used, BY_ACCESSION_NUMBER)
    return identifier, used


def names_by_accession_number(identifier: Attributes) -> bool:
    """True for studies that an Accession Number names, and no Study Instance UID."""
    is_of_study = first_text(identifier, QUERY_RETRIEVE_LEVEL) == QueryLevel.STUDY
    return (
        is_of_study
        and not any(all_texts(identifier, UNIQUE[QueryLevel.STUDY]))
        and any(all_texts(identifier, ACCESSION_NUMBER))
    )


def _with_level(identifier: Attributes) -> tuple[Attributes, tuple[str, ...]]:
    word = first_text(identifier, QUERY_RETRIEVE_LEVEL)
    upper = word.strip().upper()
    level = _WORDS.get(upper, upper)
    if level == word or level not in LEVELS:
        return identifier, ()
    return _at(identifier, QueryLevel(level)), (LEVEL_WORD,)


def _at(identifier: Attributes, level: QueryLevel) -> Attributes:
    value: Value = (level.value,)
    return {**identifier, QUERY_RETRIEVE_LEVEL: value}


def _is_hierarchical(identifier: Attributes, root: QueryRoot, word: str) -> bool:
    """One value for the unique key of each level above, none for those below (PS3.4 §C.4.1.2.1)."""
    level = QueryLevel(word)
    allowed = LEVELS_OF_ROOT[root]
    for above in allowed[: allowed.index(level)]:
        values = all_texts(identifier, UNIQUE[above])
        if len(values) != 1 or not values[0] or "*" in values[0] or "?" in values[0]:
            return False
    return not any(any(all_texts(identifier, UNIQUE[below])) for below in LEVELS[LEVELS.index(level) + 1 :])

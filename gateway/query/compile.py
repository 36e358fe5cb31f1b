"""A decoded identifier → a `Query`, or every reason why it is none, as DIMSE status and offending elements.

PS3.4 §C.4.1 (C-FIND), §C.4.2 and §C.4.3 (C-MOVE, C-GET); the statuses are those of Tables C.4-1 to C.4-3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.dataset.dictionary import SEQUENCE, is_private, name_of
from gateway.model.dimse_status import DOES_NOT_MATCH_SOP_CLASS, UNABLE_TO_PROCESS
from gateway.model.query import (
    AnyValue,
    Attributes,
    DateTimeRange,
    EmptyValue,
    KeyCondition,
    Query,
    QueryItem,
    QueryKey,
    QueryLevel,
    QueryRoot,
    SequenceItem,
    Value,
    ValueRange,
    WildCard,
)
from gateway.ports.errors import Refusal
from gateway.query.attributes import (
    ACCESSION_NUMBER,
    DATE_TIME_PAIRS,
    INDEXED_SEQUENCES,
    ISSUER_OF_PATIENT_ID,
    LEVEL_OF,
    LEVELS,
    NEVER_MATCHED,
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE_OFFSET_FROM_UTC,
    UNIQUE,
    vr_for,
)
from gateway.query.identifier import all_texts, first_text
from gateway.query.normal import RANGE_VRS, WILD_CARD_VRS, bounds, folded_groups, in_utc, normal
from gateway.query.sop_classes import LEVELS_OF_ROOT

MAX_PATTERN_CHARACTERS = 1024
MAX_CONDITIONS = 50_000
"""Values of all keys together."""

EMPTY_VALUE = '""'
"""Empty value matching (PS3.4 §C.2.2.2.7)."""


class BadIdentifier(Refusal):
    """The requestor fixes: this identifier cannot be answered."""

    def __init__(self, status: int, comment: str, offending_elements: Sequence[int] = ()) -> None:
        super().__init__(comment)
        self.dimse_status = status
        self.offending_elements = tuple(offending_elements)
        """Tags, for Offending Element (0000,0901)."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that extended negotiation agreed on (PS3.4 §C.5.1.1.1, §C.5.2.1.1)."""

    is_relational: bool = False
    is_date_time_combined: bool = False
    is_timezone_adjusted: bool = False

    @classmethod
    def of(cls, information: bytes) -> Options:
        """The options of the service class application information that was agreed on; b'' is hierarchical."""
        flags = [byte == 1 for byte in information[:4].ljust(4, b"\0")]
        return cls(flags[0], flags[1], flags[3])

    @staticmethod
    def agree(information: bytes, *, is_retrieve: bool = False) -> bytes:
        """The answer to a proposal: what is asked for and done here. Fuzzy semantic matching of names is not; names
        match without case and diacritics anyway."""
        done = (1,) if is_retrieve else (1, 1, 0, 1, 0, 1, 1)
        return bytes(1 if byte == 1 and can else 0 for byte, can in zip(information, done, strict=False)) or b"\0"


class _Problems:
    """The problems found so far: the first decides status and comment, all name their elements."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str, int | None]] = []

    def add(self, status: int, comment: str, tag: int | None = None) -> None:
        self._found.append((status, comment, tag))

    def check(self) -> None:
        """Raises BadIdentifier when something is wrong."""
        if not self._found:
            return
        status, comment, _ = self._found[0]
        tags = dict.fromkeys(tag for _, _, tag in self._found if tag is not None)
        raise BadIdentifier(status, comment, tuple(tags))


def compile_find(identifier: Attributes, root: QueryRoot, options: Options = Options()) -> Query:
    """The query of a C-FIND identifier.

    Raises:
        BadIdentifier: no or a wrong level, keys that hierarchical queries need or forbid, values that are none.
    """
    problems = _Problems()
    level = _level(identifier, root, problems)
    problems.check()
    timezone = first_text(identifier, TIMEZONE_OFFSET_FROM_UTC) if options.is_timezone_adjusted else ""
    compiler = _Compiler(problems, timezone)
    keys, unsupported = compiler.keys_of(identifier)
    if not options.is_relational:
        _check_hierarchy(identifier, keys, level, root, problems)
        unsupported += [key.tag for key in keys if _is_below(key.tag, level)]
        keys = [key for key in keys if not _is_below(key.tag, level)]
    problems.check()
    query = Query(
        level=level,
        root=root,
        keys=tuple(keys),
        unsupported=tuple(sorted(unsupported)),
        computed=frozenset(tag for tag in NEVER_MATCHED if tag in identifier),
        character_sets=all_texts(identifier, SPECIFIC_CHARACTER_SET),
        timezone=timezone,
        is_relational=options.is_relational,
    )
    return _combined(query, identifier, timezone) if options.is_date_time_combined or timezone else query


def compile_retrieve(identifier: Attributes, root: QueryRoot, *, is_by_accession_number: bool = False) -> Query:
    """The query of a C-MOVE or C-GET identifier: its unique keys, single or listed. Other keys have no meaning there.

    Keys of upper levels narrow, but may be missing: the level's own UIDs say what is wanted (PS3.4 §C.4.2.2.1 asks for
    them unless relational retrieve was agreed on; many requestors leave them out). So does an Issuer of Patient ID
    beside a Patient ID.

    Args:
        is_by_accession_number: an Accession Number names the studies, and no Study Instance UID.

    Raises:
        BadIdentifier: no or a wrong level, no value for the level's unique key, wild cards.
    """
    problems = _Problems()
    level = _level(identifier, root, problems)
    problems.check()
    keys = []
    numbers = tuple(value for value in all_texts(identifier, ACCESSION_NUMBER) if value and is_by_accession_number)
    for each in LEVELS[: LEVELS.index(level) + 1]:
        tag = UNIQUE[each]
        values = tuple(value for value in all_texts(identifier, tag) if value)
        if any("*" in value or "?" in value for value in values):
            problems.add(DOES_NOT_MATCH_SOP_CLASS, f"{name_of(tag)} has wild cards: a retrieve names values", tag)
        elif values:
            keys.append(QueryKey(tag, vr_for(tag), (AnyValue(tuple(dict.fromkeys(values))),)))
        elif each is level and not (numbers and level is QueryLevel.STUDY):
            problems.add(DOES_NOT_MATCH_SOP_CLASS, f"{name_of(tag)} has no value: nothing is named", tag)
    if numbers:
        if any("*" in value or "?" in value for value in numbers):
            text = "Accession Number has wild cards: a retrieve names values"
            problems.add(DOES_NOT_MATCH_SOP_CLASS, text, ACCESSION_NUMBER)
        keys.append(QueryKey(ACCESSION_NUMBER, vr_for(ACCESSION_NUMBER), (AnyValue(tuple(dict.fromkeys(numbers))),)))
    problems.check()
    issuer = first_text(identifier, ISSUER_OF_PATIENT_ID)
    if issuer and keys and keys[0].tag == PATIENT_ID:
        keys.append(QueryKey(ISSUER_OF_PATIENT_ID, vr_for(ISSUER_OF_PATIENT_ID), (AnyValue((issuer,)),)))
    return Query(level=level, root=root, keys=tuple(sorted(keys, key=lambda key: key.tag)), is_relational=True)


def _level(identifier: Attributes, root: QueryRoot, problems: _Problems) -> QueryLevel:
    word = first_text(identifier, QUERY_RETRIEVE_LEVEL)
    allowed = LEVELS_OF_ROOT[root]
    if word in allowed:
        return QueryLevel(word)
    if not word:
        problems.add(DOES_NOT_MATCH_SOP_CLASS, "Query/Retrieve Level (0008,0052) is missing", QUERY_RETRIEVE_LEVEL)
    else:
        problems.add(
            DOES_NOT_MATCH_SOP_CLASS, f"Query/Retrieve Level is not one of {', '.join(allowed)}", QUERY_RETRIEVE_LEVEL
        )
    return allowed[0]


def _is_below(tag: int, level: QueryLevel) -> bool:
    return LEVELS.index(LEVEL_OF[tag]) > LEVELS.index(level)


def _check_hierarchy(
    identifier: Attributes, keys: Iterable[QueryKey], level: QueryLevel, root: QueryRoot, problems: _Problems
) -> None:
    """Hierarchical search: one value for the unique key of each level above, none for those below (PS3.4 §C.4.1.2.1).

    Other keys of upper levels are matched as well, since requestors send them.
    """
    allowed = LEVELS_OF_ROOT[root]
    for above in allowed[: allowed.index(level)]:
        tag = UNIQUE[above]
        values = all_texts(identifier, tag)
        if len(values) != 1 or not values[0] or "*" in values[0] or "?" in values[0]:
            problems.add(DOES_NOT_MATCH_SOP_CLASS, f"{level} level needs one value of {name_of(tag)}", tag)
    below = {UNIQUE[each] for each in LEVELS[LEVELS.index(level) + 1 :]}
    for key in keys:
        if key.tag in below and key.conditions:
            problems.add(DOES_NOT_MATCH_SOP_CLASS, f"{name_of(key.tag)} is a key below the {level} level", key.tag)


class _Compiler:
    """Keys of one identifier."""

    def __init__(self, problems: _Problems, timezone: str) -> None:
        self._problems = problems
        self._timezone = timezone
        self._conditions = 0

    def keys_of(self, identifier: Attributes) -> tuple[list[QueryKey], list[int]]:
        """(keys, unsupported tags), by tag."""
        keys: list[QueryKey] = []
        unsupported: list[int] = []
        for tag in sorted(identifier):
            if tag in NEVER_MATCHED:
                continue
            if tag not in LEVEL_OF or is_private(tag):
                unsupported.append(tag)
                continue
            key = self._key(tag, identifier[tag])
            known = _known(key)
            if known != key:
                unsupported.append(tag)
            if known is not None:
                keys.append(known)
        return keys, unsupported

    def _key(self, tag: int, value: Value) -> QueryKey:
        vr = vr_for(tag)
        if vr == SEQUENCE:
            return self._sequence(tag, value)
        texts = tuple(each for each in value if isinstance(each, str))
        self._conditions += len(texts)
        if self._conditions > MAX_CONDITIONS:
            self._problems.add(UNABLE_TO_PROCESS, f"more than {MAX_CONDITIONS} values are asked for", tag)
            return QueryKey(tag, vr)
        return QueryKey(tag, vr, self.conditions(tag, vr, texts))

    def _sequence(self, tag: int, value: Value) -> QueryKey:
        found: list[QueryItem] = [item for item in value if not isinstance(item, str)]
        if len(found) > 1:
            self._problems.add(DOES_NOT_MATCH_SOP_CLASS, f"{name_of(tag)} has {len(found)} items; a key has one", tag)
        if not found or not found[0]:
            return QueryKey(tag, SEQUENCE)
        inner = tuple(self._key(each, found[0][each]) for each in sorted(found[0]))
        wanted = tuple(key for key in inner if key.conditions)
        return QueryKey(tag, SEQUENCE, (SequenceItem(wanted),) if wanted else (), inner)

    def conditions(self, tag: int, vr: str, texts: Sequence[str]) -> tuple[KeyCondition, ...]:
        """One of them is to hold; () for universal matching."""
        exact: dict[str, None] = {}
        others: list[KeyCondition] = []
        for text in texts:
            if not text or not text.strip("*"):
                if text or len(texts) == 1:
                    return ()
                continue
            if text == EMPTY_VALUE:
                others.append(EmptyValue())
                continue
            condition = self._condition(tag, vr, text)
            if condition is None:
                return ()
            if isinstance(condition, AnyValue):
                exact |= dict.fromkeys(condition.values)
            else:
                others.append(condition)
        return (*((AnyValue(tuple(exact)),) if exact else ()), *others)

    def _condition(self, tag: int, vr: str, text: str) -> KeyCondition | None:
        """None is universal matching."""
        if vr in WILD_CARD_VRS and len(text) > MAX_PATTERN_CHARACTERS:
            self._problems.add(UNABLE_TO_PROCESS, f"the value of {name_of(tag)} is too long", tag)
            return None
        if vr == "PN":
            pattern = "=".join(folded_groups(text))
            return WildCard(pattern) if pattern.strip("*") else None
        if vr in WILD_CARD_VRS and ("*" in text or "?" in text):
            return WildCard(text)
        form = normal(text, vr, self._timezone)
        if form is not None:
            return AnyValue((form,))
        if vr in RANGE_VRS and "-" in text:
            found = bounds(text, vr, self._timezone)
            if found is not None:
                return ValueRange(*found)
        self._problems.add(UNABLE_TO_PROCESS, f"the value of {name_of(tag)} is no {vr}, nor a range", tag)
        return None


def _known(key: QueryKey) -> QueryKey | None:
    """The key without the inner keys that the index does not keep; None when no other is left, or one of those has
    conditions."""
    if not key.inner:
        return key
    kept = INDEXED_SEQUENCES[LEVEL_OF[key.tag]].get(key.tag, ())
    inner = tuple(each for each in key.inner if each.tag in kept)
    if not inner or any(each.conditions for each in key.inner if each not in inner):
        return None
    return key if len(inner) == len(key.inner) else replace(key, inner=inner)


def _combined(query: Query, identifier: Attributes, timezone: str) -> Query:
    """Date and time keys that stand together as one value (PS3.4 §C.2.2.2.5)."""
    by_tag = {key.tag: key for key in query.keys}
    spans: list[DateTimeRange] = []
    for date_tag, time_tag in DATE_TIME_PAIRS:
        day, moment = by_tag.get(date_tag), by_tag.get(time_tag)
        if day is None or not day.conditions or not (timezone or (moment and moment.conditions)):
            continue
        between = _span(first_text(identifier, date_tag), first_text(identifier, time_tag), timezone)
        if between is None:
            continue
        spans.append(DateTimeRange(date_tag, time_tag, between))
        for tag in (date_tag, time_tag):
            if tag in by_tag:
                by_tag[tag] = replace(by_tag[tag], conditions=())
    return replace(query, keys=tuple(by_tag.values()), spans=tuple(spans))


def _span(days: str, times: str, timezone: str) -> ValueRange | None:
    """The range from the first date and time to the last date and time; None when they cannot be combined."""
    dates = bounds(days, "DA") or _twice(normal(days, "DA"))
    moments = bounds(times, "TM") or (_point(times) if times.strip("*") else ("", ""))
    if dates is None or moments is None:
        return None
    low = dates[0] and dates[0] + (moments[0] or "000000.000000")
    high = dates[1] and dates[1] + (moments[1] or "235959.999999")
    shifted = [in_utc(end, timezone) if end else "" for end in (low, high)]
    return None if shifted[0] is None or shifted[1] is None else ValueRange(shifted[0], shifted[1])


def _twice(form: str | None) -> tuple[str, str] | None:
    return None if form is None else (form, form)


def _point(times: str) -> tuple[str, str] | None:
    return _twice(normal(times, "TM"))


def returned(query: Query) -> tuple[QueryKey, ...]:
    """Keys whose values a response carries: those of the query's level and above."""
    return tuple(key for key in query.keys if not _is_below(key.tag, query.level))

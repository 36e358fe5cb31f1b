"""The queries to a source, and their steps for a source with another information model. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gateway.model.query import Attributes, Query, QueryLevel, QueryRoot, Value
from gateway.query.attributes import (
    COMPUTED,
    ISSUER_OF_PATIENT_ID,
    LEVEL_OF,
    LEVELS,
    NEVER_MATCHED,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
    TIMEZONE_OFFSET_FROM_UTC,
    UNIQUE,
)
from gateway.query.identifier import all_texts, first_text
from gateway.query.sop_classes import FIND_OF_ROOT, LEVELS_OF_ROOT
from gateway.sources.same_patient import are_different

OF_PATIENT = (PATIENT_ID, PATIENT_NAME, ISSUER_OF_PATIENT_ID, PATIENT_BIRTH_DATE)
"""The attributes that tell two patients apart."""

_STUDIES = 0x00201200  # Number of Patient Related Studies
_COUNTS = {0x00201202: 0x00201206, 0x00201204: 0x00201208}
"""Number of Patient Related Series, Instances → the same of a study."""


@dataclass(frozen=True, slots=True)
class SourceQuery:
    """A C-FIND of Query/Retrieve, for sources."""

    root: QueryRoot
    level: QueryLevel
    keys: Attributes
    """The identifier without level and character set: what must match, and what is to be returned."""
    character_sets: tuple[str, ...] = ()
    """Character sets of the request: the answers are to be in them, and values that need one are written in them."""
    is_relational: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class QueryStep:
    """One C-FIND of those that answer a query."""

    level: QueryLevel
    keys: Attributes
    is_last: bool = True
    """False: its answers name what the next step asks about."""
    known: Attributes = field(default_factory=dict)
    """Values that earlier steps found for all of its answers."""
    patients: tuple[Attributes, ...] = ()
    """The patients that are asked for, of those that share the study at this source; () when none share it."""
    is_of_others_too: bool = False
    """True when patients that are not asked for share the study."""

    @property
    def identifier(self) -> dict[int, Value]:
        """The identifier to be sent."""
        return {**self.keys, QUERY_RETRIEVE_LEVEL: (self.level.value,)}


def identifying(level: QueryLevel, root: QueryRoot, *, is_relational: bool) -> dict[int, Value]:
    """Keys that every query has, without a value where it has none of its own: what an answer is about, so that
    answers of several sources about one thing become one, and those about two patients do not.

    In a hierarchical search the unique keys of upper levels have a value, and no other keys of upper levels are allowed
    (PS3.4 §C.4.1.2.1).
    """
    levels = LEVELS_OF_ROOT[root]
    named = levels[: levels.index(level) + 1] if is_relational else (level,)
    keys: dict[int, Value] = {UNIQUE[each]: () for each in named}
    if level is QueryLevel.PATIENT or (level is QueryLevel.STUDY and root == "study"):
        keys |= dict.fromkeys(OF_PATIENT, ())
    return keys


def source_query_of(identifier: Attributes, query: Query) -> SourceQuery:
    """A requestor's identifier as sources get it. Sources do not get conditions that the gateway must compare
    itself: dates with times as one value (PS3.4 §C.2.2.2.5), since that was negotiated with none of them.
    """
    left_open = {span.time_tag for span in query.spans} | (
        {span.date_tag for span in query.spans} if query.timezone else set()
    )
    dropped = {QUERY_RETRIEVE_LEVEL, SPECIFIC_CHARACTER_SET} | ({TIMEZONE_OFFSET_FROM_UTC} if query.timezone else set())
    keys = {tag: () if tag in left_open else value for tag, value in identifier.items() if tag not in dropped}
    return SourceQuery(query.root, query.level, keys, query.character_sets, query.is_relational)


def choose_root(source_query: SourceQuery, accepted: Iterable[str]) -> QueryRoot | None:
    """The information model to ask in: the query's own, else one that has the level; None when there is none.

    `accepted` are SOP classes that the source takes.
    """
    uids = set(accepted)
    order: tuple[QueryRoot, ...] = (source_query.root, "study", "patient", "patient_study")
    fit = [root for root in order if FIND_OF_ROOT[root] in uids]
    for root in fit:
        if source_query.level in LEVELS_OF_ROOT[root]:
            return root
    return "study" if "study" in fit else None  # its studies name the patients


def first_step(source_query: SourceQuery, root: QueryRoot, *, is_relational: bool) -> QueryStep:
    """The first step in the model `root`; `is_relational` when that was negotiated."""
    if source_query.level not in LEVELS_OF_ROOT[root]:
        return _studies_of_patients(source_query)
    return _step(source_query, root, {}, is_relational=is_relational)


def next_step(source_query: SourceQuery, root: QueryRoot, step: QueryStep, answer: Attributes) -> QueryStep | None:
    """The next step for one answer to `step`; None when that names nothing, or something else than was asked for."""
    uid = first_text(answer, UNIQUE[step.level])
    if not uid or any(_is_other(tag, step.keys, answer) for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)):
        return None
    known = {**step.known, **{tag: value for tag, value in answer.items() if tag in LEVEL_OF and any(value)}}
    known[UNIQUE[step.level]] = (uid,)
    following = _step(source_query, root, known, is_relational=False)
    if not step.patients:
        return following
    return replace(
        following,
        keys={**following.keys, PATIENT_ID: ()},
        patients=step.patients,
        is_of_others_too=step.is_of_others_too,
    )


def next_steps(
    source_query: SourceQuery, root: QueryRoot, step: QueryStep, answers: Sequence[Attributes], others: Container[str]
) -> list[QueryStep]:
    """The next steps for all answers to `step`, each thing once. A value in which the answers about one thing differ is
    not passed to the steps below it.

    Args:
        others: Study Instance UIDs that patients have as well at this source who are not asked for. Patients that share
            one are told apart by what the source says of the parts of the study.
    """
    groups: dict[str, list[tuple[QueryStep, Attributes]]] = {}
    for answer in answers:
        following = next_step(source_query, root, step, answer)
        if following is not None:
            groups.setdefault(first_text(answer, UNIQUE[step.level]), []).append((following, answer))
    is_by_study = root == "study" and step.level is QueryLevel.STUDY
    found = []
    for uid, group in groups.items():
        first = group[0][0]
        known = {
            tag: value for tag, value in first.known.items() if all(each.known.get(tag) == value for each, _ in group)
        }
        following = replace(first, known=known) if len(group) > 1 else first
        patients = _distinct([answer for _, answer in group])
        if is_by_study and (uid in others or len(patients) > 1):
            following = replace(
                following,
                keys={**following.keys, PATIENT_ID: ()},
                known={tag: value for tag, value in known.items() if LEVEL_OF.get(tag) is not QueryLevel.PATIENT},
                patients=tuple(patients),
                is_of_others_too=uid in others,
            )
        found.append(following)
    return found


def _distinct(answers: Sequence[Attributes]) -> list[Attributes]:
    """The different patients in the answers, each once."""
    found: list[Attributes] = []
    for answer in answers:
        patient = {tag: value for tag, value in answer.items() if LEVEL_OF.get(tag) is QueryLevel.PATIENT}
        if not any(not are_different(patient, other) for other in found):
            found.append(patient)
    return found


class PatientUnknown(Exception):
    """An answer does not say which of several patients it is of."""


def completed(step: QueryStep, answer: Attributes) -> Attributes | None:
    """The answer to the last step, with what earlier ones said; None when it is of a patient who is not asked for.

    Raises:
        PatientUnknown: it may be of a patient who is not asked for.
    """
    whole = {**answer, **_missing_values(step.known, answer)} if step.known else answer
    if not step.patients:
        return whole
    if not first_text(whole, PATIENT_ID):
        if step.is_of_others_too:
            raise PatientUnknown
        return whole
    patient = next((each for each in step.patients if not are_different(each, whole)), None)
    return None if patient is None else {**whole, **_missing_values(patient, whole)}


def _missing_values(known: Attributes, answer: Attributes) -> Attributes:
    return {tag: value for tag, value in known.items() if not any(answer.get(tag, ()))}


def _is_other(tag: int, keys: Attributes, answer: Attributes) -> bool:
    """True when the answer has another UID than those that were asked for."""
    wanted = all_texts(keys, tag)
    if any("*" in text or "?" in text for text in wanted):
        return False
    return any(wanted) and any(answer.get(tag, ())) and first_text(answer, tag) not in wanted


def names_patient(source_query: SourceQuery) -> bool:
    """True when a key of the patient has a value: not all patients are asked for."""
    return any(any(value) for tag, value in source_query.keys.items() if LEVEL_OF.get(tag) is QueryLevel.PATIENT)


def _step(source_query: SourceQuery, root: QueryRoot, known: Attributes, *, is_relational: bool) -> QueryStep:
    """Hierarchical search has one value for the unique key of each upper level (PS3.4 §C.4.1.2.1): where the query
    has none, the source is asked for them, level by level. A source without a patient level that is asked below studies
    is asked first whether the study is of the patient: further down it does not compare patients."""
    levels = LEVELS_OF_ROOT[root]
    upper = levels[: levels.index(source_query.level)]
    missing = next((level for level in upper if not is_relational and not _is_fixed(source_query, known, level)), None)
    is_foreign = (
        root == "study" != source_query.root and source_query.level is not QueryLevel.STUDY and not is_relational
    )
    if is_foreign and STUDY_INSTANCE_UID not in known and names_patient(source_query):
        missing = QueryLevel.STUDY
    above = upper if missing is None else upper[: upper.index(missing)]
    named: Attributes = {**source_query.keys, **known}
    fixed = {UNIQUE[level]: named[UNIQUE[level]] for level in above if UNIQUE[level] in named}
    if missing is None:
        keys = {tag: value for tag, value in source_query.keys.items() if tag not in known}
        if is_foreign:
            keys = {tag: () if LEVEL_OF.get(tag) is QueryLevel.PATIENT else value for tag, value in keys.items()}
        return QueryStep(source_query.level, {UNIQUE[source_query.level]: (), **keys, **fixed}, known=known)
    here = set(LEVELS[: LEVELS.index(missing) + 1] if missing is levels[0] else (missing,))
    keys = {tag: value for tag, value in source_query.keys.items() if LEVEL_OF.get(tag) in here and tag not in COMPUTED}
    if root == "study" and missing is QueryLevel.STUDY:
        keys = {PATIENT_ID: (), **keys}
    return QueryStep(missing, {UNIQUE[missing]: (), **keys, **fixed}, is_last=False, known=known)


def patients_having(uids: Sequence[str]) -> QueryStep:
    """Asks whose these studies are."""
    return QueryStep(QueryLevel.STUDY, {STUDY_INSTANCE_UID: tuple(uids), **dict.fromkeys(OF_PATIENT, ())})


def _is_fixed(source_query: SourceQuery, known: Attributes, level: QueryLevel) -> bool:
    tag = UNIQUE[level]
    values = all_texts(known if tag in known else source_query.keys, tag)
    return len(values) == 1 and bool(values[0]) and "*" not in values[0] and "?" not in values[0]


# --- patients out of studies --------------------------------------------------------------------------------------


def _studies_of_patients(source_query: SourceQuery) -> QueryStep:
    """The first step for a source without a patient level."""
    return QueryStep(QueryLevel.STUDY, studies_of_patients(source_query.keys))


def studies_of_patients(keys: Attributes) -> dict[int, Value]:
    """Keys of a query about studies whose answers say what `keys` ask of patients."""
    of_studies: dict[int, Value] = {tag: value for tag, value in keys.items() if tag not in COMPUTED}
    of_studies |= {PATIENT_ID: keys.get(PATIENT_ID, ()), STUDY_INSTANCE_UID: ()}
    return of_studies | {of_study: () for of_patient, of_study in _COUNTS.items() if of_patient in keys}


def is_by_studies(source_query: SourceQuery, step: QueryStep) -> bool:
    """True when the answers to `step` are studies of the patients that are asked for."""
    return source_query.level is QueryLevel.PATIENT and step.level is QueryLevel.STUDY


def patients_of(source_query: SourceQuery, studies: Iterable[Attributes]) -> list[Attributes]:
    """One answer a patient, with what can be counted from the studies. A study without a Patient ID is a patient of its
    own: nobody knows whose else it is."""
    groups: dict[str, list[tuple[Attributes, dict[str, Attributes]]]] = {}
    for study in studies:
        patient_id = first_text(study, PATIENT_ID).strip()
        known = groups.setdefault(patient_id, [])
        found = next((each for first, each in known if patient_id and not are_different(first, study)), None)
        if found is None:
            found = {}
            known.append((study, found))
        found.setdefault(first_text(study, STUDY_INSTANCE_UID), study)
    return [_patient(source_query, [*found.values()]) for known in groups.values() for _, found in known]


def _patient(source_query: SourceQuery, studies: list[Attributes]) -> Attributes:
    answer: dict[int, Value] = {}
    for tag in source_query.keys:
        if tag in COMPUTED or (LEVEL_OF.get(tag, QueryLevel.PATIENT) is not QueryLevel.PATIENT):
            continue
        if tag in NEVER_MATCHED:
            continue
        answer[tag] = next((study[tag] for study in studies if any(study.get(tag, ()))), ())
    if _STUDIES in source_query.keys:
        answer[_STUDIES] = (str(len(studies)),)
    for of_patient, of_study in _COUNTS.items():
        counts = [first_text(study, of_study) for study in studies]
        if of_patient in source_query.keys and all(count.isdecimal() for count in counts):
            answer[of_patient] = (str(sum(map(int, counts))),)
    return answer

"""What is asked of a source, and how it is asked of one that speaks another information model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.model import Attributes, Query, QueryLevel, QueryRoot, Value
from gateway.query.attributes import (
    COMPUTED,
    LEVEL_OF,
    LEVELS,
    NEVER_MATCHED,
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
    TIMEZONE_OFFSET_FROM_UTC,
    UNIQUE,
)
from gateway.query.compile import LEVELS_OF_ROOT
from gateway.query.identifier import all_texts, first_text

FIND_MODELS: Mapping[QueryRoot, str] = {
    "patient": "1.2.840.10008.5.1.4.1.2.1.1",
    "study": "1.2.840.10008.5.1.4.1.2.2.1",
    "patient_study": "1.2.840.10008.5.1.4.1.2.3.1",
}
"""Information model → SOP class of its C-FIND (PS3.4 §C.6)."""

_STUDIES = 0x00201200  # Number of Patient Related Studies
_COUNTS = {0x00201202: 0x00201206, 0x00201204: 0x00201208}
"""Number of Patient Related Series, Instances → the same of a study."""


@dataclass(frozen=True, slots=True)
class Question:
    """A C-FIND of Query/Retrieve, for sources."""

    root: QueryRoot
    level: QueryLevel
    keys: Attributes
    """The identifier without level and character set: what must match, and what is to be returned."""
    character_sets: tuple[str, ...] = ()
    """Of the request: answers are wanted in it, and values that need one are written in it."""
    is_relational: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One C-FIND of those that answer a question."""

    level: QueryLevel
    keys: Attributes
    is_last: bool = True
    """False: its answers name what the next step asks about."""
    known: Attributes = field(default_factory=dict)
    """What earlier steps said of all of its answers."""

    @property
    def identifier(self) -> dict[int, Value]:
        """To be sent."""
        return {**self.keys, QUERY_RETRIEVE_LEVEL: (self.level.value,)}


def question_of(identifier: Attributes, query: Query) -> Question:
    """A requestor's identifier, as sources are asked. What the gateway must compare itself, sources do not: dates with
    times as one value (PS3.4 §C.2.2.2.5), since nobody agreed on that with them."""
    left_open = {span.time_tag for span in query.spans} | (
        {span.date_tag for span in query.spans} if query.timezone else set()
    )
    dropped = {QUERY_RETRIEVE_LEVEL, SPECIFIC_CHARACTER_SET} | ({TIMEZONE_OFFSET_FROM_UTC} if query.timezone else set())
    keys = {tag: () if tag in left_open else value for tag, value in identifier.items() if tag not in dropped}
    return Question(query.root, query.level, keys, query.character_sets, query.is_relational)


def choose_root(question: Question, accepted: Iterable[str]) -> QueryRoot | None:
    """The information model to ask in: the question's own, else one that has the level; None when there is none.

    `accepted` are SOP classes that the source takes.
    """
    uids = set(accepted)
    order: tuple[QueryRoot, ...] = (question.root, "study", "patient", "patient_study")
    fit = [root for root in order if FIND_MODELS[root] in uids]
    for root in fit:
        if question.level in LEVELS_OF_ROOT[root]:
            return root
    return "study" if "study" in fit else None  # its studies name the patients


def first_step(question: Question, root: QueryRoot, *, is_relational: bool) -> Step:
    """What to ask first in the model `root`; `is_relational` when that was agreed on."""
    if question.level not in LEVELS_OF_ROOT[root]:
        return _studies_of_patients(question)
    keys = dict(question.keys)
    if root == "study" and question.root != "study" and question.level is not QueryLevel.STUDY:
        keys = {tag: () if LEVEL_OF.get(tag) is QueryLevel.PATIENT else value for tag, value in keys.items()}
    return _step(replace(question, keys=keys), root, {}, is_relational=is_relational)


def next_step(question: Question, root: QueryRoot, step: Step, answer: Attributes) -> Step | None:
    """What to ask about one answer to `step`; None when that names nothing, or not what was asked for."""
    uid = first_text(answer, UNIQUE[step.level])
    if not uid or any(_is_other(tag, step.keys, answer) for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)):
        return None
    known = {**step.known, **{tag: value for tag, value in answer.items() if tag in LEVEL_OF and any(value)}}
    known[UNIQUE[step.level]] = (uid,)
    return _step(question, root, known, is_relational=False)


def _is_other(tag: int, keys: Attributes, answer: Attributes) -> bool:
    """True when the answer has another UID than those that were asked for."""
    asked = all_texts(keys, tag)
    if any("*" in text or "?" in text for text in asked):
        return False
    return any(asked) and any(answer.get(tag, ())) and first_text(answer, tag) not in asked


def _step(question: Question, root: QueryRoot, known: Attributes, *, is_relational: bool) -> Step:
    """Hierarchical search has one value for the unique key of each upper level (PS3.4 §C.4.1.3.1.1): where the question
    has none, the source is asked for them, level by level."""
    levels = LEVELS_OF_ROOT[root]
    upper = levels[: levels.index(question.level)]
    missing = next((level for level in upper if not is_relational and not _is_fixed(question, known, level)), None)
    above = upper if missing is None else upper[: upper.index(missing)]
    named: Attributes = {**question.keys, **known}
    fixed = {UNIQUE[level]: named[UNIQUE[level]] for level in above if UNIQUE[level] in named}
    if missing is None:
        keys = question.keys if not known else {tag: v for tag, v in question.keys.items() if tag not in known}
        return Step(question.level, {**keys, **fixed}, known=known)
    here = set(LEVELS[: LEVELS.index(missing) + 1] if missing is levels[0] else (missing,))
    keys = {tag: value for tag, value in question.keys.items() if LEVEL_OF.get(tag) in here and tag not in COMPUTED}
    return Step(missing, {UNIQUE[missing]: (), **keys, **fixed}, is_last=False, known=known)


def _is_fixed(question: Question, known: Attributes, level: QueryLevel) -> bool:
    tag = UNIQUE[level]
    values = all_texts(known if tag in known else question.keys, tag)
    return len(values) == 1 and bool(values[0]) and "*" not in values[0] and "?" not in values[0]


# --- patients out of studies --------------------------------------------------------------------------------------


def _studies_of_patients(question: Question) -> Step:
    """For a source without a patient level."""
    return Step(QueryLevel.STUDY, studies_of_patients(question.keys))


def studies_of_patients(keys: Attributes) -> dict[int, Value]:
    """Keys of a question about studies whose answers say what `keys` ask of patients."""
    of_studies: dict[int, Value] = {tag: value for tag, value in keys.items() if tag not in COMPUTED}
    of_studies |= {PATIENT_ID: keys.get(PATIENT_ID, ()), STUDY_INSTANCE_UID: ()}
    return of_studies | {of_study: () for of_patient, of_study in _COUNTS.items() if of_patient in keys}


def is_by_studies(question: Question, step: Step) -> bool:
    """True when the answers to `step` are studies of the patients that are asked for."""
    return question.level is QueryLevel.PATIENT and step.level is QueryLevel.STUDY


def patients_of(question: Question, studies: Iterable[Attributes]) -> list[Attributes]:
    """One answer a patient, with what can be counted from the studies."""
    groups: dict[str, dict[str, Attributes]] = {}
    for study in studies:
        groups.setdefault(first_text(study, PATIENT_ID), {}).setdefault(first_text(study, STUDY_INSTANCE_UID), study)
    return [_patient(question, [*found.values()]) for found in groups.values()]


def _patient(question: Question, studies: list[Attributes]) -> Attributes:
    answer: dict[int, Value] = {}
    for tag in question.keys:
        if tag in COMPUTED or (LEVEL_OF.get(tag, QueryLevel.PATIENT) is not QueryLevel.PATIENT):
            continue
        if tag in NEVER_MATCHED:
            continue
        answer[tag] = next((study[tag] for study in studies if any(study.get(tag, ()))), ())
    if _STUDIES in question.keys:
        answer[_STUDIES] = (str(len(studies)),)
    for of_patient, of_study in _COUNTS.items():
        counts = [first_text(study, of_study) for study in studies]
        if of_patient in question.keys and all(count.isdecimal() for count in counts):
            answer[of_patient] = (str(sum(map(int, counts))),)
    return answer

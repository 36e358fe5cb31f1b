"""C-FIND at each level of each information model with every subset of keys: what is asked, and what comes back."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context
from pynetdicom.association import Association

from gateway.model.query import QueryRoot
from gateway.query.sop_classes import FIND_OF_ROOT
from tests.support.identifiers import CT
from tests.support.query_table import DOE, ROE, ROE_AGAIN, UNIQUE

EXPLICIT = "1.2.840.10008.1.2.1"
SUCCESS = 0x0000
LEVELS: dict[QueryRoot, tuple[str, ...]] = {
    "patient": ("PATIENT", "STUDY", "SERIES", "IMAGE"),
    "study": ("STUDY", "SERIES", "IMAGE"),
    "patient_study": ("PATIENT", "STUDY"),
}

NAMED = {
    "PATIENT": {"PatientID": "P-001"},
    "STUDY": {"PatientID": "P-001", "StudyInstanceUID": ROE_AGAIN["StudyInstanceUID"]},
    "SERIES": {
        "PatientID": "P-001",
        "StudyInstanceUID": ROE["StudyInstanceUID"],
        "SeriesInstanceUID": f"{ROE['StudyInstanceUID']}.1",
    },
    "IMAGE": {
        "PatientID": "P-002",
        "StudyInstanceUID": DOE["StudyInstanceUID"],
        "SeriesInstanceUID": f"{DOE['StudyInstanceUID']}.1",
        "SOPInstanceUID": f"{DOE['StudyInstanceUID']}.1.10",
    },
}
"""Values of unique keys."""
OTHERS = {
    "PATIENT": {"PatientName": "Roe*", "PatientSex": "F"},
    "STUDY": {"StudyDate": "20240101-20240331", "AccessionNumber": "A-*"},
    "SERIES": {"Modality": "CT", "SeriesNumber": "1"},
    "IMAGE": {"InstanceNumber": "1", "SOPClassUID": CT},
}
"""Two other attributes of each level, with values that some things have and others have not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One identifier, without the level."""

    root: QueryRoot
    level: str
    keys: tuple[tuple[str, str], ...]

    @property
    def is_complete(self) -> bool:
        """True when a hierarchical query may ask it: the unique key of each upper level has a value."""
        above = LEVELS[self.root][: LEVELS[self.root].index(self.level)]
        values = dict(self.keys)
        return all(values.get(UNIQUE[each]) for each in above)

    @property
    def data_set(self) -> Dataset:
        """The identifier."""
        found = Dataset()
        found.QueryRetrieveLevel = self.level
        for keyword, value in self.keys:
            setattr(found, keyword, value)
        return found

    def __str__(self) -> str:
        return f"{self.root} {self.level} {' '.join(f'{keyword}={value}' for keyword, value in self.keys)}"


def subsets(root: QueryRoot, level: str, *, with_values: bool) -> Iterator[Asked]:
    """Every subset of the unique keys down to `level` and two other attributes.

    Args:
        with_values: each key of the level with and without a value; otherwise without. Those of upper levels have one.
    """
    above = [UNIQUE[each] for each in LEVELS[root][: LEVELS[root].index(level)]]
    unique, others = UNIQUE[level], OTHERS[level]
    choices: list[Sequence[str | None]] = [(None, NAMED[level][keyword]) for keyword in above]
    here = (NAMED[level][unique], *others.values())
    choices += [(None, "", value) if with_values else (None, "") for value in here]
    for values in itertools.product(*choices):
        keys = zip((*above, unique, *others), values, strict=True)
        yield Asked(root, level, tuple((keyword, value) for keyword, value in keys if value is not None))


@dataclass(frozen=True, slots=True)
class Answered:
    """What was told."""

    status: int | None
    matches: tuple[tuple[str, ...], ...]
    """The values of what was asked for, sorted."""
    beyond: frozenset[str]
    """Keywords of what was not asked for."""


ALWAYS = {"QueryRetrieveLevel", "RetrieveAETitle", "SpecificCharacterSet", "InstanceAvailability"}
"""What a response may have besides (PS3.4 §C.4.1.1.3.2)."""


class Requestor:
    """Stock pynetdicom, on one association that is opened again when the peer ended it for being idle."""

    def __init__(self, port: int, called: str) -> None:
        self._port = port
        self._called = called
        self._association: Association | None = None

    def _open(self) -> Association:
        if self._association is None or not self._association.is_established:
            contexts = [build_context(uid, EXPLICIT) for uid in FIND_OF_ROOT.values()]
            application = AE("FINDSCU")
            application.network_timeout = None  # it waits, however long others are asked
            self._association = application.associate("127.0.0.1", self._port, contexts, ae_title=self._called)
            assert self._association.is_established, f"{self._called} at {self._port} takes no association"
        return self._association

    def close(self) -> None:
        """Release it."""
        if self._association is not None and self._association.is_established:
            self._association.release()

    def ask(self, asked: Asked) -> Answered:
        """One C-FIND; of who has no Patient/Study Only model in Patient Root, which has the same levels."""
        association = self._open()
        model = FIND_OF_ROOT[asked.root]
        offered = {context.abstract_syntax for context in association.accepted_contexts}
        if model not in offered and asked.root == "patient_study":
            model = FIND_OF_ROOT["patient"]
        keywords = [keyword for keyword, _ in asked.keys]
        matches, status, beyond = [], None, set()
        for elements, found in association.send_c_find(asked.data_set, model):
            status = elements.Status if "Status" in elements else None
            if found is not None:
                matches.append(tuple(str(found.get(keyword, "")) for keyword in keywords))
                beyond |= {element.keyword for element in found} - set(keywords) - ALWAYS
        return Answered(status, tuple(sorted(matches)), frozenset(beyond))


def differences(asked: Sequence[Asked], there: Requestor, here: Requestor) -> list[str]:
    """Where `here` does not answer what `there` does: a failure is told as such, a success has the same matches."""
    found = []
    for each in asked:
        theirs, ours = there.ask(each), here.ask(each)
        if not each.keys:  # dcmqrscp answers nothing to a question without keys, not even how much there is
            named = there.ask(dataclasses.replace(each, keys=((UNIQUE[each.level], ""),)))
            theirs = dataclasses.replace(named, matches=((),) * len(named.matches))
        ours = _as_much_as(theirs, ours)
        if ours.status != SUCCESS:
            if each.is_complete or ours.status is None:
                found.append(f"{each}: {_status(ours)} for a complete question")
            continue
        if theirs.status != SUCCESS or theirs.matches != ours.matches:
            found.append(f"{each}: {_status(theirs)} {theirs.matches} there, {ours.matches} here")
        if ours.beyond:
            found.append(f"{each}: answered with {sorted(ours.beyond)}")
    return found


def _as_much_as(theirs: Answered, ours: Answered) -> Answered:
    """Without attributes that `theirs` knows nothing of at all: dcmqrscp keeps few optional ones."""
    columns = list(zip(*theirs.matches, strict=True))
    known = [any(column) for column in columns]
    if all(known):
        return ours
    matches = [
        tuple(value if is_known else "" for value, is_known in zip(each, known, strict=True)) for each in ours.matches
    ]
    return dataclasses.replace(ours, matches=tuple(sorted(matches)))


def _status(answered: Answered) -> str:
    return "no status" if answered.status is None else f"0x{answered.status:04X}"

"""Actions that replace UIDs and dates in the whole object: every element, at every level, is decided on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from gateway.dataset.dictionary import name_of
from gateway.dataset.encode import problem_with
from gateway.dataset.private import vr_at
from gateway.dataset.value import MAX_TEXT_BYTES
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import KEEP, Change, Rewrite, RewriteElement
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.ports.kinds import action
from gateway.routing.language.attribute_path import called, parse, tag_of
from gateway.routing.language.fields import SecretKey
from gateway.routing.language.path_selection import is_of, names, problems_of_steps, tags_of
from gateway.routing.language.pseudonym import (
    MAX_SHIFT_DAYS,
    hashed_uid,
    is_well_known,
    patient_of,
    shift_days,
    shifted,
)

PATIENT_ID: Final = parse("PatientID")
ISSUER_OF_PATIENT_ID: Final = parse("IssuerOfPatientID")
STUDY_INSTANCE_UID: Final = parse("StudyInstanceUID")
_UI: Final = frozenset({"UI"})
_DA: Final = frozenset({"DA"})
_DATES: Final = frozenset({"DA", "DT"})


# --- UIDs -------------------------------------------------------------------------------------------------------

_OTHER_UIDS = """
    ReferencedSOPClassUIDInFile ReferencedTransferSyntaxUIDInFile ReferencedRelatedGeneralSOPClassUIDInFile SOPClassUID
    RelatedGeneralSOPClassUID OriginalSpecializedSOPClassUID SOPClassesInStudy CodingSchemeUID
    ContextGroupExtensionCreatorUID ContextUID MappingResourceUID StoredInstanceTransferSyntaxUID ReferencedSOPClassUID
    SOPClassesSupported AvailableTransferSyntaxUID CreatorVersionUID ManufacturerDeviceClassUID FlowTransferSyntaxUID
    TemplateExtensionOrganizationUID TemplateExtensionCreatorUID RetrieveLocationUID RepositoryUniqueID HomeCommunityID
    SelectorUIValue MACCalculationTransferSyntaxUID EncryptedContentTransferSyntaxUID SegmentationTemplateUID
    PertinentSOPClassesInStudy PertinentSOPClassesInSeries
"""
NOT_OF_INSTANCES: Final = frozenset(map(tag_of, _OTHER_UIDS.split()))
"""Attributes of VR UI that name classes, syntaxes, schemes, models of devices, places: nothing made of a patient."""


@action("hash_uid")
@dataclass(frozen=True, slots=True)
class HashUID:
    """Replaces UIDs with others (2.25.…) that depend on the UID and on the secret `key` alone, so that all references
    still meet: within the object, between objects, between gateways with the same key, today and next year.

    Without `attributes` this is every element of VR UI at every level, private ones too, but for those that name
    classes, transfer syntaxes, coding schemes and the like. An attribute in the list is meant at every level when no
    sequence stands before it. UIDs that the standard registered (1.2.840.10008.…) always stay.
    """

    example: ClassVar[str] = "hash_uid: {key: research}"

    key: SecretKey
    attributes_: tuple[AttributePath, ...] | None = None

    def edits(self, facts: Facts) -> Iterable[Rewrite]:
        return (HashedUIDs(self.key, self.attributes_),)

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def problems(self) -> Iterable[SettingProblem]:
        yield from problems_of_steps(self.attributes_)
        for index, path in enumerate(self.attributes_ or ()):
            vr = vr_at(path)
            if vr not in ("UI", None):
                yield ("attributes", index), f"{called(path)} is no UID (its VR is {vr}): use the action `hash`"
            elif path.tag == 0x00080016:
                yield ("attributes", index), "SOPClassUID cannot be edited: it must stay what the association carried"


@dataclass(frozen=True, slots=True)
class HashedUIDs:
    """`gateway.ports.edits.Rewrite` of `hash_uid`."""

    key: SecretKey
    paths: tuple[AttributePath, ...] | None

    @property
    def tags(self) -> frozenset[int] | None:
        return tags_of(self.paths)

    def __call__(self, element: RewriteElement) -> Change:
        if not element.length_bytes or not self._is_meant(element):
            return KEEP
        if not element.values and element.vr not in _UI:
            raise Refusal(f"{name_of(element.tag)} cannot be replaced: it holds no UID (its VR is {element.vr})")
        if element.length_bytes > MAX_TEXT_BYTES:
            raise Refusal(f"{name_of(element.tag)} cannot be replaced: its {element.length_bytes} bytes are too many")
        after = tuple(self._hashed(uid) for uid in element.values)
        return KEEP if after == element.values else after

    def _is_meant(self, element: RewriteElement) -> bool:
        if self.paths is not None:
            return any(names(path, element) for path in self.paths)
        return element.tag not in NOT_OF_INSTANCES and is_of(element, _UI)

    def _hashed(self, uid: str) -> str:
        return uid if not uid or is_well_known(uid) else hashed_uid(self.key, uid)


# --- dates ------------------------------------------------------------------------------------------------------


@action("shift_date")
@dataclass(frozen=True, slots=True)
class ShiftDate:
    """Moves dates by a number of days out of `days` (from, to; never 0) that depends on the patient and on the secret
    `key` alone: intervals between all studies of a patient stay what they are. Times of day stay.

    The patient is Patient ID with Issuer of Patient ID, as they are before this action; without an ID it is the study.
    Without `attributes` this is every element of VR DA and DT at every level, private ones too. An attribute in the
    list is meant at every level when no sequence stands before it. A value that is no date, or would leave the
    calendar, refuses the object, or is emptied (`on_unparsable: empty`).
    """

    example: ClassVar[str] = "shift_date: {key: research, days: [-365, -1]}"

    key: SecretKey
    days: tuple[int, ...]
    attributes_: tuple[AttributePath, ...] | None = None
    on_unparsable: Literal["reject", "empty"] = "reject"

    def edits(self, facts: Facts) -> Iterable[Rewrite]:
        least, most = self.days
        days = shift_days(self.key, patient_in(facts), (least, most))
        return (ShiftedDates(days, self.attributes_, self.on_unparsable == "empty"),)

    def attributes(self) -> Iterable[AttributePath]:
        return (PATIENT_ID, ISSUER_OF_PATIENT_ID, STUDY_INSTANCE_UID)

    def problems(self) -> Iterable[SettingProblem]:
        yield from problems_of_steps(self.attributes_)
        if len(self.days) != 2 or not -MAX_SHIFT_DAYS <= self.days[0] <= self.days[1] <= MAX_SHIFT_DAYS:
            yield ("days",), f"expected two numbers of days in order, as [-365, -1], within {MAX_SHIFT_DAYS} days"
        elif self.days == (0, 0):
            yield ("days",), "0 days move nothing"
        for index, path in enumerate(self.attributes_ or ()):
            vr = vr_at(path)
            if vr not in ("DA", "DT", None):
                yield ("attributes", index), f"{called(path)} is no date (its VR is {vr})"


def patient_in(facts: Facts) -> str:
    """The patient of this object, for `shift_days`."""
    patient_id, issuer, study = (
        "\\".join(facts.values(path) or ()) for path in (PATIENT_ID, ISSUER_OF_PATIENT_ID, STUDY_INSTANCE_UID)
    )
    return patient_of(patient_id, issuer, study)


@dataclass(frozen=True, slots=True)
class ShiftedDates:
    """`gateway.ports.edits.Rewrite` of `shift_date`."""

    days: int
    paths: tuple[AttributePath, ...] | None
    is_emptying: bool

    @property
    def tags(self) -> frozenset[int] | None:
        return tags_of(self.paths)

    def __call__(self, element: RewriteElement) -> Change:
        if not element.length_bytes or not self._is_meant(element):
            return KEEP
        if not element.values:
            return KEEP if element.vr in _DATES else self._unparsable(element, f"its VR is {element.vr}")
        if element.length_bytes > MAX_TEXT_BYTES:
            return self._unparsable(element, f"its {element.length_bytes} bytes are too many")
        vr = "DA" if is_of(element, _DA) else "DT"
        after = tuple(self._moved(value, vr, element) for value in element.values)
        return after if any(after) else ()

    def _is_meant(self, element: RewriteElement) -> bool:
        if self.paths is not None:
            return any(names(path, element) for path in self.paths)
        return is_of(element, _DATES)

    def _moved(self, value: str, vr: str, element: RewriteElement) -> str:
        try:
            moved = shifted(value, vr, self.days)
            problem = problem_with((moved,), vr)
        except ValueError as error:
            moved, problem = "", str(error)
        return moved if problem is None else "".join(self._unparsable(element, problem))

    def _unparsable(self, element: RewriteElement, problem: str) -> tuple[str, ...]:
        if self.is_emptying:
            return ()
        raise Refusal(f"the date in {name_of(element.tag)} cannot be moved: {problem}")

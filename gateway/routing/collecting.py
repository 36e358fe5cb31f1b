"""Which collection an object belongs to: a pure function of its facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model.attribute_path import AttributePath
from gateway.model.collection import CollectionTerms, Membership, digest_of
from gateway.ports.facts import Facts
from gateway.ports.kinds import Predicate
from gateway.routing.facts import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.routing.language.attribute_path import parse

PATIENT_ID = parse("PatientID")
ISSUER_OF_PATIENT_ID = parse("IssuerOfPatientID")
INSTITUTION_NAME = parse("InstitutionName")


@dataclass(frozen=True, slots=True)
class CollectionDefinition:
    """One entry of `collections:`, with a condition for each of `terms.tests`."""

    terms: CollectionTerms
    conditions: tuple[Predicate, ...] = ()

    def attributes(self) -> Iterable[AttributePath]:
        """The attributes that `membership` reads."""
        own = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, PATIENT_ID, ISSUER_OF_PATIENT_ID, INSTITUTION_NAME)
        return [*own, *(path for condition in self.conditions for path in condition.attributes())]

    def membership(self, facts: Facts) -> Membership | None:
        """The collection of an object; None for one without the UID that is collected by.

        The patient is told by Patient ID and Issuer of Patient ID, the institution by Institution Name (PS3.3 §C.2.2,
        §C.7.5.1).
        """
        study, series = _first(facts, STUDY_INSTANCE_UID), ""
        if self.terms.level == "series":
            series = _first(facts, SERIES_INSTANCE_UID)
            if not series:
                return None
        if not study:
            return None
        institution = _first(facts, INSTITUTION_NAME)
        return Membership(
            self.terms,
            study,
            series,
            digest_of(_first(facts, PATIENT_ID), _first(facts, ISSUER_OF_PATIENT_ID)),
            digest_of(institution) if institution else "",
            "".join("1" if condition(facts) else "0" for condition in self.conditions),
        )


def _first(facts: Facts, path: AttributePath) -> str:
    values = facts.values(path)
    return values[0].strip() if values else ""

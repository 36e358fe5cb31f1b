"""Which collection an object belongs to: a pure function of its facts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model.attribute_path import AttributePath
from gateway.model.collection import CollectionTerms, Membership, digest_of
from gateway.model.expectation import matches_with
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.ports.kinds import Predicate
from gateway.routing.facts import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.template import Template

NUMBER = re.compile("[0-9]{1,7}")
"""More instances than any study has would be a fault of the object."""
PATIENT_ID = parse("PatientID")
ISSUER_OF_PATIENT_ID = parse("IssuerOfPatientID")
INSTITUTION_NAME = parse("InstitutionName")


@dataclass(frozen=True, slots=True)
class CollectionDefinition:
    """One entry of `collections:`, with a condition for each of `terms.tests`."""

    terms: CollectionTerms
    conditions: tuple[Predicate, ...] = ()
    expected: Template | None = None
    """Makes the number that is expected (`gateway.model.expectation`) of an object."""

    def attributes(self) -> Iterable[AttributePath]:
        """The attributes that `membership` reads."""
        own = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, PATIENT_ID, ISSUER_OF_PATIENT_ID, INSTITUTION_NAME)
        number = () if self.expected is None else (path for _, path in self.expected.attributes)
        return [*own, *number, *(path for condition in self.conditions for path in condition.attributes())]

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
            matches_with(
                "".join("1" if condition(facts) else "0" for condition in self.conditions), self._number(facts)
            ),
        )

    def _number(self, facts: Facts) -> int:
        """The number that is expected, by this object; 0 where it does not say one. Raises Temporary, PayloadLost."""
        if self.expected is None:
            return 0
        try:
            text = self.expected.render(facts).strip()
        except Refusal:  # the object is collected, whatever is wrong with its values
            return 0
        return int(text) if NUMBER.fullmatch(text) else 0


def _first(facts: Facts, path: AttributePath) -> str:
    values = facts.values(path)
    return values[0].strip() if values else ""

"""Comparison of two answers: the same patient, or the same words. Pure functions.

An answer need not say much of a patient: only what both say can speak against their being one.
"""

from __future__ import annotations

from gateway.model.query import Attributes
from gateway.query.attributes import ISSUER_OF_PATIENT_ID, PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from gateway.query.identifier import first_text
from gateway.query.normal import folded_groups, normal

_OF_PATIENT = (PATIENT_ID, PATIENT_NAME, ISSUER_OF_PATIENT_ID, PATIENT_BIRTH_DATE)


def fingerprint_of(answer: Attributes) -> int:
    """The same for the same words, in this process."""
    try:
        return hash(frozenset(answer.items()))
    except TypeError:  # with items of sequences
        return hash(repr(sorted(answer.items(), key=lambda item: item[0])))


def are_different(one: Attributes, other: Attributes) -> bool:
    """True when what both say cannot be of one patient.

    Different Patient IDs are two patients, and so is one Patient ID of two issuers. One Patient ID with another name is
    one patient (names are spelled in many ways) unless the birth date is another one as well. Where one of them says no
    Patient ID, name and birth date decide each for itself.
    """
    if all(one.get(tag) == other.get(tag) for tag in _OF_PATIENT):
        return False
    ids = [first_text(each, PATIENT_ID).strip() for each in (one, other)]
    if all(ids):
        return (
            ids[0] != ids[1] or _issuers_differ(one, other) or (_names_differ(one, other) and _days_differ(one, other))
        )
    return _names_differ(one, other) or _days_differ(one, other)


def _issuers_differ(one: Attributes, other: Attributes) -> bool:
    issuers = {first_text(each, ISSUER_OF_PATIENT_ID).strip() for each in (one, other)}
    return len(issuers - {""}) > 1


def _days_differ(one: Attributes, other: Attributes) -> bool:
    days = {normal(first_text(each, PATIENT_BIRTH_DATE), "DA") for each in (one, other)}
    return len(days - {None}) > 1


def _names_differ(one: Attributes, other: Attributes) -> bool:
    """True when a component group that both have is another one in each (PS3.5 §6.2.1)."""
    groups = [folded_groups(first_text(each, PATIENT_NAME)) for each in (one, other)]
    both = [(left, right) for left, right in zip(*groups, strict=False) if left and right]
    return bool(both) and all(left != right for left, right in both)

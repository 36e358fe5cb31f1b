"""Answers of several peers to a query that is passed on as it is: each thing once. Pure."""

from __future__ import annotations

from gateway.model.query import Attributes
from gateway.query.attributes import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    SPECIFIC_CHARACTER_SET,
)
from gateway.sources.relayed_services import RelayedService
from gateway.sources.same_patient import are_different, fingerprint_of

_OF_PATIENT = (PATIENT_ID, PATIENT_NAME, ISSUER_OF_PATIENT_ID, PATIENT_BIRTH_DATE)


class DistinctAnswers:
    """Remembers the answers that were given. An answer that names the same thing as another peer's is left out,
    unless it names another patient. Equal answers of one peer are given once.
    """

    def __init__(self, service: RelayedService) -> None:
        self._service = service
        self._given: dict[tuple[str, ...], list[tuple[int, int, Attributes]]] = {}
        """(rank, fingerprint, what is said of the patient)."""

    def is_new(self, rank: int, answer: Attributes) -> bool:
        """True when the answer of the peer `rank` is to be given."""
        identity = self._service.identity(answer)
        if identity is None:
            return True
        given = self._given.setdefault(identity, [])
        words = fingerprint(answer)
        own = [other for other, _, _ in given if other == rank]
        if own:
            is_new = (rank, words) not in {(other, text) for other, text, _ in given}
        else:
            is_new = all(are_different(patient, answer) for _, _, patient in given)
        if is_new:
            patient = {tag: answer[tag] for tag in _OF_PATIENT if tag in answer}
            given.append((rank, words, patient))
        return is_new


def fingerprint(answer: Attributes) -> int:
    """The same for the same words, whatever the character set."""
    return fingerprint_of({tag: value for tag, value in answer.items() if tag != SPECIFIC_CHARACTER_SET})

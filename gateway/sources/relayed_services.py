"""Queries besides Query/Retrieve that are passed on to the peers that serve them: which there are, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.model.dimse_status import INVALID_PRIOR_RECORD_KEY, MATCHING_LIMIT_REACHED
from gateway.model.query import Attributes
from gateway.query.attributes import SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.query.identifier import first_text

_STEPS = 0x00400100  # Scheduled Procedure Step Sequence
_STEP_ID = 0x00400009  # Scheduled Procedure Step ID


@dataclass(frozen=True, slots=True)
class RelayedService:
    """One kind of query.

    Attributes:
        sop_class_uids: of its information models.
        unique: tags that together name one thing; () when nothing does, then all answers are given.
        is_at_most_one: more than one match is an error there (PS3.4 Table Q.4-1).
        finals: final statuses of a peer, besides Success, that say to the requestor what to ask next; for services that
            one peer alone may serve.
    """

    sop_class_uids: tuple[str, ...]
    unique: tuple[int, ...] = (SOP_INSTANCE_UID,)
    is_at_most_one: bool = False
    finals: frozenset[int] = frozenset()

    def identity(self, answer: Attributes) -> tuple[str, ...] | None:
        """What names the thing that the answer is about; None when the answer does not say."""
        found = tuple(_text(answer, tag) for tag in self.unique)
        return found if found and all(found) else None


def _text(answer: Attributes, tag: int) -> str:
    if tag != _STEP_ID:
        return first_text(answer, tag)
    steps = [step for step in answer.get(_STEPS, ()) if not isinstance(step, str)]
    return first_text(steps[0], tag) if len(steps) == 1 else ""


_DICOM = "1.2.840.10008.5.1.4."

SERVICES: Mapping[str, RelayedService] = MappingProxyType(
    {
        # PS3.4 Annex K: steps have identifiers within their procedures only
        "worklist": RelayedService((f"{_DICOM}31",), (STUDY_INSTANCE_UID, _STEP_ID)),
        # Annex Q: general, breast imaging, cardiac
        "relevant_patient_information": RelayedService(
            (f"{_DICOM}37.1", f"{_DICOM}37.2", f"{_DICOM}37.3"), (), is_at_most_one=True
        ),
        # Annex V: product characteristics, substance approval
        "substance_administration": RelayedService((f"{_DICOM}41", f"{_DICOM}42"), ()),
        "hanging_protocol": RelayedService((f"{_DICOM}38.2",)),  # Annex U
        "defined_procedure_protocol": RelayedService((f"{_DICOM}20.1",)),  # Annex HH
        "color_palette": RelayedService((f"{_DICOM}39.2",)),  # Annex X
        # Annex BB: generic, assembly, group
        "implant_template": RelayedService((f"{_DICOM}43.2", f"{_DICOM}44.2", f"{_DICOM}45.2")),
        # Annex CC: pull, watch, query
        "unified_procedure_step": RelayedService((f"{_DICOM}34.6.3", f"{_DICOM}34.6.2", f"{_DICOM}34.6.5")),
        "protocol_approval": RelayedService((f"{_DICOM}1.1.200.4",)),  # Annex II
        "inventory": RelayedService((f"{_DICOM}1.1.201.2",)),  # Annex JJ
        # §C.6.4: Record Keys belong to one repository, so that its answers cannot be put together with those of others
        "repository_query": RelayedService(
            (f"{_DICOM}1.1.201.6",), (), finals=frozenset({MATCHING_LIMIT_REACHED, INVALID_PRIOR_RECORD_KEY})
        ),
    }
)
"""Name, as in the setting `relay` → the service."""


@dataclass(frozen=True, slots=True)
class Retrieving:
    """C-MOVE and C-GET of one kind of object: they name SOP Instance UIDs, and nothing else.

    Attributes:
        service: in `SERVICES`.
        move, get: SOP classes of its information model.
        storage: SOP classes of the objects.
    """

    service: str
    move: str
    get: str
    storage: tuple[str, ...]


RETRIEVING = (
    Retrieving("hanging_protocol", f"{_DICOM}38.3", f"{_DICOM}38.4", (f"{_DICOM}38.1",)),
    Retrieving("color_palette", f"{_DICOM}39.3", f"{_DICOM}39.4", (f"{_DICOM}39.1",)),
    Retrieving("implant_template", f"{_DICOM}43.3", f"{_DICOM}43.4", (f"{_DICOM}43.1",)),  # generic
    Retrieving("implant_template", f"{_DICOM}44.3", f"{_DICOM}44.4", (f"{_DICOM}44.1",)),  # assembly
    Retrieving("implant_template", f"{_DICOM}45.3", f"{_DICOM}45.4", (f"{_DICOM}45.1",)),  # group
    Retrieving(
        "defined_procedure_protocol",
        f"{_DICOM}20.2",
        f"{_DICOM}20.3",
        (f"{_DICOM}1.1.200.1", f"{_DICOM}1.1.200.7"),  # CT, XA
    ),
    Retrieving("protocol_approval", f"{_DICOM}1.1.200.5", f"{_DICOM}1.1.200.6", (f"{_DICOM}1.1.200.3",)),
    Retrieving("inventory", f"{_DICOM}1.1.201.3", f"{_DICOM}1.1.201.4", (f"{_DICOM}1.1.201.1",)),
)
RETRIEVED: Mapping[str, Retrieving] = MappingProxyType(
    {uid: each for each in RETRIEVING for uid in (each.move, each.get)}
)
"""SOP class of a C-MOVE or C-GET → what is retrieved."""

BY_SOP_CLASS: Mapping[str, str] = MappingProxyType(
    {uid: name for name, service in SERVICES.items() for uid in service.sop_class_uids}
)

"""Queries besides Query/Retrieve that are passed on to the peers that serve them: which there are, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.model.dimse_status import INVALID_PRIOR_RECORD_KEY, MATCHING_LIMIT_REACHED
from gateway.model.query import Attributes
from gateway.query.attributes import SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.query.identifier import first_text
from gateway.query.sop_classes import uid_of

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
        """The values that name the thing of the answer; None when the answer has none."""
        found = tuple(_text(answer, tag) for tag in self.unique)
        return found if found and all(found) else None


def _text(answer: Attributes, tag: int) -> str:
    if tag != _STEP_ID:
        return first_text(answer, tag)
    steps = [step for step in answer.get(_STEPS, ()) if not isinstance(step, str)]
    return first_text(steps[0], tag) if len(steps) == 1 else ""


def _finds(*models: str) -> tuple[str, ...]:
    """SOP classes of the C-FIND of information models."""
    return tuple(uid_of(model, "find") for model in models)


SERVICES: Mapping[str, RelayedService] = MappingProxyType(
    {
        # steps have identifiers within their procedures only
        "worklist": RelayedService(_finds("worklist"), (STUDY_INSTANCE_UID, _STEP_ID)),
        "relevant_patient_information": RelayedService(
            _finds(*(f"{kind}_relevant_patient_information" for kind in ("general", "breast_imaging", "cardiac"))),
            (),
            is_at_most_one=True,
        ),
        "substance_administration": RelayedService(_finds("product_characteristics", "substance_approval"), ()),
        "hanging_protocol": RelayedService(_finds("hanging_protocol")),
        "defined_procedure_protocol": RelayedService(_finds("defined_procedure_protocol")),
        "color_palette": RelayedService(_finds("color_palette")),
        "implant_template": RelayedService(
            _finds("generic_implant_template", "implant_assembly_template", "implant_template_group")
        ),
        "unified_procedure_step": RelayedService(
            _finds(*(f"unified_procedure_step_{kind}" for kind in ("pull", "watch", "query")))
        ),
        "protocol_approval": RelayedService(_finds("protocol_approval")),
        "inventory": RelayedService(_finds("inventory")),
        # §C.6.4: Record Keys belong to one repository, so that its answers cannot be put together with those of others
        "repository_query": RelayedService(
            _finds("repository"), (), finals=frozenset({MATCHING_LIMIT_REACHED, INVALID_PRIOR_RECORD_KEY})
        ),
    }
)
"""Name, as in the setting `relay` → the service."""


@dataclass(frozen=True, slots=True)
class RelayedRetrieveService:
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


def _retrieving(service: str, model: str, *storage: str) -> RelayedRetrieveService:
    return RelayedRetrieveService(
        service, uid_of(model, "move"), uid_of(model, "get"), tuple(_PREFIX + end for end in storage)
    )


_PREFIX = "1.2.840.10008.5.1.4."

RETRIEVING = (
    _retrieving("hanging_protocol", "hanging_protocol", "38.1"),
    _retrieving("color_palette", "color_palette", "39.1"),
    _retrieving("implant_template", "generic_implant_template", "43.1"),
    _retrieving("implant_template", "implant_assembly_template", "44.1"),
    _retrieving("implant_template", "implant_template_group", "45.1"),
    _retrieving("defined_procedure_protocol", "defined_procedure_protocol", "1.1.200.1", "1.1.200.7"),  # CT, XA
    _retrieving("protocol_approval", "protocol_approval", "1.1.200.3"),
    _retrieving("inventory", "inventory", "1.1.201.1"),
)
RETRIEVED: Mapping[str, RelayedRetrieveService] = MappingProxyType(
    {uid: each for each in RETRIEVING for uid in (each.move, each.get)}
)
"""SOP class of a C-MOVE or C-GET → what is retrieved."""

BY_SOP_CLASS: Mapping[str, str] = MappingProxyType(
    {uid: name for name, service in SERVICES.items() for uid in service.sop_class_uids}
)

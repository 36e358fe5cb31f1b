"""The SOP classes of queries and retrieves, as one table (PS3.4 Annexes C, K, Q, U, V, X to Z, BB, CC, HH to JJ)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from gateway.model.query import QueryLevel, QueryRoot
from gateway.query.attributes import LEVELS

QueryOperation = Literal["find", "move", "get"]
"""C-FIND, C-MOVE, C-GET."""

LEVELS_OF_ROOT: Mapping[QueryRoot, tuple[QueryLevel, ...]] = MappingProxyType(
    {"patient": LEVELS, "study": LEVELS[1:], "patient_study": LEVELS[:2]}
)
"""Levels that may be asked for, from the top (PS3.4 §C.6.1.1, §C.6.2.1, §C.6.3.1)."""


@dataclass(frozen=True, slots=True)
class QueryRetrieveClass:
    """One SOP class.

    Attributes:
        uid: the SOP Class UID.
        model: name of the information model; the classes of one model share it.
        operation: the DIMSE service that the class is for.
        root: for the models of Query/Retrieve proper (Annex C) the hierarchy, whose levels `LEVELS_OF_ROOT` has; None
            for all others.
    """

    uid: str
    model: str
    operation: QueryOperation
    root: QueryRoot | None = None


_PREFIX = "1.2.840.10008.5.1.4."


def _model(
    name: str, find: str = "", move: str = "", get: str = "", *, root: QueryRoot | None = None
) -> Iterator[QueryRetrieveClass]:
    """The classes of one information model, by what follows `_PREFIX`."""
    ends: dict[QueryOperation, str] = {"find": find, "move": move, "get": get}
    return (QueryRetrieveClass(_PREFIX + end, name, operation, root) for operation, end in ends.items() if end)


CLASSES: tuple[QueryRetrieveClass, ...] = (
    *_model("patient", "1.2.1.1", "1.2.1.2", "1.2.1.3", root="patient"),  # Annex C
    *_model("study", "1.2.2.1", "1.2.2.2", "1.2.2.3", root="study"),
    *_model("patient_study", "1.2.3.1", "1.2.3.2", "1.2.3.3", root="patient_study"),  # retired
    *_model("repository", "1.1.201.6"),  # §C.6.4
    *_model("worklist", "31"),  # Annex K
    *_model("general_relevant_patient_information", "37.1"),  # Annex Q
    *_model("breast_imaging_relevant_patient_information", "37.2"),
    *_model("cardiac_relevant_patient_information", "37.3"),
    *_model("hanging_protocol", "38.2", "38.3", "38.4"),  # Annex U
    *_model("product_characteristics", "41"),  # Annex V
    *_model("substance_approval", "42"),
    *_model("color_palette", "39.2", "39.3", "39.4"),  # Annex X
    *_model("composite_instance", "", "1.2.4.2", "1.2.4.3"),  # Annex Y
    *_model("composite_instance_without_bulk_data", "", "", "1.2.5.3"),  # Annex Z
    *_model("generic_implant_template", "43.2", "43.3", "43.4"),  # Annex BB
    *_model("implant_assembly_template", "44.2", "44.3", "44.4"),
    *_model("implant_template_group", "45.2", "45.3", "45.4"),
    *_model("unified_procedure_step_pull", "34.6.3"),  # Annex CC: C-FIND is for these three of the five
    *_model("unified_procedure_step_watch", "34.6.2"),
    *_model("unified_procedure_step_query", "34.6.5"),
    *_model("defined_procedure_protocol", "20.1", "20.2", "20.3"),  # Annex HH
    *_model("protocol_approval", "1.1.200.4", "1.1.200.5", "1.1.200.6"),  # Annex II
    *_model("inventory", "1.1.201.2", "1.1.201.3", "1.1.201.4"),  # Annex JJ
)

ROOT_OF: Mapping[str, QueryRoot] = MappingProxyType({each.uid: each.root for each in CLASSES if each.root})
"""SOP Class UID → information model, for Query/Retrieve proper."""


def uid_of(model: str, operation: QueryOperation) -> str:
    """The SOP Class UID for an operation of an information model. Raises KeyError when there is none."""
    for each in CLASSES:
        if (each.model, each.operation) == (model, operation):
            return each.uid
    raise KeyError((model, operation))


FIND_OF_ROOT: Mapping[QueryRoot, str] = MappingProxyType({root: uid_of(root, "find") for root in LEVELS_OF_ROOT})

_NOT_RETIRED: tuple[QueryRoot, ...] = ("study", "patient")
MOVE_OF_ROOT: Mapping[QueryRoot, str] = MappingProxyType({root: uid_of(root, "move") for root in _NOT_RETIRED})
GET_OF_ROOT: Mapping[QueryRoot, str] = MappingProxyType({root: uid_of(root, "get") for root in _NOT_RETIRED})
"""Information model → SOP Class UID, in the order in which sources are asked."""

COMPOSITE_INSTANCE_ROOT = frozenset(each.uid for each in CLASSES if each.model == "composite_instance")
"""Composite Instance Root Retrieve - MOVE and - GET: instances and frames by SOP Instance UID."""

WITHOUT_BULK_DATA = uid_of("composite_instance_without_bulk_data", "get")
"""Composite Instance Retrieve Without Bulk Data - GET: instances are sent without their bulk data."""

RELEVANT_PATIENT_INFORMATION = frozenset(
    each.uid for each in CLASSES if each.model.endswith("_relevant_patient_information")
)
"""SOP classes that answer at most one match (PS3.4 §Q.4)."""

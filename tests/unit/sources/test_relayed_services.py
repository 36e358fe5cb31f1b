"""The queries that are passed on: every SOP class that can be negotiated for C-FIND, C-MOVE or C-GET is answered by
somebody."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway.config.spec.query_retrieve import RelaySpec
from gateway.dimse.protocol.context import QUERY_RETRIEVE
from gateway.query.sop_classes import COMPOSITE_INSTANCE_ROOT, ROOT_OF, WITHOUT_BULK_DATA
from gateway.sources.relayed_services import BY_SOP_CLASS, RETRIEVED, SERVICES
from tests.support.identifiers import attributes


def test_every_sop_class_is_known() -> None:
    for_find = {uid for uid, service in QUERY_RETRIEVE.items() if service == "find"}
    assert for_find - ROOT_OF.keys() == BY_SOP_CLASS.keys()
    others = QUERY_RETRIEVE.keys() - for_find - ROOT_OF.keys()
    assert others == {*RETRIEVED, *COMPOSITE_INSTANCE_ROOT, WITHOUT_BULK_DATA}


def test_the_settings_name_every_service() -> None:
    assert {field.name for field in dataclasses.fields(RelaySpec)} == SERVICES.keys()


STEP = {"ScheduledProcedureStepSequence": [{"ScheduledProcedureStepID": "S1"}]}
IDENTITIES: dict[str, tuple[str, dict[str, Any], tuple[str, ...] | None]] = {
    "a step": ("worklist", {"StudyInstanceUID": "1.2", **STEP}, ("1.2", "S1")),
    "a step without a study": ("worklist", STEP, None),
    "a study without steps": ("worklist", {"StudyInstanceUID": "1.2"}, None),
    "several steps": (
        "worklist",
        {"StudyInstanceUID": "1.2", "ScheduledProcedureStepSequence": [{"ScheduledProcedureStepID": "S1"}] * 2},
        None,
    ),
    "an instance": ("hanging_protocol", {"SOPInstanceUID": "1.2"}, ("1.2",)),
    "no instance": ("hanging_protocol", {}, None),
    "nothing has a name": ("substance_administration", {"SOPInstanceUID": "1.2"}, None),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity(name: str) -> None:
    service, keywords, expected = IDENTITIES[name]
    assert SERVICES[service].identity(attributes(**keywords)) == expected

"""The queries that are passed on: every SOP class that can be negotiated for C-FIND is answered by somebody."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.config.spec import RelaySpec
from gateway.dimse.context import QUERY_RETRIEVE
from gateway.federation.services import BY_SOP_CLASS, SERVICES
from gateway.query.compile import MODELS
from tests.support.identifiers import attributes

NOT_OFFERED = {"1.2.840.10008.5.1.4.1.1.201.2", "1.2.840.10008.5.1.4.1.1.201.6"}
"""Inventory and Repository Query (PS3.4 Annex KK): answered 0x0122."""


def test_every_sop_class_is_known() -> None:
    for_find = {uid for uid, service in QUERY_RETRIEVE.items() if service == "find"}
    assert for_find - BY_SOP_CLASS.keys() - MODELS.keys() == NOT_OFFERED
    assert BY_SOP_CLASS.keys() <= for_find


def test_the_settings_name_every_service() -> None:
    assert {field.name for field in msgspec.structs.fields(RelaySpec)} == SERVICES.keys()


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

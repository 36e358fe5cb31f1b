"""Which operation each Query/Retrieve SOP class is for."""

from __future__ import annotations

import pytest
from pynetdicom import sop_class
from pynetdicom.service_class import QueryRetrieveServiceClass

from gateway.dimse.protocol.context import QUERY_RETRIEVE, service_of

SERVICES = {"C-FIND": "find", "C-GET": "get", "C-MOVE": "move"}
OF_PYNETDICOM = [
    (uid, SERVICES[name]) for name, uids in QueryRetrieveServiceClass._SUPPORTED_UIDS.items() for uid in uids
]
OTHERS = {
    "ModalityWorklistInformationFind": "find",
    "GeneralRelevantPatientInformationQuery": "find",
    "BreastImagingRelevantPatientInformationQuery": "find",
    "CardiacRelevantPatientInformationQuery": "find",
    "ProductCharacteristicsQuery": "find",
    "SubstanceApprovalQuery": "find",
    "UnifiedProcedureStepPull": "find",
    "UnifiedProcedureStepWatch": "find",
    "UnifiedProcedureStepQuery": "find",
    "UnifiedProcedureStepPush": "",
    "UnifiedProcedureStepEvent": "",
    "HangingProtocolStorage": "store",
    "InventoryStorage": "store",
    "CTImageStorage": "store",
    "ModalityPerformedProcedureStep": "",
    "Verification": "echo",
}


@pytest.mark.parametrize(("uid", "service"), OF_PYNETDICOM)
def test_models_that_pynetdicom_serves(uid: str, service: str) -> None:
    assert service_of(uid) == service


@pytest.mark.parametrize("keyword", OTHERS)
def test_others(keyword: str) -> None:
    assert service_of(str(getattr(sop_class, keyword))) == OTHERS[keyword]


def test_nothing_is_named_twice() -> None:
    assert len(QUERY_RETRIEVE) == 3 * 11 + 10 + 1 + 2

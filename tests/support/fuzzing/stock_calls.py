"""Stock pynetdicom asks for everything on one association: `… -m tests.support.fuzzing.stock_calls PORT TITLE FILE`."""

from __future__ import annotations

import sys
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)


def _negotiation(sop_class_uid: Any) -> list[Any]:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid = StudyRootQueryRetrieveInformationModelFind
    extended.service_class_application_information = b"\1\1\1\1\1"
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.primary_field, identity.secondary_field = b"user", b"word"
    return [window, extended, identity, build_role(sop_class_uid, scu_role=True, scp_role=True)]


def main() -> None:
    port, title, path = sys.argv[1:]
    ae = AE(ae_title=title)
    for uid in (
        Verification,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelMove,
        StudyRootQueryRetrieveInformationModelGet,
    ):
        ae.add_requested_context(uid)
    image = dcmread(path)
    ae.add_requested_context(CTImageStorage, image.file_meta.TransferSyntaxUID)
    ae.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    handlers: list[Any] = [(evt.EVT_C_STORE, lambda event: 0x0000)]
    association = ae.associate(
        "127.0.0.1", int(port), ae_title="GATEWAY", ext_neg=_negotiation(image.SOPClassUID), evt_handlers=handlers
    )
    assert association.is_established
    association.send_c_echo()
    association.send_c_store(image)
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.StudyInstanceUID, wanted.PatientName = "STUDY", "1.2.3.1", ""
    list(association.send_c_find(wanted, StudyRootQueryRetrieveInformationModelFind))
    list(association.send_c_move(wanted, "SINK", StudyRootQueryRetrieveInformationModelMove))
    list(association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet))
    association.send_c_cancel(1, query_model=StudyRootQueryRetrieveInformationModelFind)
    association.release()


if __name__ == "__main__":
    main()

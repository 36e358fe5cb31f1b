"""The response to a stored object is the one that the general encoder makes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.dimse.protocol.context import AcceptedContext, as_uid
from gateway.dimse.protocol.message import encode
from gateway.dimse.protocol.pdata import encode_command
from gateway.dimse.protocol.store_success import MOST_KEPT, StoreSuccess
from tests.support.dimse.rig import CT, CT_ID, IMPLICIT, MR, MR_ID, store_command

CONTEXTS = {
    CT: AcceptedContext(CT_ID, as_uid(CT), as_uid(IMPLICIT), "store"),
    MR: AcceptedContext(MR_ID, as_uid(MR), as_uid(IMPLICIT), "store"),
}
UIDS = st.sampled_from(["1.2.3.4", "1.2.3.5", "1.2.3.45", "1.2.3.456", "1", "study_7.a", "9" * 128])
REQUESTS = st.tuples(st.sampled_from([CT, MR]), st.integers(0, 65535), UIDS)


def general(sop_class_uid: str, message_id: int, uid: str, largest_bytes: int) -> bytes:
    command = {
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": 0x8001,
        "MessageIDBeingRespondedTo": message_id,
        "CommandDataSetType": 0x0101,
        "Status": 0x0000,
        "AffectedSOPInstanceUID": uid,
    }
    return encode_command(CONTEXTS[sop_class_uid].context_id, encode(command), largest_bytes)


@given(st.lists(REQUESTS, min_size=1, max_size=8), st.sampled_from([16378, 130, 128, 26]))
def test_the_bytes_are_those_of_the_general_encoder(requests: list[tuple[str, int, str]], largest_bytes: int) -> None:
    responses = StoreSuccess(largest_bytes)
    for sop_class_uid, message_id, uid in requests:
        request = store_command(message_id, AffectedSOPClassUID=sop_class_uid, AffectedSOPInstanceUID=uid)
        expected = general(sop_class_uid, message_id, uid, largest_bytes)
        assert responses.encoded(CONTEXTS[sop_class_uid], request) == expected


def test_no_more_than_a_few_are_kept() -> None:
    responses = StoreSuccess(16378)
    for length in range(1, 4 * MOST_KEPT):
        responses.encoded(CONTEXTS[CT], store_command(AffectedSOPInstanceUID="1" * length))
        assert len(responses._kept) <= MOST_KEPT

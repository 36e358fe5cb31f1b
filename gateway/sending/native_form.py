"""A native (uncompressed) data set in another native transfer syntax, for a peer that takes no other."""

from __future__ import annotations

from gateway.common.turns import aside
from gateway.dataset.native import pieces
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.spool.body import verify
from gateway.spool.pieces import EditedDataSet


async def in_native_form(body: EncodedDataSet, source_uid: str, target_uid: str) -> EditedDataSet:
    """`body`, which is in `source_uid`, written in `target_uid` in a thread. Its pieces may be views of `body`.

    Raises:
        Refusal, Unreadable: it cannot be written so.
        PayloadLost, Temporary: it cannot be read.
    """

    def make() -> EditedDataSet:
        verify(body)
        return EditedDataSet(pieces(body.view(), source_uid, target_uid), body)

    return await aside(make)

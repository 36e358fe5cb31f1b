"""C-STORE of a handler over the requestor's own association."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.context import AcceptedContext, as_uid
from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.sendable import SendableDataset
from gateway.dimse.pynetdicom_contract.store_to_requestor import context_for, no_context, store, store_request
from tests.support.dimse.rig import EXPLICIT, IMPLICIT, MR


def instance() -> SendableDataset:
    return SendableDataset(dcmread(str(get_testdata_file("MR_small.dcm"))))


def context(context_id: int, transfer_syntax: str, *, is_scu: bool = True) -> AcceptedContext:
    return AcceptedContext(context_id, as_uid(MR), as_uid(transfer_syntax), "store", is_scu=is_scu)


class Requestor:
    """Answers each request with `response`."""

    def __init__(self, *contexts: AcceptedContext, response: Command | None = None) -> None:
        self.accepted_contexts = {each.context_id: each for each in contexts}
        self.sent: list[tuple[int, Command, int]] = []
        self._response = response

    async def invoke(self, context: AcceptedContext, request: Command, body: Any) -> Any:
        self.sent.append((context.context_id, request, body.length_bytes))
        if self._response is None:
            raise AssociationEnded("gone")
        return SimpleNamespace(command=self._response)


def test_the_context_in_the_own_transfer_syntax_is_taken_first() -> None:
    requestor: Any = Requestor(context(3, IMPLICIT), context(5, EXPLICIT))
    assert context_for(requestor, instance()).context_id == 5
    requestor = Requestor(context(3, IMPLICIT), context(5, EXPLICIT, is_scu=False))
    assert context_for(requestor, instance()).context_id == 3


def test_without_the_scp_role_there_is_no_context() -> None:
    requestor: Any = Requestor(context(5, EXPLICIT, is_scu=False))
    with pytest.raises(ValueError, match="'MR Image Storage' has been accepted by the peer for the SCU role"):
        context_for(requestor, instance())
    assert "'this service'" in str(no_context("this service"))


async def test_the_response_has_its_status_elements_alone() -> None:
    response = {"Status": 0xA700, "ErrorComment": "full", "OffendingElement": ((8, 0x18),), "MessageID": 1}
    requestor: Any = Requestor(context(5, EXPLICIT), response=response)
    request = store_request(instance(), 1, "MOVER", 7)
    found = await store(requestor, context(5, EXPLICIT), request, instance())
    assert (found.Status, found.ErrorComment, found.OffendingElement) == (0xA700, "full", (8, 0x18))
    assert len(found) == 3
    ((context_id, sent, length_bytes),) = requestor.sent
    assert (context_id, sent["Priority"]) == (5, 1)
    assert (sent["MoveOriginatorApplicationEntityTitle"], sent["MoveOriginatorMessageID"]) == ("MOVER", 7)
    assert length_bytes > 8000


async def test_the_end_of_the_association_gives_an_empty_response() -> None:
    requestor: Any = Requestor(context(5, EXPLICIT))
    assert len(await store(requestor, context(5, EXPLICIT), store_request(instance(), 2, None, None), instance())) == 0

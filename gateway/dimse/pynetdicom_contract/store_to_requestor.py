"""C-STORE by a handler over the requestor's own association, where that took the SCP role (PS3.7 §D.3.3.4)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.message import Command, CommandField
from gateway.dimse.pynetdicom_contract.sendable import SendableDataset

_RESPONSE_ELEMENTS = ("Status", "OffendingElement", "ErrorComment", "ErrorID", "AffectedSOPInstanceUID")


def no_context(name: str) -> ValueError:
    """The error of a service for which no context was accepted, in pynetdicom's words."""
    return ValueError(f"No presentation context for '{name}' has been accepted by the peer for the SCU role")


def context_for(association: AcceptorAssociation, instance: SendableDataset) -> AcceptedContext:
    """The accepted context that `instance` goes over. Raises ValueError when none fits."""
    found = {
        (str(context.abstract_syntax), str(context.transfer_syntax)): context
        for context in association.accepted_contexts.values()
        if context.is_scu and context.service == "store"
    }
    for syntax in instance.transfer_syntaxes:
        if (instance.sop_class_uid, syntax) in found:
            return found[instance.sop_class_uid, syntax]
    raise no_context(UID(instance.sop_class_uid).name)


def store_request(
    instance: SendableDataset, priority: int, originator_ae_title: str | None, originator_message_id: int | None
) -> Command:
    """The command set of the request, without its Message ID (PS3.7 §9.3.1.1)."""
    return {
        "AffectedSOPClassUID": instance.sop_class_uid,
        "CommandField": CommandField.C_STORE,
        "Priority": priority,
        "AffectedSOPInstanceUID": instance.sop_instance_uid,
        "MoveOriginatorApplicationEntityTitle": originator_ae_title,
        "MoveOriginatorMessageID": originator_message_id,
    }


async def store(
    association: AcceptorAssociation, context: AcceptedContext, request: Command, instance: SendableDataset
) -> Dataset:
    """Status elements of the response; empty when the association ended before it came.

    Raises ValueError: the data set cannot be encoded.
    """
    found = Dataset()
    try:
        body = await instance.body(str(context.transfer_syntax))
        response = (await association.invoke(context, request, body)).command
    except AssociationEnded:
        return found
    for keyword in _RESPONSE_ELEMENTS:
        value = response.get(keyword)
        if value is not None:
            setattr(found, keyword, list(value) if isinstance(value, tuple) else value)
    return found

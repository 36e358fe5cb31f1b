"""The two sides of an association as pynetdicom's `ServiceUser`, read from the A-ASSOCIATE PDUs when a handler asks."""

from __future__ import annotations

import warnings
import zlib
from typing import Any, Literal, cast

from pynetdicom.association import ServiceUser
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.context import AcceptedContext

Side = Literal["requestor", "acceptor"]


class SideOfAssociation(ServiceUser):
    """One side, whose A-ASSOCIATE primitive is read when it is asked for.

    Args:
        holder: the association that handlers see.
        association: the runtime's own, which has the PDUs.
        side: which of the two.
    """

    def __init__(self, holder: object, association: AcceptorAssociation, side: Side) -> None:
        self._read: A_ASSOCIATE | None = None
        self._association = association
        self._is_made = False
        super().__init__(cast(Any, holder), side)
        facts = association.facts
        if side == "requestor":
            address, title = (facts.remote_host, facts.remote_port), facts.calling_ae_title
        else:
            address, title = association.local_address, association.host.ae_title
        self._ae_title = title  # the setter would refuse an odd one
        self.address_info = AddressInformation(*address)
        self._is_made = True

    @property
    def primitive(self) -> A_ASSOCIATE | None:
        """None before the PDU of this side is there. Raises ValueError when pynetdicom cannot read it."""
        if self._read is None and self._is_made:
            self._read = read_primitive(self._association, cast(Side, self._mode))
        return self._read

    @primitive.setter
    def primitive(self, value: A_ASSOCIATE | None) -> None:
        """`ServiceUser` begins with None."""


def read_primitive(association: AcceptorAssociation, side: Side) -> A_ASSOCIATE | None:
    """The A-ASSOCIATE primitive of one side, None before it is there. Raises ValueError when pynetdicom cannot read
    it."""
    pdu: Any = A_ASSOCIATE_RQ() if side == "requestor" else A_ASSOCIATE_AC()
    data = association.associate_rq if side == "requestor" else association.associate_ac
    if not data:
        return None
    data = zlib.decompress(data) if side == "requestor" else data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd UIDs
            pdu.decode(data)
            return cast(A_ASSOCIATE, pdu.to_primitive())
    except Exception as error:
        text = f"pynetdicom cannot read the A-ASSOCIATE of the {side}: {type(error).__name__}"
        raise ValueError(text) from error


def documented_context(context: AcceptedContext) -> PresentationContext:
    """An accepted context as pynetdicom's."""
    found = build_context(context.abstract_syntax, context.transfer_syntax)
    found._context_id, found.result = context.context_id, 0x00  # the property refuses even IDs
    found._as_scp, found._as_scu = context.is_scp, context.is_scu
    return found


def rejected_contexts(requestor: ServiceUser, acceptor: ServiceUser) -> list[PresentationContext]:
    """The contexts that were not accepted, as they were proposed, with the result that they were answered with."""
    results = acceptor.primitive.presentation_context_definition_results_list  # type: ignore[union-attr]
    rejected = {context.context_id: context.result for context in results if context.result}
    found: list[PresentationContext] = []
    for context in requestor.primitive.presentation_context_definition_list:  # type: ignore[union-attr]
        if context.context_id in rejected:
            context.result = rejected[context.context_id]
            found.append(context)
    return found

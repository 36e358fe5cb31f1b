"""The presentation contexts that an association must propose to query or retrieve as an SCU. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from gateway.model.associate import ProposedContext, Role
from gateway.model.listener import Limits
from gateway.model.peer import Peer

TRANSFER_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit and Implicit VR Little Endian: for identifiers, unless the peer's settings list others."""


def query_contexts(peer: Peer, sop_class_uids: Iterable[str]) -> tuple[ProposedContext, ...]:
    """One context a Query/Retrieve SOP class, in the transfer syntaxes that the peer's settings list for it."""
    listed = {context.abstract_syntax: context.transfer_syntaxes for context in peer.associate.contexts}
    return tuple(ProposedContext(uid, listed.get(uid, TRANSFER_SYNTAXES)) for uid in sop_class_uids)


def as_store_scp(peer: Peer, sop_class_uids: Iterable[str]) -> Peer:
    """The peer with the SCP role proposed for these storage classes, for the sub-operations of a C-GET
    (PS3.7 §D.3.3.4), and a larger maximum length: here it is that of instances."""
    listed = {role.sop_class_uid for role in peer.associate.roles}
    added = tuple(
        Role(uid, scu_role=False, scp_role=True) for uid in dict.fromkeys(sop_class_uids) if uid not in listed
    )
    maximum = peer.associate.max_pdu_bytes
    associate = dataclasses.replace(
        peer.associate,
        roles=(*peer.associate.roles, *added),
        max_pdu_bytes=Limits().max_pdu_bytes if maximum is None else maximum,
    )
    return dataclasses.replace(peer, associate=associate)

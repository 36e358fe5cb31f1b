"""The destinations that a C-MOVE's handler gave, as targets of C-STORE sub-operations."""

from __future__ import annotations

from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.pynetdicom_contract.associate_keywords import Target, look_up, target_of
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.yields import MoveDestinations
from gateway.dimse.services.responding import FinalResponse, of_exception, priority_of
from gateway.dimse.services.retrieve_statuses import MOVE
from gateway.dimse.services.retrieve_yields import attempt
from gateway.dimse.services.sub_operations import MoveTarget, StoreTarget
from gateway.model.peer import Peer


async def move_targets(destinations: MoveDestinations, event: Event, watch: OperationScope) -> list[StoreTarget]:
    """One target a place; hosts that are no peers of the configuration are looked up first.

    Raises:
        FinalResponse: a place is none, or its host has no address.
        Interrupted: the operation was cut short meanwhile.
    """
    association, command = event.association, event.command
    title = str(command["MoveDestination"])
    targets: list[Target] = attempt(
        event, lambda: [target_of(place, title) for place in destinations.places], MOVE.bad_destination
    )
    for place, target in zip(destinations.places, targets, strict=True):
        if isinstance(place, Peer):
            continue
        try:
            with watch.guard():
                await look_up(target)
        except OSError as error:
            raise FinalResponse(of_exception(error, MOVE.bad_destination, event, is_handlers=False)) from None
    originator = destinations.originator_ae_title
    if originator is None:
        originator = association.facts.calling_ae_title
    return [
        MoveTarget(
            target,
            association.pool,
            width=destinations.associations,
            priority=priority_of(command),
            originator=(originator, int(command["MessageID"])),
        )
        for target in targets
    ]

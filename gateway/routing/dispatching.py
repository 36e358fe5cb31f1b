"""Dispatches of one object: as a route has them, held, or as parts of what goes over one association."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from gateway.model.bundle import INSTANCE_NUMBER, SERIES_NUMBER, place_in_bundle
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.routing.facts import ObjectFacts
from gateway.routing.fate_decision import FateDecision

NUMBERS = (SERIES_NUMBER, INSTANCE_NUMBER)
"""The attributes that the order is made of."""


def bundled(dispatches: Sequence[Dispatch], facts: ObjectFacts) -> Iterator[Dispatch]:
    """The dispatches of one object as parts of its study's bundle. One without a Study Instance UID is in none."""
    place = place_in_bundle(*map(facts.values, NUMBERS))
    for dispatch in dispatches:
        yield dataclasses.replace(dispatch, bundle=facts.study_instance_uid, bundle_place=place)


def held(dispatches: Sequence[Dispatch], decision: FateDecision | None) -> tuple[Dispatch, ...]:
    """The same, held for the reason of the decision, and for that which each has."""
    reason = "" if decision is None else decision.held_reason
    return tuple(
        dataclasses.replace(each, state=DeliveryState.HELD, reason="; ".join(filter(None, (reason, each.reason))))
        for each in dispatches
    )

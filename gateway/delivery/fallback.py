"""Sending an object that a destination refuses as it is in another transfer syntax."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from gateway.dataset.codecs import short_name
from gateway.delivery.transform import StoredOutbound, converted
from gateway.model.delivery import Outcome, Refused
from gateway.ports.converter import Converter
from gateway.ports.destination import Channel
from gateway.ports.errors import Refusal, fit_for_log
from gateway.ports.kinds import Conversion


async def fall_back(
    outbound: StoredOutbound,
    refused: Refused,
    fallback: Sequence[str],
    channel_for: Callable[[tuple[str, str]], Awaitable[Channel]],
    converter: Converter,
) -> Outcome:
    """Send the object in the first transfer syntax of `fallback` that it can be converted to and that is taken.

    Args:
        outbound: as it was refused; its body stays open.
        refused: the refusal; its reason stands first among the reasons when nothing works.
        fallback: transfer syntax UIDs.
        channel_for: gives the channel, on which this (SOP class UID, transfer syntax UID) was proposed.
        converter: makes the conversions.

    Raises:
        DestinationDown, DestinationRefuses: from `channel_for`.
        Temporary: a conversion cannot be made now.
    """
    reasons, for_log = [refused.reason], [refused.reason_for_log]
    for target in fallback:
        if target == outbound.transfer_syntax_uid:
            continue
        kind = (outbound.sop_class_uid, target)
        if not (await channel_for(kind)).takes(kind):
            reasons.append(f"{short_name(target)} is not accepted either")
            for_log.append(reasons[-1])
            continue
        try:
            other = await converted(outbound, Conversion("transcode", {"to": [target]}), converter)
        except Refusal as error:
            reasons.append(str(error))
            for_log.append(fit_for_log(error) or f"it cannot be converted to {short_name(target)}")
            continue
        try:
            outcome = await (await channel_for(kind)).send(other)  # the association may be gone after a long conversion
        finally:
            other.body.close()
        if not (isinstance(outcome, Refused) and outcome.is_about_form):
            return outcome
        reasons.append(outcome.reason)
        for_log.append(outcome.reason_for_log)
    return dataclasses.replace(refused, reason="; ".join(reasons), log_reason="; ".join(for_log))

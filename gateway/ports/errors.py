"""The errors of the gateway, sorted by who must act."""

from __future__ import annotations

import dataclasses
from typing import Literal

from gateway.model.dimse_status import (
    CANNOT_UNDERSTAND,
    DOES_NOT_MATCH_SOP_CLASS,
    NOT_AUTHORIZED,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
)
from gateway.model.final_status import FinalStatus


class GatewayError(Exception):
    """Root of what this package raises on purpose. The message says what, where and what to do."""

    dimse_status = PROCESSING_FAILURE
    offending_elements: tuple[int, ...] = ()
    """Tags, for Offending Element (0000,0901)."""

    def final_status(self) -> FinalStatus:
        """The answer to the request that it refuses or breaks off."""
        return FinalStatus(self.dimse_status, str(self), self.offending_elements)


class Temporary(GatewayError):
    """The peer may send again."""

    dimse_status = OUT_OF_RESOURCES


class TransactionConflict(Temporary):
    """The transaction met another one, and was rolled back: the layer that owns it does all of it again
    (`gateway.ports.retrying`)."""


class SpoolFull(Temporary):
    """No space left for incoming instances."""

    dimse_status = OUT_OF_RESOURCES


class SenderPaused(Temporary):
    """An operator paused the sender: it keeps its objects, and sends them again later."""


class Refusal(GatewayError):
    """This object, in this form, will not be taken."""

    dimse_status = CANNOT_UNDERSTAND


class Unreadable(Refusal):
    """The encoded data set is not what its transfer syntax says."""

    dimse_status = CANNOT_UNDERSTAND


class ClassMismatch(Refusal):
    """SOP class or instance of the data set, of the command and of the presentation context disagree."""

    dimse_status = DOES_NOT_MATCH_SOP_CLASS


class NotAllowed(Refusal):
    """The requestor may not do this, or no route wants the object."""

    dimse_status = NOT_AUTHORIZED


def fit_for_log(error: GatewayError) -> str:
    """The text of an error; of a plain Refusal nothing, since it is an action's and its text may quote the object."""
    return "" if type(error) is Refusal else str(error)


class RejectedByRule(Refusal):
    """A rule says that the object is not taken."""

    def __init__(self, message: str, status: int, rule: str) -> None:
        super().__init__(message)
        self.dimse_status = status
        self.rule = rule


class ObjectTooLarge(Refusal):
    """Over the configured limit."""

    dimse_status = OUT_OF_RESOURCES


@dataclasses.dataclass(frozen=True, slots=True)
class PeerFailure:
    """The step at which associating with a peer ended, for programs; the error's message is for people."""

    step: Literal["name", "connect", "connect_timeout", "certificate", "tls", "no_answer", "rejected", "ended"]
    """The host's name is not found; TCP; its certificate is not taken; TLS otherwise; no answer to A-ASSOCIATE-RQ;
    A-ASSOCIATE-RJ; A-ABORT, or the end of the connection, before an answer."""
    reject: tuple[int, int, int] = (0, 0, 0)
    """Result, source and reason (PS3.8 §9.3.4), of a rejection."""


class PeerError(GatewayError):
    """A peer cannot be asked or sent to. `failure` is None where the association was open already."""

    def __init__(self, message: str, failure: PeerFailure | None = None) -> None:
        super().__init__(message)
        self.failure = failure
        self.is_doubtful = False
        """True when an object was sent whole before, so that the peer may have it."""


class DestinationDown(PeerError):
    """We retry: the peer does not answer, or refuses associations for now."""


class DestinationRefuses(PeerError):
    """An operator fixes: the peer will not associate with us as configured."""


class NoContextAccepted(DestinationRefuses):
    """The peer associates, but takes none of the presentation contexts that were proposed."""


class PayloadUnreadable(Temporary):
    """We retry: the disk gave an error where stored bytes lie. They may be whole; no destination is to blame."""


class PayloadMissing(PayloadUnreadable):
    """The file of stored bytes is not there, or ends before them. It may come back."""


class PayloadLost(GatewayError):
    """An operator fixes: stored bytes were read, and are not what they were."""


class QueueBroken(GatewayError):
    """An operator fixes: the stored queue is damaged."""


class ConfigurationError(GatewayError):
    """An operator fixes: exit code 78."""

"""Time limits of associations: `timers:` of the gateway and of peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gateway.config.spec.values import DurationText
from gateway.forms.described import Described
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class TimersSpec(Spec):
    """Time limits of associations. A peer's own win over those of `gateway:`."""

    connect: Annotated[DurationText, Described(description="Opening a TCP connection. Default: 10 s.")] | None = None
    tls_handshake: Annotated[DurationText, Described(description="TLS handshake. Default: 10 s.")] | None = None
    association: (
        Annotated[
            DurationText,
            Described(description="Negotiation, release and closing (ARTIM, PS3.8 §9.1.5). Default: 30 s."),
        ]
        | None
    ) = None
    dimse: (
        Annotated[
            DurationText, Described(description="Waiting for a response, or a message's next part. Default: 60 s.")
        ]
        | None
    ) = None
    idle: (
        Annotated[
            DurationText, Described(description="An association without any message is aborted. Default: 10 min.")
        ]
        | None
    ) = None
    progress: (
        Annotated[
            DurationText,
            Described(description="How long 16 KiB of a message may take, both ways; else we abort. Default: 30 s."),
        ]
        | None
    ) = None
    message: (
        Annotated[DurationText, Described(description="Receiving one message, from its first byte on. Default: 1 d.")]
        | None
    ) = None

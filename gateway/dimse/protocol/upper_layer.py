"""The DICOM upper layer state machine of PS3.8 §9.2, without sockets and clocks.

`UpperLayer.handle(event, value)` runs one cell of Table 9-10 and returns what is to be done, in order: PDUs to send,
the ARTIM timer to start or stop, the transport to open or close, and indications for the service user.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, A_RELEASE_RQ


class UpperLayerState(enum.IntEnum):
    """The states of PS3.8 §9.2.1; the value is the number of the standard's `Sta`."""

    IDLE = 1
    AWAITING_ASSOCIATE_RQ = 2
    AWAITING_ASSOCIATE_RESPONSE = 3
    AWAITING_TRANSPORT = 4
    AWAITING_ASSOCIATE_AC = 5
    ESTABLISHED = 6
    AWAITING_RELEASE_RP = 7
    AWAITING_RELEASE_RESPONSE = 8
    COLLISION_REQUESTOR_AWAITING_RESPONSE = 9
    COLLISION_ACCEPTOR_AWAITING_RP = 10
    COLLISION_REQUESTOR_AWAITING_RP = 11
    COLLISION_ACCEPTOR_AWAITING_RESPONSE = 12
    AWAITING_CLOSE = 13


class UpperLayerEvent(enum.IntEnum):
    """The events of PS3.8 §9.2.2; the value is the number of the standard's `Evt`."""

    ASSOCIATE_REQUEST = 1
    TRANSPORT_CONFIRM = 2
    ASSOCIATE_AC_PDU = 3
    ASSOCIATE_RJ_PDU = 4
    TRANSPORT_INDICATION = 5
    ASSOCIATE_RQ_PDU = 6
    ASSOCIATE_ACCEPT = 7
    ASSOCIATE_REJECT = 8
    P_DATA_REQUEST = 9
    P_DATA_PDU = 10
    RELEASE_REQUEST = 11
    RELEASE_RQ_PDU = 12
    RELEASE_RP_PDU = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    ABORT_PDU = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU = 19


class AbortReason(enum.IntEnum):
    """Reason of a provider's A-ABORT (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class AbortSource(enum.IntEnum):
    """Source of an A-ABORT (PS3.8 Table 9-26)."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class Do(enum.Enum):
    """Actions that need no value."""

    OPEN_TRANSPORT = enum.auto()
    CLOSE_TRANSPORT = enum.auto()
    START_ARTIM = enum.auto()
    STOP_ARTIM = enum.auto()


class ServicePrimitive(enum.Enum):
    """Indications and confirmations for the service user."""

    ASSOCIATE_INDICATION = enum.auto()
    ASSOCIATE_ACCEPTED = enum.auto()
    ASSOCIATE_REJECTED = enum.auto()
    DATA_INDICATION = enum.auto()
    RELEASE_INDICATION = enum.auto()
    RELEASE_CONFIRMED = enum.auto()
    ABORT_INDICATION = enum.auto()
    PROVIDER_ABORT_INDICATION = enum.auto()


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the transport."""

    pdu: bytes


@dataclass(frozen=True, slots=True)
class Indicate:
    """Tell the service user; `value` is what came with the event."""

    primitive: ServicePrimitive
    value: object = None


Output = Do | Send | Indicate


@dataclass(frozen=True, slots=True)
class AssociateRequestPDU:
    """The part of a received A-ASSOCIATE-RQ that AE-6 needs; `value` travels on to the service user."""

    protocol_version: int
    value: object = None


@dataclass(frozen=True, slots=True)
class Abort:
    """Source and reason of an A-ABORT, sent or received."""

    source: int
    reason: int = 0


class UndefinedTransition(RuntimeError):
    """A local request that the standard does not allow in this state: a mistake of the caller."""


TransitionAction = Callable[["UpperLayer", object], tuple[UpperLayerState, tuple[Output, ...]]]


def encode_abort(source: int, reason: int) -> bytes:
    """An A-ABORT PDU."""
    pdu = A_ABORT_RQ()
    pdu.source = source
    pdu.reason_diagnostic = reason
    return bytes(pdu.encode())


def encode_reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ PDU (PS3.8 §9.3.4)."""
    pdu = A_ASSOCIATE_RJ()
    pdu.result, pdu.source, pdu.reason_diagnostic = result, source, reason
    return bytes(pdu.encode())


RELEASE_RQ = bytes(A_RELEASE_RQ().encode())
RELEASE_RP = bytes(A_RELEASE_RP().encode())
UNSUPPORTED_PROTOCOL_VERSION = encode_reject(1, 2, 2)


class UpperLayer:
    """One association's state. Not thread-safe, holds no data."""

    __slots__ = ("is_requestor", "state")

    def __init__(self, *, is_requestor: bool) -> None:
        self.is_requestor = is_requestor
        self.state = UpperLayerState.IDLE

    @property
    def may_send_data(self) -> bool:
        """True where a P-DATA request is defined (DT-1, AR-7)."""
        return self.state is UpperLayerState.ESTABLISHED or self.state is UpperLayerState.AWAITING_RELEASE_RESPONSE

    @property
    def may_receive_data(self) -> bool:
        """True where a P-DATA-TF PDU is expected (DT-2, AR-6)."""
        return self.state is UpperLayerState.ESTABLISHED or self.state is UpperLayerState.AWAITING_RELEASE_RP

    def is_defined(self, event: UpperLayerEvent) -> bool:
        """True when the standard says what `event` does now."""
        return (event, self.state) in TRANSITIONS

    def handle(self, event: UpperLayerEvent, value: object = None) -> tuple[Output, ...]:
        """Go through one cell of Table 9-10.

        `value` is, by event: the encoded PDU (1, 2, 7, 9: what to send), an `AssociateRequestPDU` (6), the encoded
        A-ASSOCIATE-RJ (8), an `Abort` (16), an `AbortReason` (19), else what shall go to the service user.

        Raises:
            UndefinedTransition: the table has no entry.
        """
        name = TRANSITIONS.get((event, self.state))
        if name is None:
            where = f"Sta{self.state} ({self.state.name})"
            raise UndefinedTransition(f"Evt{event} ({event.name}) is not defined in {where}")
        self.state, outputs = ACTIONS[name](self, value)
        return outputs


# --- actions, PS3.8 Tables 9-6 to 9-9 ----------------------------------------------------------------------------


def _sent(value: object) -> Send:
    assert isinstance(value, bytes)
    return Send(value)


def _ae_6(_: UpperLayer, value: object) -> tuple[UpperLayerState, tuple[Output, ...]]:
    """Stop ARTIM; indicate, or reject a protocol version we do not speak (only bit 0 is tested, §9.3.2)."""
    assert isinstance(value, AssociateRequestPDU)
    if value.protocol_version & 1:
        return UpperLayerState.AWAITING_ASSOCIATE_RESPONSE, (
            Do.STOP_ARTIM,
            Indicate(ServicePrimitive.ASSOCIATE_INDICATION, value.value),
        )
    return UpperLayerState.AWAITING_CLOSE, (Do.STOP_ARTIM, Send(UNSUPPORTED_PROTOCOL_VERSION), Do.START_ARTIM)


def _ar_8(layer: UpperLayer, value: object) -> tuple[UpperLayerState, tuple[Output, ...]]:
    """Release collision: who requested the association answers first."""
    state = (
        UpperLayerState.COLLISION_REQUESTOR_AWAITING_RESPONSE
        if layer.is_requestor
        else UpperLayerState.COLLISION_ACCEPTOR_AWAITING_RP
    )
    return state, (Indicate(ServicePrimitive.RELEASE_INDICATION, value),)


def _aa_3(_: UpperLayer, value: object) -> tuple[UpperLayerState, tuple[Output, ...]]:
    """The peer aborted: say so by its source, and close."""
    assert isinstance(value, Abort)
    is_user = value.source == AbortSource.SERVICE_USER
    primitive = ServicePrimitive.ABORT_INDICATION if is_user else ServicePrimitive.PROVIDER_ABORT_INDICATION
    return UpperLayerState.IDLE, (Indicate(primitive, value), Do.CLOSE_TRANSPORT)


def _aa_8(_: UpperLayer, value: object) -> tuple[UpperLayerState, tuple[Output, ...]]:
    """Abort as the provider: with the reason of an invalid PDU, else because the PDU was not expected."""
    reason = value if isinstance(value, AbortReason) else AbortReason.UNEXPECTED_PDU
    abort = Abort(AbortSource.SERVICE_PROVIDER, reason)
    return UpperLayerState.AWAITING_CLOSE, (
        Send(encode_abort(abort.source, abort.reason)),
        Indicate(ServicePrimitive.PROVIDER_ABORT_INDICATION, abort),
        Do.START_ARTIM,
    )


def _aa_7(_: UpperLayer, value: object) -> tuple[UpperLayerState, tuple[Output, ...]]:
    reason = value if isinstance(value, AbortReason) else AbortReason.UNEXPECTED_PDU
    return UpperLayerState.AWAITING_CLOSE, (Send(encode_abort(AbortSource.SERVICE_PROVIDER, reason)),)


_USER_ABORT = Send(encode_abort(AbortSource.SERVICE_USER, 0))
_CONNECTION_LOST = Indicate(
    ServicePrimitive.PROVIDER_ABORT_INDICATION, Abort(AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED)
)

ACTIONS: dict[str, TransitionAction] = {
    # association establishment
    "AE-1": lambda _, v: (UpperLayerState.AWAITING_TRANSPORT, (Do.OPEN_TRANSPORT,)),
    "AE-2": lambda _, v: (UpperLayerState.AWAITING_ASSOCIATE_AC, (_sent(v),)),
    "AE-3": lambda _, v: (UpperLayerState.ESTABLISHED, (Indicate(ServicePrimitive.ASSOCIATE_ACCEPTED, v),)),
    "AE-4": lambda _, v: (UpperLayerState.IDLE, (Indicate(ServicePrimitive.ASSOCIATE_REJECTED, v), Do.CLOSE_TRANSPORT)),
    "AE-5": lambda _, v: (UpperLayerState.AWAITING_ASSOCIATE_RQ, (Do.START_ARTIM,)),
    "AE-6": _ae_6,
    "AE-7": lambda _, v: (UpperLayerState.ESTABLISHED, (_sent(v),)),
    "AE-8": lambda _, v: (UpperLayerState.AWAITING_CLOSE, (_sent(v), Do.START_ARTIM)),
    # data transfer
    "DT-1": lambda _, v: (UpperLayerState.ESTABLISHED, (_sent(v),)),
    "DT-2": lambda _, v: (UpperLayerState.ESTABLISHED, (Indicate(ServicePrimitive.DATA_INDICATION, v),)),
    # association release
    "AR-1": lambda _, v: (UpperLayerState.AWAITING_RELEASE_RP, (Send(RELEASE_RQ),)),
    "AR-2": lambda _, v: (
        UpperLayerState.AWAITING_RELEASE_RESPONSE,
        (Indicate(ServicePrimitive.RELEASE_INDICATION, v),),
    ),
    "AR-3": lambda _, v: (UpperLayerState.IDLE, (Indicate(ServicePrimitive.RELEASE_CONFIRMED, v), Do.CLOSE_TRANSPORT)),
    "AR-4": lambda _, v: (UpperLayerState.AWAITING_CLOSE, (Send(RELEASE_RP), Do.START_ARTIM)),
    "AR-5": lambda _, v: (UpperLayerState.IDLE, (Do.STOP_ARTIM,)),
    "AR-6": lambda _, v: (UpperLayerState.AWAITING_RELEASE_RP, (Indicate(ServicePrimitive.DATA_INDICATION, v),)),
    "AR-7": lambda _, v: (UpperLayerState.AWAITING_RELEASE_RESPONSE, (_sent(v),)),
    "AR-8": _ar_8,
    "AR-9": lambda _, v: (UpperLayerState.COLLISION_REQUESTOR_AWAITING_RP, (Send(RELEASE_RP),)),
    "AR-10": lambda _, v: (
        UpperLayerState.COLLISION_ACCEPTOR_AWAITING_RESPONSE,
        (Indicate(ServicePrimitive.RELEASE_CONFIRMED, v),),
    ),
    # association abort
    "AA-1": lambda _, v: (UpperLayerState.AWAITING_CLOSE, (_USER_ABORT, Do.START_ARTIM)),
    "AA-2": lambda _, v: (UpperLayerState.IDLE, (Do.STOP_ARTIM, Do.CLOSE_TRANSPORT)),
    "AA-3": _aa_3,
    "AA-4": lambda _, v: (UpperLayerState.IDLE, (_CONNECTION_LOST,)),
    "AA-5": lambda _, v: (UpperLayerState.IDLE, (Do.STOP_ARTIM,)),
    "AA-6": lambda _, v: (UpperLayerState.AWAITING_CLOSE, ()),
    "AA-7": _aa_7,
    "AA-8": _aa_8,
}

# --- the table, PS3.8 Table 9-10 ---------------------------------------------------------------------------------

_TABLE = """
Evt  Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 Sta10 Sta11 Sta12 Sta13
1    AE-1 -    -    -    -    -    -    -    -    -     -     -     -
2    -    -    -    AE-2 -    -    -    -    -    -     -     -     -
3    -    AA-1 AA-8 -    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
4    -    AA-1 AA-8 -    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
5    AE-5 -    -    -    -    -    -    -    -    -     -     -     -
6    -    AE-6 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
7    -    -    AE-7 -    -    -    -    -    -    -     -     -     -
8    -    -    AE-8 -    -    -    -    -    -    -     -     -     -
9    -    -    -    -    -    DT-1 -    AR-7 -    -     -     -     -
10   -    AA-1 AA-8 -    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
11   -    -    -    -    -    AR-1 -    -    -    -     -     -     -
12   -    AA-1 AA-8 -    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
13   -    AA-1 AA-8 -    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3  AA-8  AA-6
14   -    -    -    -    -    -    -    AR-4 AR-9 -     -     AR-4  -
15   -    -    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1  AA-1  -
16   -    AA-2 AA-3 -    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3  AA-3  AA-2
17   -    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4  AA-4  AR-5
18   -    AA-2 -    -    -    -    -    -    -    -     -     -     AA-2
19   -    AA-1 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
"""


def _read(table: str) -> dict[tuple[UpperLayerEvent, UpperLayerState], str]:
    transitions = {}
    for line in table.strip().splitlines()[1:]:
        event, *actions = line.split()
        for state, action in zip(UpperLayerState, actions, strict=True):
            if action != "-":
                transitions[UpperLayerEvent(int(event)), state] = action
    return transitions


TRANSITIONS = _read(_TABLE)

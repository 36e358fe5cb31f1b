"""PS3.8 §9.2: every cell of Table 9-10, and what each action does."""

import pytest
from pynetdicom.fsm import TRANSITION_TABLE

from gateway.dimse.protocol.upper_layer import (
    RELEASE_RP,
    RELEASE_RQ,
    TRANSITIONS,
    UNSUPPORTED_PROTOCOL_VERSION,
    Abort,
    AbortReason,
    AssociateRequestPDU,
    Do,
    Indicate,
    Output,
    Send,
    ServicePrimitive,
    UndefinedTransition,
    UpperLayer,
    UpperLayerEvent,
    UpperLayerState,
    encode_abort,
)

CELLS = [(event, state) for event in UpperLayerEvent for state in UpperLayerState]

VALUES: dict[UpperLayerEvent, object] = {
    UpperLayerEvent.ASSOCIATE_REQUEST: b"request",
    UpperLayerEvent.TRANSPORT_CONFIRM: b"request",
    UpperLayerEvent.ASSOCIATE_RQ_PDU: AssociateRequestPDU(1, "request"),
    UpperLayerEvent.ASSOCIATE_ACCEPT: b"accept",
    UpperLayerEvent.ASSOCIATE_REJECT: b"reject",
    UpperLayerEvent.P_DATA_REQUEST: b"data",
    UpperLayerEvent.ABORT_PDU: Abort(0, 0),
    UpperLayerEvent.INVALID_PDU: AbortReason.INVALID_PARAMETER,
}

USER_ABORT = Send(encode_abort(0, 0))


def provider_abort(event: UpperLayerEvent) -> tuple[Send, Indicate]:
    reason = AbortReason.INVALID_PARAMETER if event is UpperLayerEvent.INVALID_PDU else AbortReason.UNEXPECTED_PDU
    return Send(encode_abort(2, reason)), Indicate(ServicePrimitive.PROVIDER_ABORT_INDICATION, Abort(2, reason))


def expected(action: str, event: UpperLayerEvent, *, is_requestor: bool) -> tuple[UpperLayerState, tuple[Output, ...]]:
    """Next state and outputs after PS3.8 Tables 9-6 to 9-9, written out once more."""
    value = VALUES.get(event)
    lost = Indicate(ServicePrimitive.PROVIDER_ABORT_INDICATION, Abort(2, AbortReason.NOT_SPECIFIED))
    table: dict[str, tuple[int, tuple[Output, ...]]] = {
        "AE-1": (4, (Do.OPEN_TRANSPORT,)),
        "AE-2": (5, (Send(b"request"),)),
        "AE-3": (6, (Indicate(ServicePrimitive.ASSOCIATE_ACCEPTED),)),
        "AE-4": (1, (Indicate(ServicePrimitive.ASSOCIATE_REJECTED), Do.CLOSE_TRANSPORT)),
        "AE-5": (2, (Do.START_ARTIM,)),
        "AE-6": (3, (Do.STOP_ARTIM, Indicate(ServicePrimitive.ASSOCIATE_INDICATION, "request"))),
        "AE-7": (6, (Send(b"accept"),)),
        "AE-8": (13, (Send(b"reject"), Do.START_ARTIM)),
        "DT-1": (6, (Send(b"data"),)),
        "DT-2": (6, (Indicate(ServicePrimitive.DATA_INDICATION),)),
        "AR-1": (7, (Send(RELEASE_RQ),)),
        "AR-2": (8, (Indicate(ServicePrimitive.RELEASE_INDICATION),)),
        "AR-3": (1, (Indicate(ServicePrimitive.RELEASE_CONFIRMED), Do.CLOSE_TRANSPORT)),
        "AR-4": (13, (Send(RELEASE_RP), Do.START_ARTIM)),
        "AR-5": (1, (Do.STOP_ARTIM,)),
        "AR-6": (7, (Indicate(ServicePrimitive.DATA_INDICATION),)),
        "AR-7": (8, (Send(b"data"),)),
        "AR-8": (9 if is_requestor else 10, (Indicate(ServicePrimitive.RELEASE_INDICATION),)),
        "AR-9": (11, (Send(RELEASE_RP),)),
        "AR-10": (12, (Indicate(ServicePrimitive.RELEASE_CONFIRMED),)),
        "AA-1": (13, (USER_ABORT, Do.START_ARTIM)),
        "AA-2": (1, (Do.STOP_ARTIM, Do.CLOSE_TRANSPORT)),
        "AA-3": (1, (Indicate(ServicePrimitive.ABORT_INDICATION, value), Do.CLOSE_TRANSPORT)),
        "AA-4": (1, (lost,)),
        "AA-5": (1, (Do.STOP_ARTIM,)),
        "AA-6": (13, ()),
        "AA-7": (13, (provider_abort(event)[0],)),
        "AA-8": (13, (*provider_abort(event), Do.START_ARTIM)),
    }
    number, outputs = table[action]
    return UpperLayerState(number), outputs


def test_the_table_is_the_one_of_pynetdicom() -> None:
    ours = {(f"Evt{int(event)}", f"Sta{int(state)}"): action for (event, state), action in TRANSITIONS.items()}
    assert ours == TRANSITION_TABLE


@pytest.mark.parametrize("is_requestor", [True, False], ids=["requestor", "acceptor"])
@pytest.mark.parametrize(("event", "state"), CELLS, ids=lambda value: f"{type(value).__name__[:3]}{int(value)}")
def test_every_cell(event: UpperLayerEvent, state: UpperLayerState, is_requestor: bool) -> None:
    layer = UpperLayer(is_requestor=is_requestor)
    layer.state = state
    action = TRANSITION_TABLE.get((f"Evt{int(event)}", f"Sta{int(state)}"))
    assert layer.is_defined(event) == (action is not None)
    if action is None:
        with pytest.raises(UndefinedTransition, match=rf"Evt{int(event)} .* Sta{int(state)} "):
            layer.handle(event, VALUES.get(event))
        assert layer.state is state
        return
    next_state, outputs = expected(action, event, is_requestor=is_requestor)
    assert layer.handle(event, VALUES.get(event)) == outputs
    assert layer.state is next_state


@pytest.mark.parametrize(("version", "is_taken"), [(1, True), (3, True), (0xFFFF, True), (0, False), (2, False)])
def test_only_bit_0_of_the_protocol_version_counts(version: int, is_taken: bool) -> None:
    layer = UpperLayer(is_requestor=False)
    layer.handle(UpperLayerEvent.TRANSPORT_INDICATION)
    outputs = layer.handle(UpperLayerEvent.ASSOCIATE_RQ_PDU, AssociateRequestPDU(version))
    if is_taken:
        assert layer.state is UpperLayerState.AWAITING_ASSOCIATE_RESPONSE
        return
    assert layer.state is UpperLayerState.AWAITING_CLOSE
    assert outputs == (Do.STOP_ARTIM, Send(UNSUPPORTED_PROTOCOL_VERSION), Do.START_ARTIM)
    assert bytes.fromhex("0300 00000004 00 01 02 02") == UNSUPPORTED_PROTOCOL_VERSION


def test_a_provider_abort_is_told_from_a_users() -> None:
    layer = UpperLayer(is_requestor=True)
    layer.state = UpperLayerState.ESTABLISHED
    abort = Abort(2, 6)
    assert layer.handle(UpperLayerEvent.ABORT_PDU, abort)[0] == Indicate(
        ServicePrimitive.PROVIDER_ABORT_INDICATION, abort
    )


@pytest.mark.parametrize("state", UpperLayerState, ids=lambda state: state.name)
def test_data_goes_where_the_table_says(state: UpperLayerState) -> None:
    layer = UpperLayer(is_requestor=False)
    layer.state = state
    assert layer.may_send_data == layer.is_defined(UpperLayerEvent.P_DATA_REQUEST)
    assert layer.may_receive_data == (TRANSITIONS.get((UpperLayerEvent.P_DATA_PDU, state)) in ("DT-2", "AR-6"))

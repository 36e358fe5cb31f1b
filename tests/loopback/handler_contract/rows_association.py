"""`event.assoc`: what handlers ask of their association, and what they do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pynetdicom import AE, evt

from tests.loopback.handler_contract.row import Row, Run
from tests.loopback.handler_contract.rows_event import QUERIES, reading
from tests.support.caller import EXPLICIT, MR
from tests.support.dimse.query_rig import image, match, uid

EVERY = "store find get move"


def _assoc(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda event: read(event.assoc)


def _contexts(found: Any) -> list[tuple[Any, ...]]:
    return sorted((context.context_id, str(context.abstract_syntax)) for context in found)


READ: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "is_established": (lambda assoc: assoc.is_established, True),
    "is_released": (lambda assoc: assoc.is_released, False),
    "is_aborted": (lambda assoc: assoc.is_aborted, False),
    "is_rejected": (lambda assoc: assoc.is_rejected, False),
    "is_acceptor": (lambda assoc: assoc.is_acceptor, True),
    "is_requestor": (lambda assoc: assoc.is_requestor, False),
    "is_alive()": (lambda assoc: assoc.is_alive(), True),
    "mode": (lambda assoc: assoc.mode, "acceptor"),
    "requestor.ae_title": (lambda assoc: assoc.requestor.ae_title, "TESTER"),
    "requestor.address": (lambda assoc: assoc.requestor.address, "127.0.0.1"),
    "requestor.port": (lambda assoc: 1024 < assoc.requestor.port < 65536, True),
    "requestor.address_info": (lambda assoc: assoc.requestor.address_info.address, "127.0.0.1"),
    "requestor.is_requestor": (
        lambda assoc: (assoc.requestor.is_requestor, assoc.requestor.is_acceptor),
        (True, False),
    ),
    "requestor.mode": (lambda assoc: assoc.requestor.mode, "requestor"),
    "requestor.assoc": (lambda assoc: assoc.requestor.assoc is assoc, True),
    "requestor.writeable": (lambda assoc: assoc.requestor.writeable, False),
    "requestor.info": (lambda assoc: sorted(assoc.requestor.info), ["address", "ae_title", "mode", "pdv_size", "port"]),
    "requestor.maximum_length": (lambda assoc: assoc.requestor.maximum_length > 0, True),
    "requestor.implementation_class_uid": (lambda assoc: str(assoc.requestor.implementation_class_uid)[:5], "2.25."),
    "requestor.implementation_version_name": (
        lambda assoc: assoc.requestor.implementation_version_name[:8],
        "GATEWAY_",
    ),
    "requestor.requested_contexts": (lambda assoc: len(assoc.requestor.get_contexts("pcdl")), 6),
    "requestor.role_selection": (
        lambda assoc: [(item.scu_role, item.scp_role) for item in assoc.requestor.role_selection.values()],
        [(True, True)],
    ),
    "requestor.sop_class_extended": (lambda assoc: assoc.requestor.sop_class_extended, {}),
    "requestor.sop_class_common_extended": (lambda assoc: assoc.requestor.sop_class_common_extended, {}),
    "requestor.user_identity": (lambda assoc: assoc.requestor.user_identity, None),
    "requestor.asynchronous_operations": (lambda assoc: assoc.requestor.asynchronous_operations, (1, 1)),
    "requestor.user_information": (lambda assoc: len(assoc.requestor.user_information), 4),
    "requestor.primitive.calling_ae_title": (lambda assoc: assoc.requestor.primitive.calling_ae_title, "TESTER"),
    "requestor.primitive.called_ae_title": (lambda assoc: assoc.requestor.primitive.called_ae_title, "GATEWAY"),
    "requestor.primitive.presentation_context_definition_list": (
        lambda assoc: len(assoc.requestor.primitive.presentation_context_definition_list),
        6,
    ),
    "acceptor.ae_title": (lambda assoc: assoc.acceptor.ae_title, "GATEWAY"),
    "acceptor.address": (lambda assoc: assoc.acceptor.address, "127.0.0.1"),
    "acceptor.port": (lambda assoc: 1024 < assoc.acceptor.port < 65536, True),
    "acceptor.is_acceptor": (lambda assoc: assoc.acceptor.is_acceptor, True),
    "acceptor.mode": (lambda assoc: assoc.acceptor.mode, "acceptor"),
    "acceptor.primitive.result": (lambda assoc: assoc.acceptor.primitive.result, 0),
    "acceptor.primitive.presentation_context_definition_results_list": (
        lambda assoc: [
            context.result == 0 for context in assoc.acceptor.primitive.presentation_context_definition_results_list
        ],
        [True] * 5 + [False],
    ),
    "acceptor.accepted_common_extended": (lambda assoc: assoc.acceptor.accepted_common_extended, {}),
    "remote": (lambda assoc: (assoc.remote["ae_title"], assoc.remote["mode"]), ("TESTER", "requestor")),
    "local": (lambda assoc: (assoc.local["ae_title"], assoc.local["mode"]), ("GATEWAY", "acceptor")),
    "accepted_contexts": (lambda assoc: [row[0] for row in _contexts(assoc.accepted_contexts)], [1, 3, 5, 7, 9]),
    "accepted_contexts: abstract syntax": (lambda assoc: _contexts(assoc.accepted_contexts)[3][1], MR),
    "accepted_contexts: transfer syntax": (
        lambda assoc: [str(uid) for uid in _of_mr(assoc).transfer_syntax],
        [EXPLICIT],
    ),
    "accepted_contexts: result": (lambda assoc: _of_mr(assoc).result, 0),
    "accepted_contexts: roles": (lambda assoc: (_of_mr(assoc).as_scp, _of_mr(assoc).as_scu), (True, True)),
    "rejected_contexts": (lambda assoc: [context.context_id for context in assoc.rejected_contexts], [11]),
    "rejected_contexts: result": (lambda assoc: [context.result > 0 for context in assoc.rejected_contexts], [True]),
    "ae": (lambda assoc: isinstance(assoc.ae, AE), True),
    "ae.ae_title": (lambda assoc: assoc.ae.ae_title, "GATEWAY"),
    "lock": (lambda assoc: assoc.lock.acquire(blocking=False) and assoc.lock.release(), None),
    "acse_timeout": (lambda assoc: assoc.acse_timeout > 0, True),
    "dimse_timeout": (lambda assoc: assoc.dimse_timeout > 0, True),
    "network_timeout": (lambda assoc: assoc.network_timeout > 0, True),
    "network_timeout_response": (lambda assoc: assoc.network_timeout_response, "A-ABORT"),
    "get_handlers()": (lambda assoc: len(assoc.get_handlers(evt.EVT_C_STORE)), 2),
    "get_events()": (lambda assoc: evt.EVT_C_STORE in assoc.get_events(), True),
    "an attribute that there is not": (lambda assoc: assoc.nothing, AttributeError),
}


def _of_mr(assoc: Any) -> Any:
    return next(context for context in assoc.accepted_contexts if context.abstract_syntax == MR)


def kept(event: Any, run: Run) -> Iterator[Any]:
    """Some handlers keep something by association, or on it."""
    by_association = {event.assoc: 1}
    event.assoc.mine = 5
    run.note(kept=by_association[event.assoc], mine=event.assoc.mine, same=event.assoc is event.assoc)
    yield 0x0000, None


def aborting_store(event: Any, run: Run) -> int:
    event.assoc.abort()
    return 0x0000


def aborting_find(event: Any, run: Run) -> Iterator[Any]:
    yield 0xFF00, match(1)
    event.assoc.abort()
    yield 0xFF00, match(2)


def aborting_move(event: Any, run: Run) -> Iterator[Any]:
    yield run.there
    yield 2
    event.assoc.abort()
    yield 0xFF00, image(1)


def releasing_store(event: Any, run: Run) -> int:
    event.assoc.acse_timeout = 0.1
    event.assoc.release()
    return 0x0000


def sending(event: Any, run: Run) -> int:
    """C-STORE back to the requestor, while its own is served."""
    status = event.assoc.send_c_store(image(2))
    run.note(status=f"{status.Status:04X}")
    return 0x0000


def sending_what_has_no_context(event: Any, run: Run) -> int:
    other = image(1)
    other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    try:
        event.assoc.send_c_store(other)
    except ValueError:
        run.note(raised="ValueError")
    return 0x0000


def echoing(event: Any, run: Run) -> int:
    try:
        event.assoc.send_c_echo()
    except ValueError:
        run.note(raised="ValueError")
    return 0x0000


def associating(event: Any, run: Run) -> int:
    """An association of the handler's own."""
    ae = event.assoc.ae
    from pynetdicom import build_context

    association = ae.associate(*run.there, contexts=[build_context(MR, EXPLICIT)], ae_title="STORE")
    run.note(is_established=association.is_established, status=f"{association.send_c_store(image(3)).Status:04X}")
    association.release()
    return 0x0000


def refusing(event: Any, run: Run) -> int:
    return 0xA700


def binding_another(event: Any, run: Run) -> int:
    """The next request of this association goes to another handler."""
    event.assoc.bind(evt.EVT_C_STORE, refusing, [run])
    run.note(bound=event.assoc.get_handlers(evt.EVT_C_STORE)[0] is refusing)
    return 0x0000


def unbinding(event: Any, run: Run) -> int:
    event.assoc.unbind(evt.EVT_C_STORE, unbinding)
    run.note(bound=event.assoc.get_handlers(evt.EVT_C_STORE)[0] is unbinding)
    return 0x0000


def unbinding_another(event: Any, run: Run) -> int:
    event.assoc.unbind(evt.EVT_C_STORE, refusing)
    run.note(bound=event.assoc.get_handlers(evt.EVT_C_STORE)[0] is unbinding_another)
    return 0x0000


ROWS = [
    *(row for name, (read, value) in READ.items() for row in reading(f"assoc.{name}", "store", _assoc(read), value)),
    *reading("assoc.requestor.ae_title", QUERIES, lambda event: event.assoc.requestor.ae_title, "TESTER"),
    *reading("assoc is one object", EVERY, lambda event: event.assoc is event.assoc, True),
    Row("assoc: kept", "find", kept, "0000", ("kept=1", "mine=5", "same=True")),
    Row("assoc.abort() in C-STORE", "store", aborting_store, "", ends="aborted"),
    Row("assoc.abort() in C-FIND", "find", aborting_find, "FF00 #1", ends="aborted"),
    Row("assoc.abort() in C-MOVE", "move", aborting_move, "", ends="aborted"),
    Row("assoc.release() in C-STORE", "store", releasing_store, "", ends="release asked"),
    Row("assoc.send_c_store()", "store", sending, "0000", ("status='A700'",), stored=("2",)),
    Row(
        "assoc.send_c_store() without a context", "store", sending_what_has_no_context, "0000", ("raised='ValueError'",)
    ),
    Row("assoc.send_c_echo()", "store", echoing, "0000", ("raised='ValueError'",)),
    Row("assoc.ae.associate()", "store", associating, "0000", ("is_established=True", "status='B000'"), stored=("3",)),
    Row("assoc.bind()", "store", binding_another, "0000; A700", ("bound=True",), is_repeated=True),
    Row("assoc.unbind()", "store", unbinding, "0000; C211", ("bound=False",), is_repeated=True),
    Row("assoc.unbind() of another", "store", unbinding_another, "0000; 0000", ("bound=True",) * 2, is_repeated=True),
]


def rebinding(event: Any, run: Run) -> int:
    """Binds at the server, while it runs."""
    run.server.bind(evt.EVT_C_STORE, refusing, [run])
    run.note(bound=run.server.get_handlers(evt.EVT_C_STORE)[0] is refusing)
    return 0x0000


def unbinding_at_the_server(event: Any, run: Run) -> int:
    run.server.unbind(evt.EVT_C_STORE, unbinding_at_the_server)
    return 0x0000


def without_arguments(event: Any) -> int:
    return 0xB000


def binding_without_arguments(event: Any, run: Run) -> int:
    run.server.bind(evt.EVT_C_STORE, without_arguments)
    return 0x0000


ROWS += [
    Row("server.bind()", "store", rebinding, "0000; A700", ("bound=True",), is_repeated=True),
    Row("server.bind() without arguments", "store", binding_without_arguments, "0000; B000", is_repeated=True),
    Row("server.unbind()", "store", unbinding_at_the_server, "0000; C211", is_repeated=True),
]
UID = uid(1)

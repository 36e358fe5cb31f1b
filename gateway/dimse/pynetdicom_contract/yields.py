"""The values that handlers of C-FIND, C-GET and C-MOVE may yield: pynetdicom's documented values, and more.

A handler is a generator function (it runs in a thread of its own, and may block), an async generator function (on the
event loop), or a function that returns an iterable, also an awaited one. What it yields beside pynetdicom's is for the
gateway's own handlers; `docs/handlers.md` names those that sites may use.

======== ============================================== =========================================================
request  pynetdicom's documentation                     besides
======== ============================================== =========================================================
C-FIND   ``(status, identifier)``                       identifier as bytes or `EncodedDataSet`; `EncodedMatches`; a
                                                        bare final status
C-MOVE   1. ``(addr, port[, kwargs])``, ``(None, None)`` a `Peer`, a list of these, `MoveDestinations`
         2. number of sub-operations                    `UNKNOWN`: not known yet
         3. ``(0xFF00, dataset)`` …, final status       `EncodedInstance`, `MissingInstance`, `SubOperationDone`,
         `RelayedCounters`
C-GET    as C-MOVE without 1                            as C-MOVE without 1
======== ============================================== =========================================================

Instead of any of these, a final status ends the operation at once: ``(status, data set or None)`` or a data set with
``Status`` and what belongs to it (``ErrorComment``, ``OffendingElement``). A raised `GatewayError` is the same with its
``dimse_status`` and text. Nothing that comes after the final status is asked for: the generator is closed.

The number of sub-operations that a handler yields is that of its instances; with several destinations the responses
count each instance once a destination. Counters are 16 bits wide: where they would not hold that product, an instance
is one sub-operation, and as good as its worst one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model.peer import Peer
from gateway.ports.encoded_data_set import EncodedDataSet

UNKNOWN = object()
"""A value in place of the number of sub-operations: responses have no Number of Remaining Sub-operations then."""


@dataclass(frozen=True, slots=True)
class EncodedMatches:
    """Matches of a C-FIND that go out together: each response costs its bytes and little more.

    Attributes:
        status: a Pending one, of each of them.
        identifiers: encoded, in order, none of them empty. A C-CANCEL is looked at before the first of them alone, so
            there are few.
    """

    status: int
    identifiers: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class EncodedInstance:
    """An instance to be sent, as bytes.

    Attributes:
        sop_class_uid, sop_instance_uid: of the object.
        transfer_syntax_uid: what `body` is encoded in; it is sent in no other.
        body: the data set, or a coroutine function that gives it when it is this instance's turn. It is closed when all
            destinations have it or failed. What the function raises makes the sub-operation a failed one.
        fallback: transfer syntaxes to convert it to, in order, where the destination takes none that it can simply be
            written in; `convert` does so.
        convert: gives the data set in one of `fallback`; what it raises makes the sub-operation a failed one.
        form_for: gives what a destination (by its name) gets in place of this; None: all get the same. The body it is
            given stays this instance's.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: EncodedDataSet | Callable[[], Awaitable[EncodedDataSet]]
    fallback: tuple[str, ...] = ()
    convert: Callable[[EncodedDataSet, str], Awaitable[EncodedDataSet]] | None = None
    form_for: Callable[[str, EncodedDataSet], Awaitable[EncodedInstance]] | None = None


@dataclass(frozen=True, slots=True)
class MissingInstance:
    """Announced instances that are not to be had: their sub-operations failed, to every destination."""

    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubOperationDone:
    """Sub-operations that another SCP did: they are added to the counters, and taken from those that remain."""

    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RelayedCounters:
    """The counters of another SCP: they replace ours, e.g. when a C-MOVE is passed on as it is.

    With a final status they are the counters of the final response; what remains is not counted as failed then.
    """

    remaining: int | None = None
    """None: not known."""
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_sop_instance_uids: tuple[str, ...] = ()
    """All of them, or those that are new: a UID is listed once."""


MovePlace = Peer | tuple[Any, ...]
"""A peer of ours, ``(addr, port)`` or ``(addr, port, kwargs)`` with the keywords of `AE.associate`."""


@dataclass(frozen=True, slots=True)
class MoveDestinations:
    """The destinations of a C-MOVE: every instance goes to all of them at once."""

    places: Sequence[MovePlace]
    originator_ae_title: str | None = None
    """Move Originator AE Title of the sub-operations (PS3.7 §9.1.1.1.6); None: the requestor's calling AE title."""
    associations: int = 1
    """Associations to each place that are used side by side."""

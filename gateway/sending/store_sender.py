"""C-STORE over an association of the pool: the one sender of deliveries, of sub-operations and of `gateway send`.

Each user asks the pool for associations with needs of its own, and says by itself what a lost one means. The choice of
the presentation context, the request, and the turns with other users of the same peer are the same for all of them.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Callable, Container, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypedDict, TypeVar, Unpack

from gateway.model.associate import ProposedContext
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.sending.contexts import Kind, taken_form


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """The response of a storage SCP."""

    status: int
    error_comment: str = ""
    """Error Comment (0000,0902); peers quote patients in it."""


class StoreOptions(TypedDict, total=False):
    """The elements of a C-STORE request that depend on the reason for it."""

    priority: int
    """0 medium, 1 high, 2 low."""
    move_originator: tuple[str, int]
    """AE title and message ID of the C-MOVE that asked for this."""


Answered = Callable[[StoreResponse | None], None]
"""Called with a response; with None when the association ended before it."""


class StoreAssociation(Protocol):
    """An association that C-STORE requests go out on (`gateway.dimse.requestor`)."""

    @property
    def accepted(self) -> Container[Kind]:
        """The kinds with an accepted presentation context where we are the SCU."""
        ...

    @property
    def is_open(self) -> bool: ...
    @property
    def is_busy(self) -> bool: ...
    @property
    def window(self) -> int:
        """The number of requests that may wait for a response."""
        ...

    def has_proposed(self, contexts: Iterable[ProposedContext]) -> bool: ...
    def c_store(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        body: EncodedDataSet,
        **more: Unpack[StoreOptions],
    ) -> Coroutine[Any, Any, StoreResponse]: ...
    def begin_store(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        body: EncodedDataSet,
        answered: Answered,
    ) -> Coroutine[Any, Any, None]: ...


A = TypeVar("A", bound=StoreAssociation)


A_contra = TypeVar("A_contra", bound=StoreAssociation, contravariant=True)


class StorePool(Protocol[A_contra]):
    """The pool that an association is of (`gateway.dimse.requestor.association_pool`)."""

    def release(self, association: A_contra) -> None: ...
    def discard(self, association: A_contra) -> Task[None]: ...
    def is_awaited(self, association: A_contra) -> bool: ...
    def add_idle_holder(self, release_idle: Callable[[], None]) -> None: ...
    def remove_idle_holder(self, release_idle: Callable[[], None]) -> None: ...


def _nothing() -> None: ...


class StoreSender(Generic[A]):
    """Holds one association at a time. Between two objects it is released to another user who has waited for long.

    Args:
        pool: the association is of it.
        on_released: called after the association was released to another user.
    """

    __slots__ = ("_in_work", "_on_released", "_pool", "association")

    def __init__(self, pool: StorePool[A], on_released: Callable[[], None] = _nothing) -> None:
        self.association: A | None = None
        self._pool = pool
        self._on_released = on_released
        self._in_work = 0
        """Objects between `begin` and `end`."""

    @property
    def is_open(self) -> bool:
        """True while it holds an association on which requests can be sent."""
        return self.association is not None and self.association.is_open

    def is_fit(self, contexts: Iterable[ProposedContext]) -> bool:
        """True when it holds an open association without a request, on which all of `contexts` were proposed."""
        held = self.association
        return held is not None and held.is_open and not held.is_busy and held.has_proposed(contexts)

    def hold(self, association: A) -> None:
        """Send over `association`, which the pool has just lent, from now on."""
        self.association = association
        self._pool.add_idle_holder(self.release_awaited)

    def begin(self) -> None:
        """An object is being sent: the association stays until `end`."""
        self._in_work += 1

    def end(self) -> bool:
        """The object was sent, or was not. True when the association is still held."""
        self._in_work -= 1
        self.release_awaited()
        return self.association is not None

    def form_for(self, sop_class_uid: str, transfer_syntaxes: Iterable[str]) -> str:
        """The first of the transfer syntaxes that an object can be sent in and the peer accepted; empty for none."""
        held = self.association
        return "" if held is None else taken_form(sop_class_uid, transfer_syntaxes, held.accepted)

    def send(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        body: EncodedDataSet,
        **more: Unpack[StoreOptions],
    ) -> Coroutine[Any, Any, StoreResponse]:
        """C-STORE the bytes of `body` as they are, over the association that is held.

        Args:
            sop_class_uid, sop_instance_uid: of the object.
            transfer_syntax_uid: the encoding of `body`, as `form_for` chose it.
            body: stays the caller's to close.
            more: the request's other elements.

        Raises:
            DestinationDown: the association is lost or the time limit is over.
            DestinationRefuses: no accepted context.
            ValueError: the request cannot be written.
        """
        held = self.association
        assert held is not None
        return held.c_store(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            body=body,
            **more,
        )

    @property
    def window(self) -> int:
        """The number of objects that may wait for a response: one while another user waits for the association."""
        held = self.association
        if held is None or held.window == 1:
            return 1
        return held.window if held.is_open and not self._pool.is_awaited(held) else 1

    async def begin_store(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        body: EncodedDataSet,
        answered: Answered,
    ) -> None:
        """As `send`, while fewer than `window` others wait for their responses, and without waiting for this one:
        `answered` is called once, unless this method raises.

        Raises:
            GatewayError, ValueError: the request cannot be written, or its body not read.
        """
        held = self.association
        assert held is not None

        def came(response: StoreResponse | None) -> None:
            self.end()
            answered(response)

        self.begin()
        try:
            await held.begin_store(
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                body=body,
                answered=came,
            )
        except BaseException:
            self.end()
            raise

    def release_awaited(self) -> None:
        """Release an association that another user of the pool waits for, unless an object is being sent."""
        held = self.association
        if held is None or self._in_work or not self._pool.is_awaited(held):
            return
        self.release()
        self._on_released()

    def release(self) -> None:
        """Give the association back to the pool, for the next user with the same needs."""
        held = self._let_go()
        if held is not None:
            self._pool.release(held)

    def discard(self) -> Task[None] | None:
        """End the association. The task is done when it is gone; None when none was held."""
        held = self._let_go()
        return None if held is None else self._pool.discard(held)

    def _let_go(self) -> A | None:
        held, self.association = self.association, None
        if held is not None:
            self._pool.remove_idle_holder(self.release_awaited)
        return held
